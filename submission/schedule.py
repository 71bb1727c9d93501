"""What changes during training: learning rate, momentum and depth, by time where there is a limit, else by step."""

from __future__ import annotations

from submission.config import Config


def time_limit(config: Config) -> float | None:
    """Seconds of training before what is reserved for export; None without a limit."""
    if config.max_wallclock_seconds <= 0:
        return None
    return config.max_wallclock_seconds - config.train_reserve_seconds


def lr_scale(config: Config, step: int, seconds: float) -> float:
    """Factor on every base learning rate: 1, then linearly to 0 over the last ``warmdown_iters`` steps."""
    if config.warmdown_iters <= 0:
        return 1.0
    limit = time_limit(config)
    if limit is None:
        left = config.iterations - step
        return max(left, 0) / config.warmdown_iters if left <= config.warmdown_iters else 1.0
    warmdown = config.warmdown_iters * seconds / max(step, 1)
    left_seconds = max(limit - seconds, 0.0)
    return left_seconds / max(warmdown, 1e-9) if left_seconds <= warmdown else 1.0


def muon_momentum(config: Config, step: int) -> float:
    """Linear from ``muon_momentum_warmup_start`` to ``muon_momentum``."""
    steps = config.muon_momentum_warmup_steps
    share = min(step / steps, 1.0) if steps > 0 else 1.0
    return (1 - share) * config.muon_momentum_warmup_start + share * config.muon_momentum


def repeats_at(config: Config, step: int, seconds: float) -> int:
    """How often the stack runs at this point of training (progressive depth, PR 1384)."""
    phases = config.depth_phases
    if not phases:
        return config.num_repeats
    done = seconds / config.max_wallclock_seconds if config.max_wallclock_seconds > 0 else step / config.iterations
    return next((repeats for until, repeats in phases if done < until), phases[-1][1])
