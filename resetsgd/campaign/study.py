"""Studies: scripts that assert something about the world and end in an explicit verdict.

A study is a file ``NN_claim.py`` in ``theory/``, ``simulations/`` or ``validation/``. Its docstring
states claim, cost and reference; its ``main(quick)`` returns a :class:`Verdict`; its last line is
``Study(__file__, main).command()``. A full run leaves ``expected/NN_claim.json`` and its figure
beside it; the tests run every study in quick mode.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from resetsgd.errors import DomainError, OutputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Status", "Study", "Verdict"]

Status = Literal["holds", "fails", "underpowered"]


@dataclass(frozen=True)
class Verdict:
    """What a study found.

    Parameters
    ----------
    status : {"holds", "fails", "underpowered"}
        ``underpowered`` means that the data could not have seen a relevant deviation.
    sentence : str
        The finding in one sentence, numbers with their errors included.
    numbers : mapping
        Everything the sentence rests on, JSON-compatible.
    figure : matplotlib Figure, optional
        The figure of the study.
    """

    status: Status
    sentence: str
    numbers: Mapping[str, Any] = field(default_factory=dict)
    figure: Figure | None = None

    def __post_init__(self) -> None:
        if self.status not in ("holds", "fails", "underpowered"):
            raise DomainError("status", self.status, "'holds', 'fails' or 'underpowered'")


@dataclass(frozen=True)
class Study:
    """One study file and the function that runs it.

    Parameters
    ----------
    file : str or Path
        The study's own ``__file__``.
    main : callable
        ``main(quick: bool) -> Verdict``.
    """

    file: str | Path
    main: Callable[[bool], Verdict]

    def run(self, *, quick: bool = False, out: Path | None = None) -> Verdict:
        """Run the study; write its JSON and figure to ``out`` if given; return the verdict."""
        began = time.perf_counter()
        verdict = self.main(quick)
        seconds = time.perf_counter() - began
        if out is not None:
            stem = Path(self.file).stem
            record = {
                "study": stem,
                "mode": "quick" if quick else "full",
                "status": verdict.status,
                "sentence": verdict.sentence,
                "seconds": round(seconds, 1),
                "numbers": dict(verdict.numbers),
            }
            try:
                out.mkdir(parents=True, exist_ok=True)
                text = json.dumps(record, indent=1, allow_nan=False)
                (out / f"{stem}.json").write_text(text + "\n")
                if verdict.figure is not None:
                    verdict.figure.savefig(out / f"{stem}.png", dpi=120)
            except OSError as error:
                raise OutputError(f"out = {out}: must be a writable folder ({error})") from None
        return verdict

    def command(self) -> None:
        """Run from the command line: ``python NN_claim.py [--quick] [--out DIR]``.

        A full run writes to ``expected/`` beside the study unless told otherwise; a quick run
        writes only where it is told to. Exits with 0 if the claim holds, with 1 otherwise.
        """
        parser = argparse.ArgumentParser(prog=Path(self.file).name)
        parser.add_argument("--quick", action="store_true", help="small sizes, as the tests run it")
        parser.add_argument("--out", type=Path, help="folder for the JSON record and the figure")
        options = parser.parse_args()
        out = options.out
        if out is None and not options.quick:
            out = Path(self.file).resolve().parent / "expected"
        verdict = self.run(quick=options.quick, out=out)
        print(f"{verdict.status}: {verdict.sentence}")
        sys.exit(0 if verdict.status == "holds" else 1)
