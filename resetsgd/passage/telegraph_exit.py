"""First passage of a run-and-tumble walker out of an interval.

Every transform is a geometric series of the images of :mod:`resetsgd.passage.telegraph`, one more
pair for each crossing of the interval. Derived in ``theory/07_telegraph.py``.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from resetsgd import domain
from resetsgd.domain import QUIET, Array, Real, RealLike
from resetsgd.errors import DomainError
from resetsgd.passage.arrangements import log1p, sinh_excess
from resetsgd.passage.inversion import invert
from resetsgd.passage.placed import Placed
from resetsgd.passage.sided import InverseTable, Sided, Splitting
from resetsgd.passage.telegraph import Run, after, image_cdf, image_density
from resetsgd.processes import Telegraph

__all__ = ["TelegraphExit"]

_FLIPS = 40.0
"""Flips after which the fronts inside an interval have died out, exp(-40)."""


class TelegraphExit(Placed, Run, Sided):
    r"""First passage of :class:`~resetsgd.Telegraph` out of an interval.

    With l the width, x the distance from the lower end and :math:`c = -\ln A`, the transform at
    the lower end is :math:`\sinh(k(l-x) + c)/\sinh(kl + c)` for a first run toward it and
    :math:`\sinh(k(l-x))/\sinh(kl + c)` for one away from it; the upper end is its mirror image.

    Parameters
    ----------
    process : Telegraph
        What moves.
    start : float or array
        Position, length, inside the interval.
    target : tuple of two
        The ends (low, high) of the interval.

    Raises
    ------
    DomainError
        If the start is not inside the interval.

    Notes
    -----
    The walkers that never flipped arrive at either end at one time: two atoms, which ``density``
    leaves out. Survival and density are sums of images up to 40 flips, with an absolute error of
    about 1e-14 and 1e-14 flip rates, then come from the transform, with about 1e-12.

    **Source**: M. R. Evans and S. N. Majumdar, J. Phys. A 51, 475003 (2018), for the half line.
    Derived in ``theory/07_telegraph.py``.

    Examples
    --------
    >>> import resetsgd as rs
    >>> run = rs.Telegraph(speed=1.0, flip_rate=1.0)
    >>> T = rs.first_passage(run, start=0.25, target=(0.0, 1.0))
    >>> T.mean(), T.splitting().lower
    (0.6875, 0.625)
    """

    def __init__(self, process: Telegraph, start: RealLike, target: Any) -> None:
        place = np.asarray(start, dtype=np.float64)
        low, high = (np.asarray(end, dtype=np.float64) for end in target)
        self._shape = domain.broadcast(
            speed=process.speed,
            flip_rate=process.flip_rate,
            heading=process.heading,
            start=place,
            low=low,
            high=high,
        )
        if np.isinf(high - low).any():
            raise DomainError("target", target, "an interval of finite width in float64")
        self._take(process)
        self.start, self.target = domain.plain(place), target
        # ballistic times to the lower end, the upper end, and across
        with np.errstate(over="ignore"):
            self._down, self._up = (place - low) / self._v, (high - place) / self._v
            self._across = (high - low) / self._v

    # Transform -------------------------------------------------------------------------------

    @QUIET
    def _log_laplace(self, s: Any) -> Any:
        wave, c = self._wave(s)
        down, up = self._down * wave, self._up * wave
        # f = cosh((q - p)/2)/cosh((q + p)/2) after a first run to the right or left
        right, left = _log_exit(down + c, up, 0.0), _log_exit(down, up + c, 0.0)
        # and cosh((up - down)/2) cosh(c/2)/cosh((up + down + c)/2) after either
        both = _log_exit(down, up, -np.tanh(0.5 * c) * np.expm1(-down - up))
        value = np.where(self._right == 1, right, np.where(self._right == 0, left, both))
        return np.where(s == 0, 0.0, value)

    @QUIET
    def _log_laplace_side(self, side: str, s: Any) -> Any:
        s = np.where(
            s == 0, np.maximum(1e-280 * self._gamma, 1e-300), s
        )  # ratios of vanishing sines
        wave, c = self._wave(s)
        near, toward = (
            (self._down, 1.0 - self._right) if side == "lower" else (self._up, self._right)
        )
        far = (self._up if side == "lower" else self._down) * wave
        near = near * wave
        whole = near + far + c
        pieces = (
            _sine_ratio(near, far + c, whole),
            _sine_ratio(near + c, far, whole),
            _sine_ratio(near + 0.5 * c, far + 0.5 * c, whole) + log1p(2.0 * np.sinh(0.25 * c) ** 2),
        )
        return np.where(toward == 1, pieces[0], np.where(toward == 0, pieces[1], pieces[2]))

    def _chances(self, side: str) -> tuple[Any, Any]:
        """Probabilities to leave at a side and not to."""
        near, toward = (
            (self._down, 1.0 - self._right) if side == "lower" else (self._up, self._right)
        )
        far = self._up if side == "lower" else self._down
        whole = self._gamma * self._across + 1.0
        chance = (self._gamma * far + toward) / whole
        missed = (self._gamma * near + (1.0 - toward)) / whole
        shape = self._shape
        return np.broadcast_to(chance, shape), np.broadcast_to(missed, shape)

    @QUIET
    def splitting(self) -> Splitting:
        """Probabilities to leave at either end."""
        return Splitting(*(domain.plain(self._chances(side)[0]) for side in ("lower", "upper")))

    @QUIET
    def _log_chance(self, side: str) -> Any:
        chance, missed = self._chances(side)
        return np.where(missed < 0.5, np.log1p(-missed), np.log(chance))

    def _delay(self, side: str, s: Any) -> Any:
        """-d/ds log E[exp(-sT); side], in sums that stay finite for s -> 0.

        The transform is sinh(z)/sinh(Z), z = m k + e c and Z = l k + c in units of the speed, and
        d log sinh(z)/ds = [m/(s + 2 gamma) + e X]/zeta + (m (s + gamma) + e) zeta H(z) apart from
        1/(s (s + 2 gamma)), zeta = z/k, H = (z coth z - 1)/z², X = (1 - c/sinh c)/k².
        """
        gamma = self._gamma
        near, toward = (
            (self._down, 1.0 - self._right) if side == "lower" else (self._up, self._right)
        )
        c = self._wave(s)[1]
        sine = np.sinh(c)
        some = c > 1e-4
        safe = np.where(some, c, 1.0)
        x = np.where(some, sinh_excess(safe) / np.sinh(safe) ** 3, 1.0 / 6.0) / gamma**2
        rate = np.where(some, safe / np.sinh(safe), 1.0) / gamma  # c/k

        def slope(m: Any, e: Any) -> Any:
            zeta = m + e * rate
            z = zeta * gamma * sine
            return (m / (s + 2.0 * gamma) + e * x) / zeta + (m * (s + gamma) + e) * zeta * _bend(z)

        value = slope(self._across, 1.0) - slope(self._across - near, toward)
        both = (toward > 0) & (toward < 1)
        value = value - np.where(both, 0.25 / gamma / np.cosh(0.5 * c) ** 2, 0.0)
        return np.fmax(value, near)  # nobody comes before the front

    # Moments ---------------------------------------------------------------------------------

    @QUIET
    def mean(self) -> Real:
        """Mean: gamma x (l - x)/v² and the mean ballistic time in the direction of heading."""
        ballistic = self._right * self._up + (1.0 - self._right) * self._down
        value = self._gamma * self._down * self._up + ballistic
        return domain.plain(np.broadcast_to(value, self._shape))

    @QUIET
    def log_mean(self) -> Real:
        """Logarithm of the mean."""
        return domain.plain(np.log(self.mean()))

    @QUIET
    def var(self) -> Real:
        """Variance, a sum of positive terms."""
        d, u = self._gamma * self._down, self._gamma * self._up
        right, left = (
            far * (near * (near * (near / 3.0 + 1.0) + far * far / 3.0) + far * far / 3.0)
            for near, far in ((d, u), (u, d))
        )
        both = 0.5 * (right + left) + 0.25 * (u - d) ** 2
        value = np.where(self._right == 1, right, np.where(self._right == 0, left, both))
        return domain.plain(np.broadcast_to(value / self._gamma / self._gamma, self._shape))

    # Under exponential resetting -------------------------------------------------------------

    def mean_exponential(self, rate: Any) -> Any:
        """Mean under exponential waiting times; one number of ordinary size in plain floats."""
        if type(rate) is float and not self._shape and 1e-100 < rate < 1e100:
            gamma, down, up = float(self._gamma), float(self._down), float(self._up)
            try:
                value = _mean_exit(gamma, down, up, float(self._right), rate)
            except OverflowError:
                value = math.inf
            if value < math.inf:
                return value
        return super().mean_exponential(rate)

    # Distribution ----------------------------------------------------------------------------

    def _images(self, side: str, crossings: int) -> Any:
        """(weight, n, tau) of the images at a side, those of so many crossings."""
        left, right = 1.0 - self._right, self._right
        if side == "upper":
            left, right = right, left
        near = self._down if side == "lower" else self._up
        for k in range(crossings // 2 + 1):
            first, second = 2 * k * self._across + near, 2 * (k + 1) * self._across - near
            yield left, 2 * k, first
            yield right, 2 * k + 1, first
            yield -right, 2 * k + 1, second
            yield -left, 2 * k + 2, second

    def _reach(self) -> tuple[Any, Any]:
        """Crossings that images have to cover, and whether anything is left after them."""
        flips = self._gamma * self._across
        few = -np.log(-np.expm1(-np.minimum(flips, 1.0)))
        with np.errstate(divide="ignore"):
            # by then all have crossed without a flip; for many flips that is never
            lost = _FLIPS / np.where(flips < 1.0, few, -np.log1p(-np.exp(-flips)))
        return np.minimum(_FLIPS / flips, lost), _FLIPS / flips < lost

    def _summed(self, function: Any, side: str, t: Array) -> Any:
        """Sum over images for t within reach, zero beyond."""
        shape = np.broadcast_shapes(t.shape, self._shape)
        reach = np.broadcast_to(self._reach()[0], shape)
        t, total = np.broadcast_to(t, shape), np.zeros(shape)
        within = t <= reach * self._across
        most = int(np.ceil(np.max(np.where(within, t / self._across, 0.0), initial=0.0)))
        gamma = np.broadcast_to(self._gamma, shape)
        for weight, n, tau in self._images(side, most + 1):
            weight, tau = np.broadcast_to(weight, shape), np.broadcast_to(tau, shape)
            here = within & (t >= tau) & (weight != 0)
            if here.any():
                total[here] += weight[here] * function(n, tau[here], gamma[here], t[here])
        return total

    def _past(self, t: Array) -> tuple[Any, Any]:
        """Where images do not reach, and where something is left to come there."""
        reach, left = self._reach()
        past = t > reach * self._across
        return past, past & left & np.isfinite(t)

    @QUIET
    def _cdf_side(self, side: str, t: Array) -> Any:
        """P(T <= t, exit at the side)."""
        t = np.broadcast_to(t, np.broadcast_shapes(t.shape, self._shape))
        chance = np.exp(self._log_chance(side))
        value = self._summed(image_cdf, side, t)
        past, left = self._past(t)
        if not past.any():
            return value

        def transform(s: Any) -> Any:
            return (chance - np.exp(self._log_laplace_side(side, s))) / s

        late = invert(transform, np.where(left, t, 1.0)) if left.any() else 0.0
        return np.where(past, chance - np.where(left, late, 0.0), value)

    @QUIET
    def _survival(self, t: Array) -> Any:
        t = np.broadcast_to(t, np.broadcast_shapes(t.shape, self._shape))
        value = 1.0 - self._summed(image_cdf, "lower", t) - self._summed(image_cdf, "upper", t)
        past, left = self._past(t)
        if not past.any():
            return value

        def transform(s: Any) -> Any:
            return -np.expm1(self._log_laplace(s)) / s

        late = invert(transform, np.where(left, t, 1.0)) if left.any() else 0.0
        return np.where(past, np.where(left, late, 0.0), value)

    @QUIET
    def _density_side(self, side: str, t: Array) -> Any:
        """Density of T at t, exit at the side, the atom apart."""
        t = np.broadcast_to(t, np.broadcast_shapes(t.shape, self._shape))
        value = self._summed(image_density, side, t)
        left = self._past(t)[1]
        if not left.any():
            return value
        late = invert(lambda s: np.exp(self._log_laplace_side(side, s)), np.where(left, t, 1.0))
        return np.where(left, late, value)

    def _density(self, t: Array) -> Any:
        return self._density_side("lower", t) + self._density_side("upper", t)

    def _survival_given(self, side: str, t: Array) -> Any:
        return 1.0 - self._cdf_given(side, t)

    @QUIET
    def _cdf_given(self, side: str, t: Array) -> Any:
        return self._cdf_side(side, np.asarray(t)) / np.exp(self._log_chance(side))

    @QUIET
    def _density_given(self, side: str, t: Array) -> Any:
        return self._density_side(side, np.asarray(t)) / np.exp(self._log_chance(side))

    def _atoms(self) -> tuple[Any, Any]:
        down = (1.0 - self._right) * np.exp(-self._gamma * self._down)
        up = self._right * np.exp(-self._gamma * self._up)
        both = np.broadcast_arrays(self._down, self._up, down, up, np.empty(self._shape))
        return np.stack(both[:2]), np.stack(both[2:4])

    def _over(self) -> float:
        """Forty times the longest mean time from any state."""
        across = np.asarray(self._across)
        return float(np.max(40.0 * across * (1.0 + 0.25 * self._gamma * across)))

    def _fronts(self) -> Any:
        near, far = np.minimum(self._down, self._up), np.maximum(self._down, self._up)
        count = int(np.ceil(np.max(np.clip(self._reach()[0], 0.0, 12.0))))
        times = [near + k * self._across for k in range(count + 1)]
        times += [far + k * self._across for k in range(count + 1)]
        return np.sort(np.stack([np.broadcast_to(time, self._shape) for time in times]), axis=0)

    # Draws -----------------------------------------------------------------------------------

    def _sample(self, n: int, generator: np.random.Generator) -> Array:
        """Choose the end, then draw the time to it."""
        return Sided._sample(self, n, generator)

    @QUIET
    def _sample_given(self, side: str, n: int, generator: np.random.Generator) -> Array:
        """The atom as it is; the rest by inversion of a table of the time after it."""
        place = 0 if side == "lower" else 1
        first = self._atoms()[0][place]
        weight = self._atoms()[1][place] / np.exp(self._log_chance(side))
        pick, uniforms = generator.random((2, n, *self._shape))
        tables: dict[str, InverseTable] = self.__dict__.setdefault("_tables", {})
        if side not in tables:
            tables[side] = after(self.given(side), first, weight)
        return np.asarray(np.where(pick < weight, first, first + tables[side](uniforms)))


def _mean_exit(gamma: float, down: float, up: float, right: float, rate: float) -> float:
    """(1/f - 1)/r, its hyperbolic functions arranged as a sum of positive terms."""
    wave = math.sqrt(rate) * math.sqrt(rate + 2.0 * gamma)
    turn = math.sqrt(rate / (2.0 * gamma))  # sinh(c/2)
    d, u = 0.5 * down * wave, 0.5 * up * wave
    if right == 0.5:
        turned = turn / math.hypot(1.0, turn) * math.sinh(d + u)
        return (2.0 * math.sinh(d) * math.sinh(u) + turned) / math.cosh(u - d) / rate
    far, near = (u, d) if right else (d, u)
    near += math.asinh(turn)
    return 2.0 * math.sinh(near) * math.sinh(far) / math.cosh(far - near) / rate


def _log_exit(p: Any, q: Any, more: Any) -> Any:
    """-log(1 + [2 sinh(p/2) sinh(q/2) + ...]/cosh((p - q)/2)), the bracket scaled by exponentials.

    ``more`` is the rest of the bracket over exp((p + q)/2)/2.
    """
    swap = np.real(q) < np.real(p)
    near, gap = np.where(swap, q, p), np.where(swap, p - q, q - p)
    rise = (np.expm1(-p) * np.expm1(-q) + more) / (1.0 + np.exp(-gap))
    far = np.real(near) > 30.0
    close = log1p(np.exp(np.where(far, 0.0, near)) * rise)
    return -np.where(far, near + np.log(rise + np.exp(-near)), close)


def _sine_ratio(b: Any, gap: Any, a: Any) -> Any:
    """log[sinh(gap)/sinh(a)] for a = b + gap."""
    change = np.expm1(-b) * (1.0 + np.exp(-a - gap)) / -np.expm1(-2.0 * a)
    apart = np.log(np.expm1(-2.0 * gap) / np.expm1(-2.0 * a)) - b
    near = np.abs(change) < 0.5
    return np.where(near, log1p(np.where(near, change, 0.0)), apart)


def _bend(z: Any) -> Any:
    """(z coth z - 1)/z²."""
    small = z < 0.05
    y = np.where(small, 1.0, z)
    series = 1.0 / 3.0 - z * z * (1.0 / 45.0 - z * z * (2.0 / 945.0 - z * z / 4725.0))
    return np.where(small, series, (y / np.tanh(y) - 1.0) / (y * y))
