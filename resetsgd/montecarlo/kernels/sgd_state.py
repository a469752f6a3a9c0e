"""What the kernel of SGD reads and writes, as named tuples of numbers and plain arrays.

T stands for the type of data and parameters, float64 or float32; all arrays of type T of one call
have the same. Columns are replicas under way.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from resetsgd.montecarlo.kernels.sgd_models import Scratch

__all__ = [
    "AT", "BEST", "BEST_LOSS", "CLOUD", "COUNTS", "DUE", "LOOK", "MADE", "MISSED", "OWN", "REACHED",
    "REALS", "STEP", "TICKS", "TOGETHER", "WATCHED", "WRECKED", "Outcome", "Plan", "Start",
    "Workspace",
]  # fmt: skip

OWN, CLOUD, BEST = 0, 1, 2
"""Where resets lead: the replica's start, a member of a cloud, its best parameters so far."""

TOGETHER = 2
"""Replicas that take turns where a step is short; see ``sgd_moves``."""

STEP, DUE, AT, MADE, LOOK = range(2, 7)
"""Further rows of whole numbers: steps made, step of the next reset, rows (or words) used, rows
made, how the last look went."""

BEST_LOSS, WATCHED, TICKS = range(2, 5)
"""Further rows of real numbers: the lowest so far, the loss that resets depend on, ticks of the
clock of resets."""

COUNTS, REALS = 7, 5
"""Numbers of rows."""

MISSED, REACHED, WRECKED = 0, 1, 2
"""How a look went."""


class Plan(NamedTuple):
    """What is done, in numbers; the codes are those above and of ``sgd_models``."""

    together: int
    """Whether replicas take turns: see ``regression_moves``; the workspace then has columns."""
    batch: int
    replace: int
    learning_rate: float
    momentum: float
    decay: float
    target: int
    """Code of the observable, -1 for none."""
    slow: int
    """Whether a look at it needs data."""
    above: int
    level: float
    look_every: int
    record_every: int
    """0: no traces."""
    look_cost: int
    """Steps that take as long as a look that goes through all data."""
    by_loss: int
    """Whether a coin is tossed at each step, with a chance that depends on a loss."""
    watched: int
    watch_every: int
    look_first: int
    partial: float
    keep_velocity: int
    checkpoint: int
    best: int
    best_every: int
    horizon: int
    keep_final: int


class Start(NamedTuple):
    """Where replicas start and are reset to, and when; flat matrices of parameters of type T."""

    starts: Any
    homes: Any
    schedule: Any
    """Factors of the learning rate, the last of them for ever."""
    clock: Any
    table: Any
    """When resets fall due: see ``clocks``. A waiting time is rounded up to whole steps."""
    levels: Any
    chances: Any
    """Reset probabilities at levels of a loss."""
    recorded: Any
    """Codes of the observables that are recorded."""


class Workspace(NamedTuple):
    """The memory of one thread; parameters, rows and residuals of the columns one after another."""

    theta: Any
    velocity: Any
    home: Any
    home_velocity: Any
    streams: Any
    """Of shape (4, STREAMS columns)."""
    words: Any
    rows: Any
    order: Any
    residuals: Any
    live: Any
    """Of length columns, as the next three: which columns have a replica, ..."""
    firsts: Any
    """... where its next rows begin, ..."""
    ends: Any
    """... where they end, ..."""
    scales: Any
    """... its learning rate over the batch size."""
    counts: Any
    """Of shape (COUNTS, columns)."""
    reals: Any
    """Of shape (REALS, columns)."""
    events: Any
    """Of shape (4, columns)."""
    scratch: Scratch


class Outcome(NamedTuple):
    """Results of a run of replicas."""

    times: Any
    codes: Any
    resets: Any
    counter: Any
    """Of the replicas that have been begun."""
    report: Any
    """(1, position, step, 0) when a replica left the range of floats."""
    traces: Any
    finals: Any
