"""One file a rule: each holds one Rule class, which is its own documentation and its own test."""
