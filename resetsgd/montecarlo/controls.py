"""Less variance from the same paths: known transforms as controls, and mirrored noise."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from resetsgd import domain
from resetsgd.errors import DomainError
from resetsgd.montecarlo.api import simulate
from resetsgd.montecarlo.estimate import Estimate
from resetsgd.montecarlo.result import Simulated
from resetsgd.passage.base import PassageTime
from resetsgd.processes import DriftDiffusion, Landscape, LinearTrap, OrnsteinUhlenbeck, Process
from resetsgd.protocols import Protocol

__all__ = ["antithetic", "control_variate"]

_SPREAD = (0.3, 1.0, 3.0)
"""Default rates of the controls, over the inverse median of the control's times."""


def control_variate(
    simulated: Simulated,
    exact: PassageTime,
    *,
    control: Simulated | None = None,
    rates: Any = None,
) -> Estimate:
    r"""The simulated mean, corrected by what is known exactly of a passage time beside it.

    The control is a simulation of a problem whose Laplace transform is known, with the same seed
    and paths: both see the same noise. Where the control's paths came too late on average, those
    of the problem did too, and the excess is taken off.

    Parameters
    ----------
    simulated : Simulated
        The problem, without censored paths.
    exact : PassageTime
        The exact law of the control's passage times.
    control : Simulated, optional
        The control; left out, the simulation itself is of the law that is known.
    rates : array-like, shape (K,), optional
        Rates s of the controls :math:`e^{-sT}`, 1/time, positive. Default: three around the inverse
        median of the control's times. Where the exact mean is finite the time itself is one more.

    Returns
    -------
    Estimate
        ``gain`` counts the steps of the control too; ``info["coefficients"]`` has the weights of
        the controls.

    Raises
    ------
    DomainError
        If paths are censored, or control and problem do not have the same seed and paths.

    Notes
    -----
    Weights come from a regression on one half of the paths and serve the other half, so that they
    make no bias. A bias of the control from its time step is passed on: simulate controls without
    one (constant drift with scheme "bridge" or "heun", at any step).

    **Source**: P. Glasserman, *Monte Carlo Methods in Financial Engineering* (2004), section 4.1.

    Examples
    --------
    A drift that is curved a little, beside a constant one:

    >>> import math
    >>> import resetsgd as rs
    >>> bent = rs.Landscape(drift=lambda x: -1.0 - 0.2 * math.sin(x), diffusivity=0.5)
    >>> flat = rs.Landscape(drift=lambda x: -1.1, diffusivity=0.5)
    >>> job = {"paths": 20_000, "step": 0.02, "horizon": 1e6}
    >>> S, C = (rs.simulate(process, 1.0, 0.0, **job) for process in (bent, flat))
    >>> known = rs.first_passage(rs.DriftDiffusion(drift=-1.1, diffusivity=0.5), 1.0, 0.0)
    >>> found = control_variate(S, known, control=C)
    >>> found.stderr < S.stderr() / 3
    True
    """
    beside = simulated if control is None else control
    for name, given in (("simulated", simulated), ("control", beside)):
        if not isinstance(given, Simulated):
            raise DomainError(name, given, "made by resetsgd.simulate")
        if given.censored.any():
            raise DomainError(name, given, "without censored paths")
    for key in ("seed", "first", "paths"):
        if beside.info[key] != simulated.info[key]:
            raise DomainError("control", beside.info[key], f"of the same {key}")
    if not isinstance(exact, PassageTime) or exact.shape:
        raise DomainError("exact", exact, "a single exact passage time")
    times = beside.times
    if rates is None:
        rates = np.array(_SPREAD) / max(float(np.median(times)), 1e-300)
    s = np.atleast_1d(np.asarray(domain.positive("rates", rates), dtype=np.float64))
    columns = [np.exp(-rate * times) for rate in s]
    known = [float(np.real(exact.laplace(rate))) for rate in s]
    mean = float(np.asarray(exact.mean()))
    if math.isfinite(mean):
        columns.append(times)
        known.append(mean)
    table = np.stack(columns, axis=1) - np.array(known)
    values, n = simulated.times, simulated.times.size
    if n < 4 * (table.shape[1] + 1):
        raise DomainError("simulated", n, f"at least {4 * (table.shape[1] + 1)} paths")
    halves = (slice(0, n, 2), slice(1, n, 2))
    corrected, weights = np.empty(n), []
    for fit, use in (halves, halves[::-1]):
        off = table[fit] - table[fit].mean(axis=0)
        size = np.sqrt(np.mean(off**2, axis=0))
        size = np.where(size > 0, size, 1.0)
        found = np.linalg.lstsq(off / size, values[fit] - values[fit].mean(), rcond=1e-10)[0] / size
        corrected[use] = values[use] - table[use] @ found
        weights.append(found)
    variance, plain = float(corrected.var(ddof=1)), float(values.var(ddof=1))
    work = 1.0
    if control is not None and simulated.info["steps"] > 0:
        work += control.info["steps"] / simulated.info["steps"]
    info = {
        "rates": s,
        "coefficients": np.mean(weights, axis=0),
        "plain_stderr": (plain / n) ** 0.5,
    }
    gain = plain / (variance * work) if variance > 0 else math.inf
    return Estimate(float(corrected.mean()), math.sqrt(variance / n), gain, n, info)


