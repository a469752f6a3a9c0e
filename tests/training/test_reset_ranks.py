"""Two processes, one coin: every rank resets at the same steps to the same checkpoint."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from resetsgd.training import coins

SCRIPT = Path(__file__).with_name("two_ranks.py")


def ranks(folder: Path) -> list[list[dict[str, Any]]]:
    """What each rank says, averaging and not."""
    arguments = [sys.executable, str(SCRIPT)]
    runs = [
        subprocess.Popen(
            [*arguments, str(rank), "2", str(folder / "meeting")],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    found = []
    for run in runs:
        out, err = run.communicate(timeout=120)
        assert run.returncode == 0, err
        found.append([json.loads(line) for line in out.splitlines()[-2:]])
    return found


@pytest.mark.skipif(not torch.distributed.is_available(), reason="torch has no distributed package")
def test_two_ranks_toss_one_coin_and_keep_one_checkpoint(tmp_path: Path) -> None:
    (first, alone), (second, other) = ranks(tmp_path)
    assert first == second
    due = np.flatnonzero(coins(8, 0, np.arange(1, 61), 0.15)) + 1
    assert first["resets"] == sorted({*due[due > 1].tolist(), 51})
    assert first["reasons"].count("spike") == 1  # of one rank, answered by both
    # without averaging, the coins still agree, but not what they go back to
    assert alone["resets"] == other["resets"] == [t for t in first["resets"] if t != 51]
    assert alone["best"] != other["best"]
    assert alone["weights"] != other["weights"]
