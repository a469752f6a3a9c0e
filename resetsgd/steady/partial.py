"""Partial resets: each reset keeps a fraction of the distance to the reset point."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import special

from resetsgd import domain
from resetsgd.domain import Array, Real, RealLike
from resetsgd.errors import DomainError
from resetsgd.protocols import Poisson, Protocol
from resetsgd.steady.propagator import Drifting, Propagator, Trapped
from resetsgd.steady.state import State

__all__ = ["PartialDiffusion", "PartialState", "partial_state"]


def partial_state(
    cloud: Propagator, protocol: Protocol, reset_to: Real, partial: RealLike
) -> State:
    """The stationary state of a Gaussian process under partial Poisson resets."""
    kept = np.asarray(domain.within("partial", partial, 0.0, 1.0, open_high=True))
    if not isinstance(protocol, Poisson):
        raise DomainError("protocol", protocol, "Poisson where resets are partial")
    rate = np.asarray(domain.positive("rate", protocol.working_rate))
    domain.broadcast(partial=kept, rate=rate, process=np.empty(cloud.shape))
    kind = PartialDiffusion if isinstance(cloud, Drifting) else PartialState
    return kind(cloud, rate, reset_to, kept)


class PartialState(State):
    r"""Stationary state under partial Poisson resets :math:`x \to x_r + a (x - x_r)`.

    Moments and samples; the density of the Ornstein–Uhlenbeck process is not known in closed form.

    Attributes
    ----------
    shape : tuple of int
        Shape of the parameters; ``()`` for scalars.
    reset_to : float or ndarray
        Where resets lead, length.
    atom : float or ndarray
        Zero.
    """

    sources = ("talfriedman2022",)

    def __init__(self, cloud: Propagator, rate: Array, reset_to: Real, partial: Array) -> None:
        self.reset_to = reset_to
        self._cloud, self._rate, self._a = cloud, rate, partial
        self.shape = np.broadcast_shapes(cloud.shape, rate.shape, partial.shape)
        # Fokker–Planck: d<y>/dt = push - (k + r (1-a)) <y>, y = x - x_r, and so for <y²>
        if isinstance(cloud, Trapped):
            self._push, self._k, self._D = -cloud._k * cloud._d, cloud._k, cloud._D
        elif isinstance(cloud, Drifting):
            self._push, self._k, self._D = cloud._mu, np.zeros(cloud.shape), cloud._D

    @np.errstate(all="ignore")
    def _first(self) -> Any:
        return self._push / (self._k + self._rate * (1.0 - self._a))

    @np.errstate(all="ignore")
    def mean(self) -> Real:
        """x_r + f/(k + r (1-a)), f the force at the reset point."""
        return domain.plain(np.broadcast_to(self.reset_to + self._first(), self.shape).copy())

    @np.errstate(all="ignore")
    def var(self) -> Real:
        """(2 D + r (1-a)² m²)/(2 k + r (1-a²)), m the mean from the reset point."""
        lost, first = 1.0 - self._a, self._first()
        square = 2.0 * self._D + self._rate * (lost * first) ** 2
        value = square / (2.0 * self._k + self._rate * lost * (1.0 + self._a))
        return domain.plain(np.broadcast_to(value, self.shape).copy())

    def _density(self, x: Array) -> Any:
        raise DomainError("partial", domain.plain(self._a), "0 for the law of a trapped process")

    _cdf = _survival = _density

    def _sample(self, n: int, generator: np.random.Generator) -> Array:
        """The chain of partial resets, from the mean on until its start is forgotten to 1e-18."""
        shape = (n, *self.shape)
        # one link keeps a E[exp(-k u)] of the distance on average
        keep = float(np.max(self._a * self._rate / (self._rate + self._k), initial=0.0))
        links = 1 if keep == 0 else int(min(np.ceil(-41.0 / np.log(keep)) + 8, 10**5))
        y = np.broadcast_to(self._first(), shape).copy()
        start = self._cloud.start
        for link in range(links + 1):
            u = generator.standard_exponential(shape) / self._rate
            fall = np.exp(-self._k * u)
            moved = self._cloud.mean(u) - start
            noise = np.sqrt(self._cloud.var(u)) * generator.standard_normal(shape)
            y = y * fall + moved + noise
            if link < links:
                y = self._a * y
        draws: Array = np.asarray(self.reset_to) + y
        return draws


class PartialDiffusion(PartialState):
    r"""Stationary state of drift-diffusion under partial Poisson resets.

    y = x - x_r is the sum of independent two-sided exponentials, scaled by 1, a, a², ...: its
    characteristic function is :math:`\prod_n (1 - i q a^n \mu/r + q^2 a^{2n} D/r)^{-1}`. Density
    and distribution follow by Fourier inversion with an absolute error of about 1e-13 over the
    scale of the state; where a = 0 in closed form.

    Attributes
    ----------
    shape : tuple of int
        Shape of the parameters; ``()`` for scalars.
    reset_to : float or ndarray
        Where resets lead, length.
    atom : float or ndarray
        Zero.
    """

    def _characteristic(self, q: Array) -> Any:
        """E[exp(i q y)]."""
        mu, spread = self._push / self._rate, self._D / self._rate
        biggest = float(np.max(self._a, initial=0.0))
        top = float(np.max(np.abs(q * mu) + q * q * spread))
        count = 1 if biggest == 0 else int(np.log(1e-19 / max(top, 1e-2)) / np.log(biggest)) + 2
        log_value: Any = 0.0
        power: Any = np.ones(self._a.shape)
        for _ in range(min(count, 20000)):
            step = q * power
            log_value = log_value - np.log1p(step * (step * spread) - 1j * step * mu)
            power = power * self._a
        return np.exp(log_value)

    def _fourier(self, x: Array, kernel: str) -> Any:
        """Fourier inversion, places of like distance together: far ones need finer pieces."""
        width = np.asarray(self.std())
        y = (x - np.asarray(self.reset_to)) / width
        y = np.broadcast_to(y, np.broadcast_shapes(y.shape, self.shape))
        if self.shape:
            return self._pieces(y, width, kernel)
        total = np.empty(y.shape)
        size = np.digitize(np.abs(y), [2.0, 8.0, 32.0, 128.0])
        for group in np.unique(size):
            total[size == group] = self._pieces(y[size == group], width, kernel)
        return total

    def _pieces(self, y: Array, width: Array, kernel: str) -> Any:
        """Gauss–Legendre pieces in q, in units of the standard deviation."""
        nodes, weights = (np.asarray(a) for a in special.roots_legendre(32))
        reach = max(1.0, float(np.max(np.abs(y), initial=0.0)))
        total: Any = np.zeros(y.shape)
        low, piece = 0.0, min(1.0, 8.0 / reach)
        while low < 1e5:
            q = (low + 0.5 * piece * (1.0 + nodes)).reshape(-1, *(1,) * y.ndim)
            weight = (0.5 * piece * weights).reshape(q.shape)
            turned = self._characteristic(q / width) * np.exp(-1j * q * y)
            part = turned.real if kernel == "density" else turned.imag / q
            total = total + np.sum(part * weight, axis=0)
            low += piece
            if float(np.max(np.abs(turned[-1]), initial=0.0)) < 1e-14:
                break
            piece = min(2.0 * piece, 8.0 / reach)
        return total / np.pi / (width if kernel == "density" else 1.0)

    def _plain(self) -> State | None:
        """The state of full resets, where none of the distance is kept."""
        if np.any(self._a != 0):
            return None
        from resetsgd.steady.ages import PoissonAges
        from resetsgd.steady.closed import LaplaceState
        from resetsgd.steady.state import Part

        state = LaplaceState([Part(self._cloud, PoissonAges(self._rate))], self.reset_to, _never)
        state.parameters = (self._push, self._D, self._rate)
        return state

    def _density(self, x: Array) -> Any:
        full = self._plain()
        return self._fourier(x, "density") if full is None else full._density(x)

    def _cdf(self, x: Array) -> Any:
        full = self._plain()
        return 0.5 - self._fourier(x, "cdf") if full is None else full._cdf(x)

    def _survival(self, x: Array) -> Any:
        full = self._plain()
        return 0.5 + self._fourier(x, "cdf") if full is None else full._survival(x)


def _never(t: Any, start: Any) -> list[Any]:
    raise DomainError("partial", "partial resets", "None for a relaxation")
