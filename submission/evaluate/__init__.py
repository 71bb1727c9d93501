"""Scoring the validation split from an artifact: every loss goes through the ledger."""
