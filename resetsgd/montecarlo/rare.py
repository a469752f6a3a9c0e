"""Mean passage times that no simulation lives to see: over high barriers, level by level.

Levels z_0 < z_1 < ... lead from the bottom of the well to the target. A path that diffuses on a
line meets them one after the other and, being a Markov process, forgets at each of them how it came
there: this makes splitting in one dimension exact, with one entrance point a level instead of an
ensemble of entrance states. It is enough to simulate, from each level, the exit to either
neighbour.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from resetsgd import domain
from resetsgd.domain import Array
from resetsgd.errors import DomainError, NotConverged
from resetsgd.montecarlo.api import simulate
from resetsgd.montecarlo.clock import clock_of
from resetsgd.montecarlo.estimate import Estimate
from resetsgd.montecarlo.motions.places import Places, places_of
from resetsgd.processes import DriftDiffusion, Landscape, LinearTrap, OrnsteinUhlenbeck, Process
from resetsgd.protocols import Poisson

__all__ = ["rare"]

_POINTS = 513
_DEEP = 8.0
_RISE = 2.0  # of the potential between levels: fewest steps for an error, and flat there
_WIDE = 10
_FOREVER = 1e300


@dataclass(frozen=True)
class _Stage:
    """Exits from one level: how long each took and whether it was to the next level."""

    times: Array
    up: npt.NDArray[np.bool_]


def rare(
    process: Process,
    start: float,
    target: float,
    protocol: Poisson | None = None,
    *,
    paths: int = 50_000,
    wall: float | None = None,
    levels: Any = None,
    step: float | None = None,
    seed: int = 0,
    scheme: str | None = None,
    threads: int | None = None,
    budget: int = 10**11,
) -> Estimate:
    r"""Mean passage time over a barrier too high to wait for, by splitting at levels.

    Parameters
    ----------
    process : Landscape, OrnsteinUhlenbeck, LinearTrap or DriftDiffusion
        In one dimension; a landscape without a reset rate of its own.
    start, target : float
        Positions, length.
    protocol : Poisson, optional
        Resets to the start; left out, never.
    paths : int, default 50000
        Paths from each level, at least 100.
    wall : float, optional
        A reflecting wall behind the start.
    levels : array-like, optional
        Levels from the one furthest from the target up to the last before it, the start among them.
        Default: from the bottom of the well on, so that from one to the next the potential
        changes by at most twice the noise strength D, over at most a quarter of the way.
    step, seed, scheme, threads, budget
        As in :func:`resetsgd.simulate`; the default step suits the distance between levels.

    Returns
    -------
    Estimate
        ``gain`` compares its steps with those that plain simulation would need for the same
        relative error, a passage time over a barrier being nearly exponential. ``info`` has the
        ``levels``, the share that went ``up`` from each, ``steps`` and the longest ``step``.

    Raises
    ------
    DomainError
        If an argument is outside its range.
    NotConverged
        If from some level no path went up, or the budget is spent.

    Notes
    -----
    With u and d the shares of exits up and down, weighted by exp(-r t), and :math:`\rho_j` the
    Laplace transform of the time from level j to level j + 1,
    :math:`\rho_j = u_j / (1 - d_j \rho_{j-1})`; their product is the transform :math:`\tilde f(r)`
    of the reset-free passage time, and the mean :math:`(1 - \tilde f)/(r \tilde f)`. Without resets
    the mean times obey :math:`\tau_j = (t_j + d_j \tau_{j-1}) / u_j`. The error is that of the
    delta method: levels are independent, with streams of their own.

    **Accuracy**: estimates of ratios are biased by about their relative variance, (stderr/mean)².
    The discretisation is that of the scheme within each stage.

    **Source**: splitting in T. E. Harris and H. Kahn, Natl. Bur. Stand. Appl. Math. Ser. 12, 27
    (1951); levels as milestones in A. K. Faradjian and R. Elber, J. Chem. Phys. 120, 10880 (2004).

    Examples
    --------
    A barrier of 25 times the noise, more than 10^12 steps to wait for:

    >>> import resetsgd as rs
    >>> well = rs.Landscape(lambda x: (x * x - 1.0) ** 2, diffusivity=0.04)
    >>> found = rare(well, -1.0, 1.0)
    >>> exact = rs.first_passage(well, -1.0, 1.0).mean()
    >>> abs(found.mean - exact) < 4 * found.stderr
    True
    """
    places = places_of(start, target, wall=wall)
    if places.interval:
        raise DomainError("target", target, "a single position")
    if not isinstance(process, (Landscape, OrnsteinUhlenbeck, LinearTrap, DriftDiffusion)):
        known = "a Landscape, OrnsteinUhlenbeck, LinearTrap or DriftDiffusion process"
        raise DomainError("process", process, known)
    if isinstance(process, Landscape) and process.rate is not None:
        raise DomainError("rate", process.rate, "None: give the protocol Poisson")
    rate = _rate(protocol)
    many = domain.integer("paths", paths, 100, 2**40)
    left = domain.integer("budget", budget, 1)
    z = _levels(process, places) if levels is None else _given(levels, places)
    stages: list[_Stage] = []
    steps, longest = 0, 0.0
    limit = 60.0 / rate if rate > 0 else _FOREVER
    for j, at in enumerate(z):
        end = float(z[j + 1]) if j + 1 < z.size else places.low
        aim: Any = end if j == 0 else tuple(sorted((float(z[j - 1]), end)))
        S = simulate(
            process, float(at), aim, paths=range(j * many, (j + 1) * many), step=step, seed=seed,
            wall=wall if j == 0 else None, horizon=limit, scheme=scheme, threads=threads,
            budget=left,
        )  # fmt: skip
        if S.info["interrupted"]:
            raise KeyboardInterrupt
        up = ~S.censored
        if S.exit_side is not None:
            up &= S.exit_side == (-1 if end < at else 1)
        if not up.any():
            raise NotConverged(f"of {many} paths from {at:g} none went on to {end:g}: more levels")
        stages.append(_Stage(np.where(S.censored & (rate > 0), np.inf, S.times), up))
        steps, left = steps + S.info["steps"], max(left - S.info["steps"], 1)
        longest = max(longest, S.info["step"] or 0.0)
    origin = int(np.argmin(np.abs(z - places.start)))
    if rate > 0:
        mean, stderr = _under_resets(stages, origin, rate)
    else:
        mean, stderr = _mean(stages, origin)
    plain = (mean / stderr) ** 2 * mean / longest if stderr > 0 and longest > 0 else math.inf
    info = {
        "process": repr(process), "protocol": repr(protocol), "start": places.start,
        "target": places.low, "levels": z, "up": np.array([float(s.up.mean()) for s in stages]),
        "steps": steps, "step": longest, "seed": int(seed),
    }  # fmt: skip
    return Estimate(mean, stderr, plain / steps, many * z.size, info)


def _rate(protocol: Any) -> float:
    if protocol is None:
        return 0.0
    clock = clock_of(protocol)
    full = isinstance(protocol, Poisson) and clock.partial is None and clock.lost[0] == 0.0
    if not full:
        raise DomainError("protocol", protocol, "None or Poisson, full resets without overhead")
    return 1.0 / clock.mean


def _mean(stages: list[_Stage], origin: int) -> tuple[float, float]:
    """Mean without resets, and its error."""
    lasted = [float(stage.times.mean()) for stage in stages]
    up = [float(stage.up.mean()) for stage in stages]
    tau = [lasted[0]]
    for t, p in zip(lasted[1:], up[1:], strict=True):
        tau.append((t + (1.0 - p) * tau[-1]) / p)
    weight, variance = 0.0, 0.0
    for j in range(len(stages) - 1, -1, -1):
        weight = float(j >= origin) + (weight * (1.0 / up[j + 1] - 1.0) if j + 1 < len(up) else 0.0)
        stage, p = stages[j], up[j]
        before = tau[j - 1] if j > 0 else 0.0
        turn = (lasted[j] + before) / p
        influence = (stage.times - turn * stage.up) / p
        variance += weight**2 * float(influence.var(ddof=1)) / stage.times.size
    return math.fsum(tau[origin:]), math.sqrt(variance)


def _under_resets(stages: list[_Stage], origin: int, rate: float) -> tuple[float, float]:
    """Mean under Poisson resets to the start, and its error."""
    decay = [np.exp(-rate * stage.times) for stage in stages]
    up = [float((e * s.up).mean()) for e, s in zip(decay, stages, strict=True)]
    down = [float((e * ~s.up).mean()) for e, s in zip(decay, stages, strict=True)]
    down[0] = 0.0
    rho: list[float] = []
    for u, d in zip(up, down, strict=True):
        rho.append(u / (1.0 - d * (rho[-1] if rho else 0.0)))
    weight, variance = 0.0, 0.0
    for j in range(len(stages) - 1, -1, -1):
        if j + 1 < len(stages):
            back = down[j + 1] * rho[j]
            weight *= back / (1.0 - back)
        weight += float(j >= origin)
        e, won = decay[j], stages[j].up
        lost = rho[j - 1] / (1.0 - down[j] * rho[j - 1]) if j > 0 else 0.0
        influence = e * won / up[j] + lost * e * ~won
        variance += weight**2 * float(influence.var(ddof=1)) / e.size
    log_f = math.fsum(math.log(value) for value in rho[origin:])
    mean = math.expm1(-log_f) / rate if log_f > -700.0 else math.inf
    return mean, math.sqrt(variance) * (mean + 1.0 / rate)


def _given(levels: Any, places: Places) -> Array:
    """Levels that were given, checked."""
    z = np.atleast_1d(np.asarray(domain.finite("levels", levels), dtype=np.float64))
    toward = -places.side
    ordered = z.ndim == 1 and z.size > 0 and (toward * np.diff(z) > 0).all()
    if not ordered or not (toward * (places.low - z) > 0).all() or places.start not in z:
        raise DomainError("levels", levels, "positions toward the target, the start among them")
    return z


def _levels(process: Process, places: Places) -> Array:
    """From the bottom of the well to the target, at most two units of noise apart in height."""
    fall, toward = _fall(process), -places.side
    length = abs(places.low - places.start)
    behind = math.inf
    if places.wall is not None:
        behind = abs(places.wall - places.start)
    if isinstance(process, Landscape):
        edge = process.domain[0] if toward > 0 else process.domain[1]
        behind = min(behind, abs(places.start - edge))
    # The bottom of the well lies at the start or behind it; looked for until the walls are high.
    reach, bottom = 0.0, places.start
    for doubling in range(_WIDE):
        reach = min(length * 2.0**doubling, behind)
        y = np.linspace(0.0, reach, _POINTS)[: -1 if reach == behind else None]
        if y.size < 2:
            break
        height = _heights(fall, places.start - toward * y, -toward)
        bottom = float(places.start - toward * y[np.argmin(height)])
        if height[-1] > height.min() + _DEEP or reach == behind:
            break
    else:
        bottom = places.start  # no well: the potential falls for ever
    whole = abs(places.low - bottom)
    y = np.linspace(0.0, whole, 4 * _POINTS)
    pull = np.abs(fall(bottom + toward * y))
    pull[~np.isfinite(pull)] = 0.0
    density = 4.0 / length + pull / _RISE
    marks = np.append(0.0, np.cumsum(0.5 * (density[1:] + density[:-1]) * np.diff(y)))
    if marks[-1] > 1e5:
        raise DomainError("process", process, "a barrier of at most 1e5 times the noise")
    count = math.ceil(marks[-1])
    at = np.interp(np.linspace(0.0, marks[-1], count + 1)[:-1], marks, y)
    z = bottom + toward * at
    z[np.argmin(np.abs(z - places.start))] = places.start
    return np.asarray(z)


def _heights(fall: Callable[[Array], Array], x: Array, direction: float) -> Array:
    """Potential over noise along positions, zero at the first."""
    slope = -direction * fall(x)
    slope = np.where(np.isfinite(slope), slope, 0.0)
    rise = 0.5 * (slope[1:] + slope[:-1]) * np.abs(np.diff(x))
    return np.append(0.0, np.cumsum(rise))


def _fall(process: Process) -> Callable[[Array], Array]:
    """Drift over diffusivity as a function of positions."""
    if isinstance(process, DriftDiffusion):
        ratio = float(process.drift) / float(process.diffusivity)
        return lambda x: np.full(x.shape, ratio)
    if isinstance(process, OrnsteinUhlenbeck):
        k, c = float(process.stiffness), float(process.center)
        D = float(process.diffusivity)
        return lambda x: -k * (x - c) / D
    if isinstance(process, LinearTrap):
        slope = float(process.slope) / float(process.diffusivity)
        return lambda x: -slope * np.sign(x)
    assert isinstance(process, Landscape)
    spread, drift, potential = process.diffusivity, process.drift, process.potential

    def one(x: float) -> float:
        D = float(spread(x)) if callable(spread) else float(spread)
        if drift is not None:
            return float(drift(x)) / D
        assert potential is not None
        h = 1e-6 * (1.0 + abs(x))
        return (float(potential(x - h)) - float(potential(x + h))) / (2.0 * h) / D

    def fall(x: Array) -> Array:
        with np.errstate(all="ignore"):
            return np.array([one(float(place)) for place in x])

    return fall
