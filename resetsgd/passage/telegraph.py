"""First passage of a run-and-tumble walker, in closed form and arranged for float64.

With p = s + gamma and A = (p - sqrt(p² - gamma²))/gamma, every transform here is a sum of images
+-A^n exp(-tau sqrt(p² - gamma²)): n counts flips that cannot be avoided, tau is the ballistic time.
Each image is a Bessel function of gamma sqrt(t² - tau²) in time. Derived in
``theory/07_telegraph.py``.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from scipy import special

from resetsgd import domain
from resetsgd.domain import QUIET, Array, Real, RealLike
from resetsgd.errors import DomainError
from resetsgd.passage.arrangements import log1p
from resetsgd.passage.base import PassageTime
from resetsgd.passage.fronts import Fronted
from resetsgd.passage.placed import Placed
from resetsgd.passage.sided import InverseTable
from resetsgd.processes import Telegraph

__all__ = ["Run", "TelegraphPassage", "after", "image_cdf", "image_density", "passage"]

_GAUSS, _WEIGHTS = np.polynomial.legendre.leggauss(20)


def passage(process: Telegraph, start: RealLike, target: Any, wall: Any) -> PassageTime:
    """The passage time for a kind of target; what ``first_passage`` calls."""
    if wall is not None:
        raise DomainError("wall", wall, "None: a wall is not supported for Telegraph")
    if isinstance(target, tuple):
        from resetsgd.passage.telegraph_exit import TelegraphExit

        return TelegraphExit(process, start, target)
    return TelegraphPassage(process, start, target)


def _scaled_i(n: int, w: Any) -> Any:
    """exp(-w) I_n(w); SciPy's general function gives up on arguments beyond 2^31."""
    if n == 0:
        return special.i0e(w)
    return special.i1e(w) if n == 1 else special.ive(n, w)


def image_density(n: int, tau: Any, gamma: Any, t: Any) -> Any:
    """Density at t > tau of the image A^n exp(-tau sqrt(p² - gamma²)), its atom (n = 0) apart."""
    t, tau = np.broadcast_arrays(t, tau)
    late = t > tau
    time = np.where(late, t, tau + 1.0 / gamma)
    sum_ = time + tau
    w = gamma * np.sqrt(time - tau) * np.sqrt(sum_)
    # exp(w - gamma t) with the difference rationalised
    decay = np.exp(-gamma * tau * (tau / (time + w / gamma)))
    if n == 0:
        value = gamma * (gamma * tau) * _bessel_ratio(w)
    else:
        # kappa^(n-1) I_{n-1} - kappa^(n+1) I_{n+1} by the recurrence, positive terms only
        ratio = w / gamma / sum_
        first = 2.0 * (tau / sum_) * _scaled_i(n - 1, w)
        second = 2.0 * n * ratio / (gamma * sum_) * _scaled_i(n, w)
        value = 0.5 * gamma * ratio ** (n - 1) * (first + second)
    return np.where(late, decay * value, 0.0)


def _bessel_ratio(w: Any) -> Any:
    """exp(-w) I_1(w)/w."""
    return np.where(w > 1e-8, special.i1e(w) / np.where(w > 0, w, 1.0), 0.5)


def image_cdf(n: int, tau: Any, gamma: Any, t: Any) -> Any:
    """Probability by t of the image: P(K >= n) + P(K >= n+1), K a difference of Poisson numbers.

    K has the means gamma (t -+ tau)/2 for what is added and subtracted (a Skellam variable), so
    that P(K = j) = exp(-gamma t) kappa^j I_j(w), kappa² = (t - tau)/(t + tau).
    """
    t, tau = np.broadcast_arrays(t, tau)
    late = t >= tau
    time = np.where(late, t, tau + 1.0 / gamma)
    sum_ = time + tau
    w = gamma * np.sqrt(time - tau) * np.sqrt(sum_)
    decay = np.exp(-gamma * tau * (tau / (time + w / gamma)))
    ratio = w / gamma / sum_
    top = float(np.max(np.where(late, gamma * time, 0.0), initial=0.0))
    terms = int(np.ceil(12.0 + 9.0 * np.sqrt(top) + 0.5 * min(top, 10.0)))
    total = np.zeros(w.shape)
    for j in range(terms, -1, -1):
        total = total + (1.0 if j == 0 else 2.0) * ratio ** (n + j) * _scaled_i(n + j, w)
    return np.where(late, np.minimum(decay * total, 1.0), 0.0)


