"""A small demonstration for the kill tests: forks runs from one process that has loaded torch.

Reads commands from standard input, one JSON object a line: ``{"out", "settings"}`` and either
``"call", "count"``, a run that kills itself with SIGKILL at its ``count``-th use of a call, or
``"seconds"``, one that is killed from outside after some time, or neither, one that is left alone.
``"report": false`` leaves the pictures out. Answers ``{"killed": bool, "seconds": float}``.
"""

from __future__ import annotations

import io
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import matplotlib.pyplot  # noqa: F401  (loaded once here, not in every fork)
import msgspec
import scipy.optimize
import scipy.special  # noqa: F401
import torch
from rich.console import Console

from resetsgd.campaign import demo, report
from resetsgd.campaign.digits import DigitsExperiment, Settings
from resetsgd.campaign.store import Store
from resetsgd.training import Ensemble

OWNERS: dict[str, Any] = {
    "put": Store,
    "replace": Path,
    "fsync": os,
    "train_step": Ensemble,
    "save": report,
}


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def arm(call: str, count: int) -> None:
    """Die at the ``count``-th use of a call, before or (``after ...``) behind it."""
    after, name = call.startswith("after "), call.removeprefix("after ")
    owner = OWNERS[name]
    real, uses = getattr(owner, name), 0

    def counted(*arguments: Any, **named: Any) -> Any:
        nonlocal uses
        uses += 1
        if uses == count and not after:
            die()
        result = real(*arguments, **named)
        if uses == count:
            die()
        return result

    setattr(owner, name, counted)


def main() -> None:
    torch.set_num_threads(1)
    DigitsExperiment(Settings())  # loads scikit-learn and its images
    for line in sys.stdin:
        order = json.loads(line)
        began = time.monotonic()
        child = os.fork()
        if not child:
            status = 1
            try:
                if not order["report"]:
                    report.write_report = lambda folder, **_: folder  # type: ignore[assignment]
                if "call" in order:
                    arm(order["call"], order["count"])
                settings = msgspec.convert(order["settings"], Settings)
                demo.run(order["out"], settings=settings, console=Console(file=io.StringIO()))
                status = 0
            finally:
                os._exit(status)
        timer = threading.Timer(order.get("seconds", 600), os.kill, (child, signal.SIGKILL))
        timer.start()
        _, status = os.waitpid(child, 0)
        timer.cancel()
        killed = os.WIFSIGNALED(status)
        assert killed or os.WEXITSTATUS(status) == 0, "the run itself failed"
        print(json.dumps({"killed": killed, "seconds": time.monotonic() - began}), flush=True)


if __name__ == "__main__":
    main()
