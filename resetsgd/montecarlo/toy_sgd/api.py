"""``simulate_sgd`` and ``train_sgd``: replicas of mini-batch SGD under resets, by the thousand."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from resetsgd.errors import DomainError
from resetsgd.montecarlo.driver import Progress
from resetsgd.montecarlo.kernels.outcomes import ARRIVED
from resetsgd.montecarlo.toy_sgd.options import BestSoFar, LossResets, Reaches
from resetsgd.montecarlo.toy_sgd.result import SGDRuns, SimulatedSGD
from resetsgd.montecarlo.toy_sgd.task import SGDTask
from resetsgd.montecarlo.toy_sgd.training import Schedule, Training
from resetsgd.protocols import Protocol

__all__ = ["simulate_sgd", "train_sgd"]


def simulate_sgd(
    task: SGDTask,
    target: Reaches,
    start: npt.ArrayLike | None = None,
    *,
    learning_rate: float,
    batch_size: int,
    horizon: int,
    replicas: int | range = 1000,
    momentum: float = 0.0,
    weight_decay: float = 0.0,
    schedule: Schedule | None = None,
    replace: bool = True,
    protocol: Protocol | LossResets | None = None,
    checkpoint: npt.ArrayLike | BestSoFar | None = None,
    partial: float = 0.0,
    keep_velocity: bool = False,
    look_every: int = 1,
    direction: npt.ArrayLike | None = None,
    origin: npt.ArrayLike | None = None,
    record: Iterable[str] = (),
    record_every: int | None = None,
    parameters: bool = False,
    seed: int = 0,
    precision: str = "double",
    threads: int | None = None,
    budget: int = 10**13,
    progress: Progress | None = None,
) -> SimulatedSGD:
    r"""Train replicas by mini-batch SGD under resets until an observable reaches a level.

    A step is: *move, maybe reset, look*. A move takes the gradient g of a mini-batch, and then
    v <- momentum v + g + weight_decay theta, theta <- theta - learning_rate v.

    Parameters
    ----------
    task : SGDTask
        What is learnt, such as :class:`~resetsgd.LinearTask`.
    target : Reaches
        When a replica has arrived.
    start : array (parameters,) or (m, parameters), optional
        Where replicas start, replica k in row k mod m. Default: zeros for the two regressions.
    learning_rate : float
        Length²/loss. Positive.
    batch_size : int
        Samples of a step.
    horizon : int
        Steps after which replicas that have not arrived are given up (*censored*).
    replicas : int or range
        How many; or a range of numbers, such as ``range(500, 1000)``, for that part of a larger
        simulation.
    momentum : float
        Heavy ball, in [0, 1).
    weight_decay : float
        L2, zero or positive, loss/length².
    schedule : array (k,) or callable, optional
        Factors on the learning rate, zero or positive: of step 0, 1, ... (counted from the start,
        resets or not; the last one lasts), or a function of the step.
    replace : bool
        Whether a mini-batch may hold a sample more than once. Otherwise its samples are different,
        and those of different steps independent.
    protocol : Protocol or LossResets, optional
        When to reset; time is counted in steps, and waiting times are rounded up to whole steps:
        ``rs.Geometric(p)`` tosses a coin at each step. Default: never.
    checkpoint : array (parameters,) or (m, parameters), or BestSoFar, optional
        Where resets lead: a point, a random one of a cloud, or the best so far. Default: where the
        replica started.
    partial : float
        A reset leaves this share of the way from the checkpoint: theta <- c + partial (theta - c).
        In [0, 1); 0 is a full reset.
    keep_velocity : bool
        Whether a reset leaves the velocity alone. Otherwise it is treated as the parameters are;
        that of the checkpoint is zero, or what it was when the best so far was found.
    look_every : int
        Steps between looks at the target.
    direction, origin : array (parameters,), optional
        For the observables along a direction: of any length, default from the start (row 0) to the
        teacher; origin of the projection, default the start (row 0).
    record : sequence of str
        Observables to record, see :meth:`~resetsgd.montecarlo.toy_sgd.task.SGDTask.observe`.
    record_every : int, optional
        Steps between records; default a hundredth of the horizon.
    parameters : bool
        Whether to keep the last parameters of each replica.
    seed : int
        From 0 to 2**64 - 1.
    precision : {"double", "single"}
        Type of data and parameters, float64 or float32. Single takes 0.8 of the time with 20
        inputs, half of it with 400.
    threads : int, optional
        Default: as many as there are processors for this process. Does not change the result.
    budget : int
        Bound of the number of steps of all replicas together, looks through whole data sets counted
        as the steps that take as long.
    progress : callable, optional
        Called now and then as ``progress(done, replicas)`` in the calling thread;
        :class:`~resetsgd.ProgressBar` shows the time left.

    Returns
    -------
    SimulatedSGD
        Passage times in steps, in the order of the replicas, with traces. After Ctrl-C, if a
        replica has arrived, all that were begun; ``info["interrupted"]`` is then True, and those
        under way are censored at the step they had reached.

    Raises
    ------
    DomainError
        If an argument is outside its range, the start is on the target already, no replica arrives,
        or a replica leaves the range of floats, which names it and the step.
    NotConverged
        If the budget is spent first.

    Notes
    -----
    **Reproducibility**: replica k is the same bit for bit for any number of threads and in every
    simulation that contains it, on one family of processors; see
    :mod:`resetsgd.montecarlo.streams`.

    **Accuracy**: float64, or float32 if told; rows of a mini-batch have exactly equal
    probabilities.

    **Source**: order and restarts to a checkpoint as in Y. Bae, Y. Song, H. Jeong, MLST 6, 015062
    (2025).

    Examples
    --------
    >>> import resetsgd as rs
    >>> task = rs.LinearTask.drawn(200, 20, noise_rate=0.4, seed=1)
    >>> S = rs.simulate_sgd(
    ...     task, rs.Reaches("distance", below=0.3), learning_rate=0.05, batch_size=10,
    ...     protocol=rs.Geometric(0.001), replicas=100, horizon=100_000,
    ... )
    >>> S.times.size
    100
    """
    if not isinstance(target, Reaches):
        raise DomainError("target", target, "a Reaches")
    done = Training(
        task=task, target=target, start=start, learning_rate=learning_rate,
        batch_size=batch_size, horizon=horizon, replicas=replicas, momentum=momentum,
        weight_decay=weight_decay, schedule=schedule, replace=replace, protocol=protocol,
        checkpoint=checkpoint, partial=partial, keep_velocity=keep_velocity,
        look_every=look_every, direction=direction, origin=origin, record=record,
        record_every=record_every, parameters=parameters, seed=seed, threads=threads,
        budget=budget, progress=progress, precision=precision,
    ).run()  # fmt: skip
    censored = done.outcomes != ARRIVED
    if censored.all():
        raise DomainError(
            "horizon", horizon, f"long enough for an arrival: none of {len(censored)} had arrived"
        )
    return SimulatedSGD(
        done.times, censored, done.resets, done.info, traces=done.traces,
        trace_steps=done.trace_steps, parameters=done.parameters,
    )  # fmt: skip


def train_sgd(
    task: SGDTask,
    start: npt.ArrayLike | None = None,
    *,
    learning_rate: float,
    batch_size: int,
    steps: int,
    replicas: int | range = 1000,
    momentum: float = 0.0,
    weight_decay: float = 0.0,
    schedule: Schedule | None = None,
    replace: bool = True,
    protocol: Protocol | LossResets | None = None,
    checkpoint: npt.ArrayLike | BestSoFar | None = None,
    partial: float = 0.0,
    keep_velocity: bool = False,
    direction: npt.ArrayLike | None = None,
    origin: npt.ArrayLike | None = None,
    record: Iterable[str] = (),
    record_every: int | None = None,
    seed: int = 0,
    precision: str = "double",
    threads: int | None = None,
    budget: int = 10**13,
    progress: Progress | None = None,
) -> SGDRuns:
    """Train replicas by mini-batch SGD under resets for a number of steps.

    Parameters
    ----------
    task, start, learning_rate, batch_size
        As for :func:`simulate_sgd`.
    steps : int
        How many steps each replica makes.
    replicas, momentum, weight_decay, schedule, replace, protocol, checkpoint, partial
        As for :func:`simulate_sgd`.
    keep_velocity, direction, origin, record, record_every, seed, precision
        As for :func:`simulate_sgd`.
    threads, budget, progress
        As for :func:`simulate_sgd`.

    Returns
    -------
    SGDRuns
        Parameters at the end, resets and traces. The same replica of :func:`simulate_sgd` goes the
        same way until it arrives. After Ctrl-C, the replicas that had made all steps, if there are
        any; ``info["interrupted"]`` is then True.

    Raises
    ------
    DomainError
        If an argument is outside its range, or a replica leaves the range of floats.
    NotConverged
        If the budget is spent first.

    Examples
    --------
    >>> import resetsgd as rs
    >>> task = rs.LinearTask.drawn(200, 20, noise_rate=0.4, seed=1)
    >>> runs = rs.train_sgd(
    ...     task, learning_rate=0.05, batch_size=10, steps=300, replicas=50, record=["clean_loss"]
    ... )
    >>> runs.parameters.shape, runs.traces["clean_loss"].shape
    ((50, 20), (50, 101))
    """
    done = Training(
        task=task, target=None, start=start, learning_rate=learning_rate, batch_size=batch_size,
        horizon=steps, replicas=replicas, momentum=momentum, weight_decay=weight_decay,
        schedule=schedule, replace=replace, protocol=protocol, checkpoint=checkpoint,
        partial=partial, keep_velocity=keep_velocity, look_every=1, direction=direction,
        origin=origin, record=record, record_every=record_every, parameters=True, seed=seed,
        threads=threads, budget=budget, progress=progress, precision=precision,
    ).run()  # fmt: skip
    points = np.asarray(done.parameters)
    wrecked = ~np.isfinite(points).all(axis=1)
    if wrecked.any():
        replica = int(done.replicas[wrecked][0])
        raise DomainError(
            "learning_rate",
            learning_rate,
            f"smaller: replica {replica} left the range of floats at step {steps}",
        )
    return SGDRuns(points, done.resets, done.traces, done.trace_steps, done.info)
