"""First passage of Lévy flights of stability exponent below one to a half line.

Their jumps have no finite scale that panels could follow; but the Wiener-Hopf factor of a stable
law continues analytically across the half plane, which leaves one real integral over its cut.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from scipy.signal import fftconvolve

from resetsgd import domain
from resetsgd.domain import QUIET, Array, RealLike
from resetsgd.errors import DomainError
from resetsgd.passage.lattice_time import LatticeTime
from resetsgd.processes.random_walk import RandomWalk

__all__ = ["LevyPassage", "stable_parameters"]

_FARTHEST = 1e12
_PAD = 36.0
"""1/cosh is below rounding this far out."""
_LEFT = 34.0
"""exp(-34) is below rounding."""
_NEAR_AXIS = 6.5
"""Poles of the integrand so many steps off the real axis are not felt by the trapezoidal rule."""

_POLES = 4
"""So many of the poles on either side are taken out."""


def stable_parameters(law: Any) -> tuple[float, float, float, float]:
    """Exponent, skewness, centre and width of a frozen ``levy_stable``."""
    shapes, loc, scale = law.dist._parse_args(*law.args, **law.kwds)
    alpha, beta = (float(value) for value in shapes)
    return alpha, beta, float(loc), float(scale)


class LevyPassage(LatticeTime):
    r"""First passage to a half line of a symmetric Lévy flight with exponent below one.

    With jumps of characteristic function :math:`\exp(-|ck|^\alpha)` and x the distance from the
    target in units of c, the generating function at z = exp(-u) is

    .. math:: G = \sqrt{1-z}\,\int_0^\infty e^{-kx}\,\rho(k)\,\frac{dk}{k}, \qquad
       \rho = \frac{1}{\pi \varphi(k)}\,\mathrm{Im}\,
       \frac{1}{1 - z \exp(-k^\alpha e^{-i\pi\alpha/2})}, \qquad
       \log\varphi(k) = -\frac{k}{\pi}\int_0^\infty \frac{\log(1 - z e^{-q^\alpha})}{k^2+q^2}\,dq,

    and :math:`1 - G = \sqrt{1-z}\,[1 + \int (1-e^{-kx}) \rho\,dk/k]`.

    Parameters
    ----------
    process : RandomWalk
        With jumps ``scipy.stats.levy_stable(alpha, 0.0)``, without contraction.
    start : float or array
        Positions, length; all on the same side of the target.
    target : float
        Position, length.

    Raises
    ------
    DomainError
        If the jumps are skewed or biased, or the starts lie on both sides of the target.
    NotConverged
        If two step sizes of the quadrature differ by more than 1e-10.

    Notes
    -----
    Both integrals by the trapezoidal rule in the logarithm, which converges exponentially; what a
    pole close to the axis contributes is added. Accuracy: 1e-10 relative of transforms, or
    ``NotConverged``; survival 1e-11 absolute.

    **Source**: the Pollaczek-Spitzer formula as in L. Kusmierz et al., PRL 113, 220602 (2014); its
    inversion over the cut is tested against Sparre Andersen's law, the transfer operator and played
    flights in ``tests/passage/test_levy.py``.

    Examples
    --------
    A flight with many small and few enormous jumps is best reset at nearly every fifth step:

    >>> import resetsgd as rs
    >>> from scipy import stats
    >>> flight = rs.RandomWalk(jump=stats.levy_stable(0.3, 0.0))
    >>> best = rs.first_passage(flight, start=2.0, target=0.0).best(rs.Geometric)
    >>> round(best.protocol.probability, 4), round(best.mean, 4)
    (0.208, 6.83)
    """

    sources: ClassVar[tuple[str, ...]] = ("kusmierz2014",)
    derivation: ClassVar[str] = ""

    def __init__(self, process: RandomWalk, start: RealLike, target: RealLike) -> None:
        super().__init__(process.step)
        self._alpha, skew, loc, width = stable_parameters(process.jump)
        if skew != 0 or loc != 0:
            raise DomainError("jump", process.jump, "symmetric about zero below alpha = 0.95")
        if process.contraction != 1:
            raise DomainError("contraction", process.contraction, "1 for heavy-tailed jumps")
        if not self._alpha >= 0.02:
            raise DomainError("jump", f"levy_stable with alpha = {self._alpha}", "of alpha >= 0.02")
        end = domain.finite("target", target)
        if np.ndim(end):
            raise DomainError("target", target, "a single target")
        place = np.asarray(domain.finite("start", start))
        gap = np.ravel(place - end)
        side = np.sign(gap)
        if not gap.size or side[0] == 0 or (side != side[0]).any():
            raise DomainError("start", start, f"on one side of the target {target!r}, not at it")
        self.process, self.start, self.target = process, start, target
        self._shape = place.shape
        with np.errstate(all="ignore"):
            self._log_x = np.log(np.abs(gap)) - np.log(width)
        if not np.all(np.abs(self._log_x) <= np.log(_FARTHEST)):
            raise DomainError("start", start, "1e-12 to 1e12 jump widths from the target")

    def __repr__(self) -> str:
        return f"first_passage({self.process}, start={self.start!r}, target={self.target!r})"

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the starts."""
        return self._shape

    def _certain(self) -> tuple[bool, bool]:
        return True, False

    def _spacing(self) -> float:
        """Step in log k: the next poles of the integrand are off the axis by at least so much."""
        a = self._alpha
        off = (0.5 * np.pi * (1.0 - a) - 0.15 / (_POLES + 1)) / a
        return float(min(0.15 if a < 0.4 else 0.1, 2.0 * np.pi * off / 38.0))

    @QUIET
    def _generate(self, u: Array) -> tuple[Array, Array, Array]:
        u = u + 0.0
        log_value = np.empty((len(u), len(self._log_x)), dtype=u.dtype)
        minus, error = np.empty_like(log_value), np.empty(log_value.shape)
        tiny = np.iscomplexobj(u) & (np.abs(np.imag(u)) < 1e-12 * np.abs(u))
        step = self._spacing()
        # u of similar size share a grid
        group = np.floor(np.log(np.maximum(np.abs(u), 1e-300)) / 12.0)
        for number in np.unique(group):
            here = np.flatnonzero((group == number) & ~tiny)
            for first in range(0, len(here), 16):
                part = here[first : first + 16]
                fine = self._integrals(u[part], step)
                other = self._integrals(u[part], 1.4 * step)
                log_value[part], minus[part] = fine
                error[part] = np.abs(np.expm1(other[0] - fine[0]))
                near = np.abs(fine[1]) < 0.5
                error[part] = np.where(near, np.abs(other[1] / fine[1] - 1.0), error[part])
        for i in np.flatnonzero(tiny):  # a step for a derivative: by a difference of the real ones
            log_value[i], minus[i], error[i] = self._sloped(u[i])
        return log_value, minus, np.maximum(error, 1e-14)

    def _sloped(self, u: Any) -> tuple[Array, Array, Array]:
        """At a real u with a tiny imaginary part, through the derivative in log u."""
        base = float(np.real(u)) if np.real(u) > 0 else 1e-200
        step = 0.02
        offsets = step * np.array([-4, -3, -2, -1, 0, 1, 2, 3, 4])
        weights = np.array([1 / 280, -4 / 105, 1 / 5, -4 / 5, 0, 4 / 5, -1 / 5, 4 / 105, -1 / 280])
        log_value, minus, error = self._generate(base * np.exp(offsets))
        turn = 1j * np.imag(u) / base / step
        slope = weights @ np.log(minus)
        fall = weights @ log_value
        return log_value[4] + turn * fall, minus[4] * (1.0 + turn * slope), error.max(axis=0)

    def _integrals(self, u: Array, step: float) -> tuple[Array, Array]:
        """log G and 1 - G, shape (u, starts), by the trapezoidal rule in v = log k."""
        a, log_x = self._alpha, self._log_x
        low = min(float(np.log(np.abs(u)).min()) / a, -float(log_x.max())) - _LEFT / a
        high = float(np.log(_LEFT / np.cos(0.5 * np.pi * a))) / a
        count = int(np.ceil((high - low) / step)) + 1
        v = np.asarray(low + step * np.arange(count), dtype=np.float64)
        log_phi = self._log_factor(u, v, step)
        power = np.exp(a * v)
        turn = np.exp(-0.5j * np.pi * a)
        with np.errstate(over="ignore"):
            upper = np.exp(-power * turn) / -np.expm1(-(u[:, None] + power * turn))
            turn = np.conj(turn)
            lower = np.exp(-power * turn) / -np.expm1(-(u[:, None] + power * turn))
        rho = (upper - lower) / (2j * np.pi) * np.exp(-log_phi)  # without its factor z
        kx = np.exp(v[:, None] + log_x)
        whole, rise = step * rho @ np.exp(-kx), step * rho @ -np.expm1(-kx)
        for sign in (1.0, -1.0):
            for number in range(_POLES + 1):
                here, at, share = self._pole(u, v, step, sign, number)
                if here.size:
                    k = np.exp(at[:, None] + log_x)
                    whole[here] += share[:, None] * np.exp(-k)
                    rise[here] += share[:, None] * -np.expm1(-k)
        log_root = 0.5 * np.log(-np.expm1(-u))[:, None]
        log_value = log_root + np.log(whole) - u[:, None]
        minus = np.exp(log_root) * (1.0 + np.exp(-u)[:, None] * rise)
        if np.iscomplexobj(u):
            return log_value, minus
        return np.real(log_value), np.real(minus)

    def _log_factor(self, u: Array, v: Array, step: float) -> Array:
        """log phi on the grid: a convolution with 1/cosh."""
        pad = int(np.ceil(_PAD / step))
        wide = v[0] + step * np.arange(-pad, len(v) + pad)
        values = np.log(-np.expm1(-(u[:, None] + np.exp(self._alpha * wide))))
        kernel = 0.5 / np.cosh(step * np.arange(-pad, pad + 1))
        smooth = fftconvolve(values, kernel[None, :], mode="valid", axes=1)
        return np.asarray(-step / np.pi * smooth)

    def _pole(
        self, u: Array, v: Array, step: float, sign: float, number: int
    ) -> tuple[Any, Array, Array]:
        """Which u have a pole near the axis or across it, where, and what it adds.

        At -u - 2 pi i n sign = k^alpha exp(-i pi alpha sign/2). The contour passes above (sign +)
        or below it wherever it has moved; the trapezoidal sum is corrected to that.
        """
        a = self._alpha
        value = -u - 2j * np.pi * number * sign
        at = (np.log(value) + 0.5j * np.pi * a * sign) / a
        near = sign * np.imag(at) > -_NEAR_AXIS * step
        here = np.flatnonzero(near if number else near & (sign * np.imag(u) > 0))
        at, value, u = at[here], value[here], u[here]
        pad = int(np.ceil(_PAD / step))
        low = float(np.real(at).min(initial=0.0)) - pad * step
        high = float(np.real(at).max(initial=0.0)) + pad * step
        wide = low + step * np.arange(int(np.ceil((high - low) / step)) + 1)
        values = np.log(-np.expm1(-(u[:, None] + np.exp(a * wide))))
        kernel = 0.5 / np.cosh(wide - at[:, None])
        log_phi = -step / np.pi * np.sum(values * kernel, axis=1)
        residue = sign / (2j * np.pi) * np.exp(u - log_phi) / (a * value)
        turns = np.exp(sign * 2j * np.pi * (at - v[0]) / step)
        return here, at, np.pi * residue * sign * 2j / (turns - 1.0)