def antithetic(
    process: Process,
    start: float,
    target: Any,
    protocol: Protocol | None = None,
    *,
    paths: int,
    reset_to: Any = None,
    wall: float | None = None,
    seed: int = 0,
    **options: Any,
) -> Estimate:
    """The mean passage time from pairs of paths with opposite noise.

    The second of a pair is a path of the mirrored problem, all positions and the drift with the
    other sign, that draws the same normals: seen in the mirror its noise is opposite. Waiting times
    are the same. The mirrored problem has the same law, so that the mean of a pair is unbiased.

    Parameters
    ----------
    process : Landscape, OrnsteinUhlenbeck, LinearTrap or DriftDiffusion
        In one dimension; constant drift to a point has a mirror image only with scheme "euler".
    start, target, protocol
        As in :func:`resetsgd.simulate`.
    paths : int
        How many, both of each pair counted; even, at least 4.
    reset_to, wall, seed
        As in :func:`resetsgd.simulate`.
    **options
        Further arguments of :func:`resetsgd.simulate`. With a horizon the mean is restricted to it.

    Returns
    -------
    Estimate

    Raises
    ------
    DomainError
        If an argument is outside its range.

    Notes
    -----
    It pays where the passage time is a monotone function of the noise: drifts toward the target,
    few resets. Across a barrier, or under many resets, pairs are nearly independent and the gain
    is near one. ``gain`` says which.

    **Source**: J. M. Hammersley, K. W. Morton, Proc. Camb. Phil. Soc. 52 (1956) 449.

    Examples
    --------
    >>> import resetsgd as rs
    >>> bowl = rs.OrnsteinUhlenbeck(stiffness=1.0, center=0.0, diffusivity=0.1)
    >>> found = antithetic(bowl, 2.0, 0.5, paths=20_000)
    >>> exact = rs.first_passage(bowl, 2.0, 0.5).mean()
    >>> abs(found.mean - exact) < 4 * found.stderr, found.gain > 1.5
    (True, True)
    """
    count = domain.integer("paths", paths, 4, 2**40)
    if count % 2:
        raise DomainError("paths", paths, "even")
    if isinstance(process, DriftDiffusion) and not isinstance(target, tuple) and wall is None:
        domain.choice("scheme", options.get("scheme") or "bridge", ("euler",))
    other, half = _mirrored(process), count // 2
    opposite = tuple(-end for end in target[::-1]) if isinstance(target, tuple) else -target
    back = None if reset_to is None else -np.asarray(domain.finite("reset_to", reset_to))
    common = {"paths": half, "seed": seed, **options}
    first = simulate(process, start, target, protocol, reset_to=reset_to, wall=wall, **common)
    common["step"] = first.info["step"]
    second = simulate(
        other, -start, opposite, protocol, reset_to=back, wall=None if wall is None else -wall,
        **common,
    )  # fmt: skip
    if first.info["interrupted"] or second.info["interrupted"]:
        raise KeyboardInterrupt
    pair = 0.5 * (first.times + second.times)
    alone = 0.5 * (float(first.times.var(ddof=1)) + float(second.times.var(ddof=1)))
    variance = float(pair.var(ddof=1))
    gain = 0.5 * alone / variance if variance > 0 else math.inf
    info = {**first.info, "steps": first.info["steps"] + second.info["steps"], "paths": count}
    return Estimate(float(pair.mean()), math.sqrt(variance / half), gain, count, info)


def _mirrored(process: Process) -> Process:
    """The process with all positions of the other sign."""
    if isinstance(process, LinearTrap):
        return process
    if isinstance(process, OrnsteinUhlenbeck):
        return replace(process, center=-process.center)
    if isinstance(process, DriftDiffusion):
        return replace(process, drift=-process.drift)
    if not isinstance(process, Landscape):
        known = "a Landscape, OrnsteinUhlenbeck, LinearTrap or DriftDiffusion process"
        raise DomainError("process", process, known)
    low, high = process.domain
    changes: dict[str, Any] = {
        "domain": (-high, -low),
        "ends": process.ends[::-1],
        "breaks": tuple(-place for place in process.breaks),
    }
    for name in ("potential", "diffusivity", "rate"):
        if callable(getattr(process, name)):
            changes[name] = _even(getattr(process, name))
    if process.drift is not None:
        changes["drift"] = _odd(process.drift)
    if process.reset_to is not None:
        changes["reset_to"] = -process.reset_to
    return replace(process, **changes)


# Kept, so that a function is compiled once.
@lru_cache(maxsize=64)
def _even(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda x: f(-x)


@lru_cache(maxsize=64)
def _odd(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda x: -f(-x)
