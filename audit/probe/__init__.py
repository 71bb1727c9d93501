"""Run-time experiments: what a submission's own pipeline reports on data whose entropy is known."""
