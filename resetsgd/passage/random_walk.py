"""First passage of random walks, by transfer operators."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from resetsgd import domain
from resetsgd.domain import Array, RealLike
from resetsgd.errors import DomainError, NotConverged
from resetsgd.passage.base import PassageTime
from resetsgd.passage.jumps import LEAST_ALPHA, Jump
from resetsgd.passage.operator_passage import OperatorPassage
from resetsgd.passage.transfer import Panels, Transfer
from resetsgd.processes.random_walk import RandomWalk

__all__ = ["RandomWalkPassage", "passage"]

_FARTHEST = 1e12
"""Largest distance, in jump widths, at which 1e-10 can be promised."""
_MOST_PANELS = 60


def passage(process: RandomWalk, start: RealLike, target: Any, wall: Any) -> PassageTime:
    """The passage time for a kind of target; what ``first_passage`` calls."""
    if wall is not None:
        raise DomainError("wall", wall, "None for a random walk")
    if isinstance(target, tuple):
        from resetsgd.passage.lattice_sides import RandomWalkExit

        return RandomWalkExit(process, start, target)
    if process.jump.dist.name == "levy_stable":
        from resetsgd.passage.levy import LevyPassage, stable_parameters

        if stable_parameters(process.jump)[0] < LEAST_ALPHA:
            return LevyPassage(process, start, target)
    return RandomWalkPassage(process, start, target)


class _Step:
    """One step of the walk in units of distance from the target, which lies at or below 0.

    Parameters
    ----------
    jump : Jump
        Law of the jump, mirrored where the target lies above.
    contraction, center : float
        x -> center + contraction (x - center) + jump.
    width : float
        Position of the other end of an interval; ``inf`` for a half line.
    reach : float
        Largest jump that is integrated.
    """

    def __init__(
        self, jump: Jump, contraction: float, center: float, width: float, reach: float
    ) -> None:
        self.jump, self.contraction, self.center, self.width = jump, contraction, center, width
        self._pieces = jump.edges(reach)

    def centre(self, x: Any) -> Any:
        """Position from which the jump starts."""
        return x if self.contraction == 1 else self.center + self.contraction * (x - self.center)

    def density(self, x: Array, v: Array) -> Array:
        """Density of the jump."""
        return self.jump.pdf(v)

    def pieces(self, x: float) -> Array:
        """The same from everywhere."""
        return self._pieces

    def leaves(self, x: Array) -> Array:
        """Chance to jump to the target, or beyond the other end of an interval."""
        below = self.below(x)
        return below if np.isinf(self.width) else below + self.above(x)

    def below(self, x: Array) -> Array:
        """Chance to jump to the target, or beyond it."""
        return self.jump.below(-self.centre(x))

    def above(self, x: Array) -> Array:
        """Chance to jump beyond the other end of an interval."""
        return self.jump.above(self.width - self.centre(x))


class RandomWalkPassage(OperatorPassage):
    r"""First passage of :class:`~resetsgd.RandomWalk` to a half line or out of an interval.

    It arrives at the first step after which the walk is at or beyond the target. The generating
    function solves a Fredholm equation of the second kind, here by collocation with the kernel
    integrated exactly; on a half line, i.i.d. light-tailed jumps are continued beyond the last
    panel by :math:`e^{-\kappa x}` with E[exp(-kappa jump)] = 1/z, heavy-tailed ones on panels
    of a decade each.

    Parameters
    ----------
    process : RandomWalk
        What moves.
    start : float or array
        Positions, length; all on the same side of the target.
    target : float or tuple of two floats
        One target, or the ends of an interval.

    Raises
    ------
    DomainError
        If the target is not a single one, the starts lie on both sides of it, or the jump law is
        heavy-tailed and biased on a half line.
    NotConverged
        If two discretisations differ by more than 1e-10.

    Notes
    -----
    Accuracy: 1e-10 relative of means, variances and transforms, or ``NotConverged``; survival
    1e-11 absolute.

    **Source**: E. Sparre Andersen, Math. Scand. 1, 263 (1953) and F. Pollaczek, C. R. Acad. Sci.
    234, 2334 (1952) for what it is tested against; L. Kusmierz et al., PRL 113, 220602 (2014) for
    resetting. Derived in ``theory/14_finite_learning_rate.py``.

    Examples
    --------
    >>> import resetsgd as rs
    >>> from scipy import stats
    >>> walk = rs.RandomWalk(jump=stats.norm(-0.1, 1.0))
    >>> round(rs.first_passage(walk, start=5.0, target=0.0).mean(), 6)
    56.080117
    """

    sources: ClassVar[tuple[str, ...]] = ("kusmierz2014", "sparreandersen1953")

    def __init__(self, process: RandomWalk, start: RealLike, target: Any) -> None:
        super().__init__(process.step)
        place = np.asarray(domain.finite("start", start))
        interval = isinstance(target, tuple)
        ends = target if interval else (target,)
        for end in ends:
            if np.ndim(end):
                raise DomainError("target", target, "a single target, or the ends of one interval")
        low, high = float(np.min(ends)), float(np.max(ends))
        gap = np.ravel(place - low)
        sign = 1
        if not interval:
            domain.finite("target", target)
            sign = int(np.sign(gap[0])) if gap.size else 1
            if sign == 0 or (np.sign(gap) != sign).any():
                raise DomainError(
                    "start", start, f"on one side of the target {target!r}, not at it"
                )
        self.process, self.start, self.target = process, start, target
        self._shape = place.shape
        self._jump = Jump(process.jump, sign)
        unit = self._jump.unit
        with np.errstate(over="ignore"):
            self._gap = sign * gap / unit
            self._width = (high - low) / unit if interval else np.inf
            self._center = sign * (process.center - low) / unit
        if not (np.max(self._gap, initial=0.0) <= _FARTHEST and abs(self._center) <= _FARTHEST):
            raise DomainError("start", start, f"within {_FARTHEST:g} jump widths of the target")
        self._iid = process.contraction == 1
        self._half_line = not interval
        if self._half_line and self._iid and self._jump.heavy and not self._jump.symmetric:
            raise DomainError(
                "jump", process.jump, "symmetric or light-tailed on a half line; or simulate it"
            )

    def __repr__(self) -> str:
        return f"first_passage({self.process}, start={self.start!r}, target={self.target!r})"

    # Discretisation --------------------------------------------------------------------------

    def _operator(self, order: int) -> Transfer:
        jump, process = self._jump, self.process
        decay = None
        reach = jump.reach() if not jump.heavy else 1e3 * (jump.scale + self._gap.max())
        if not self._half_line:
            panels = Panels(self._both_ends(), order)
            reach = reach if not jump.heavy else 2.0 * self._width + 10 * jump.scale
        elif not self._iid:
            panels = Panels(self._contracted(order), order)
            reach = reach if not jump.heavy else 2.0 * panels.end
        elif jump.heavy:
            panels, reach = self._decades(order)
        else:
            # the twin ends elsewhere, so that the two also see what the continuation costs
            length = (24.0 if order == 18 else 21.0) * jump.scale
            count, width = 10, 0.1 * length
            low = jump.sign * np.array(jump.law.support()) / jump.unit
            if np.isfinite(low.min()) and low.min() < 0:  # the solution has kinks there
                width = -float(low.min())
                count = int(np.clip(np.ceil(length / width), 4, 24))
            panels = Panels(self._with_kinks(width * np.arange(count + 1.0)), order)
            decay = jump.decay
        step = _Step(jump, process.contraction, self._center, self._width, reach)
        return Transfer(step, panels, self._gap, decay)

    def _graded(self, length: float, largest: float) -> Array:
        """Panels from a target on: three jumps wide, then growing.

        The density of a heavy-tailed law has poles next to the real axis, and so has the solution
        next to the target: narrower panels.
        """
        edges = [0.0]
        width = (0.3 if self._jump.heavy else 3.0) * self._jump.scale
        while edges[-1] < length:
            if len(edges) > _MOST_PANELS:
                raise NotConverged(
                    f"a stretch of {length:.3g} jump widths needs more than {_MOST_PANELS} panels;"
                    " so far out diffusion is the better description"
                )
            edges.append(edges[-1] + min(width, largest))
            width *= 1.0 if len(edges) < 4 else 1.5
        return np.array(edges)

    def _both_ends(self) -> Array:
        half = self._graded(0.5 * self._width, np.inf)
        half = half / half[-1] * 0.5 * self._width
        return self._with_kinks(np.union1d(half, self._width - half))

    def _with_kinks(self, edges: Array) -> Array:
        """Panels also end where a kink of the jump law, seen from an end, makes one in G.

        Its images by further jumps are smoother each time.
        """
        kinks = self._jump.kinks
        ends = (0.0,) if np.isinf(self._width) else (0.0, self._width)
        if not kinks.size or not self._iid:
            return edges
        first = np.subtract.outer(ends, kinks).ravel()
        second = np.subtract.outer(first, kinks).ravel()
        places = np.concatenate([first, second])
        places = places[(places > 0) & (places < edges[-1])]
        gaps = np.min(np.abs(np.subtract.outer(places, edges)), axis=1)
        return np.union1d(edges, places[gaps > 1e-9 * self._jump.scale])

    def _contracted(self, order: int) -> Array:
        """Panels to where a walk that contracts to its centre never comes."""
        jump, phi = self._jump, self.process.contraction
        spread = jump.scale / np.sqrt(1.0 - phi * phi)
        shift = jump.mean if np.isfinite(jump.mean) else jump.centre
        rest = self._center + shift / (1.0 - phi)
        reach = max(abs(float(self._gap.max()) - rest), abs(rest), spread)
        if jump.heavy:
            raise DomainError("jump", self.process.jump, "light-tailed with a contraction")
        end = max(abs(rest) + (9.5 if order == 18 else 9.0) * spread, rest + reach + 4 * spread)
        return self._graded(end, max(3.0 * jump.scale, spread))

    def _decades(self, order: int) -> tuple[Panels, float]:
        """Panels of a decade each for heavy tails, and one to infinity."""
        jump = self._jump
        power = min(jump.exponent, 2.0)
        near = jump.scale * np.array([0.0, 0.3, 0.6, 1.0, 1.5, 2.2, 3.3, 5.0, 7.2, 10.0])
        last = np.log10(max(10.0, float(self._gap.max() / jump.scale))) + 11.0 / power
        count = int(np.ceil(1.5 * last))
        far = jump.scale * 10.0 ** np.linspace(1.0, last, count)[1:]
        edges = np.concatenate([near, far])
        panels = Panels(edges, order, edges[:-1] > 9.0 * jump.scale, power)
        return panels, float(panels.end) * 10.0 ** (13.0 / (2.0 * power))

    # What the operator leaves to be known -----------------------------------------------------

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the starts."""
        return self._shape

    def _certain(self) -> tuple[bool, bool]:
        """Whether it surely arrives, and whether the mean is finite."""
        if not (self._half_line and self._iid):
            return True, True
        drift = 0.0 if self._jump.symmetric else self._jump.mean
        return drift <= 1e-13 * self._jump.scale, drift < -1e-13 * self._jump.scale
