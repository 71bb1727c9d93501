"""Is it lawful? Code, evidence and run-time behaviour of a submission against the contest's rules."""
