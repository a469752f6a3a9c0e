"""Where resetting starts to pay, as parameters of the process move."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy.optimize import brentq

from resetsgd import domain
from resetsgd.citations import bibtex
from resetsgd.domain import Array
from resetsgd.errors import DomainError, NotConverged
from resetsgd.passage.base import PassageTime
from resetsgd.passage.optimum import Optimum
from resetsgd.protocols import Poisson, Protocol

__all__ = ["Landau", "Transition", "critical", "landau", "of_shape", "protocol_class", "together"]


@dataclass(frozen=True)
class Landau:
    """Coefficients of the mean in powers of a small rate of Poisson resetting.

    mean(r) = zeroth + first r + second r² + ...: resetting pays at small rates if ``first`` < 0;
    where it vanishes the transition is continuous if ``second`` > 0, of first order if < 0, and
    tricritical if it vanishes as well. The Landau expansion of phase transitions, with the rate as
    the order parameter.

    Attributes
    ----------
    zeroth, first, second : float
        T1 (time), T1² - T2/2 + c T1 (time²), T1³ - T1 T2 + T3/6 + c (T1² - T2/2) (time³), with the
        moments T1, T2, T3 of the reset-free time and the mean overhead c; ``inf`` or ``-inf`` where
        a moment is infinite.
    """

    zeroth: float
    first: float
    second: float
    sources: ClassVar[tuple[str, ...]] = ("pal2019landau",)
    """Keys of ``resetsgd.citations``: where the formulas come from."""

    def cite(self) -> str:
        """BibTeX of the work that the formulas come from."""
        return bibtex(self.sources)

    @property
    def rate(self) -> float:
        """The rate at the minimum of the expansion; 0 or ``inf`` where it has none inside."""
        if self.first >= 0:
            return 0.0
        return -self.first / (2.0 * self.second) if self.second > 0 else np.inf


def landau(passage: PassageTime, overhead: float = 0.0) -> Landau:
    """Landau expansion of the mean in a small rate.

    Parameters
    ----------
    passage : PassageTime
        Of scalar parameters; with a finite mean.
    overhead : float, default 0
        Mean time lost at each reset.

    Returns
    -------
    Landau

    Raises
    ------
    DomainError
        If the mean is infinite.
    NotConverged
        If the third moment cannot be told from an infinite one.

    Notes
    -----
    **Source**: Pal and Prasad, Phys. Rev. Research 1, 032001 (2019); derived in
    ``theory/09_transitions.py``.

    Examples
    --------
    >>> import resetsgd as rs
    >>> T = rs.first_passage(rs.DriftDiffusion(drift=-2.0, diffusivity=1.0), start=1.0, target=0.0)
    >>> [round(value, 9) + 0.0 for value in (landau(T).zeroth, landau(T).first, landau(T).second)]
    [0.5, 0.0, 0.020833333]
    """
    mean = float(np.asarray(passage.mean()))
    if not np.isfinite(mean):
        raise DomainError("passage", passage, "of finite mean, for an expansion in the rate")
    cv = float(np.asarray(passage.cv()))
    if np.isinf(cv):
        return Landau(mean, -np.inf, np.inf)
    plain = 0.5 * mean * mean * (1.0 - cv) * (1.0 + cv)
    second = float(np.asarray(passage.moment(3))) / 6.0 - mean * (cv * mean) ** 2
    return Landau(mean, plain + overhead * mean, second + overhead * plain)


@dataclass(frozen=True)
class Transition:
    """A value of the parameter at which resetting starts or ceases to pay.

    Attributes
    ----------
    at : float
        The value of the parameter.
    order : {"continuous", "first-order"}
        Whether the optimal frequency of resetting vanishes there or jumps to zero.
    pays : {"below", "above"}
        The side on which resetting pays.
    mean : float
        Reset-free mean there; both optima have it.
    jump : float
        Optimal value of the protocol's parameter on the paying side of a first-order transition;
        at a continuous one the value of never resetting.
    landau : Landau or None
        Expansion in a small rate at the transition; None where the mean is infinite or the third
        moment does not exist numerically.
    """

    at: float
    order: str
    pays: str
    mean: float
    jump: float
    landau: Landau | None


def protocol_class(protocol: object) -> None:
    """Refuse what is not a protocol class."""
    if not (isinstance(protocol, type) and issubclass(protocol, Protocol)):
        raise DomainError("protocol", protocol, "a protocol class such as Poisson")


def of_shape(made: Any, shape: tuple[int, ...]) -> PassageTime:
    """The passage time, if it is one of this shape."""
    if not isinstance(made, PassageTime) or made.shape != shape:
        raise DomainError("build", made, f"a passage time of shape {shape} for arrays")
    return made


def together(asked: Callable[[], Any]) -> Any:
    """What is asked of arrays, or None where something on the way takes numbers only."""
    try:
        return asked()
    except (ValueError, TypeError, AttributeError, NotImplementedError, IndexError):
        return None


def critical(
    build: Callable[[float], PassageTime],
    low: float,
    high: float,
    *,
    protocol: type[Protocol] = Poisson,
    points: int | None = None,
    **settings: Any,
) -> list[Transition]:
    """Every value of one parameter at which resetting starts or ceases to pay.

    Parameters
    ----------
    build : callable
        From a value of the parameter to the reset-free passage time.
    low, high : float
        Range of the parameter.
    protocol : Protocol subclass, default Poisson
        Who resets.
    points : int, optional
        Values, equally spaced, at which the sign is looked at first (default 65 for ``Poisson`` and
        9 for other protocols, whose optima take longer); where rare resets are known to begin to
        pay between two of them a further one is looked at. A window narrower than their distance,
        and of first order at both ends, may be missed.
    **settings
        As in :meth:`PassageTime.best`, for example ``overhead=0.1``.

    Returns
    -------
    list of Transition
        In the order of the parameter: none, one, or several where resetting pays in windows.

    Raises
    ------
    DomainError
        If the range is empty or ``build`` does not give single passage times.

    Notes
    -----
    A first-order transition is solved as the equality of the two means. A continuous one of a
    protocol whose resets before t have a chance proportional to t^k when they are rare (``Poisson``
    and ``Uniform``, k = 1; ``Gamma``, its stages; ``Weibull``, its exponent; k a whole number below
    8) is where E[T^(k+1)] = (k + 1) E[T^k] (E[T] + overhead), which for k = 1 is CV = 1: relative
    accuracy about 1e-12, where the passage time has it. Of other protocols (``Sharp``, ``Pareto``)
    it is bisected on ``best.pays``, which sees a gain only beyond rounding and overlooks one that
    falls faster than any power: take these places as right to about 1e-3. **Source**: Pal and
    Prasad, Phys. Rev. Research 1, 032001 (2019), for k = 1; derived in
    ``theory/09_transitions.py``.

    Examples
    --------
    Where the drift toward the target makes resetting useless (Péclet number 1):

    >>> import resetsgd as rs
    >>> def build(speed):
    ...     return rs.first_passage(rs.DriftDiffusion(-speed, 1.0), start=1.0, target=0.0)
    >>> (found,) = critical(build, 0.1, 5.0)
    >>> round(found.at, 12), found.order, found.pays
    (2.0, 'continuous', 'below')
    """
    low, high = float(domain.finite("low", low)), float(domain.finite("high", high))
    if not low < high:
        raise DomainError("high", high, f"above low = {low}")
    line = _Line(build, low, high, protocol, settings)
    if points is None:
        points = 65 if issubclass(protocol, Poisson) else 9
    points = domain.integer("points", points, 2)
    places = list(np.linspace(low, high, points))
    bars = line.bars(np.asarray(places))
    for i in np.flatnonzero(np.sign(bars[:-1]) * np.sign(bars[1:]) < 0):
        places.append(line.crossing(places[i], places[i + 1]))
    # both sides of every crossing of the bar, for a window may begin and end between two points
    fine = np.linspace(low, high, (8 if line.order == 1.0 else 2) * (points - 1) + 1)
    bars = line.bars(fine)
    for i in np.flatnonzero(np.sign(bars[:-1]) * np.sign(bars[1:]) < 0):
        places += [fine[i], fine[i + 1]]
    places = sorted({float(x) for x in places})
    pays = [line.pays(x) for x in places]
    changes = [i for i in range(len(places) - 1) if pays[i] != pays[i + 1]]
    found = [line.transition(places[i], places[i + 1], bool(pays[i])) for i in changes]
    return sorted(found, key=lambda one: one.at)


class _Line:
    """Passage times along one parameter, under one protocol family."""

    def __init__(
        self,
        build: Callable[[float], PassageTime],
        low: float,
        high: float,
        protocol: type[Protocol],
        settings: dict[str, Any],
    ) -> None:
        protocol_class(protocol)
        self.build, self.protocol, self.settings = build, protocol, settings
        self.low, self.high = low, high
        lost = settings.get("overhead", 0.0)
        self.overhead = float(lost.mean() if hasattr(lost, "rvs") else lost)
        order = protocol.rare_order(**self._fixed())
        known = order is not None and order in range(1, 8) and "then" not in settings
        self.order = order if known else None

    def passage(self, x: float) -> PassageTime:
        made = self.build(x)
        if not isinstance(made, PassageTime) or made.shape:
            raise DomainError("build", made, "a function from a number to one passage time")
        return made

    def best(self, x: float) -> Optimum:
        return self.passage(x).best(self.protocol, **self.settings)

    def bar(self, x: float) -> float:
        """Positive where rare resets pay: for k = 1 it is CV² - 1 - 2 overhead/mean."""
        return float(self._bar(self.passage(x)))

    def _bar(self, made: PassageTime) -> Any:
        mean, cv = np.asarray(made.mean()), np.asarray(made.cv())
        with np.errstate(all="ignore"):
            if self.order is None or self.order == 1.0:
                value = (cv - 1.0) * (cv + 1.0) - 2.0 * self.overhead / mean
            else:
                k = int(self.order)
                high, low = np.asarray(made.moment(k + 1)), np.asarray(made.moment(k))
                value = high / low / mean / (k + 1) - 1.0 - self.overhead / mean
        return np.where(np.isfinite(mean) & np.isfinite(cv), value, np.inf)

    def pays(self, x: float) -> bool:
        """Whether resetting pays: rare resets if they are known to, else the best."""
        if self.order is not None:
            bar = self.bar(x)
            if np.isfinite(bar) and bar > 1e-9:
                return True
        return bool(self.best(x).pays)

    def bars(self, x: Array) -> Array:
        """Bars of many values: at once where ``build`` takes arrays, else one by one."""
        bars = together(lambda: self._bar(of_shape(self.build(x), x.shape)))  # type: ignore[arg-type]
        if bars is not None:
            return np.asarray(bars, dtype=np.float64)
        return np.array([self.bar(float(value)) for value in x])

    def crossing(self, low: float, high: float) -> float:
        """Where the bar is crossed."""
        if not (np.isfinite(self.bar(low)) and np.isfinite(self.bar(high))):
            return 0.5 * (low + high)
        return float(brentq(self.bar, low, high, xtol=1e-300, rtol=8.9e-16))

    def gap(self, x: float) -> float:
        """Log of the best interior mean over the reset-free one; NaN without a local minimum."""
        best = self.best(x)
        if best.kind == "interior" and best.first_order:
            least = best.mean
        elif best.others and not best.pays:
            least = best.others[0][1]
        else:
            return np.nan
        return float(np.log(least) - np.log(best.reset_free_mean))

    def transition(self, low: float, high: float, below: bool) -> Transition:
        a, b = self._bracket(low, high, below)
        for _ in range(200):
            middle = 0.5 * (a + b)
            if not a < middle < b or b - a <= 1e-6 * max(abs(a), abs(b)):
                break
            a, b = (middle, b) if self.pays(middle) == below else (a, middle)
        inside = a if below else b
        optimum = self.best(inside)
        if optimum.first_order:
            at = self._solved(self.gap, a, b)
            order, jump = "first-order", float(self._jump(at, optimum))
        else:
            order = "continuous"
            jump = float(self.protocol.at_frequency(0.0, **self._fixed()).value)
            wide = max(b - a, 1e-5 * max(abs(a), abs(b)))
            # beyond the two places: one of them may be the crossing itself
            ends = max(a - wide, self.low), min(b + wide, self.high)
            at = np.nan
            if self.order is not None:
                at = self._solved(self.bar, *ends)
        if np.isnan(at):
            at = self._bisected(a, b, below)
        free = self.passage(at)
        try:
            expansion = landau(free, self.overhead)
        except (DomainError, NotConverged):
            expansion = None
        mean = float(np.asarray(free.mean()))
        return Transition(at, order, "below" if below else "above", mean, jump, expansion)

    def _bracket(self, low: float, high: float, below: bool) -> tuple[float, float]:
        """Narrowed to the place where rare resets begin to pay, if frequent ones do not before."""
        bars = self.bar(low), self.bar(high)
        if self.order is None or not np.isfinite(bars).all() or bars[0] * bars[1] >= 0:
            return low, high
        if (bars[0] > 0) != below:
            return low, high
        place = self.crossing(low, high)
        near = 1e-6 * max(abs(low), abs(high))
        outside = min(place + near, high) if below else max(place - near, low)
        if self.best(outside).pays:
            return low, high
        inside = max(place - near, low) if below else min(place + near, high)
        return (inside, outside) if below else (outside, inside)

    def _fixed(self) -> dict[str, Any]:
        return {k: v for k, v in self.settings.items() if not isinstance(v, tuple) and k != "then"}

    def _solved(self, function: Callable[[float], float], a: float, b: float) -> float:
        ends = function(a), function(b)
        if not np.isfinite(ends).all() or ends[0] * ends[1] > 0:
            return np.nan
        return float(brentq(function, a, b, xtol=1e-300, rtol=8.9e-16))

    def _bisected(self, a: float, b: float, below: bool) -> float:
        for _ in range(60):
            middle = 0.5 * (a + b)
            if not a < middle < b or b - a <= 1e-12 * max(abs(a), abs(b)):
                break
            a, b = (middle, b) if self.pays(middle) == below else (a, middle)
        return 0.5 * (a + b)

    def _jump(self, at: float, optimum: Optimum) -> Any:
        """The optimal parameter right at the transition, chosen there or not."""
        found = self.best(at)
        if found.pays and found.first_order:
            return found.protocol.value
        return found.others[0][0] if found.others else optimum.protocol.value
