"""Steps of SGD between two events: no reset, no record, at most a quick look after each.

Two versions of one loop. For least squares without momentum, weight decay or shuffling a step costs
some tens of nanoseconds, in which a replica also waits for itself, for scores need the last step:
there several replicas take turns. The other version, one replica at a time, does everything else.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from resetsgd.montecarlo.kernels.compiling import helper, inlined
from resetsgd.montecarlo.kernels.sgd_batches import refill_rows, shuffled_rows
from resetsgd.montecarlo.kernels.sgd_models import (
    DISTANCE,
    PROJECTION,
    Model,
    fast_value,
    gradient,
    scores,
    slope,
)
from resetsgd.montecarlo.kernels.sgd_state import AT, LOOK, MADE, MISSED, REACHED, STEP, WRECKED
from resetsgd.montecarlo.kernels.sgd_vectors import descend, inner, squared_distance

__all__ = ["general_moves", "regression_moves", "seen"]


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
    live: Any, replicas: int, steps: int, batch: int, rate: float, schedule: Any, target: int,
    above: int, level: float, every: int, model: Model, inputs: Any, labels: Any, teacher: Any,
    direction: Any, theta: Any, streams: Any, words: Any, rows: Any, firsts: Any, ends: Any,
    scales: Any, counts: Any, residuals: Any,
) -> int:  # fmt: skip
    """Make up to ``steps`` steps with the replicas ``live``; look after each but the last.

    Returns the steps made, fewer where one has arrived or left the range of floats: its row LOOK
    says so. With ``target`` -1 there is no look.
    """
    width, train, even, shift = model.width, model.train, model.even, model.shift
    columns = counts.shape[1]
    run, stretch = len(rows) // columns, len(residuals) // columns
    share, last, done, stop = -1.0 / batch, len(schedule) - 1, 0, False
    for i in range(replicas):
        lane = live[i]
        counts[LOOK, lane] = MISSED
        firsts[i], ends[i] = lane * run + counts[AT, lane], lane * run + counts[MADE, lane]
        scales[i] = share * (rate * schedule[min(counts[STEP, lane], last)])
    for k in range(steps):
        for i in range(replicas):
            if ends[i] - firsts[i] < batch:
                begin = live[i] * run
                at, made = firsts[i] - begin, ends[i] - begin
                made = refill_rows(streams, live[i], words, train, batch, rows, at, made)
                firsts[i], ends[i] = begin, begin + made
            if last > 0:
                factor = schedule[min(counts[STEP, live[i]] + k, last)]
                scales[i] = share * (rate * factor)
        descend(
            inputs, width, rows, firsts, batch, theta, labels, live, replicas, residuals, scales
        )  # fmt: skip
        done = k + 1
        for i in range(replicas):
            lane = live[i]
            firsts[i] += batch
            residual, look = residuals[lane * stretch], MISSED
            due = every == 1 or (counts[STEP, lane] + done) % every == 0
            if target >= 0 and done < steps and due:
                base = lane * width
                if target == PROJECTION:
                    value = inner(theta, base, direction, 0, width) - shift
                elif target == DISTANCE and not even:
                    value = squared_distance(theta, base, teacher, 1.0, width)
                else:
                    value = fast_value(target, even, width, theta, base, teacher, direction, shift)
                look = seen(value, above, level)
            if residual - residual != 0.0:
                look = WRECKED
            if look != MISSED:
                counts[LOOK, lane], stop = look, True
        if stop:
            break
    for i in range(replicas):
        lane = live[i]
        counts[AT, lane], counts[MADE, lane] = firsts[i] - lane * run, ends[i] - lane * run
    return done


@helper
def general_moves(
    steps: int, batch: int, rate: float, schedule: Any, target: int, above: int, level: float,
    every: int, model: Model, inputs: Any, labels: Any, teacher: Any, direction: Any, theta: Any,
    streams: Any, words: Any, rows: Any, counts: Any, score: Any, velocity: Any, weight: Any,
    hidden: Any, order: Any, momentum: float, decay: float, replace: int,
) -> int:  # fmt: skip
    """The same for one replica and any model, momentum, weight decay and batches."""
    width, units, size, link = model.width, model.units, model.size, model.link
    at, made, train = int(counts[AT, 0]), int(counts[MADE, 0]), model.train
    simple = momentum == 0.0 and decay == 0.0
    step, look, done = int(counts[STEP, 0]), MISSED, 0
    lane: Any = np.int64(0)
    for k in range(steps):
        here = 0
        if replace:
            if made - at < batch:
                made = refill_rows(streams, lane, words, train, batch, rows, at, made)
                at = 0
            here = at
            at += batch
        else:
            at = shuffled_rows(streams, words, at, train, batch, order, rows)
        scores(inputs, width, units, rows, here, batch, theta, 0, score, hidden)
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
        done = k + 1
        if target >= 0 and done < steps and (every == 1 or (step + done) % every == 0):
            value = fast_value(target, model.even, size, theta, 0, teacher, direction, model.shift)
            look = seen(value, above, level)
        if wrecked:
            look = WRECKED
        if look != MISSED:
            break
    counts[AT, 0], counts[MADE, 0], counts[LOOK, 0] = at, made, look
    return done