class Run(Fronted):
    """What half line and interval share."""

    process: Telegraph
    sources: ClassVar[tuple[str, ...]] = ("evans2018",)
    derivation: ClassVar[str] = "theory/07_telegraph.py"

    def _take(self, process: Telegraph) -> None:
        self.process = process
        self._v, self._gamma = np.asarray(process.speed), np.asarray(process.flip_rate)
        heading = np.asarray(process.heading)
        self._right = 0.5 * (1.0 + heading)  # probability to start toward larger x

    def _wave(self, s: Any) -> tuple[Any, Any]:
        """sqrt(s (s + 2 gamma)) and c = -log A = 2 asinh(sqrt(s/2 gamma))."""
        root = np.sqrt(s)
        return root * np.sqrt(s + 2.0 * self._gamma), 2.0 * np.arcsinh(
            root / np.sqrt(2.0 * self._gamma)
        )


class TelegraphPassage(Placed, Run):
    r"""First passage of :class:`~resetsgd.Telegraph` to a point.

    With L the distance, v the speed and :math:`\gamma` the flip rate, E[exp(-sT)] is
    :math:`e^{-kL}`, :math:`k = \sqrt{s(s + 2\gamma)}/v`, for a first run toward the target, and
    :math:`A e^{-kL}`, :math:`A = (\gamma + s - kv)/\gamma`, for one away from it. Arrival is
    certain and its mean infinite. The law has an atom at t = L/v, the walkers that never flipped:
    ``density`` is the density of the others, ``survival`` and everything else includes it.

    Parameters
    ----------
    process : Telegraph
        What moves.
    start, target : float or array
        Positions, length. The start must differ from the target; arrays broadcast.

    Raises
    ------
    DomainError
        If a position is not finite or the start is at the target.

    Notes
    -----
    A reset puts the walker back to its start and renews its heading as that of the process was.
    Moments, transform and their versions under ``Poisson`` have the accuracy of docs/accuracy.md;
    survival has about 1e-13 relative.

    **Source**: M. R. Evans and S. N. Majumdar, J. Phys. A 51, 475003 (2018). Derived in
    ``theory/07_telegraph.py``.

    Examples
    --------
    >>> import resetsgd as rs
    >>> run = rs.Telegraph(speed=1.0, flip_rate=1.0, heading=-1)
    >>> T = rs.first_passage(run, start=1.0, target=0.0)
    >>> round(T.survival(1.0), 6), round(T.under(rs.Poisson(0.5)).mean(), 6)
    (0.632121, 4.117669)
    """

    def __init__(self, process: Telegraph, start: RealLike, target: RealLike) -> None:
        x0 = np.asarray(domain.finite("start", start))
        end = np.asarray(domain.finite("target", target))
        self._shape = domain.broadcast(
            speed=process.speed,
            flip_rate=process.flip_rate,
            heading=process.heading,
            start=x0,
            target=end,
        )
        gap = domain.gap(x0, end)
        self._take(process)
        self.start, self.target = domain.plain(x0), domain.plain(end)
        self._L = np.abs(gap)
        self._toward = np.where(gap < 0, self._right, 1.0 - self._right)
        with np.errstate(over="ignore"):
            self._tau = self._L / self._v

    @QUIET
    def _log_laplace(self, s: Any) -> Any:
        wave, c = self._wave(s)
        # log of the weights times 1 and A = exp(-c)
        turned = log1p((1.0 - self._toward) * np.expm1(-c))
        return -(self._tau * wave) + np.where(self._toward == 0, -c, turned)

    def log_mean(self) -> Real:
        """Infinite: the return from far away takes for ever on average."""
        return domain.plain(np.full(self._shape, np.inf))

    def var(self) -> Real:
        """Infinite, as the mean is."""
        return domain.plain(np.full(self._shape, np.inf))

    # Distribution ----------------------------------------------------------------------------

    def _atoms(self) -> tuple[Any, Any]:
        weight = self._toward * np.exp(-self._gamma * self._tau)
        both = np.broadcast_arrays(self._tau, weight, np.empty(self._shape))
        return both[0][None], both[1][None]

    def _fronts(self) -> Any:
        return np.broadcast_to(self._tau, self._shape)[None]

    @QUIET
    def _density(self, t: Array) -> Any:
        usable = np.where(np.isinf(t), 0.0, t)
        toward = image_density(0, self._tau, self._gamma, usable)
        away = image_density(1, self._tau, self._gamma, usable)
        return self._toward * toward + (1.0 - self._toward) * away

    @QUIET
    def _survival(self, t: Array) -> Any:
        """By quadrature over 0 < y < tau of gamma exp(-gamma t) [gamma t I1(w)/w + I0(w)].

        That is for a run toward the target, twice the chance to be found between the start and
        the target (reflection); a first run away adds P(K = 0) + P(K = 1), K as in ``image_cdf``.
        """
        gamma, tau = self._gamma, self._tau
        t = np.broadcast_to(t, np.broadcast_shapes(t.shape, self._shape))
        late = (t >= tau) & np.isfinite(t)
        time = np.where(late, t, 2.0 * tau + 1.0 / gamma)
        width = np.minimum(tau, 9.0 * np.sqrt(time) / np.sqrt(gamma))
        cuts = np.array([0.0, 0.02, 0.06, 0.12, 0.2, 0.3, 0.42, 0.56, 0.72, 0.87, 1.0])
        middle, half = 0.5 * (cuts[1:] + cuts[:-1]), 0.5 * np.diff(cuts)
        nodes = (middle[:, None] + half[:, None] * _GAUSS).ravel()
        weights = (half[:, None] * _WEIGHTS).ravel().reshape(-1, *(1,) * time.ndim)
        y = nodes.reshape(weights.shape) * width
        w = gamma * np.sqrt(time - y) * np.sqrt(time + y)
        decay = np.exp(-gamma * y * (y / (time + w / gamma)))
        inner = gamma * decay * (gamma * time * _bessel_ratio(w) + special.i0e(w))
        value = np.sum(weights * inner, axis=0) * width
        sum_ = time + tau
        w = gamma * np.sqrt(time - tau) * np.sqrt(sum_)
        decay = np.exp(-gamma * tau * (tau / (time + w / gamma)))
        away = decay * (special.i0e(w) + w / gamma / sum_ * special.i1e(w))
        value = value + (1.0 - self._toward) * away
        return np.where(late, value, np.where(np.isinf(t), 0.0, 1.0))

    @QUIET
    def _sample(self, n: int, generator: np.random.Generator) -> Array:
        """The atom as it is; the rest by inversion of a table of the time after it."""
        shape = (n, *self._shape)
        pick, uniforms = generator.random((2, *shape))
        weight = self._atoms()[1][0]
        return np.asarray(np.where(pick < weight, self._tau, self._tau + self._table(uniforms)))

    @cached_property
    def _table(self) -> InverseTable:
        return after(self, self._tau, self._atoms()[1][0])


def after(law: PassageTime, first: Any, weight: Any) -> InverseTable:
    """A table of the time after the first atom, on condition that it is not the atom."""

    def late(t: Array) -> Any:
        return np.clip(np.asarray(law.survival(first + t)) / (1.0 - weight), 0.0, 1.0)

    def come(t: Array) -> Any:
        arrived = np.asarray(law._cdf(np.asarray(first + t)))
        return np.maximum(arrived - weight, 0.0) / (1.0 - weight)

    arrive = np.exp(law._log_laplace(np.zeros(law.shape)))
    return InverseTable.searched(law.shape, come, late, law.timescale(), arrive)
