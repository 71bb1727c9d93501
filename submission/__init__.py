"""A full entry to the contest: trainer, evaluator and artifact, imported by the front door alone."""
