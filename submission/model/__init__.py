"""The network: a feature of a seed system is a small module, switched by the configuration."""

from submission.model.gpt import GPT

__all__ = ["GPT"]
