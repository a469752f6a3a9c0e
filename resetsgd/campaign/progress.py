"""Progress of long work: live bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["Progress"]


class Progress:
    """Shows named stages of work, with the time left on a terminal and a log line elsewhere.

    Parameters
    ----------
    console : rich Console, optional
        Where to show it; by default the standard error stream.
    """

    def __init__(self, console: Console | None = None) -> None:
        from rich.console import Console as RichConsole
        from rich.progress import (
            BarColumn,
            TaskProgressColumn,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )
        from rich.progress import (
            Progress as RichProgress,
        )

        self.console = console if console is not None else RichConsole(stderr=True, highlight=False)
        self._live = self.console.is_terminal
        self._bars = RichProgress(
            TextColumn("{task.description:<44}"),
            BarColumn(),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self.console,
            disable=not self._live,
        )
        self._began = time.monotonic()

    def __enter__(self) -> Progress:
        self._bars.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bars.__exit__(kind, error, trace)

    def say(self, text: str) -> None:
        """One line of text."""
        self.console.print(text, markup=False, soft_wrap=True)

    def skip(self, title: str) -> None:
        """Say that a stage was finished by an earlier run."""
        self._line(f"{title}: kept from the earlier run")

    @contextmanager
    def stage(self, title: str, work: int) -> Iterator[Callable[[int], None]]:
        """A stage of ``work`` units; yields the function that reports units done."""
        task = self._bars.add_task(title, total=work)
        done, shown = 0, 0

        def advance(units: int) -> None:
            nonlocal done, shown
            done += units
            self._bars.update(task, completed=done)
            tenth = 10 * done // work
            if not self._live and work > 1 and tenth > shown and tenth % 2 == 0 and tenth < 10:
                shown = tenth
                self._line(f"{title}: {10 * tenth} %")

        yield advance
        self._bars.update(task, completed=work)
        self._line(f"{title}: done")

    def _line(self, text: str) -> None:
        if not self._live:
            self.say(f"[{time.monotonic() - self._began:6.1f} s] {text}")
