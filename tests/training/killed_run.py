"""A small training run for the kill tests: forks runs from one process that has loaded torch.

Reads commands from standard input, one JSON object a line: ``{"path", "call", "count"}`` starts a
run that kills itself with SIGKILL at its ``count``-th use of an operating-system ``call``;
``{"path", "seconds"}`` one that is killed from outside after some time; ``{"path"}`` one that is
left alone. Answers each with ``{"killed": bool}``.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import torch
from torch import nn

import resetsgd as rs
from resetsgd.training import Resetter, digits, fit, symmetric_noise

DATA = digits(train=200, validation=60, test=60, seed=1)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def arm(call: str, count: int) -> None:
    """Die at the ``count``-th use of a call, before or (``after ...``) behind it."""
    after, name = call.startswith("after "), call.removeprefix("after ")
    owner: Any = {"fsync": os, "replace": Path, "step": torch.optim.Adam}[name]
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


def train(path: str) -> None:
    torch.manual_seed(3)
    model = nn.Sequential(
        nn.Linear(64, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.3), nn.Linear(16, 10)
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    noisy, _ = symmetric_noise(DATA.train.labels, 0.4, classes=10, seed=1)
    data = type(DATA)(DATA.train.with_labels(noisy), DATA.validation, DATA.test, DATA.classes)
    resetter = Resetter(model, optimizer, rs.Geometric(probability=0.05), seed=3)
    history = fit(
        model, optimizer, data, steps=100, batch_size=20, resetter=resetter, seed=4,
        evaluate_every=10, checkpoint=path, checkpoint_every=7,
    )  # fmt: skip
    assert history.steps == 100
    assert len(history.looks) == 10
    assert history.resets == (19, 31, 66, 95)


def main() -> None:
    torch.set_num_threads(1)
    # the first use of an optimizer loads half of torch: once here, not in every fork
    idle = torch.optim.Adam([nn.Parameter(torch.zeros(1))])
    idle.zero_grad()
    idle.step()
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if not child:
            status = 1
            try:
                if "call" in order:
                    arm(order["call"], order["count"])
                train(order["path"])
                status = 0
            finally:
                os._exit(status)
        timer = threading.Timer(order.get("seconds", 600), os.kill, (child, signal.SIGKILL))
        timer.start()
        _, status = os.waitpid(child, 0)
        timer.cancel()
        killed = os.WIFSIGNALED(status)
        assert killed or os.WEXITSTATUS(status) == 0, "the run itself failed"
        print(json.dumps({"killed": killed}), flush=True)


if __name__ == "__main__":
    main()
