"""Run it, read it, count it: folders, logs, claims, seeds and their statistics."""
