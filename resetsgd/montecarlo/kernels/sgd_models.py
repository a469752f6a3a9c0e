"""Models that SGD trains: what they predict, what it costs, and the slope of that.

A model is linear in its inputs up to a link (``units`` = 0), or a network of ``units`` rectified
linear units under one layer of weights. Its parameters are a flat vector: the linear model has
``width`` of them; the network ``units`` rows of ``width``, then one weight a unit; all filled up
with zeros, which stay zero.

=========  ============================  =====================
link       loss of score z and label y   slope, by the score
=========  ============================  =====================
SQUARED    (z - y)²/2                    z - y
LOGISTIC   log(1 + e^z) - y z            1/(1 + e^-z) - y
SQUARE     (z² - y)²/4                   (z² - y) z
=========  ============================  =====================
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from resetsgd.montecarlo.kernels.compiling import helper, inlined
from resetsgd.montecarlo.kernels.elementary import exp, log
from resetsgd.montecarlo.kernels.sgd_vectors import add_rows, dot_rows, inner, squared_distance

__all__ = [
    "CHUNK",
    "CODES",
    "LINKS",
    "Model",
    "Problem",
    "Scratch",
    "fast_value",
    "gradient",
    "observed",
    "scores",
    "slope",
]

SQUARED, LOGISTIC, SQUARE = 0, 1, 2
LINKS = {"squared": SQUARED, "logistic": LOGISTIC, "square": SQUARE}

CHUNK = 64
"""Rows at a time when a whole set is gone through."""

DISTANCE, OVERLAP, PROJECTION, TRAINING, CLEAN, VALIDATION = 0, 1, 2, 3, 4, 5
CLEAN_GRADIENT, WRONG_GRADIENT, CLEAN_PULL, WRONG_PULL, ALIGNMENT = 6, 7, 8, 9, 10
CODES = {
    "distance": DISTANCE,
    "overlap": OVERLAP,
    "projection": PROJECTION,
    "training_loss": TRAINING,
    "clean_loss": CLEAN,
    "validation_loss": VALIDATION,
    "clean_gradient": CLEAN_GRADIENT,
    "wrong_gradient": WRONG_GRADIENT,
    "clean_pull": CLEAN_PULL,
    "wrong_pull": WRONG_PULL,
    "gradient_alignment": ALIGNMENT,
}
"""What can be looked at; the first three cost about as much as a row of data."""


class Model(NamedTuple):
    """Shape of a model and of its data."""

    link: int
    width: int
    units: int
    size: int
    """Length of the parameters: width, or (width + 1 filled up) units."""
    even: int
    """Whether parameters of either sign are equally good."""
    train: int
    test: int
    validation: int
    shift: float
    """Projection of the origin on the direction."""


class Problem(NamedTuple):
    """The data: flat matrices of rows of ``width``, each followed by ``GROUP`` rows of zeros.

    All real numbers here, and parameters and scratch, are of one type T, float64 or float32.
    """

    inputs: Any
    labels: Any
    wrong: Any
    """1 where a label is corrupted, else 0."""
    test_inputs: Any
    test_labels: Any
    validation_inputs: Any
    validation_labels: Any
    numbers: Any
    """0, 1, 2, ... as row numbers."""
    teacher: Any
    direction: Any
    """Unit vector of the parameters' shape."""


class Scratch(NamedTuple):
    """Memory for one gradient."""

    score: Any
    weight: Any
    hidden: Any
    clean: Any
    noisy: Any


@inlined
def slope(link: int, z: Any, y: Any) -> Any:
    """Derivative of the loss by the score."""
    if link == SQUARED:
        return z - y
    if link == LOGISTIC:
        return 1.0 / (1.0 + exp(-float(z))) - y
    return (z * z - y) * z


@inlined
def loss(link: int, z: Any, y: Any) -> Any:
    """Loss of one sample."""
    if link == SQUARED:
        return 0.5 * (z - y) * (z - y)
    if link == LOGISTIC:
        return max(z, 0.0) + log(1.0 + exp(-abs(float(z)))) - y * z
    return 0.25 * (z * z - y) * (z * z - y)


@helper
def scores(
    inputs: Any, width: int, units: int, rows: Any, at: int, count: int, theta: Any, base: int,
    score: Any, hidden: Any,
) -> None:  # fmt: skip
    """Scores of some rows; of a network also the inputs of its units, one row of them a unit.

    The parameters begin at ``theta[base]``.
    """
    stride, layers = len(score), max(units, 1)
    for k in range(layers):  # one place for both models: it is compiled once
        into = hidden if units > 0 else score
        dot_rows(inputs, width, rows, at, count, theta, base + k * width, into, k * stride)
    if units > 0:
        for b in range(count):
            total = 0.0
            for k in range(units):
                total += theta[base + units * width + k] * max(hidden[k * stride + b], 0.0)
            score[b] = total


