"""Where it sits under resetting: stationary states, their relaxation, and long-run averages.

Under resetting a process forgets its past at each reset, so that where it sits is where the
reset-free process sits after a random time: its *age*, the time since the last reset. A protocol
gives the law of the age, a process the propagator at that age, and :func:`stationary` mixes them.
"""

from __future__ import annotations

from resetsgd.steady.average import age_average
from resetsgd.steady.state import Stationary
from resetsgd.steady.stationary import stationary

__all__ = ["Stationary", "age_average", "stationary"]
