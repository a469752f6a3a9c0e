"""Steps of SGD between two events: no reset, no record, at most a quick look after each.

Two versions of one loop: for least squares without momentum, weight decay or shuffling, where a
step costs some tens of nanoseconds and every branch shows, and for everything else.
"""

from __future__ import annotations

from typing import Any

from resetsgd.montecarlo.kernels.compiling import helper, inlined
from resetsgd.montecarlo.kernels.sgd_batches import BLOCK, refill_rows, shuffled_rows
from resetsgd.montecarlo.kernels.sgd_models import Model, fast_value, gradient, scores, slope
from resetsgd.montecarlo.kernels.sgd_vectors import STREAMS, add_rows, next_words, residual_rows

__all__ = ["AT", "MADE", "MISSED", "REACHED", "WRECKED", "general_moves", "regression_moves"]

AT, MADE = 4, 5
"""Places in the array of counts: rows (or words) used and rows made."""

MISSED, REACHED, WRECKED = 0, 1, 2
"""How a look went; the number of steps is returned with it as 4 steps + look."""


@inlined
def seen(value: float, above: int, level: float) -> int:
    """What a look at a value says."""
    if value - value != 0.0:
        return WRECKED
    return REACHED if (value >= level if above else value <= level) else MISSED


@inlined
def learning_rate(rate: float, schedule: Any, step: int) -> float:
    """Learning rate of the step with this number, from 0 on."""
    last = len(schedule) - 1
    return float(rate * schedule[step if step < last else last])


@helper
def regression_moves(
    steps: int, step: int, batch: int, rate: float, schedule: Any, target: int, above: int,
    level: float, every: int, model: Model, inputs: Any, labels: Any, teacher: Any,
    direction: Any, theta: Any, streams: Any, words: Any, rows: Any, counts: Any, score: Any,
) -> int:  # fmt: skip
    """Make up to ``steps`` steps after step number ``step``; look after each but the last.

    Returns 4 times the steps made plus MISSED, REACHED or WRECKED. With ``target`` -1 there is no
    look.
    """
    width, train, even, shift = model.width, model.train, model.even, model.shift
    at, made = int(counts[AT]), int(counts[MADE])
    result, share = 4 * steps, -1.0 / batch
    for k in range(steps):
        for _ in range(batch):  # each block of words brings rows
            if made - at >= batch:
                break
            next_words(streams, words, BLOCK // STREAMS)
            made = refill_rows(words, train, rows, at, made)
            at = 0
        residual_rows(inputs, width, rows, at, batch, theta, labels, score)
        wrecked = score[0] - score[0] != 0.0
        scale = share * learning_rate(rate, schedule, step + k)
        add_rows(inputs, width, rows, at, batch, score, 0, scale, theta, 0)
        at += batch
        look = MISSED
        if target >= 0 and k + 1 < steps and (every == 1 or (step + k + 1) % every == 0):
            value = fast_value(target, even, width, theta, teacher, direction, shift)
            look = seen(value, above, level)
        if wrecked:
            look = WRECKED
        if look != MISSED:
            result = 4 * (k + 1) + look
            break
    counts[AT], counts[MADE] = at, made
    return result


@helper
def general_moves(
    steps: int, step: int, batch: int, rate: float, schedule: Any, target: int, above: int,
    level: float, every: int, model: Model, inputs: Any, labels: Any, teacher: Any,
    direction: Any, theta: Any, streams: Any, words: Any, rows: Any, counts: Any, score: Any,
    velocity: Any, weight: Any, hidden: Any, order: Any, momentum: float, decay: float,
    replace: int,
) -> int:  # fmt: skip
    """The same for any model, momentum, weight decay and batches of different rows."""
    width, units, size, link = model.width, model.units, model.size, model.link
    at, made, train = int(counts[AT]), int(counts[MADE]), model.train
    simple = momentum == 0.0 and decay == 0.0
    result = 4 * steps
    for k in range(steps):
        here = 0
        if replace:
            for _ in range(batch):
                if made - at >= batch:
                    break
                next_words(streams, words, BLOCK // STREAMS)
                made = refill_rows(words, train, rows, at, made)
                at = 0
            here = at
            at += batch
        else:
            at = shuffled_rows(streams, words, at, train, batch, order, rows)
        scores(inputs, width, units, rows, here, batch, theta, score, hidden)
        for b in range(batch):
            score[b] = slope(link, score[b], labels[rows[here + b]])
        wrecked = score[0] - score[0] != 0.0
        eta = learning_rate(rate, schedule, step + k)
        scale = -eta / batch
        into = theta
        if not simple:
            scale = 1.0 / batch
            into = velocity
            for i in range(size):
                velocity[i] = momentum * velocity[i] + decay * theta[i]
        gradient(inputs, width, units, rows, here, batch, theta, score, weight, hidden, scale, into)
        if not simple:
            for i in range(size):
                theta[i] -= eta * velocity[i]
        look = MISSED
        if target >= 0 and k + 1 < steps and (every == 1 or (step + k + 1) % every == 0):
            value = fast_value(target, model.even, size, theta, teacher, direction, model.shift)
            look = seen(value, above, level)
        if wrecked:
            look = WRECKED
        if look != MISSED:
            result = 4 * (k + 1) + look
            break
    counts[AT], counts[MADE] = at, made
    return result
