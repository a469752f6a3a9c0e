"""Random walk in discrete time with any continuous jump law."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from resetsgd import domain
from resetsgd.errors import DomainError
from resetsgd.processes.base import Process

__all__ = ["RandomWalk"]


@dataclass(frozen=True, eq=False)
class RandomWalk(Process):
    r"""Walk in discrete time, :math:`x_{n+1} = c + \phi\,(x_n - c) + \xi_n`, i.i.d. jumps.

    With ``contraction`` 1 (default) the jumps are simply added. With a smaller one it is the
    first-order autoregressive process, and exactly SGD with a finite learning rate in a quadratic
    bowl: phi = 1 - learning rate times curvature.

    Parameters
    ----------
    jump : scipy.stats frozen continuous distribution
        Law of one jump, length: ``scipy.stats.norm(0, 0.1)``, ``laplace``, ``t``, ``cauchy``,
        symmetric ``levy_stable`` (Lévy flights), ... Scalar parameters.
    contraction : float, default 1
        The factor phi, in (-1, 1].
    center : float, default 0
        The position c that it contracts to, length.
    step : float, default 1
        Time of one jump. Positive.

    Raises
    ------
    DomainError
        If ``jump`` is not a frozen continuous distribution or a number is outside its range.

    Examples
    --------
    >>> import resetsgd as rs
    >>> from scipy import stats
    >>> walk = rs.RandomWalk(jump=stats.norm(0.0, 1.0))
    >>> T = rs.first_passage(walk, start=20.0, target=0.0)
    >>> round(T.under(rs.Geometric(probability=0.01, order="move-look-coin")).mean(), 2)
    1737.7
    """

    jump: Any
    contraction: float = 1.0
    center: float = 0.0
    step: float = 1.0

    def __post_init__(self) -> None:
        made = getattr(self.jump, "dist", None)
        if not (hasattr(self.jump, "sf") and hasattr(made, "_pdf")):
            raise DomainError("jump", self.jump, "a frozen continuous distribution of scipy.stats")
        parameters = (*self.jump.args, *self.jump.kwds.values())
        if any(np.ndim(value) for value in parameters):
            raise DomainError("jump", self.jump, "a distribution of scalar parameters")
        phi = domain.within("contraction", self.contraction, -1.0, 1.0, open_low=True)
        center, step = domain.finite("center", self.center), domain.positive("step", self.step)
        for name, value in (("contraction", phi), ("center", center), ("step", step)):
            if np.ndim(value):
                raise DomainError(name, value, "a single number")
            object.__setattr__(self, name, float(np.asarray(value)))

    def _key(self) -> tuple[object, ...]:
        law = self.jump
        words = sorted(law.kwds.items())
        return (type(self), law.dist.name, law.args, tuple(words), self.contraction, self.center,
                self.step)  # fmt: skip
