"""What the training package loads, and what it says when PyTorch is not there."""

from __future__ import annotations

import subprocess
import sys

import pytest

import resetsgd.training


def test_labels_and_data_do_without_torch() -> None:
    code = (
        "import sys; import resetsgd.training.labels, resetsgd.training.data;"
        "from resetsgd.training import symmetric_noise, digits, coins;"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("absent", ["torch", "safetensors"])
def test_without_torch_the_extra_is_named(absent: str) -> None:
    code = (
        f"import sys; sys.modules[{absent!r}] = sys.modules['{absent}.torch'] = None\n"
        "from resetsgd.errors import MissingExtra\n"
        "try:\n    from resetsgd.training import Resetter\n"
        "except MissingExtra as error:\n    print(error)"
    )
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "resetsgd[torch]" in said.stdout


def test_every_public_name_is_there_and_no_other() -> None:
    for name in resetsgd.training.__all__:
        assert getattr(resetsgd.training, name).__name__ == name
    assert dir(resetsgd.training) == sorted(resetsgd.training.__all__)
    with pytest.raises(AttributeError, match="nothing"):
        resetsgd.training.nothing