@helper
def gradient(
    inputs: Any, width: int, units: int, rows: Any, at: int, count: int, theta: Any, slopes: Any,
    weight: Any, hidden: Any, scale: float, out: Any,
) -> None:  # fmt: skip
    """Add scale times the summed gradient of some rows to ``out``, which may be ``theta`` itself.

    ``slopes`` are the slopes by the scores, ``hidden`` is what ``scores`` left there.
    """
    stride, layers = len(slopes), max(units, 1)
    for k in range(layers):
        weights = slopes
        if units > 0:
            weights = weight
            above = theta[units * width + k]
            total = 0.0
            for b in range(count):
                entry = hidden[k * stride + b]
                weight[b] = slopes[b] * above if entry > 0.0 else 0.0
                total += slopes[b] * max(entry, 0.0)
            out[units * width + k] += scale * total
        add_rows(inputs, width, rows, at, count, weights, 0, scale, out, k * width)


@inlined
def fast_value(
    code: int, even: int, size: int, theta: Any, base: int, teacher: Any, direction: Any,
    shift: float,
) -> float:  # fmt: skip
    """An observable that needs no data: distance, overlap or projection."""
    if code == DISTANCE:
        value = squared_distance(theta, base, teacher, 1.0, size)
        if even:
            value = min(value, squared_distance(theta, base, teacher, -1.0, size))
        return value
    if code == OVERLAP:
        own = inner(theta, base, theta, base, size)
        other = inner(teacher, 0, teacher, 0, size)
        both = inner(theta, base, teacher, 0, size)
        if own == 0.0 or other == 0.0:
            return 0.0
        return (abs(both) if even else both) / math.sqrt(own) / math.sqrt(other)
    return inner(theta, base, direction, 0, size) - shift


@helper
def observed(
    code: int, model: Model, theta: Any, base: int, problem: Problem, scratch: Scratch
) -> float:
    """Any observable of the parameters that begin at ``theta[base]``."""
    link, width, units, size = model.link, model.width, model.units, model.size
    score, hidden = scratch.score, scratch.hidden
    if code <= PROJECTION and not (code == OVERLAP and units > 0):
        return fast_value(
            code, model.even, size, theta, base, problem.teacher, problem.direction, model.shift
        )
    if code in (CLEAN, VALIDATION, TRAINING, OVERLAP):
        inputs, labels, count = problem.inputs, problem.labels, model.train
        if code in (CLEAN, OVERLAP):
            inputs, labels, count = problem.test_inputs, problem.test_labels, model.test
        elif code == VALIDATION:
            inputs, labels = problem.validation_inputs, problem.validation_labels
            count = model.validation
        total, own, other, both = 0.0, 0.0, 0.0, 0.0
        for first in range(0, count, CHUNK):
            some = min(CHUNK, count - first)
            scores(inputs, width, units, problem.numbers, first, some, theta, base, score, hidden)
            for b in range(some):
                z, y = score[b], labels[first + b]
                total += loss(link, z, y)
                own += z * z
                other += y * y
                both += z * y
        if code == OVERLAP:  # of what a network and its teacher say
            if own == 0.0 or other == 0.0:
                return 0.0
            return both / math.sqrt(own) / math.sqrt(other)
        return total / count
    clean, noisy = scratch.clean, scratch.noisy
    clean[:] = 0.0
    noisy[:] = 0.0
    wrongs = 0.0
    for first in range(0, model.train, CHUNK):
        some = min(CHUNK, model.train - first)
        inputs, labels = problem.inputs, problem.labels
        scores(inputs, width, units, problem.numbers, first, some, theta, base, score, hidden)
        for b in range(some):
            score[b] = slope(link, score[b], labels[first + b])
            wrongs += problem.wrong[first + b]
        gradient(
            inputs, width, units, problem.numbers, first, some, theta, score,
            scratch.weight, hidden, 1.0, clean,
        )  # fmt: skip
        for b in range(some):
            score[b] = score[b] * problem.wrong[first + b]
        gradient(
            inputs, width, units, problem.numbers, first, some, theta, score,
            scratch.weight, hidden, 1.0, noisy,
        )  # fmt: skip
    rights = model.train - wrongs
    for k in range(size):
        clean[k] = (clean[k] - noisy[k]) / max(rights, 1.0)
        noisy[k] = noisy[k] / max(wrongs, 1.0)
    if code == CLEAN_PULL:
        return -inner(clean, 0, problem.direction, 0, size)
    if code == WRONG_PULL:
        return -inner(noisy, 0, problem.direction, 0, size)
    first_norm = math.sqrt(inner(clean, 0, clean, 0, size))
    second_norm = math.sqrt(inner(noisy, 0, noisy, 0, size))
    if code == CLEAN_GRADIENT:
        return first_norm
    if code == WRONG_GRADIENT:
        return second_norm
    if first_norm == 0.0 or second_norm == 0.0:
        return 0.0
    return inner(clean, 0, noisy, 0, size) / first_norm / second_norm
