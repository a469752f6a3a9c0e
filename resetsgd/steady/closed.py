"""Drift-diffusion under Poisson resetting: two exponentials, in closed form."""

from __future__ import annotations

from typing import Any

import numpy as np

from resetsgd import domain
from resetsgd.domain import Array, Real
from resetsgd.steady.state import Stationary

__all__ = ["LaplaceState"]


class LaplaceState(Stationary):
    r"""Stationary state of drift-diffusion under Poisson resetting.

    The density falls exponentially with the distance from the reset point, at rates
    :math:`a_\pm = (\sqrt{\mu^2 + 4 D r} \mp \mu)/2D` to the right and left, and is
    :math:`r/\sqrt{\mu^2 + 4 D r}` there.

    Attributes
    ----------
    shape : tuple of int
        Shape of the parameters; ``()`` for scalars.
    reset_to : float or ndarray
        Where resets lead, length.
    atom : float or ndarray
        Zero.
    """

    sources = ("evans2011", "evans2020")

    @np.errstate(all="ignore")
    def _ends(self) -> tuple[Any, Any, Any, Any, Any]:
        """Half the root, rates of decay right and left, probability right and left."""
        mu, diffusivity, rate = self.parameters
        # half the root, so that it does not overflow
        noise, half = np.sqrt(diffusivity) * np.sqrt(rate), 0.5 * np.abs(mu)
        root = np.hypot(half, noise)
        # the smaller of root -+ mu/2 as D r/(the larger): nothing cancels
        larger, smaller = (root + half) / diffusivity, rate / (root + half)
        with_drift = 0.5 * (1.0 + half / root)
        against = 0.5 * (noise / root) ** 2 / (1.0 + half / root)
        right = np.where(mu >= 0, smaller, larger), np.where(mu >= 0, with_drift, against)
        left = np.where(mu >= 0, larger, smaller), np.where(mu >= 0, against, with_drift)
        return root, right[0], left[0], right[1], left[1]

    parameters: tuple[Any, Any, Any]
    """Drift, diffusivity, rate."""

    @np.errstate(all="ignore")
    def mean(self) -> Real:
        """x_r + mu/r."""
        mu, _, rate = self.parameters
        return domain.plain(np.broadcast_to(self.reset_to + mu / rate, self.shape).copy())

    @np.errstate(all="ignore")
    def var(self) -> Real:
        """2 D/r + (mu/r)²."""
        mu, diffusivity, rate = self.parameters
        value = 2.0 * diffusivity / rate + (mu / rate) ** 2
        return domain.plain(np.broadcast_to(value, self.shape).copy())

    def _gaps(self, x: Array) -> tuple[Any, Any, Any]:
        """Where x is above the reset point, and the exponents above and below it."""
        _, right, left, _, _ = self._ends()
        gap = x - np.asarray(self.reset_to)
        above = np.where(gap > 0, right * gap, 0.0)
        return gap > 0, above, np.where(gap < 0, -left * gap, 0.0)

    def _density(self, x: Array) -> Any:
        _, above, below = self._gaps(x)
        fall = np.exp(-above - below)
        top = 0.5 * np.asarray(self.parameters[2]) / self._ends()[0]
        return np.where(fall > 0, top * fall, 0.0)

    def _cdf(self, x: Array) -> Any:
        _, _, _, more, less = self._ends()
        up, above, below = self._gaps(x)
        return np.where(up, 1.0 - more * np.exp(-above), less * np.exp(-below))

    def _survival(self, x: Array) -> Any:
        _, _, _, more, less = self._ends()
        up, above, below = self._gaps(x)
        return np.where(up, more * np.exp(-above), 1.0 - less * np.exp(-below))

    def _quantile(self, q: Array) -> Any:
        _, right, left, more, less = self._ends()
        down = np.log(np.minimum(q / less, 1.0)) / left
        up = -np.log(np.minimum((1.0 - q) / more, 1.0)) / right
        return np.asarray(self.reset_to) + np.where(q < less, down, up)

    @np.errstate(all="ignore")
    def _sample(self, n: int, generator: np.random.Generator) -> Array:
        _, right, left, _, less = self._ends()
        side = generator.random((n, *self.shape)) < less
        gap = generator.standard_exponential((n, *self.shape))
        draws: Array = np.asarray(self.reset_to) + np.where(side, -gap / left, gap / right)
        return draws
