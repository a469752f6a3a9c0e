"""The law of a smooth passage time, inverted from its transform once and kept as polynomials.

A quadrature against a waiting time asks for the density at thousands of times, each of which would
take an inversion of its own. Here the density is inverted at the nodes of panels in log time that
are halved until polynomials hold it, with relative accuracy also where it is tiny.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from resetsgd.domain import Array
from resetsgd.errors import NotConverged
from resetsgd.passage.contour import decade
from resetsgd.passage.legendre_panels import series, tools
from resetsgd.passage.trials import turned

if TYPE_CHECKING:
    from resetsgd.passage.base import PassageTime

__all__ = ["Inversions", "LawTable", "tabulated"]

_EPS = float(np.finfo(np.float64).eps)
_LEAST = -500.0
"""Logarithm of time times density from which on an early density is followed."""
_SADDLE = 4.0
"""Saddle point times time above which an inversion goes through it."""
_POINTS = 18
_NOISE = 1e-13
"""Error on the hyperbola, in units of what the transform lacks there; see the tests."""
_WIDEST = 1.5
"""Width of the first panels, in log time."""
_MOST_PANELS = 800
_PROMISE = 5e-11
"""Relative error allowed in the mass; the mean, which is known, may be ten times as far off."""
_SHARPEST = 1e-5
"""Width over mean below which no inversion resolves a law."""
_MOST_TIMES = 12_000
"""Times that one question may ask of a law without a table, an inversion for each."""
_UNITS = 280.0
"""Decades from one of a time scale beyond which an inversion has no digits."""


def tabulated(free: PassageTime) -> Any:
    """A passage time's table if its density is inverted, or what counts its inversions; or itself.

    Itself where the density is known without an inversion, or for an array of parameters.
    """
    from resetsgd.passage.front_table import front_table
    from resetsgd.passage.fronts import Fronted
    from resetsgd.passage.waiting import is_inverted

    if isinstance(free, Fronted):
        return front_table(free)
    if free.shape or not free.smooth or not is_inverted(free):
        return free
    if "_law_table" not in free.__dict__:
        try:
            free.__dict__["_law_table"] = LawTable(free)
        except NotConverged:
            free.__dict__["_law_table"] = None
    known = free.__dict__["_law_table"]
    return Inversions(free) if known is None else known


class Inversions:
    """A law that no table holds, an inversion for each time, for so many times.

    Parameters
    ----------
    free : PassageTime
        Of scalar parameters.
    """

    def __init__(self, free: PassageTime) -> None:
        self.free, self._left = free, _MOST_TIMES

    def within_reach(self, last: float) -> None:
        """Refuse what no inversion resolves, given a time by which every trial is over.

        Raises
        ------
        NotConverged
            If the time scale, or the chance to arrive by then, is beyond float64.
        """
        scale = float(np.asarray(self.free.timescale()))
        if not abs(np.log10(scale)) < _UNITS:
            raise NotConverged(f"a time scale of {scale:.3g}: change the unit of time")
        if 0 < last < 1e300:
            # P(T < t) is at most e E[exp(-T/t)]
            chance = 1.0 + float(np.real(self.free._log_laplace(np.asarray(1.0 / last))))
            if chance < -680.0:
                raise NotConverged(
                    f"the chance to arrive in a trial, at most exp({chance:.6g}), is beyond float64"
                )

    def _count(self, t: Any) -> None:
        self._left -= int(np.size(t))
        if self._left < 0:
            raise NotConverged(
                "the law is too steep or too rough for a table, and not resolved by"
                f" {_MOST_TIMES} inversions"
            )

    def _density(self, t: Any) -> Any:
        """Density at positive times."""
        self._count(t)
        return self.free._density(t)

    def _survival(self, t: Any) -> Any:
        """P(T > t) at positive times."""
        self._count(t)
        return self.free._survival(t)


class LawTable:
    """Density and survival of one passage time, in polynomials of log time.

    Parameters
    ----------
    free : PassageTime
        Of scalar parameters, with a density and a transform analytic off the negative real axis.

    Raises
    ------
    NotConverged
        If the panels do not resolve the density, or it does not add up to the chance to arrive and
        to the mean.

    Notes
    -----
    Early, the contour is the parabola through the saddle point of exp(st) E[exp(-sT)], the path of
    steepest descent of a diffusion, which keeps relative accuracy down to densities of 1e-220;
    later it is a hyperbola that the times of a decade share. Where the density lies more than about
    1e-13 below its height it is zero, unless it falls as a power of time, which is continued.
    """

    def __init__(self, free: PassageTime) -> None:
        self.free = free
        self._log_arrive = float(np.real(free._log_laplace(np.zeros(()))))
        self.arrive = float(np.exp(self._log_arrive))
        self._decades: dict[int, tuple[Array, Array, float]] = {}
        if not self.arrive > 0:
            raise NotConverged("it never arrives in float64")
        with np.errstate(all="ignore"):
            mean, std = float(np.asarray(free.mean())), float(np.asarray(free.std()))
            if np.isfinite(mean) and std < _SHARPEST * mean:
                raise NotConverged("the law is too steep to be tabulated")
            self._saddles()
            self._panels()
            self._integrate()

    # Inversion -------------------------------------------------------------------------------

    def _saddles(self) -> None:
        """Saddle points against time, and the range of times with a density in float64."""
        scale = float(np.asarray(self.free.timescale()))
        logs = np.arange(-12.0, 160.0, 0.5) - np.log(scale)
        rates = np.exp(logs[logs < 690.0])
        level, rise = (np.asarray(part) for part in turned(self.free, rates))
        level = level + self._log_arrive  # of a law that is sure to arrive
        usable = np.isfinite(level) & np.isfinite(rise) & (rise > 0)
        gone = np.flatnonzero(~usable | (rise - level < _LEAST))
        last = gone[0] + 1 if gone.size else len(rates)
        if last < 4 or not usable[: last - 1].all():
            raise NotConverged("the transform of this passage time is not resolved")
        last -= int(not usable[last - 1])
        log_t = np.log(rise[:last] / rates[:last])
        self._log_saddle = np.log(rates[:last])[::-1]
        self._log_time = np.maximum.accumulate(log_t[::-1])
        self.low = float(self._log_time[0])
        # P(t < T < inf) (1 - 1/e) is at most what the transform lacks at 1/t
        high = np.arange(0.0, 600.0, 1.0) + np.log(scale)
        high = high[high < 600.0]
        missing = -np.expm1(np.real(self.free._log_laplace(np.exp(-high))) - self._log_arrive)
        over = np.flatnonzero(missing < 0.1 * _EPS)
        self.high = float(high[over[0]] if over.size else high[-1])

    def _inverted(self, x: Array) -> tuple[Array, Array]:
        """Time times density at log times, and its noise."""
        value, noise = np.empty(x.shape), np.empty(x.shape)
        saddle = np.exp(np.interp(x, self._log_time, self._log_saddle) + x)
        early = (saddle > _SADDLE) & (x < self._log_time[-1])
        value[early], noise[early] = self._early(x[early], saddle[early])
        value[~early], noise[~early] = self._late(x[~early])
        return value, noise

    def _early(self, x: Array, saddle: Array) -> tuple[Array, Array]:
        """Through the saddle point; ``saddle`` is its s times t."""
        step = np.minimum(3.0 / 16.0, 0.5 / np.sqrt(saddle))[:, None]
        u = (np.arange(_POINTS) + 0.5) * step
        path = 1.0 + 1j * u
        st = saddle[:, None] * path**2
        log_f = np.asarray(self.free._log_laplace(st * np.exp(-x)[:, None]))
        terms = np.exp(st + log_f) * path * (2.0 / np.pi * step * saddle[:, None])
        size = 8.0 + 2.0 * saddle + 2.0 * np.abs(log_f[:, 0])
        return np.sum(terms.real, axis=1), _EPS * size * np.sum(np.abs(terms), axis=1)

    def _late(self, x: Array) -> tuple[Array, Array]:
        """By hyperbolas; the chance to arrive, a spike at time 0, is taken off the transform."""
        value, noise = np.empty(x.shape), np.empty(x.shape)
        index = np.ceil(x / np.log(10.0)).astype(np.int64)
        for k in np.unique(index):
            if k not in self._decades:
                end = 10.0 ** float(k)
                nodes, weights = decade()
                s = nodes / end
                log_f = np.asarray(self.free._log_laplace(s)) - self._log_arrive
                lacks = self.arrive * np.expm1(log_f)
                self._decades[k] = s, lacks * weights / end, float(np.abs(lacks[0]))
            s, terms, size = self._decades[k]
            here = np.flatnonzero(index == k)
            t = np.exp(x[here])
            value[here] = t * (np.exp(t[:, None] * s) @ terms).real
            # the transform lacks at most this much at 1/t
            noise[here] = _NOISE * np.minimum(self.arrive, size * (10.0 ** float(k) / t))
            noise[here] -= 8.0 * _EPS * self.arrive * self._log_arrive
        return value, noise

    # Panels ----------------------------------------------------------------------------------

    def _panels(self) -> None:
        nodes, to_coefficients, _ = tools()
        count = max(int(np.ceil((self.high - self.low) / _WIDEST)), 4)
        edges = np.linspace(self.low, self.high, count + 1)
        low, high = edges[:-1], edges[1:]
        found = []
        made = 0
        for _ in range(30):
            half = 0.5 * (high - low)
            x = 0.5 * (low + high) + half * nodes[:, None]
            flat, rough = self._inverted(x.ravel())
            value, noise = flat.reshape(x.shape), rough.reshape(x.shape)
            top = np.max(np.abs(value), axis=0)
            plain = to_coefficients @ value
            last = np.max(np.abs(plain[-2:]), axis=0)
            fine = last <= np.maximum(1e-14 * top, 2.0 * noise.max(axis=0))
            clear = np.all(value > 1e3 * noise, axis=0)
            logs = to_coefficients @ np.log(np.where(clear, value, 1.0))
            exact = np.maximum(1e-12, np.max(2.0 * noise / np.where(clear, value, 1.0), axis=0))
            steep = np.ptp(np.log(np.where(clear, value, 1.0)), axis=0) > 2.0
            straight = np.max(np.abs(logs[-2:]), axis=0) <= exact
            # relative digits where the density varies much, and enough for its integral
            whole = last <= 1e-15 * self.arrive + 1e-13 * top
            done = np.where(clear & steep, straight & whole, fine | (straight & whole))
            done |= np.all(np.abs(value) <= noise, axis=0) | (half < 1e-7)
            use_log = clear & straight
            coefficients = np.where(use_log, logs, plain)
            nothing = np.all(np.abs(value) <= noise, axis=0)
            coefficients[:, nothing] = 0.0
            value = np.where(nothing, 0.0, value)
            found.append(
                (low[done], high[done], coefficients[:, done], use_log[done], value[:, done])
            )
            made += int(done.sum())
            low, high = low[~done], high[~done]
            if not low.size:
                break
            middle = 0.5 * (low + high)
            low, high = np.concatenate([low, middle]), np.concatenate([middle, high])
            if made + low.size > _MOST_PANELS:
                raise NotConverged("the density is too rough to be tabulated")
        else:
            raise NotConverged("the density is too steep to be tabulated")
        lows = np.concatenate([part[0] for part in found])
        order = np.argsort(lows)
        self.edges = np.append(lows[order], max(part[1].max(initial=-np.inf) for part in found))
        self.coefficients = np.concatenate([part[2].T for part in found])[order]
        self.logarithmic = np.concatenate([part[3] for part in found])[order]
        self._values = np.concatenate([part[4].T for part in found])[order]

    def _integrate(self) -> None:
        """Survival by panels, the tail beyond them, and what that says of the error."""
        nodes, to_coefficients, integral = tools()
        half = 0.5 * np.diff(self.edges)
        plain = self._values @ to_coefficients.T
        self.partial = half[:, None] * (plain @ integral.T)
        areas = self.partial.sum(axis=1)
        # beyond the last panel: a power of time, or nothing
        value, noise = self._inverted(self.edges[-1] - np.array([2.0, 1.0, 0.0]))
        self.fall, self.rest = np.inf, 0.0
        if np.all(value > 1e3 * noise):
            falls = -np.diff(np.log(value))
            if abs(falls[1] - falls[0]) < 1e-6 and falls[1] > 1e-3:
                self.fall, self.rest = float(falls[1]), float(value[2])
            elif value[2] > _PROMISE * self.arrive:
                raise NotConverged("the tail of the density falls neither fast nor as a power")
        tail = self.rest / self.fall if self.rest > 0 else 0.0
        # P(t < T < inf) at the left end of each panel
        self.later = np.append(np.cumsum(areas[::-1])[::-1], 0.0) + tail
        alive = np.flatnonzero(np.any(self._values != 0, axis=1) & (self.later[:-1] > 1e-17))
        self.over = float(self.edges[alive[-1] + 1]) if alive.size else self.high
        """Log time by which all have come that ever do, within float64."""
        self.never = 1.0 - self.arrive if self._log_arrive < 0 else 0.0
        self.error = abs(self.later[0] / self.arrive - 1.0)
        mean = float(np.asarray(self.free.mean()))
        if np.isfinite(mean):
            weights = to_coefficients[0]  # of Gauss' rule, for an average
            t = np.exp(0.5 * (self.edges[1:] + self.edges[:-1])[:, None] + half[:, None] * nodes)
            got = float(np.sum(2.0 * half * ((self._values * t) @ weights)))
            if self.rest == 0:
                self.error = max(self.error, 0.1 * abs(got / mean - 1.0))
        if not self.error < _PROMISE:
            raise NotConverged(
                f"the density adds up to the chance to arrive only within {self.error:.1g}"
            )

    # Answers ---------------------------------------------------------------------------------

    def _locate(self, t: Any) -> tuple[Any, Any, Any]:
        x = np.log(np.maximum(t, 1e-300))
        place = np.clip(np.searchsorted(self.edges, x) - 1, 0, len(self.edges) - 2)
        low, high = self.edges[place], self.edges[place + 1]
        return x, place, np.clip((2.0 * x - low - high) / (high - low), -1.0, 1.0)

    def _density(self, t: Any) -> Any:
        """Density at positive times."""
        x, place, local = self._locate(t)
        value = series(self.coefficients, place, local)
        value = np.where(self.logarithmic[place], np.exp(value), np.maximum(value, 0.0))
        beyond = x > self.edges[-1]
        if np.any(beyond):
            far = self.rest * np.exp(-self.fall * (x - self.edges[-1])) if self.rest else 0.0
            value = np.where(beyond, far, value)
        return np.where(x < self.edges[0], 0.0, value) / t

    def _survival(self, t: Any) -> Any:
        """P(T > t) at positive times."""
        x, place, local = self._locate(t)
        value = self.later[place] - series(self.partial, place, local)
        beyond = x > self.edges[-1]
        if np.any(beyond):
            far = (
                self.rest / self.fall * np.exp(-self.fall * (x - self.edges[-1]))
                if self.rest
                else 0.0
            )
            value = np.where(beyond, far, value)
        value = np.where(x < self.edges[0], self.arrive, np.maximum(value, 0.0))
        return value + self.never
