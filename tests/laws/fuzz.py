"""Passage times of extreme parameters, asked everything: numbers or refusals, and never for long.

Each problem is a Python expression that makes a passage time, and calls on it; a child process
evaluates them one by one and is killed where a call takes longer than it may, in time of its own
processor. A finding is a call that gave NaN, broke a law that holds for any passage time, raised
anything but ``DomainError`` or ``NotConverged``, or took too long. The larger runs:

    python tests/laws/fuzz.py --count 10000 --seed 1

print the findings as they come (each can be pasted), and how many calls ended how.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import queue
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LIMIT = 5.0
"""Seconds that a call may take, of the processor."""
PATIENCE = 120.0
"""Seconds on the clock after which a call counts as too slow, however busy the machine is."""

_SIZES = [5e-324, 1e-308, 1e-300, 1e-150, 1e-16, 1e-9, 1e-3, 1e3, 1e9, 1e16, 1e150, 1e300, 1.7e308]
_MODERATE = [0.3, 0.7, 1.0, 1.6, 2.5]
_TIMES = ["0.0", "5e-324", "1e-300", "1e-6", "1.0", "1e6", "1e308", "math.inf"]
_S = ["0.0", "5e-324", "1e-300", "1e-16", "1.0", "1e16", "1e308", "0.3+0.7j", "1e-300+1e-300j",
      "1e8-1e8j", "1e300+1e300j"]  # fmt: skip


@dataclass(frozen=True)
class Problem:
    """How to make a passage time, and what to ask it; ``T`` in the calls is what was made."""

    make: str
    calls: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """How one call ended: ``ok``, the name of a refusal, or what is wrong, and its seconds."""

    problem: Problem
    call: str
    kind: str
    seconds: float

    @property
    def finding(self) -> bool:
        """Whether it must not have ended like this."""
        return self.kind not in {"ok", "DomainError", "NotConverged"}

    def __str__(self) -> str:
        return f"{self.kind} ({self.seconds:.1f} s): T = {self.problem.make}; {self.call}"


class Maker:
    """Draws expressions."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)

    def positive(self) -> float:
        """A positive number of any size, half of them moderate."""
        return self.draw.choice(_MODERATE if self.draw.random() < 0.5 else _SIZES)

    def real(self) -> float:
        """A number of either sign, or zero."""
        return self.draw.choice([0.0, -0.0, 1.0, 1.0, 1.0, -1.0, -1.0, -1.0]) * self.positive()

    def places(self) -> tuple[float, float]:
        """Two positions apart: far, or as near as float64 has them."""
        one, other = self.real(), self.real()
        if self.draw.random() < 0.15 or one == other:
            other = math.nextafter(one, self.draw.choice([-math.inf, math.inf]))
        return one, other

    def three(self) -> tuple[float, float, float]:
        """Three positions in their order."""
        found: set[float] = set()
        while len(found) < 3:
            found.update(self.places())
        low, middle, high = sorted(self.draw.sample(sorted(found), 3))
        return low, middle, high

    def free(self) -> str:
        """A reset-free passage time, or its two sides."""
        name = self.draw.choice(
            ["drift", "drift", "landscape", "interval", "side", "wall", "bowl", "ball", "point",
             "trap", "telegraph", "telegraph interval", "landscape", "landscape interval", "walk",
             "sgd", "mixture", "observed", "even"]
        )  # fmt: skip
        one, other = self.places()
        low, start, high = self.three()
        rate, size = self.positive(), self.positive()
        made = f"rs.DriftDiffusion({self.real()!r}, {size!r})"
        walk = "rs.first_passage({}, {!r}, {!r})".format
        if name == "drift":
            return walk(made, one, other)
        if name == "even":  # coefficient of variation 1, but for some bits
            peclet = 1.0 + self.draw.choice([0.0, 2.2e-16, -1e-12, 1e-10, -9e-10])
            distance = self.positive()
            drift = -2.0 * peclet * size / distance
            made = f"rs.DriftDiffusion({drift!r}, {size!r})" if math.isfinite(drift) else made
            return walk(made, distance, 0.0)
        if name == "interval":
            return walk(made, start, (low, high))
        if name == "side":
            side = self.draw.choice(["side('lower')", "given('upper')"])
            return f"{walk(made, start, (low, high))}.{side}"
        if name == "wall":
            if self.draw.random() < 0.5:
                low, high = high, low
            start = self.draw.choice([start, start, high])
            return f"rs.first_passage({made}, {start!r}, {low!r}, wall={high!r})"
        if name == "bowl":
            return walk(f"rs.OrnsteinUhlenbeck({rate!r}, {self.real()!r}, {size!r})", one, other)
        if name == "ball":
            dimension = self.draw.choice([1.0, 2.0, 3.0, 0.5, 2.5, 100.0, self.real()])
            return walk(f"rs.Bessel({dimension!r}, {size!r})", abs(one), abs(other))
        if name == "point":
            dimension = self.draw.choice([-3.0, 0.0, 1.0, 1.9, self.real()])
            return walk(f"rs.Bessel({dimension!r}, {size!r})", abs(one), 0.0)
        if name == "trap":
            return walk(f"rs.LinearTrap({self.real()!r}, {size!r})", one, other)
        if name == "telegraph":
            heading = self.draw.choice([0.0, 1.0, -1.0])
            return walk(f"rs.Telegraph({rate!r}, {size!r}, {heading})", one, other)
        if name == "telegraph interval":
            return walk(f"rs.Telegraph({rate!r}, {size!r})", start, (low, high))
        if name.startswith("landscape"):
            shape = self.draw.choice(
                ["x", "x**2", "(x**2 - 1)**2", "np.sin(x)", "-x**2", "np.abs(x)", "x**3", "0*x"]
            )
            noise = self.draw.choice([repr(size), f"lambda x: {size!r}*(1 + x*x)"])
            extra = self.draw.choice(["", "", f", rate={rate!r}"])
            made = f"rs.Landscape(lambda x: {self.real()!r}*({shape}), {noise}{extra})"
            return walk(made, start, (low, high)) if "interval" in name else walk(made, one, other)
        if name == "walk":
            jump = self.draw.choice(["norm", "laplace", "logistic"])
            law = f"stats.{jump}({self.real()!r}, {size!r})"
            extra = self.draw.choice(["", "", ", contraction=0.9", f", step={rate!r}"])
            return walk(f"rs.RandomWalk({law}{extra})", one, other)
        if name == "sgd":
            return walk(f"rs.QuadraticSGD({rate!r}, {size!r}, {self.positive()!r})", one, other)
        if name == "mixture":
            first, second = walk(made, one, other), walk(made, other, one)
            return f"rs.mixture([{first}, {second}], [1, 3])"
        times = [self.positive() for _ in range(self.draw.choice([1, 2, 30]))]
        return f"rs.observed({times!r})"

    def protocol(self) -> str:
        """A protocol."""
        rate = self.draw.choice([0.0, self.positive(), self.positive()])
        period = self.positive()
        plain = self.draw.random()
        lost = f", overhead={self.positive()!r}" if plain < 0.15 else ""
        made = self.draw.choice(
            ["Poisson", "Poisson", "Poisson", "Sharp", "Geometric", "Gamma", "Weibull", "Uniform"]
        )
        if made == "Poisson":
            return f"rs.Poisson({rate!r}{lost})"
        if made == "Sharp":
            return f"rs.Sharp({self.draw.choice([period, period, math.inf])!r}{lost})".replace(
                "inf", "math.inf"
            )
        if made == "Geometric":
            chance = self.draw.choice([0.0, 5e-324, 1e-16, 0.3, 1.0, 1.0 - 1e-16])
            return f"rs.Geometric({chance!r}, step={period!r}{lost})"
        if made == "Gamma":
            return f"rs.Gamma({period!r}, stages={self.draw.choice([0.5, 2.0, 30.0])}{lost})"
        if made == "Weibull":
            return f"rs.Weibull({period!r}, exponent={self.draw.choice([0.7, 2.0])}{lost})"
        return f"rs.Uniform(0.0, {period!r}{lost})"

    def calls(self, most: int) -> tuple[str, ...]:
        """Questions of every kind, so many of them."""
        pick, number = self.draw.choice, self.positive()
        under = f"T.under({self.protocol()})"
        asked = [
            "T.mean()", "T.log_mean()", "T.var()", "T.cv()", f"T.log_laplace({pick(_S)})",
            f"T.log_laplace({number!r})", f"T.survival({pick(_TIMES)})",
            f"T.density({pick(_TIMES)})", f"T.quantile({pick([0.0, 5e-324, 0.5, 1 - 1e-16])!r})",
            f"{under}.mean()", f"{under}.log_mean()", f"{under}.var()",
            f"{under}.log_laplace({pick(_S)})", f"T.under({self.protocol()}).mean()",
            f"{under}.survival({pick(_TIMES)})", "T.best(rs.Poisson).mean",
            f"T.restricted_mean({number!r})", f"T.hazard({number!r})", f"T.sample(3, seed={1})",
            "T.response().slope",
        ]  # fmt: skip
        return tuple(sorted(self.draw.sample(asked, min(most, len(asked)))))

    def problem(self, most: int) -> Problem:
        """One problem."""
        return Problem(self.free(), self.calls(most))


