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

    The density falls from the reset point as exp(-a |x - x_r|), with
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
        """Speed root, rates of decay right and left, probability right and left."""
        mu, diffusivity, rate = self.parameters
        root = np.hypot(mu, 2.0 * np.sqrt(diffusivity) * np.sqrt(rate))
        # the smaller of root -+ mu as 4 D r/(the larger): nothing cancels
        larger = (root + np.abs(mu)) / diffusivity / 2.0
        smaller = 2.0 * rate / (root + np.abs(mu))
        with_drift = (1.0 + np.abs(mu) / root) / 2.0
        against = smaller / root * diffusivity
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

    def _density(self, x: Array) -> Any:
        root, right, left, _, _ = self._ends()
        gap = x - np.asarray(self.reset_to)
        fall = np.where(gap > 0, right, left) * np.abs(gap)
        return np.asarray(self.parameters[2]) / root * np.exp(-fall)

    def _cdf(self, x: Array) -> Any:
        _, right, left, more, less = self._ends()
        gap = x - np.asarray(self.reset_to)
        above = 1.0 - more * np.exp(-right * np.maximum(gap, 0.0))
        return np.where(gap > 0, above, less * np.exp(left * np.minimum(gap, 0.0)))

    def _survival(self, x: Array) -> Any:
        _, right, left, more, less = self._ends()
        gap = x - np.asarray(self.reset_to)
        below = 1.0 - less * np.exp(left * np.minimum(gap, 0.0))
        return np.where(gap > 0, more * np.exp(-right * np.maximum(gap, 0.0)), below)

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
