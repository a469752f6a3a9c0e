"""Mini-batch SGD with resets, a few replicas at a time; the order of a step is move, coin, look.

The replicas under way, each in a column of the ``Workspace``, go on together until something
happens to one of them; a column whose replica has ended takes the next. A kernel call goes on until
its budget of steps is used up or no replica is left. All random numbers are keyed by the replica,
so that columns, threads and calls do not show in the results.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from resetsgd.montecarlo.kernels.compiling import kernel
from resetsgd.montecarlo.kernels.outcomes import ARRIVED, CENSORED, POSITION, RESETS, TIME
from resetsgd.montecarlo.kernels.sgd_events import begin, keep, record, settle, steps_until
from resetsgd.montecarlo.kernels.sgd_models import Model, Problem
from resetsgd.montecarlo.kernels.sgd_moves import general_moves, regression_moves
from resetsgd.montecarlo.kernels.sgd_state import (
    LOOK,
    MISSED,
    REACHED,
    STEP,
    WRECKED,
    Outcome,
    Plan,
    Start,
    Workspace,
)
from resetsgd.montecarlo.kernels.vectors import fetch_add

__all__ = ["advance"]


@kernel
def advance(
    seed: Any, plan: Plan, model: Model, problem: Problem, start: Start, work: Workspace,
    out: Outcome, first: int, budget: int,
) -> int:  # fmt: skip
    """Go on with the replicas; returns the steps made, fewer than the budget if none is left.

    Parameters
    ----------
    seed : uint64
        Of all streams.
    plan, model, problem, start : Plan, Model, Problem, Start
        What is simulated.
    work : Workspace
        State between calls.
    out : Outcome
        Results, written here.
    first : int
        Number of the first replica.
    budget : int
        Bound of the number of steps in this call.
    """
    counts, live, scratch, size = work.counts, work.live, work.scratch, model.size
    replicas, report, columns = len(out.times), out.report, counts.shape[1]
    aim = -1 if plan.slow else plan.target
    none: Any = np.int64(0)  # a literal 0 would have helpers compiled once more for it alone
    used = 0
    while used < budget and report[0] == 0.0:
        running: Any = none
        limit, done = plan.horizon, none
        for lane in range(columns):
            if counts[POSITION, lane] >= 0:
                live[running] = lane
                running += 1
                limit = min(limit, steps_until(lane, plan, counts))
        limit = min(limit, max(1, (budget - used) // max(1, running)))
        if running > 0 and plan.together:
            done = regression_moves(
                live, running, limit, plan.batch, plan.learning_rate, start.schedule, aim,
                plan.above, plan.level, plan.look_every, model, problem.inputs, problem.labels,
                problem.teacher, problem.direction, work.theta, work.streams, work.words,
                work.rows, work.firsts, work.ends, work.scales, counts, work.residuals,
            )  # fmt: skip
        elif running > 0:
            done = general_moves(
                limit, plan.batch, plan.learning_rate, start.schedule, aim, plan.above, plan.level,
                plan.look_every, model, problem.inputs, problem.labels, problem.teacher,
                problem.direction, work.theta, work.streams, work.words, work.rows, counts,
                scratch.score, work.velocity, scratch.weight, scratch.hidden, work.order,
                plan.momentum, plan.decay, plan.replace,
            )  # fmt: skip
        used += done * running
        running = none
        for lane in range(columns):
            for _ in range(2):  # one that has ended makes room for the next
                position, fresh = int(counts[POSITION, lane]), counts[POSITION, lane] < 0
                if fresh:
                    if out.counter[0] >= replicas:
                        break
                    position = fetch_add(out.counter, 1)
                    if position >= replicas:
                        break
                    begin(lane, first + position, seed, plan, model, start, work)
                    counts[POSITION, lane] = position
                else:
                    counts[STEP, lane] += done
                used += settle(lane, fresh, plan, model, problem, start, work)
                step, look = int(counts[STEP, lane]), counts[LOOK, lane]
                if plan.record_every > 0 and step % plan.record_every == 0:
                    used += plan.look_cost * len(start.recorded)
                    record(lane, position, step, plan, model, problem, start, work, out)
                if look == WRECKED:
                    report[0], report[1], report[2] = 1.0, position, step
                elif look != MISSED or step >= plan.horizon:
                    out.times[position], out.resets[position] = step, counts[RESETS, lane]
                    out.codes[position] = ARRIVED if look == REACHED else CENSORED
                    keep(lane, position, plan, size, work, out)
                    counts[POSITION, lane] = -1
                    continue
                running += 1
                break
        if running == 0:
            break
    for lane in range(columns):
        work.reals[TIME, lane] = counts[STEP, lane]
        if counts[POSITION, lane] >= 0:  # in case this was the last call
            keep(lane, int(counts[POSITION, lane]), plan, size, work, out)
    return used
