"""Which formulas belong to which passage time, and what its symbols stand for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import sympy as sp

from resetsgd.errors import DomainError
from resetsgd.passage.base import PassageTime
from resetsgd.symbolic import (
    bessel,
    drift_diffusion,
    interval,
    linear_trap,
    ornstein_uhlenbeck,
    symbols,
    telegraph,
    wall,
)

__all__ = ["Forms", "forms"]


@dataclass(frozen=True)
class Forms:
    """The formulas of one passage time.

    Attributes
    ----------
    log_laplace : sympy.Expr
        Logarithm of the transform, in ``symbols.laplace_variable``.
    values : dict
        What the other symbols stand for, as numbers.
    mean, squared_cv : callable or None
        Without resets; None where they follow from the transform.
    smooth : bool
        Whether all moments are finite, and derivatives of the transform at 0 by substitution.
    expands : bool
        Whether moments come from a series of the transform, some of them infinite.
    """

    log_laplace: sp.Expr
    values: dict[sp.Symbol, Any]
    mean: Callable[[], sp.Expr] | None = None
    squared_cv: Callable[[], sp.Expr] | None = None
    smooth: bool = False
    expands: bool = False


def forms(passage: PassageTime) -> Forms:
    """The row of a passage time.

    Parameters
    ----------
    passage : PassageTime
        Reset-free.

    Returns
    -------
    Forms

    Raises
    ------
    DomainError
        If it has no closed form in the symbols here, or its elements have different ones.
    """
    names = (kind.__name__ for kind in type(passage).__mro__)
    row = next((_ROWS[name] for name in names if name in _ROWS), None)
    if row is None:
        raise DomainError("passage", passage, f"a closed form: one of {', '.join(_ROWS)}")
    return row(passage)


def _all(passage: PassageTime, condition: Any) -> bool:
    """Whether a condition holds for all elements; it must not for some only."""
    if np.any(condition) and not np.all(condition):
        raise DomainError("passage", passage, "elements of the same formula")
    return bool(np.all(condition))


def _infinite() -> sp.Expr:
    return sp.oo


def _squared_cv(mean: Callable[[], sp.Expr], variance: Callable[[], sp.Expr]) -> sp.Expr:
    return variance() / mean() ** 2


def _drift_diffusion(T: Any) -> Forms:
    gap = np.subtract(T.target, T.start)
    values = {
        symbols.distance: np.abs(gap),
        symbols.velocity: np.sign(gap) * T.process.drift,
        symbols.diffusivity: T.process.diffusivity,
    }
    made = drift_diffusion.log_laplace_transform()
    return Forms(made, values, drift_diffusion.mean, drift_diffusion.squared_cv, expands=True)


def _interval_values(T: Any) -> dict[sp.Symbol, Any]:
    return {
        symbols.below: np.subtract(T.start, T.target[0]),
        symbols.above: np.subtract(T.target[1], T.start),
        symbols.drift: T.process.drift,
        symbols.diffusivity: T.process.diffusivity,
    }


def _interval(T: Any) -> Forms:
    values = _interval_values(T)
    if _all(T, np.equal(T.process.drift, 0.0)):
        del values[symbols.drift]
        mean, spread = interval.driftless_mean, interval.driftless_squared_cv
        return Forms(sp.log(interval.driftless_transform()), values, mean, spread)
    return Forms(sp.log(interval.laplace_transform()), values, interval.mean, smooth=True)


def _side(T: Any) -> Forms:
    if type(T.whole).__name__ != "IntervalPassage":
        raise DomainError("passage", T, "a side of the interval of DriftDiffusion")
    values = _interval_values(T.whole)
    lower = T.name == "lower"
    transform = interval.laplace_lower() if lower else interval.laplace_upper()
    if type(T).__name__ == "OneSide":
        return Forms(sp.log(transform), values, _infinite, _infinite)
    chance = interval.splitting_lower()
    made = sp.log(transform / (chance if lower else 1 - chance))
    return Forms(made, values, interval.conditional_mean_lower if lower else None, smooth=True)


def _wall(T: Any) -> Forms:
    gap = np.subtract(T.target, T.start)
    values = {
        symbols.distance: np.abs(gap),
        symbols.behind: np.abs(np.subtract(T.start, T.wall)),
        symbols.velocity: np.sign(gap) * T.process.drift,
        symbols.diffusivity: T.process.diffusivity,
    }
    if _all(T, np.equal(T.process.drift, 0.0)):
        del values[symbols.velocity]
        mean, spread = wall.driftless_mean, wall.driftless_squared_cv
        return Forms(sp.log(wall.driftless_transform()), values, mean, spread)
    spread = partial(_squared_cv, wall.mean, wall.variance)
    return Forms(sp.log(wall.laplace_transform()), values, wall.mean, spread, smooth=True)


def _ornstein_uhlenbeck(T: Any) -> Forms:
    k, D = T.process.stiffness, T.process.diffusivity
    spread = np.sqrt(np.divide(k, D))
    start, end = (np.subtract(x, T.process.center) * spread for x in (T.start, T.target))
    turn = np.where(np.less(start, end), 1.0, -1.0)
    module = ornstein_uhlenbeck
    values = {module.stiffness: k, module.start: turn * start, module.target: turn * end}
    cv = partial(_squared_cv, module.mean, module.variance)
    return Forms(module.log_laplace_transform(), values, module.mean, cv)


def _bessel(T: Any) -> Forms:
    values = {
        bessel.dimension: T.process.dimension,
        bessel.start: T.start,
        bessel.target: T.target,
        symbols.diffusivity: T.process.diffusivity,
    }
    if _all(T, np.less(T.start, T.target)):
        return Forms(sp.log(bessel.inside()), values, bessel.mean, bessel.squared_cv_inside)
    d = T.process.dimension
    origin = _all(T, np.equal(T.target, 0.0))
    transform = bessel.to_origin() if origin else bessel.outside()
    if origin:
        del values[bessel.target]

    def there(made: sp.Expr) -> sp.Expr:
        return made.subs(bessel.target, 0) if origin else made

    def mean() -> sp.Expr:
        return there(bessel.mean())

    def spread() -> sp.Expr:
        return there(bessel.variance()) / mean() ** 2

    finite = _all(T, np.less(d, 0.0)), _all(T, np.less(d, -2.0))
    return Forms(
        sp.log(transform), values, mean if finite[0] else _infinite,
        spread if finite[1] else _infinite,
    )  # fmt: skip


def _linear_trap(T: Any) -> Forms:
    side = np.sign(T.target)
    values = {
        linear_trap.slope: T.process.slope,
        linear_trap.target: np.abs(T.target),
        linear_trap.start: side * T.start,
        symbols.diffusivity: T.process.diffusivity,
    }
    above = _all(T, side * T.start >= 0)
    made = sp.log(linear_trap.laplace_transform(above))
    if not _all(T, np.greater(T.process.slope, 0.0)):
        return Forms(made, values, _infinite, _infinite)
    mean, variance = partial(linear_trap.mean, above), partial(linear_trap.variance, above)
    return Forms(made, values, mean, partial(_squared_cv, mean, variance), smooth=True)


def _heading(T: Any, toward: Any) -> str:
    """The word for the direction of the first run; ``toward`` is the sign that leads there."""
    heading = np.asarray(T.process.heading)
    if _all(T, heading == 0):
        return "either"
    return "toward" if _all(T, heading == toward) else "away"


def _telegraph_values(T: Any) -> dict[sp.Symbol, Any]:
    return {telegraph.speed: T.process.speed, telegraph.flip_rate: T.process.flip_rate}


def _telegraph(T: Any) -> Forms:
    gap = np.subtract(T.target, T.start)
    values = {symbols.distance: np.abs(gap), **_telegraph_values(T)}
    transform = telegraph.laplace_transform(_heading(T, np.sign(gap)))
    return Forms(sp.log(transform), values, _infinite, _infinite)


def _telegraph_exit(T: Any) -> Forms:
    low, high = T.target
    values = {
        telegraph.x: np.subtract(T.start, low),
        telegraph.y: np.subtract(high, T.start),
        **_telegraph_values(T),
    }
    heading = _heading(T, -1.0)
    other = {"either": "either", "toward": "away", "away": "toward"}[heading]
    mirror = {telegraph.x: telegraph.y, telegraph.y: telegraph.x}
    upper = telegraph.lower_exit(other).subs(mirror, simultaneous=True)
    mean = partial(telegraph.exit_mean, heading)
    spread = partial(_squared_cv, mean, partial(telegraph.exit_variance, heading))
    return Forms(sp.log(telegraph.lower_exit(heading) + upper), values, mean, spread)


_ROWS: dict[str, Callable[[Any], Forms]] = {
    "DriftDiffusionPassage": _drift_diffusion,
    "IntervalPassage": _interval,
    "OneSide": _side,
    "Given": _side,
    "WallPassage": _wall,
    "OrnsteinUhlenbeckPassage": _ornstein_uhlenbeck,
    "BesselPassage": _bessel,
    "LinearTrapPassage": _linear_trap,
    "TelegraphPassage": _telegraph,
    "TelegraphExit": _telegraph_exit,
}
"""One row a closed form: the class of the passage time."""
