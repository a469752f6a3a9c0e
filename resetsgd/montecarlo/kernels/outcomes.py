"""What kernels write about a path, and the layout of what they keep between two calls.

Every kernel is called again and again with a budget of steps. What it needs to go on lies in three
arrays, a column for each path that is under way, which it copies in at the start of a call and out
at its end:

- ``ints``: row POSITION is the path's position in the output arrays, or -1 in a column that is
  free; row RESETS counts its resets; further rows are the kernel's own;
- ``reals``: row TIME is the time of its motion, row LOST the time lost at resets (their sum is how
  long the path has lasted); further rows are the kernel's own;
- ``words``: the states of its streams.

Paths are handed out by an atomic counter, so that threads need no plan of who does what; as results
are written by position, nobody can tell who did.

A path that leaves the finite numbers ends the call: the kernel sets ``report`` to (1, position,
time, place) and returns.
"""

from __future__ import annotations

__all__ = ["ARRIVED", "BROKEN", "CENSORED", "LOST", "POSITION", "RESETS", "RUNNING", "TIME"]

RUNNING, ARRIVED, CENSORED, BROKEN = 0, 1, 2, 3
"""Outcome of a path."""

POSITION, RESETS = 0, 1
TIME, LOST = 0, 1
