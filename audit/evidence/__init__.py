"""Rules and checks that rest on logs, claims, sizes and times, not on code."""
