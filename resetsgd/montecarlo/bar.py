"""A line that shows how far a simulation is and how long it will still take."""

from __future__ import annotations

import sys
import time
from typing import TextIO

__all__ = ["ProgressBar"]

_TERMINAL, _ELSEWHERE = 0.2, 10.0
"""Seconds between two reports, where a line can be overwritten and where it cannot."""
_WIDTH = 24


class ProgressBar:
    """Shows what is done and the time left; for ``progress=`` of every simulation.

    On a terminal it is one line that is overwritten, elsewhere a line every ten seconds. The time
    left is what is left at the mean pace so far: slow paths come last, so that it is rather short.

    Parameters
    ----------
    file : text stream, optional
        Where to; by default the standard error stream.

    Examples
    --------
    >>> import sys
    >>> import resetsgd as rs
    >>> bar = rs.ProgressBar(file=sys.stdout)  # rs.simulate(..., progress=bar)
    >>> bar(500, 1000)
    500 of 1,000 (50 %)
    """

    def __init__(self, file: TextIO | None = None) -> None:
        self._file = file
        self._total = self._done = self._first = 0
        self._began = self._shown = 0.0

    def __call__(self, done: int, total: int) -> None:
        """Report that so many are done of so many in all.

        Parameters
        ----------
        done, total : int
            Paths or replicas; fewer than before begin another run.
        """
        now = time.monotonic()
        file = sys.stderr if self._file is None else self._file
        live = file.isatty()
        if total != self._total or done < self._done or self._done == total:
            self._total, self._began, self._shown = total, now, now - _ELSEWHERE
            self._first = done
        self._done = done
        last = done >= total
        if not last and now - self._shown < (_TERMINAL if live else _ELSEWHERE):
            return
        self._shown = now
        text = f"{done:,} of {total:,} ({100 * done // max(total, 1)} %)"
        moved = done - self._first
        if not last and moved > 0:
            left = (now - self._began) * (total - done) / moved
            text += f", {_duration(left)} left"
        if live:
            filled = _WIDTH * done // max(total, 1)
            text = f"\r[{'#' * filled}{'.' * (_WIDTH - filled)}] {text}\x1b[K"
        file.write(text + ("\n" if last or not live else ""))
        file.flush()


def _duration(seconds: float) -> str:
    """In the largest units that matter."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
