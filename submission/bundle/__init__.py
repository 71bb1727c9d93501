"""Writes a contest-ready folder: the modules that a preset needs as one readable file, with its evidence."""
