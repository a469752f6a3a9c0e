"""The kernels are vector code: without it they would be right, and seven times slower."""

from __future__ import annotations

import platform
import re
from typing import Any

import numba
import numpy as np
import pytest
from llvmlite import binding

import resetsgd as rs
from resetsgd.montecarlo.kernels.compiling import settings
from resetsgd.montecarlo.kernels.line import line
from resetsgd.montecarlo.kernels.sgd_batches import next_rows
from resetsgd.montecarlo.kernels.sgd_vectors import descend

FEATURES = dict(binding.get_host_cpu_features())

needs_avx2 = pytest.mark.skipif(
    settings.DISABLE_JIT or platform.machine() not in ("x86_64", "AMD64") or not FEATURES["avx2"],
    reason="only x86-64 with AVX2 and compiled kernels have these instructions",
)


def vectors(assembly: str, instruction: str) -> int:
    """How often an instruction works on 256 or 512 bits."""
    return len(re.findall(rf"{instruction}\S*\s.*%[yz]mm", assembly))


def wide(assembly: str) -> bool:
    """Normals (a square root of many float32), steps and bridges (fused products of both kinds)."""
    return (
        vectors(assembly, "vsqrtps") >= 1
        and vectors(assembly, r"vfn?m(add|sub)\d+ps") >= 20
        and vectors(assembly, r"v(fmadd\d+|mul|add|sub)pd") >= 10
    )


@needs_avx2
def test_the_kernel_of_the_line_is_vector_code() -> None:
    """A twin with its square roots made scalar is refused."""
    bowl = rs.OrnsteinUhlenbeck(stiffness=1.0, center=0.0, diffusivity=1.0)
    rs.simulate(bowl, 1.0, 0.0, paths=10, threads=1)
    kernel: Any = line
    # What comes from the cache cannot be looked into: compiled once more, without it.
    fresh: Any = numba.njit(error_model="numpy", nogil=True)(kernel.py_func)
    fresh.compile(kernel.signatures[0])
    assembly = "\n".join(fresh.inspect_asm().values())
    assert wide(assembly)
    assert not wide(assembly.replace("vsqrtps", "vsqrtss"))


def wide_rows(assembly: str, kind: str) -> bool:
    """Rows times parameters and sums of rows, unrolled for each width, and rows from words."""
    return (
        vectors(assembly, rf"vfmadd\d+{kind}") >= 200
        and vectors(assembly, "vpmuludq") >= 16
        and vectors(assembly, "vpxor") >= 16
    )


@needs_avx2
@pytest.mark.parametrize(("dtype", "kind"), [(np.float64, "pd"), (np.float32, "ps")])
def test_steps_of_sgd_are_vector_code(dtype: Any, kind: str) -> None:
    """A twin with its fused products made scalar is refused, and the other precision."""

    @numba.njit(error_model="numpy")
    def step(
        matrix: Any, width: int, rows: Any, count: int, theta: Any, labels: Any, places: Any,
        scales: Any, state: Any, words: Any, n: int,
    ) -> int:  # fmt: skip
        descend(matrix, width, rows, places, count, theta, labels, places, 1, labels, scales)
        return next_rows(state, 0, words, n, 0, rows, 0)

    real, words = np.zeros(60, dtype), np.zeros((4, 8), np.uint32)
    rows, places = np.zeros(140, np.int32), np.zeros(1, np.int64)
    step(real, 8, rows, 1, real, real, places, np.zeros(1), words, np.zeros(128, np.uint32), 3)
    (assembly,) = step.inspect_asm().values()
    other = "ps" if kind == "pd" else "pd"
    assert wide_rows(assembly, kind)
    assert not wide_rows(assembly, other)
    assert not wide_rows(re.sub(r"%[yz]mm", "%xmm", assembly), kind)
