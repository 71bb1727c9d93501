"""Evaluates the constant parts of a program on a short list of harmless operations, running none of its code."""
