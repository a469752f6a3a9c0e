"""First passage of discrete SGD in a quadratic bowl, exact for a finite learning rate."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from scipy import special, stats

from resetsgd import domain
from resetsgd.domain import Array, RealLike
from resetsgd.errors import DomainError, NotConverged
from resetsgd.passage.base import PassageTime
from resetsgd.passage.operator_passage import OperatorPassage
from resetsgd.passage.random_walk import RandomWalkPassage
from resetsgd.passage.transfer import Panels, Transfer
from resetsgd.processes.quadratic_sgd import QuadraticSGD
from resetsgd.processes.random_walk import RandomWalk

__all__ = ["QuadraticSGDPassage", "RadialPassage", "passage"]

_SUPPORTED = (
    "one-dimensional, or isotropic (H = h I, C = c I): only then is what reaches the target a"
    " Markov chain of its own; simulate the other cases"
)


def passage(process: QuadraticSGD, start: RealLike, target: Any, wall: Any) -> PassageTime:
    """The passage time for a kind of target; what ``first_passage`` calls."""
    if wall is not None:
        raise DomainError("wall", wall, "None for discrete SGD")
    if process.momentum != 0:
        allowed = "0 for a first passage: with a velocity the position alone is no Markov chain"
        raise DomainError("momentum", process.momentum, f"{allowed}; simulate it")
    if process.dimension == 1 and isinstance(target, tuple):
        from resetsgd.passage.lattice_sides import QuadraticSGDExit

        return QuadraticSGDExit(process, start, target)
    if process.dimension == 1:
        return QuadraticSGDPassage(process, start, target)
    return RadialPassage(process, start, target)


def _isotropic(process: QuadraticSGD) -> tuple[float, float]:
    """h and c of H = h I and C = c I."""
    values = []
    for name in ("hessian", "noise_covariance"):
        matrix = np.reshape(getattr(process, name), (process.dimension, process.dimension))
        value = float(matrix[0, 0])
        if not np.allclose(matrix, value * np.eye(len(matrix)), rtol=1e-14, atol=0):
            raise DomainError(name, matrix, _SUPPORTED)
        values.append(value)
    if values[1] <= 0:
        raise DomainError(
            "noise_covariance", values[1], "positive: without noise nothing is random"
        )
    contraction = 1.0 - process.learning_rate * values[0]
    if not -1.0 < contraction <= 1.0:
        raise DomainError("learning_rate", process.learning_rate, "stable: 0 <= eta h < 2")
    return values[0], values[1]


class QuadraticSGDPassage(RandomWalkPassage):
    r"""First passage of one-dimensional :class:`~resetsgd.QuadraticSGD` to a position.

    It is the walk :math:`\theta' = (1 - \eta h) \theta + \eta \sqrt{c}\, N(0, 1)`.

    Parameters
    ----------
    process : QuadraticSGD
        Of one dimension, without momentum, stable.
    start, target
        As for :class:`~resetsgd.RandomWalk`.

    Raises
    ------
    DomainError
        If the bowl is unstable or has no noise.

    Notes
    -----
    Accuracy as for :class:`~resetsgd.RandomWalk`.

    **Source**: the definition of a step, which is that of the walk; what the finite learning rate
    changes is measured in ``theory/14_finite_learning_rate.py``.

    Examples
    --------
    >>> import resetsgd as rs
    >>> sgd = rs.QuadraticSGD(hessian=1.0, noise_covariance=1.0, learning_rate=0.1)
    >>> round(rs.first_passage(sgd, start=1.0, target=0.0).mean(), 6)
    24.053978
    """

    sources: ClassVar[tuple[str, ...]] = ()

    def __init__(self, process: QuadraticSGD, start: RealLike, target: Any) -> None:
        curvature, noise = _isotropic(process)
        width = process.learning_rate * np.sqrt(noise)
        contraction = 1.0 - process.learning_rate * curvature
        super().__init__(RandomWalk(stats.norm(0.0, width), contraction), start, target)
        self.sgd = process

    def __repr__(self) -> str:
        return f"first_passage({self.sgd}, start={self.start!r}, target={self.target!r})"


class _Radius:
    """One step of the radius |theta|, and the chance to be at the target after it.

    Parameters
    ----------
    dimension : int
        d.
    contraction, width : float
        theta' = contraction theta + width N(0, I).
    level : float
        Radius of the target.
    inward : bool
        Whether it arrives from outside; positions are then the radius less the level.
    """

    def __init__(
        self, dimension: int, contraction: float, width: float, level: float, inward: bool
    ) -> None:
        self.order = 0.5 * dimension - 1.0
        self.contraction, self.width, self.level = abs(contraction), width, level
        self.base = level if inward else 0.0
        self.inward = inward
        self._nodes = np.polynomial.legendre.leggauss(24)

    def centre(self, x: Any) -> Any:
        """The contracted position."""
        return self.contraction * (x + self.base) - self.base

    def density(self, x: Array, v: Array) -> Array:
        """Density of the radius less the contracted one."""
        radius = x + self.base
        return self._radial(radius, np.maximum(self.contraction * radius + v, 0.0))

    def _radial(self, radius: Array, after: Array) -> Array:
        """Density of the radius after a step: a noncentral chi distribution."""
        r = after / self.width
        m = self.contraction * radius / self.width
        z = m * r
        # r (r/m)^nu exp(-(r² + m²)/2) I_nu(m r), the series of I where its argument is small
        nu = self.order
        small = z < 1e-3
        safe = np.where(small, 1.0, z)
        bessel = np.where(
            small,
            (1.0 + z * z / (4 * (nu + 1)) * (1.0 + z * z / (8 * (nu + 2))))
            * np.exp(-np.minimum(z, 1.0)) / (2.0**nu * special.gamma(nu + 1.0)),
            special.ive(nu, safe) * safe**-nu,
        )  # fmt: skip
        return np.asarray(r ** (2.0 * nu + 1.0) * bessel * np.exp(-0.5 * (r - m) ** 2) / self.width)

    def pieces(self, x: float) -> Array:
        """Up to where 1e-40 is left."""
        centre = self.contraction * (x + self.base)
        high = centre + self.width * (14.0 + np.sqrt(2.0 * self.order + 2.0))
        low = max(0.0, centre - 14.0 * self.width)
        count = int(np.ceil((high - low) / (1.25 * self.width)))
        return np.linspace(low, high, count + 1) - centre

    def leaves(self, x: Array) -> Array:
        """By quadrature of the density over the target."""
        out = np.zeros(len(x))
        for i, place in enumerate(x):
            edges = self.pieces(float(place)) + self.contraction * (place + self.base)
            # far from the target only a tail reaches it
            if self.inward:
                edges = np.clip(np.concatenate([np.linspace(0.0, self.level, 9), edges]), 0.0,
                                self.level)  # fmt: skip
                edges = np.unique(edges)
            else:
                top = max(edges[-1], self.level + 8.0 * self.width)
                edges = np.unique(np.clip(np.append(edges, np.arange(self.level, top, self.width)),
                                          self.level, top))  # fmt: skip
            if len(edges) < 2:
                continue
            half = 0.5 * np.diff(edges)[:, None]
            y = edges[:-1, None] + half + half * self._nodes[0]
            density = self._radial(np.full(y.shape, place + self.base), y)
            out[i] = np.sum(half * self._nodes[1] * density)
        return out


class RadialPassage(OperatorPassage):
    r"""First passage of isotropic :class:`~resetsgd.QuadraticSGD` in d > 1 to a level of the loss.

    With H = h I and C = c I the radius is a Markov chain of its own: the squared radius over
    :math:`\eta^2 c` after a step is noncentral chi-square with d degrees of freedom.

    Parameters
    ----------
    process : QuadraticSGD
        Isotropic, without momentum, 0 < eta h < 2.
    start, target : float or array, float
        Levels of the loss :math:`h |\theta|^2 / 2`. The start may lie above the target (the loss
        has to fall to it) or below (it has to rise), all starts on one side; zero start is the
        minimum.

    Raises
    ------
    DomainError
        If the case is not supported, or a level is outside its range.
    NotConverged
        If two discretisations differ by more than 1e-10.

    Notes
    -----
    Accuracy: 1e-10 relative of means, variances and transforms, or ``NotConverged``.

    **Source**: the definition of the noncentral chi-square distribution; tested against SciPy's.

    Examples
    --------
    >>> import numpy as np
    >>> import resetsgd as rs
    >>> sgd = rs.QuadraticSGD(np.eye(3), np.eye(3), learning_rate=0.1)
    >>> round(rs.first_passage(sgd, start=2.0, target=0.05).mean(), 4)
    22.8406
    """

    sources: ClassVar[tuple[str, ...]] = ()

    def __init__(self, process: QuadraticSGD, start: RealLike, target: Any) -> None:
        super().__init__()
        curvature, noise = _isotropic(process)
        if curvature <= 0:
            raise DomainError("hessian", process.hessian, "positive: the target is a loss")
        if isinstance(target, tuple) or np.ndim(target):
            raise DomainError("target", target, "one level of the loss")
        level = float(np.asarray(domain.positive("target", target)))
        place = np.asarray(domain.nonnegative("start", start))
        side = np.sign(place - level).ravel()
        if not side.size or side[0] == 0 or (side != side[0]).any():
            raise DomainError("start", start, f"on one side of the target {target!r}, not at it")
        self.process, self.start, self.target = process, start, target
        self._shape, self._inward = place.shape, bool(side[0] > 0)
        self._level = float(np.sqrt(2.0 * level / curvature))
        self._radius = np.sqrt(2.0 * place.ravel() / curvature)
        self._contraction = 1.0 - process.learning_rate * curvature
        self._width = process.learning_rate * float(np.sqrt(noise))

    def __repr__(self) -> str:
        return f"first_passage({self.process}, start={self.start!r}, target={self.target!r})"

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the starts."""
        return self._shape

    def _operator(self, order: int) -> Transfer:
        d = self.process.dimension
        spread = self._width / np.sqrt(1.0 - self._contraction**2)
        stretch = max(self._level, float(self._radius.max()))
        if (stretch > 60 * max(2.5 * self._width, 0.75 * spread) and self._inward) or (
            not self._inward and self._level > 150 * self._width
        ):
            raise NotConverged(
                f"a radius of {stretch / self._width:.3g} steps of the noise needs too many panels"
            )
        kernel = _Radius(d, self._contraction, self._width, self._level, self._inward)
        if not self._inward:
            count = int(np.ceil(self._level / (2.5 * self._width))) + 1
            return Transfer(kernel, Panels(np.linspace(0.0, self._level, count + 1), order),
                            self._radius)  # fmt: skip
        reach = (np.sqrt(d) + (10.0 if order == 18 else 9.5)) * spread
        end = max(float(self._radius.max()) + 10.0 * self._width, self._level + 3 * spread, reach)
        edges, width = [0.0], 2.5 * self._width
        while edges[-1] < end - self._level:
            edges.append(edges[-1] + min(width, max(0.75 * spread, 2.5 * self._width)))
            width *= 1.0 if len(edges) < 4 else 1.5
        return Transfer(kernel, Panels(np.array(edges), order), self._radius - self._level)
