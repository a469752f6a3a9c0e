"""Laplace inversion that notices a steep law, and follows its transform along a vertical line.

The contour of :func:`resetsgd.passage.inversion.invert` bends to the left, where the transform of a
narrow law grows: a coefficient of variation below about 0.25, or a narrow part, is beyond it, and
two sizes of the contour then differ. On a vertical line the same transform fades over 1/width; the
line goes through the point at which exp(st) times the transform is near its least, so that little
cancels, and all times near each other share the values of the transform on it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
from scipy import linalg

from resetsgd.domain import Array
from resetsgd.errors import NotConverged
from resetsgd.passage.inversion import contour, euler
from resetsgd.protocols.overhead import spent

__all__ = ["Law", "cdf", "density", "inverted", "lasting", "survival"]

Transform = Callable[[Any], Any]
Kernel = Callable[[Any, Any], Any]

_DEPTH = 36.0
"""The copies of the law that the rule adds, a period apart, are down by exp(-36)."""
_FIRST, _MOST = 64, 2**15
"""Nodes of the first block, which double, and of a whole line."""
_KEPT, _AT_ONCE = 2**15, 2**18
"""Values of a transform that are kept for other times; terms of the sums held at a time."""
_FADED, _SHARPEST = 1e-15, 1e-5
_SURELY = 1e6
"""Standard deviations from the mean beyond which, by Chebyshev, less than 1e-12 is left."""
_EPS = float(np.finfo(np.float64).eps)
_OVER = 32.0
"""The same where the transform shows that less is left."""
_SLACK, _NOTHING = 4.0, -740.0
_POWERS = np.arange(-20.0, 15.0)
"""Powers of two, over the width of a law, that the shift of a line is chosen from."""
_ROWS = [contour(28), contour(22)]
_BENT = (
    np.concatenate([nodes for nodes, _ in _ROWS]),
    linalg.block_diag(*(weights for _, weights in _ROWS)),
    1e-10,
)
_RIGHT = euler(18, 18)[0], np.stack([euler(18, 18)[1], euler(18, 15)[1]]), 1e-8
"""Nodes, weights of two sums, and by how much these may differ; the second keeps right of 0."""


class Law:
    """What an inversion may ask of a law; it remembers the transform along the lines it took.

    Parameters
    ----------
    log_laplace : callable
        log E[exp(-sT)] for s of positive real part, real or complex.
    shape : tuple of int
        Shape of the parameters.
    mean, std, scale : callable
        Moments and a typical time; asked for only where the law is steep.
    """

    def __init__(
        self,
        log_laplace: Transform,
        shape: tuple[int, ...],
        mean: Callable[[], Any],
        std: Callable[[], Any],
        scale: Callable[[], Any],
    ) -> None:
        self.log_laplace, self.shape = log_laplace, shape
        self._mean, self._std, self._scale = mean, std, scale
        self._lines: dict[tuple[int, int], list[tuple[Array, Array]]] = {}

    @cached_property
    def moments(self) -> tuple[Array, Array]:
        """Mean and standard deviation."""
        return np.asarray(self._mean()), np.asarray(self._std())

    @cached_property
    def _base(self) -> Array:
        """A power of two near 1/width."""
        width = np.broadcast_to(self.moments[1], self.shape)
        if not (np.isfinite(width) & (width > 0)).all():
            width = np.where(np.isfinite(width) & (width > 0), width, self._scale())
        return np.exp2(np.clip(np.round(-np.log2(width)), -950.0, 950.0))

    @cached_property
    def over(self) -> Array:
        """A time from which on nothing is left to 1e-12; ``inf`` where none is known."""
        mean, std = (np.broadcast_to(part, self.shape).ravel() for part in self.moments)
        known = np.flatnonzero(np.isfinite(mean) & np.isfinite(std) & (std > _SHARPEST * mean))
        at = mean[known] + _OVER * std[known]
        come = self.along_line(lambda s, shift: shift / s, at, known)
        all_ = np.exp(np.real(self.log_laplace(np.zeros(self.shape)))) * np.ones(self.shape)
        value = np.full(mean.shape, np.inf)
        digits = np.clip(16.0 * _EPS * mean[known] / std[known], 1e-12, 1e-10)
        value[known] = np.where(np.abs(all_.ravel()[known] - come) < digits, at, np.inf)
        return value.reshape(self.shape)

    @cached_property
    def _heights(self) -> tuple[Array, Array]:
        """Shifts and the logarithm of the transform there, first axis over :data:`_POWERS`."""
        shifts = self._base * np.exp2(_POWERS).reshape(-1, *(1,) * len(self.shape))
        heights = np.real(self.log_laplace(shifts)) * np.ones(shifts.shape)
        return shifts.reshape(len(shifts), -1), heights.reshape(len(shifts), -1)

    def line(self, power: int, halvings: int, number: int) -> tuple[Array, Array]:
        """Nodes and log-transform of one block of a line, shape (nodes, size)."""
        blocks = self._lines.setdefault((power, halvings), [])
        if number < len(blocks):
            return blocks[number]
        count = _FIRST * 2 ** max(number - 1, 0)
        first = 0 if number == 0 else count
        k = np.arange(first, first + count).reshape(-1, *(1,) * len(self.shape))
        s = self._base * np.exp2(_POWERS[power]) * (1.0 + 1j * _step(halvings) * k)
        block = s.reshape(count, -1), (self.log_laplace(s) * np.ones(s.shape)).reshape(count, -1)
        if number == len(blocks) and block[0].size <= _KEPT:
            blocks.append(block)
        return block

    def along_line(self, kernel: Kernel, t: Array, element: Any) -> Array:
        """Inverse transform of exp(log_laplace) kernel(s, shift)/shift at times t > 0, in a row.

        By the trapezoidal rule on a line for each time; ``element`` is the place of each in the
        raveled parameters. Relative to exp(st) times the transform at the saddle, the error is
        about 1e-13.
        """
        shifts, heights = self._heights
        growth = shifts[:, element] * t + heights[:, element]
        growth = np.where(np.isfinite(growth), growth, np.inf)  # it may underflow
        least = growth.min(axis=0)
        least = np.where(np.isinf(least), -np.inf, least)  # nothing arrives
        power = len(_POWERS) - 1 - np.argmax((growth <= least + _SLACK)[::-1], axis=0)
        # The copies of what came earlier or comes later are bounded by what the transform is at
        # larger and at smaller shifts; nothing came before 0, and not more than all comes later.
        place = power, np.arange(t.size)
        shift, top = shifts[:, element][place], growth[place]
        apart = shifts[:, element] - shift
        reach = (_DEPTH + growth - top) / np.abs(np.where(apart == 0, 1.0, apart))
        before = np.minimum(np.where(apart > 0, reach, np.inf).min(axis=0), t)
        after = np.minimum(np.where(apart < 0, reach, np.inf).min(axis=0), (_DEPTH - top) / shift)
        period = np.maximum(before, after)
        halvings = np.ceil(np.log2(np.maximum(period * shift / _DEPTH, 1.0)))
        lines = np.stack([power, halvings.astype(np.int64)])
        value = np.zeros(t.shape)
        for choice in np.unique(lines[:, least > _NOTHING], axis=1).T:
            here = np.flatnonzero((lines == choice[:, None]).all(axis=0) & (least > _NOTHING))
            line = int(choice[0]), int(choice[1])
            value[here] = self._sum(kernel, line, t[here], element[here])
        return value

    def _sum(self, kernel: Kernel, line: tuple[int, int], t: Array, element: Any) -> Array:
        """The rule on one line, block by block until the transform of each law has faded."""
        open_ = np.unique(element)
        total = np.zeros(t.shape)
        top = start = np.ones(0)
        number = done = 0
        while done < _MOST:
            s, logs = self.line(*line, number)
            weights = kernel(s, s[0].real)
            top = logs[0].real if number == 0 else top
            size = np.exp(logs.real - top) * np.abs(weights)
            start = size[0] if number == 0 else start
            if not np.isfinite(size[:, open_]).all():
                break
            here = np.flatnonzero(np.isin(element, open_))
            rows = max(_AT_ONCE // here.size, 1)
            for low in range(0, len(s), rows):
                at, e = slice(low, low + rows), element[here]
                terms = np.exp(logs[at][:, e] + s[at][:, e] * t[here]) * weights[at][:, e]
                if done == low == 0:
                    terms[0] *= 0.5
                total[here] += terms.real.sum(axis=0)
            faded = size[-(len(s) // 4) :].max(axis=0) <= _FADED * start
            open_ = open_[~faded[open_]]
            if not open_.size:
                return _step(line[1]) / np.pi * total
            number, done = number + 1, done + len(s)
        raise NotConverged(
            "survival: the law is too steep, or has jumps, for its transform to be inverted to"
            " 1e-10"
        )


def _step(halvings: int) -> float:
    """Step over shift of a line whose period is 36 over the shift, doubled so often."""
    return 2.0 * np.pi / _DEPTH * 0.5**halvings


@np.errstate(all="ignore")
def inverted(
    law: Law,
    bent: Kernel,
    kernel: Kernel,
    finish: Callable[[Any, Array], Any],
    certain: Callable[[Array, Any], Any],
    t: Array,
    unit: Any,
    *,
    right: bool = False,
    rest: Callable[[Array], Any] | None = None,
) -> Any:
    """Inverse of a transform, by a contour, or along a line where that is in doubt.

    Parameters
    ----------
    law : Law
        What fades along the line.
    bent : callable
        The transform, of s and of the time it is for.
    kernel : callable
        ``kernel(s, shift)``: what multiplies the transform of the law on a line, times its shift.
    finish : callable
        The answer from the inverse along the line and the times.
    certain : callable
        The answer where all arrive later than a time, or earlier, as the mean does.
    t : ndarray
        Times, of a shape that the shape of the law broadcasts to.
    unit : float or ndarray
        The size against which errors count.
    right : bool, default False
        Whether the transform is known right of 0 only.
    rest : callable, optional
        What belongs to the answer, as a function of all the times, and is not in the law.
    """
    usable = (t > 0) & np.isfinite(t)
    time = np.where(usable, np.maximum(t, 1e-280), 1.0)  # 1/time must not overflow
    nodes, weights, tolerance = _RIGHT if right else _BENT
    terms = bent(nodes.reshape(-1, *(1,) * t.ndim) / time, time)
    value, check = np.tensordot(weights, terms, axes=1).real / time
    doubt = usable & ~(np.abs(value - check) <= tolerance * np.maximum(np.abs(value), unit))
    value = np.array(np.where(usable, value, 0.0))
    if not doubt.any():
        return value
    more = np.zeros(t.shape) if rest is None else np.asarray(rest(time))
    # P(T <= t) < exp(1) E[exp(-T/t)]
    never = doubt & (1.0 + np.real(law.log_laplace(1.0 / time)) < _NOTHING)
    value = np.array(np.where(never, certain(time, np.inf) + more, value))
    doubt &= ~never
    if not doubt.any():
        return value
    mean, std = (np.broadcast_to(part, t.shape) for part in law.moments)
    narrow = doubt & np.isfinite(mean) & (np.abs(t - mean) > _SURELY * std)
    value = np.array(np.where(narrow, certain(time, mean), value))
    doubt &= ~narrow
    if np.any(doubt & np.isfinite(mean) & (std <= _SHARPEST * mean)):
        raise NotConverged("survival: the law is too steep for the digits of float64")
    places = np.arange(int(np.prod(law.shape))).reshape(law.shape)
    late = doubt & np.isfinite(mean) & (t > mean + _OVER * std)
    if late.any():
        late &= t >= law.over
        value = np.array(np.where(late, certain(time, mean), value))
        doubt &= ~late
    element = np.broadcast_to(places, t.shape)[doubt]
    if element.size:
        at = time[doubt]
        value[doubt] = finish(law.along_line(kernel, at, element), at) + more[doubt]
    return value


def survival(law: Law, t: Array, *, right: bool = False) -> Any:
    """P(T > t) for positive finite t, absolute error about 1e-11."""
    return inverted(
        law,
        lambda s, _: -np.expm1(law.log_laplace(s)) / s,
        lambda s, shift: shift / s,
        lambda come, _: 1.0 - come,
        lambda at, mean: np.where(at < mean, 1.0, 0.0),
        t, 1.0, right=right,
    )  # fmt: skip


def cdf(law: Law, t: Array) -> Any:
    """P(T <= t) for positive finite t, absolute error about 1e-11, less where it is small."""
    return inverted(
        law,
        lambda s, _: np.exp(law.log_laplace(s)) / s,
        lambda s, shift: shift / s,
        lambda come, _: come,
        lambda at, mean: np.where(at < mean, 0.0, 1.0),
        t, 1.0,
    )  # fmt: skip


def density(law: Law, t: Array, *, right: bool = False) -> Any:
    """Density at positive finite t, absolute error about 1e-11 over the time scale."""
    return inverted(
        law,
        lambda s, _: np.exp(law.log_laplace(s)),
        lambda s, shift: shift + 0.0 * s,
        lambda value, _: value,
        lambda at, _: 0.0 * at,
        t, 1.0 / np.where(t > 0, t, 1.0), right=right,
    )  # fmt: skip


def lasting(law: Law, t: Array, s: Any) -> Any:
    """Integral of exp(-su) P(T > u) over (0, t) for positive finite t and real s."""
    if s != 0:
        free, scale = law.log_laplace, law._scale
        law = Law(lambda p: free(p + s), law.shape, law._mean, law._std, scale)

    def whole() -> Any:
        return law.moments[0] if s == 0 else -np.expm1(np.real(law.log_laplace(zero))) / s

    zero = np.zeros(law.shape)
    return t * inverted(
        law,
        lambda p, at: -np.expm1(law.log_laplace(p)) / (p + s) / (p * at),
        lambda p, shift: shift / p / (p + s),
        lambda come, at: (spent(at, s) - come) / at,
        lambda at, mean: np.where(at < mean, spent(at, s), whole()) / at,
        t, 0.0,
    )  # fmt: skip