def problems(seed: int, count: int, calls: int = 20) -> list[Problem]:
    """So many problems, the same for the same seed."""
    maker = Maker(seed)
    return [maker.problem(calls) for _ in range(count)]


# The child ---------------------------------------------------------------------------------------


def _numbers(value: Any) -> Any:
    import numpy as np

    return np.asarray(value, dtype=complex)


def _wrong(call: str, value: Any) -> str:
    """What is wrong with an answer; ``ok`` if nothing."""
    import numpy as np

    found = _numbers(value)
    if np.isnan(found).any():
        return "NaN"
    name = call.rsplit(").", 1)[-1] if call.startswith("T.under") else call.removeprefix("T.")
    name = name.split("(")[0]
    real = found.real
    if name == "survival" and not ((real >= 0) & (real <= 1)).all():
        return "outside [0, 1]"
    if name == "log_laplace" and "j" not in call.rsplit("(", 1)[-1] and (real > 1e-12).any():
        return "above one"
    kinds = {"mean", "var", "cv", "density", "quantile", "hazard", "sample", "restricted_mean"}
    return "negative" if name in kinds and (real < 0).any() else "ok"


def child() -> None:
    """Answer problems, one JSON line each on standard input, one a call on standard output."""
    import warnings

    import numpy as np
    from scipy import stats

    import resetsgd as rs
    from resetsgd.errors import DomainError, NotConverged

    warnings.simplefilter("ignore")
    for line in sys.stdin:
        asked = json.loads(line)
        names: dict[str, Any] = {"rs": rs, "np": np, "math": math, "stats": stats}
        for call in ["", *asked["calls"]]:
            began = time.process_time()
            try:
                if call:
                    kind = _wrong(call, eval(call, names))
                else:
                    names["T"] = eval(asked["make"], names)
                    kind = "ok"
            except (DomainError, NotConverged) as error:
                kind = type(error).__name__
            except Exception as error:
                kind = f"{type(error).__name__}: {error}".replace("\n", " ")[:120]
            took = time.process_time() - began
            print(json.dumps([call, kind, took]), flush=True)
            if not call and "T" not in names:
                break
        print("null", flush=True)


