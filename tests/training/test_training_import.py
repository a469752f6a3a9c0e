"""What the training package loads, and what it says when PyTorch is not there."""

from __future__ import annotations

import subprocess
import sys

import pytest

import resetsgd.training
from resetsgd.errors import MissingExtra


def test_labels_and_data_do_without_torch() -> None:
    code = (
        "import sys; import resetsgd.training.labels, resetsgd.training.data;"
        "from resetsgd.training import symmetric_noise, digits, coins;"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("absent", ["torch", "safetensors"])
def test_without_torch_the_extra_is_named(absent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("resetsgd.training.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, absent, None)
    monkeypatch.delitem(sys.modules, f"{absent}.torch", raising=False)
    with pytest.raises(MissingExtra, match=r"resetsgd\[torch\]"):
        from resetsgd.training import Resetter  # noqa: F401


def test_every_public_name_is_there_and_no_other() -> None:
    for name in resetsgd.training.__all__:
        assert getattr(resetsgd.training, name).__name__ == name
    assert dir(resetsgd.training) == sorted(resetsgd.training.__all__)
    with pytest.raises(AttributeError, match="nothing"):
        resetsgd.training.nothing
