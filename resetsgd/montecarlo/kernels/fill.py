"""Arrays of variates from one stream."""

from __future__ import annotations

from typing import Any

from resetsgd.montecarlo.kernels.compiling import kernel
from resetsgd.montecarlo.kernels.lanes import exponential, next_word, seed_lane, uniform, word_lanes
from resetsgd.montecarlo.kernels.variates import normal

__all__ = ["fill_exponentials", "fill_normals", "fill_uniforms", "fill_words"]


@kernel
def fill_words(out: Any, seed: Any, path: Any, purpose: int) -> None:
    """The words themselves."""
    words = word_lanes()
    seed_lane(words, 0, seed, path, purpose)
    for i in range(len(out)):
        out[i] = next_word(words, 0)


@kernel
def fill_uniforms(out: Any, seed: Any, path: Any, purpose: int) -> None:
    """Uniforms in order."""
    words = word_lanes()
    seed_lane(words, 0, seed, path, purpose)
    for i in range(len(out)):
        out[i] = uniform(words, 0)


@kernel
def fill_normals(out: Any, seed: Any, path: Any, purpose: int) -> None:
    """Normals in order."""
    words = word_lanes()
    seed_lane(words, 0, seed, path, purpose)
    for i in range(len(out)):
        out[i] = normal(words, 0)


@kernel
def fill_exponentials(out: Any, seed: Any, path: Any, purpose: int) -> None:
    """Exponentials in order."""
    words = word_lanes()
    seed_lane(words, 0, seed, path, purpose)
    for i in range(len(out)):
        out[i] = exponential(words, 0)
