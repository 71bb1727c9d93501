"""Runs inside the sandbox, in the process of the submission: the only code here that may import torch at once."""