class Child:
    """The process that answers, and who watches it."""

    def __init__(self) -> None:
        alone = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--child"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True, env=alone,
        )  # fmt: skip
        self.lines: queue.Queue[str] = queue.Queue()
        self.listener = threading.Thread(target=self._listen, daemon=True)
        self.listener.start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put("")

    def busy(self) -> float:
        """Seconds of the processor it has used; where that is not told, those of the clock."""
        try:
            told = Path(f"/proc/{self.process.pid}/stat").read_text()
            used = told.rsplit(")", 1)[1].split()[11:13]
            return sum(map(int, used)) / os.sysconf("SC_CLK_TCK")
        except (OSError, ValueError, IndexError):
            return time.monotonic()

    def end(self) -> None:
        """End it."""
        self.process.kill()
        self.process.wait()
        self.listener.join()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()

    def answers(self, problem: Problem) -> Iterator[Outcome]:
        """Outcomes of the calls; ends early, with the child, where one takes too long."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"make": problem.make, "calls": problem.calls}) + "\n")
        self.process.stdin.flush()
        waiting = iter(["", *problem.calls])
        call, began, clock = next(waiting), self.busy(), time.monotonic()
        while True:
            try:
                line = self.lines.get(timeout=0.5)
            except queue.Empty:
                used = self.busy() - began
                if used > LIMIT or time.monotonic() - clock > PATIENCE:
                    self.end()
                    yield Outcome(problem, call, "too slow", used)
                    return
                continue
            if not line:
                self.end()
                yield Outcome(problem, call, "crash", 0.0)
                return
            answer = json.loads(line)
            if answer is None:
                return
            slow = answer[2] > LIMIT and answer[1] in {"ok", "DomainError", "NotConverged"}
            yield Outcome(problem, answer[0], "too slow" if slow else answer[1], answer[2])
            call, began, clock = next(waiting, ""), self.busy(), time.monotonic()


def outcomes(asked: list[Problem]) -> Iterator[Outcome]:
    """All outcomes; after a call that was killed, the calls behind it are asked of a new child."""
    asked, helper = list(asked)[::-1], Child()
    list(helper.answers(Problem("rs.Poisson(1.0)", ())))  # imports are nobody's time
    try:
        while asked:
            problem = asked.pop()
            last = None
            for last in helper.answers(problem):
                yield last
            if helper.process.poll() is not None:
                helper = Child()
                list(helper.answers(Problem("rs.Poisson(1.0)", ())))
                if last is not None and last.call in problem.calls:
                    left = problem.calls[problem.calls.index(last.call) + 1 :]
                    asked.append(Problem(problem.make, left))
    finally:
        helper.end()


def main() -> None:
    """Run problems and print findings."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--calls", type=int, default=20)
    parser.add_argument("--write", type=Path, help="a file for the findings, as JSON")
    parser.add_argument("--child", action="store_true")
    settings = parser.parse_args()
    if settings.child:
        child()
        return
    ended: Counter[str] = Counter()
    longest, found = 0.0, []
    for outcome in outcomes(problems(settings.seed, settings.count, settings.calls)):
        ended[outcome.kind] += 1
        longest = max(longest, outcome.seconds)
        if outcome.finding:
            print(outcome, flush=True)
            found.append([outcome.kind, outcome.problem.make, outcome.call])
    if settings.write is not None:
        lines = ",\n".join(json.dumps(one) for one in found)
        settings.write.write_text(f"[\n{lines}\n]\n")
    print(f"{dict(ended)}; the longest call took {longest:.2f} s")
    sys.exit(any(kind not in {"ok", "DomainError", "NotConverged"} for kind in ended))


if __name__ == "__main__":
    main()
