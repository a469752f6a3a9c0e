"""Jump laws as transfer operators need them: density, tails, pieces to integrate on, decay."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.polynomial import chebyshev
from scipy import special

from resetsgd.domain import Array
from resetsgd.errors import DomainError

__all__ = ["LEAST_ALPHA", "Jump", "StableLaw"]

LEAST_ALPHA = 0.95
"""Smallest exponent of stable laws that panels follow."""
_HEAVY = ("t", "cauchy", "levy_stable")
_FAR = 1e-40
"""Mass beyond which a light tail is cut."""


class Jump:
    """A frozen law of scipy.stats, mirrored if the target lies above the walk.

    Parameters
    ----------
    law : frozen distribution
        Continuous.
    sign : {1, -1}
        -1 mirrors it, so that the target is always below.
    """

    def __init__(self, law: Any, sign: int = 1) -> None:
        self.law, self.sign, self.name = law, sign, law.dist.name
        if self.name == "levy_stable":
            self.law = _stable(law)
        middle = float(self.law.median())
        with np.errstate(all="ignore"):
            self.unit = 0.5 * float(self.law.ppf(0.8413447460685429) - self.law.ppf(0.15865525393))
        if not (np.isfinite(self.unit) and self.unit > 1e-290 and np.isfinite(middle)):
            raise DomainError("jump", law, "a law with a positive, finite width")
        self.scale = 1.0  # everything here is in units of the width
        self.centre = sign * middle / self.unit
        with np.errstate(all="ignore"):
            self.mean = sign * float(self.law.mean()) / self.unit
        self.heavy = self._is_heavy()
        self.exponent = self._exponent() if self.heavy else np.inf
        probe = self.scale * np.array([0.1, 0.7, 2.0, 5.0])
        ends = sign * np.array(self.law.support()) / self.unit
        kinks = [*ends[np.isfinite(ends)]]
        if self.name in ("laplace", "dgamma", "dweibull"):
            kinks.append(self.centre)
        if self.name == "laplace_asymmetric":
            kinks.append(sign * float(law.dist._parse_args(*law.args, **law.kwds)[1]) / self.unit)
        self.kinks = np.array(kinks)
        self.symmetric = bool(
            abs(self.centre) <= 1e-15 * self.scale
            and np.allclose(self.pdf(probe), self.pdf(-probe), rtol=1e-10, atol=0)
        )

    def _is_heavy(self) -> bool:
        """Whether a tail falls slower than exponentially."""
        if self.name in _HEAVY:
            return True
        for side in (self.law.isf, lambda q: -self.law.ppf(q)):
            near, far = (abs(float(side(q)) - side(0.5)) for q in (1e-6, 1e-12))
            if not far <= 2.3 * near:
                return True
        return False

    def _exponent(self) -> float:
        """Power of the heavier tail, from two quantiles."""
        if self.name == "levy_stable":
            return float(self.law.alpha)
        powers = []
        for side in (self.law.isf, lambda q: -self.law.ppf(q)):
            near, far = abs(float(side(1e-8))), abs(float(side(1e-12)))
            if np.isfinite(far) and far > near > 0:
                powers.append(np.log(1e4) / np.log(far / near))
        return float(min(powers, default=2.0))

    def pdf(self, v: Array) -> Array:
        """Density of the (mirrored) jump, 1/length."""
        return np.asarray(self.law.pdf(self.sign * self.unit * v) * self.unit, dtype=np.float64)

    def below(self, v: Array) -> Array:
        """P(jump <= v)."""
        v = self.unit * v
        return np.asarray(self.law.cdf(v) if self.sign > 0 else self.law.sf(-v), dtype=np.float64)

    def above(self, v: Array) -> Array:
        """P(jump > v)."""
        v = self.unit * v
        return np.asarray(self.law.sf(v) if self.sign > 0 else self.law.cdf(-v), dtype=np.float64)

    def edges(self, reach: float) -> Array:
        """Ends of pieces of (-reach, reach) on each of which the density is a short polynomial."""
        widths = [0.0]
        while widths[-1] < reach / self.scale and len(widths) < 400:
            growth = 1.0 if self.heavy else 0.25
            last = max(1.0, growth * (widths[-1] - (1.0 if self.heavy else 10.0)))
            widths.append(widths[-1] + last)
        offsets = self.scale * np.array(widths)
        if self.heavy:  # the pole of a density like 1/(1 + x²) is one scale away
            offsets = np.union1d(offsets, self.scale * np.array([0.25, 0.5, 1.5, 2.0, 3.0]))
        edges = np.concatenate([self.centre - offsets[:0:-1], self.centre + offsets])
        low, high = self.sign * np.array(self.law.support()) / self.unit
        low, high = min(low, high), max(low, high)
        edges = np.clip(edges, low, high)
        if not self.heavy:
            tails = self.sign * np.array([float(self.law.ppf(_FAR)), float(self.law.isf(_FAR))])
            tails = tails / self.unit
            if np.isfinite(tails).all():
                edges = np.clip(edges, tails.min(), tails.max())
        inner = self.kinks[(self.kinks > edges.min()) & (self.kinks < edges.max())]
        return np.union1d(edges, inner)

    def reach(self) -> float:
        """Distance from the centre at which a light tail is cut."""
        ends = np.array([float(self.law.ppf(_FAR)), float(self.law.isf(_FAR))]) / self.unit
        ends = np.where(np.isfinite(ends), ends, self.sign * self.centre + 60 * self.scale)
        return float(np.max(np.abs(self.sign * ends - self.centre)))

    def decay(self, u: Array) -> Array:
        """The root kappa of E[exp(-kappa jump)] = exp(u), with positive real part.

        Far above a target the generating function falls as exp(-kappa x).
        """
        u = np.asarray(u)
        if self.name == "norm":
            sigma = float(self.law.std()) / self.unit
            m = self.mean
            root = np.sqrt(m * m + 2.0 * sigma * sigma * u)
            # the difference root - |m| is rationalised
            return np.where(m < 0, 2.0 * u / (root - m), (root + m) / sigma**2)
        if self.name == "laplace" and self.centre == 0:
            b = float(self.law.std()) / self.unit / np.sqrt(2.0)
            return np.asarray(np.sqrt(-np.expm1(-u)) / b)
        return self._newton(u)

    def _newton(self, u: Array) -> Array:
        """The same root for any light law, with E[exp(-kappa jump)] by quadrature."""
        edges = self.edges(self.reach())
        nodes, weights = np.polynomial.legendre.leggauss(24)
        half = 0.5 * np.diff(edges)
        v = (half[:, None] * nodes + edges[:-1, None] + half[:, None]).ravel()
        mass = (half[:, None] * weights).ravel() * self.pdf(v)
        mean, square = float(mass @ v), float(mass @ v**2)
        root = np.sqrt(mean * mean + 2.0 * (square - mean**2) * u)
        with np.errstate(divide="ignore", invalid="ignore"):
            kappa = np.where(mean < 0, 2.0 * u / (root - mean), (root + mean) / (square - mean**2))
        if abs(mean) < 1e-13 * self.scale:
            mean = 0.0

        def excess(k: Any) -> tuple[Any, Any]:
            """E[exp(-kv)] - 1 and its derivative, the first power taken out."""
            x = -np.multiply.outer(k, v)
            rise = np.where(np.abs(x) < 0.1, _second(x), np.expm1(x) - x)
            return rise @ mass - k * mean, -(np.expm1(x) @ (mass * v)) - mean

        # Where there is no root the first guess stays: the two discretisations then tell whether
        # anything is left beyond their last panels.
        goal, guess = np.expm1(u), kappa.copy()
        open_ = np.arange(kappa.size)
        for _ in range(25):
            now = kappa[open_]
            with np.errstate(all="ignore"):
                value, slope = excess(now)
                step = np.where(value == goal[open_], 0.0, (value - goal[open_]) / slope)
            # a step may not leave the right half plane
            step = np.where(np.real(now - step) <= 0, 0.5 * now, step)
            kappa[open_] = now - step
            open_ = open_[~(np.abs(step) <= 4e-15 * np.abs(now))]
            if not open_.size:
                break
        lost = ~(np.abs(kappa - guess) <= 3.0 * np.abs(guess))
        lost[open_] |= np.abs(excess(kappa[open_])[0] - goal[open_]) > 1e-12
        return np.asarray(np.where(lost, guess, kappa))


def _second(x: Any) -> Any:
    """exp(x) - 1 - x for small x."""
    total = np.zeros_like(x)
    for k in range(13, 1, -1):
        total = (total * x + 1.0) if k == 13 else (total * x / (k + 1) + 1.0)
    return 0.5 * x * x * total


def _stable(law: Any) -> StableLaw:
    """The symmetric stable law that a frozen ``levy_stable`` stands for."""
    shapes, loc, scale = law.dist._parse_args(*law.args, **law.kwds)
    alpha, beta = (float(value) for value in shapes)
    if beta != 0:
        raise DomainError("jump", f"levy_stable with beta = {beta}", "symmetric (beta = 0)")
    if not LEAST_ALPHA <= alpha <= 2.0:
        raise DomainError(
            "jump",
            f"levy_stable with alpha = {alpha}",
            f"of alpha in [{LEAST_ALPHA}, 2]; below that only symmetric flights to a half line",
        )
    return StableLaw(alpha, float(loc), float(scale))


class StableLaw:
    r"""Symmetric stable law with characteristic function :math:`\exp(ik\mu - |ck|^\alpha)`.

    Density and distribution function by Fourier integrals along a rotated ray, where they do not
    oscillate; relative accuracy about 1e-13, in the tails too.

    Parameters
    ----------
    alpha : float
        Stability exponent, in [0.95, 2].
    loc, scale : float
        Centre and width, length.
    """

    def __init__(self, alpha: float, loc: float, scale: float) -> None:
        self.alpha, self.loc, self.scale = alpha, loc, scale
        self._table: list[Any] = []

    def median(self) -> float:
        """Centre."""
        return self.loc

    def mean(self) -> float:
        """Centre for alpha > 1, undefined otherwise: then the centre of symmetry."""
        return self.loc

    def support(self) -> tuple[float, float]:
        """All real numbers."""
        return -np.inf, np.inf

    def ppf(self, q: float) -> float:
        """Quantile, by bisection in the upper half."""
        low, high = 0.0, 1.0
        tail = min(q, 1.0 - q)
        while float(self.sf(np.asarray(self.loc + self.scale * high))) > tail:
            high *= 2.0
        for _ in range(80):
            middle = 0.5 * (low + high)
            late = float(self.sf(np.asarray(self.loc + self.scale * middle))) > tail
            low, high = (middle, high) if late else (low, middle)
        return float(self.loc + np.sign(q - 0.5) * self.scale * high)

    def isf(self, q: float) -> float:
        """Upper quantile."""
        return 2.0 * self.loc - self.ppf(q)

    def pdf(self, x: Array) -> Array:
        """Density, by interpolation of its logarithm over the logarithm of the distance."""
        y = np.abs((np.asarray(x) - self.loc) / self.scale)
        return np.exp(self._interpolate(0, y)) / self.scale

    def sf(self, x: Array) -> Array:
        """P(X > x)."""
        y = (np.asarray(x) - self.loc) / self.scale
        upper = np.exp(self._interpolate(1, np.abs(y)))
        return np.where(y >= 0, upper, 1.0 - upper)

    def cdf(self, x: Array) -> Array:
        """P(X <= x)."""
        return self.sf(2.0 * self.loc - np.asarray(x))

    def _interpolate(self, which: int, y: Array) -> Array:
        """Chebyshev pieces of asinh(y), half a unit wide; beyond 1e8 the two-term power law."""
        if not self._table:
            nodes = np.cos(np.pi * (np.arange(20) + 0.5) / 20)
            points = np.sinh(0.25 * (nodes + 1.0) + 0.5 * np.arange(40)[:, None])
            for function in (self._density, self._tail):
                values = np.log(function(points.ravel()).reshape(points.shape))
                self._table.append(chebyshev.chebfit(nodes, values.T, 19))
        w = np.arcsinh(np.minimum(y, 1e8))
        piece = np.minimum((w / 0.5).astype(int), 39)
        local = 4.0 * (w - 0.5 * piece) - 1.0
        value = _clenshaw(local, self._table[which], piece)
        a = self.alpha
        if a == 2.0:
            far = np.where(y > 12, -0.25 * y * y, value)
            return np.where(y > 12, far - np.log(_gauss(which, y)), value)
        far = np.log(special.gamma(a + (1 - which)) * np.sin(np.pi * a / 2) / np.pi)
        return np.where(y > 1e8, far - (a + 1 - which) * np.log(np.maximum(y, 1.0)), value)

    def _ray(self) -> tuple[Any, Any]:
        """Points k on the ray and weights dk, double exponential."""
        w = np.linspace(-3.9, 3.0, 420)
        t = np.exp(np.pi / 2 * np.sinh(w))
        angle = 0.25 * np.pi / self.alpha  # the two phases turn no faster than they decay
        weight = (w[1] - w[0]) * np.pi / 2 * np.cosh(w) * t
        turn = np.exp(1j * angle)
        return t * turn, weight * turn

    def _integral(self, y: Array, power: int) -> Array:
        """Integral of exp(iky) exp(-k^alpha) k^-power, without the 1 where that does not matter."""
        k, weight = self._ray()
        y = np.asarray(y)[..., None]
        size = np.maximum(y, 1.0)  # scale of k: 1/y far out
        x, k = k * y / size, k / size
        falls = -(k**self.alpha)
        far = np.where(y > 1.0, np.expm1(falls), np.exp(falls))
        return np.asarray(np.sum(np.exp(1j * x) * far * weight / size / k**power, axis=-1))

    def _density(self, y: Array) -> Array:
        if self.alpha == 2.0:
            return np.asarray(np.exp(-0.25 * y * y) / np.sqrt(4 * np.pi))
        return self._integral(y, 0).real / np.pi

    def _tail(self, y: Array) -> Array:
        if self.alpha == 2.0:
            return 0.5 * special.erfc(0.5 * y)
        k, weight = self._ray()
        far = -self._integral(np.maximum(y, 1.0 + 1e-15), 1).imag / np.pi
        # near the centre the pole at k = 0 is passed on an arc and taken out along the ray
        z = np.minimum(y, 1.0)[..., None]
        turn = np.angle(k[0])
        waves = np.exp(1j * k * z - k**self.alpha) - np.exp(-np.abs(k))
        near = (turn + np.sum(waves * (weight / k), axis=-1).imag) / np.pi
        return np.where(y > 1.0, far, 0.5 - near)


def _gauss(which: int, y: Array) -> Array:
    """Factor between exp(-y²/4) and the Gaussian of variance 2, density or tail."""
    if which == 0:
        return np.full(np.shape(y), np.sqrt(4 * np.pi))
    return 2.0 / special.erfcx(0.5 * y)


def _clenshaw(x: Array, table: Array, piece: Array) -> Array:
    """Chebyshev series of degree 19 with coefficients table[:, piece]."""
    one = two = np.zeros(np.shape(x))
    for k in range(len(table) - 1, 0, -1):
        one, two = table[k][piece] + 2.0 * x * one - two, one
    return np.asarray(table[0][piece] + x * one - two)
