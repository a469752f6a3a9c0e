"""The best member of a protocol family, searched globally."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from resetsgd import domain
from resetsgd.errors import DomainError
from resetsgd.passage import search
from resetsgd.passage.restart import refuse_settings
from resetsgd.passage.search import Local
from resetsgd.protocols import Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from resetsgd.passage.base import PassageTime

__all__ = ["Optimum", "Ranking", "best", "best_protocol"]


class _WhenAsked:
    """A field whose value may be a function, called when the value is first asked for."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = f"_{name}"

    def __get__(self, instance: Any, owner: type) -> Any:
        if instance is None:
            raise AttributeError(self.name)  # so that the field has no default
        value = instance.__dict__[self.name]
        if callable(value):
            value = instance.__dict__[self.name] = value()
        return value

    def __set__(self, instance: Any, value: Any) -> None:
        instance.__dict__[self.name] = value


@dataclass(frozen=True)
class Optimum:
    """The best protocol of a family for one passage time, or for an array of them.

    The optimal parameter is reached by its name: ``rate`` (Poisson, Geometric), ``period`` (Sharp),
    ``probability`` (Geometric), ...; 0, or an infinite period, where resetting does not pay. For an
    array of passage times each attribute is an array of its shape.

    Attributes
    ----------
    protocol : Protocol
        The best member of the family; the one that never resets if resetting does not pay.
    mean : float
        Mean first-passage time under it.
    reset_free_mean : float
        Mean without resets; ``inf`` if infinite. For censored data a lower bound, and ``reason``
        says so.
    pays : bool
        Whether the best resetting mean lies below the reset-free one.
    kind : {"interior", "boundary", "none"}
        Where the optimum lies: at a finite frequency, at an end of the family or of the bounds, or
        resetting does not pay.
    reason : str
        Why, in words with numbers.
    interval : tuple of float, optional
        95 % interval of ``mean`` when it was estimated from data.
    parameter_interval : tuple of float, optional
        95 % interval of the optimal parameter when it was estimated from data.
    others : list of (parameter, mean)
        The other local minima, best first; where resetting does not pay, all of them.
    first_order : bool
        Whether a finite frequency pays although rare resets do not: the optimal frequency then
        jumps to zero, where it does, instead of vanishing continuously.
    """

    protocol: Protocol
    mean: Any
    reset_free_mean: Any
    pays: Any
    kind: Any
    reason: Any = _WhenAsked()  # words cost as much as the search
    interval: tuple[float, float] | None = None
    parameter_interval: tuple[float, float] | None = None
    others: Any = field(default_factory=list)
    first_order: Any = False

    @property
    def speedup(self) -> Any:
        """Reset-free mean over the mean under the best protocol; 1 where resetting does not pay."""
        with np.errstate(all="ignore"):
            free = np.asarray(self.reset_free_mean, dtype=np.float64)
            mean = np.asarray(self.mean, dtype=np.float64)
            gain = np.where(np.isinf(free), np.inf, np.where(mean > 0, free / mean, np.inf))
        return domain.plain(np.where(self.pays, np.maximum(gain, 1.0), 1.0))

    def __getattr__(self, name: str) -> Any:
        # Reached for names that are no attribute of its own: those of the protocol's parameters.
        if not name.startswith("_") and name in getattr(self.protocol, "__dataclass_fields__", ()):
            return getattr(self.protocol, name)
        if name == "rate" and hasattr(type(self.protocol), "rate"):
            return getattr(self.protocol, name)  # of coins: the equivalent rate
        raise AttributeError(f"{type(self.protocol).__name__} has no {name}")


def best(
    free: PassageTime,
    family: type[Protocol],
    *,
    then: PassageTime | None = None,
    **settings: Any,
) -> Optimum:
    """Search a protocol family for the smallest mean; what ``PassageTime.best`` calls.

    The slope d log(mean)/d log(frequency) is evaluated on a grid over 30 decades around the passage
    time's own scale (values, where a family knows no slope); every change from falling to rising
    brackets a local minimum, whose root is then solved. The smallest of them competes with never
    resetting and with the ends of the family or of the bounds, so first-order transitions (a finite
    rate pays although CV < 1) are found.

    Raises
    ------
    DomainError
        If ``family`` is not a protocol class, or a bound is not admissible.
    """
    if not (isinstance(family, type) and issubclass(family, Protocol)):
        raise DomainError("family", family, "a protocol class such as Poisson")
    bounds = {name: value for name, value in settings.items() if isinstance(value, tuple)}
    fixed = {name: value for name, value in settings.items() if not isinstance(value, tuple)}
    known = [item.name for item in fields(family)]
    allowed = f"a parameter of {family.__name__}: {', '.join(known)}"
    refuse_settings(set(settings) - set(known), settings, allowed)
    if family.parameter in fixed:
        value = fixed[family.parameter]
        raise DomainError(family.parameter, value, "a tuple of bounds: it is what is optimised")
    for name, pair in bounds.items():
        if len(pair) != 2 or not 0 <= float(pair[0]) < float(pair[1]):
            raise DomainError(name, pair, "two numbers (low, high), 0 <= low < high")
    own = bounds.pop(family.parameter, None)
    if not bounds:
        return _one_parameter(free, family, own, fixed, then)
    if len(bounds) > 1 or free.shape:
        raise DomainError(
            ", ".join(bounds), settings, "one second parameter, and one passage time, at a time"
        )
    ((name, (low, high)),) = bounds.items()
    if own is not None:
        fixed = {**fixed, family.parameter: own}

    def inner(value: float) -> Optimum:
        return best(free, family, then=then, **{**fixed, name: value})

    return search.outer(inner, name, float(low), float(high))


def _one_parameter(
    free: PassageTime,
    family: type[Protocol],
    own: tuple[float, float] | None,
    fixed: dict[str, Any],
    then: PassageTime | None,
) -> Optimum:
    curve = search.Curve(free, family, fixed, then, own)
    with np.errstate(all="ignore"):
        minima, falls = search.local_minima(curve)
        never = np.asarray(free.mean(), dtype=np.float64)
        log_never = np.asarray(search.log_mean_of(free), dtype=np.float64)
        shape = curve.shape
        never, log_never = np.broadcast_to(never, shape), np.broadcast_to(log_never, shape)
        chosen = np.full(shape, -1)
        lowest = log_never.copy()
        for i, local in enumerate(minima):
            # A mean that falls from rate zero on is beaten by its first minimum even if the two
            # agree to the last bit.
            gains = local.log_mean < lowest - curve.noise
            gains |= falls & (chosen < 0) & (local.log_mean <= lowest + curve.noise)
            gains &= local.exists & (local.log_mean < np.inf)
            chosen, lowest = np.where(gains, i, chosen), np.where(gains, local.log_mean, lowest)
    pays = chosen >= 0
    kinds = np.array([*(local.kind for local in minima), "none"])[chosen]
    protocol = _member(curve, minima, chosen)
    with np.errstate(all="ignore"):
        mean = np.where(pays, np.asarray(curve.under(protocol).mean()), never)
    first = pays & ~falls & (kinds == "interior") & np.isfinite(never)
    others = _others(curve, minima, chosen)
    reason = partial(_reasons, curve, never, pays, falls, kinds)
    if shape:
        return Optimum(protocol, mean, never, pays, kinds, reason, None, None, others, first)
    return Optimum(
        protocol,
        float(mean),
        float(never),
        bool(pays),
        str(kinds),
        reason,
        others=others.item(),
        first_order=bool(first),
    )


def _member(curve: search.Curve, minima: list[Local], chosen: Any) -> Protocol:
    """The chosen member of the family, or members, if there are several passage times."""
    if not curve.shape:
        if chosen < 0:
            return curve.at(0.0)
        local = minima[int(chosen)]
        return local.edge if local.edge is not None else curve.at(float(local.frequency))
    frequency = np.zeros(curve.shape)
    for i, local in enumerate(minima):
        frequency = np.where(chosen == i, local.frequency, frequency)
    if not any(local.edge is not None and (chosen == i).any() for i, local in enumerate(minima)):
        return curve.at(frequency)
    value = np.broadcast_to(np.asarray(curve.at(frequency).value), curve.shape).copy()
    for i, local in enumerate(minima):
        if local.edge is not None:
            value = np.where(chosen == i, local.edge.value, value)
    return curve.family(**{curve.family.parameter: value, **curve.fixed})


def _others(curve: search.Curve, minima: list[Local], chosen: Any) -> Any:
    """The interior minima that were not chosen, as (parameter, mean), best first."""
    result: Any = np.empty(curve.shape, dtype=object)
    for place in np.ndindex(curve.shape):
        result[place] = []
    for i, local in enumerate(minima):
        left = np.asarray(local.exists & (chosen != i) & (local.kind == "interior"))
        if not left.any():
            continue
        value = np.broadcast_to(np.asarray(curve.at(local.frequency).value), curve.shape)
        with np.errstate(over="ignore"):
            mean = np.broadcast_to(np.exp(local.log_mean), curve.shape)
        for place in zip(*np.nonzero(left), strict=True) if curve.shape else [()]:
            result[place].append((float(value[place]), float(mean[place])))
    for place in np.ndindex(curve.shape):
        result[place].sort(key=lambda pair: pair[1])
    return result


def _reasons(curve: search.Curve, never: Any, pays: Any, falls: Any, kinds: Any) -> Any:
    """Why resetting pays or does not, in words, for each passage time."""
    name = curve.family.parameter
    arrive = np.exp(np.asarray(curve.free._log_laplace(np.zeros(curve.free.shape))))
    cv = np.asarray(curve.free.cv() if np.isfinite(never).any() else np.inf)
    lost = getattr(curve.at(0.0), "overhead", 0.0)
    lost = np.asarray(lost.mean() if hasattr(lost, "mean") and not np.ndim(lost) else lost)
    after = np.asarray(-1.0 if curve.then is None else curve.then.mean())
    arrays = np.broadcast_arrays(never, pays, falls, kinds, arrive, cv, lost, after)
    words = np.empty(curve.shape, dtype=object)
    for place in np.ndindex(curve.shape):
        words[place] = _reason(name, curve.own, *(array[place] for array in arrays))
    return words if curve.shape else words.item()


def _reason(
    name: str,
    own: tuple[float, float] | None,
    never: Any,
    pays: Any,
    falls: Any,
    kind: Any,
    arrive: Any,
    cv: Any,
    lost: Any,
    after: Any,
) -> str:
    if np.isinf(never):
        if not pays:
            return f"reset-free mean is infinite, and so it is for every {name}"
        text = "reset-free mean is infinite"
        if arrive < 1.0 - 1e-15:
            text += f": it arrives with probability {arrive:.6g} only"
    else:
        bar, shown = 1.0, "1"
        if lost > 0:
            bar = float(np.sqrt(1.0 + 2.0 * lost / never))
            shown = f"{bar:.6g} (overhead {lost:g})"
        value = f"{cv:.6g}" if abs(cv - 1.0) > 1e-5 or cv == 1.0 else f"1 {cv - 1.0:+.3g}"
        rare = cv > bar
        state = f"CV {value} {'>' if rare else '<='} {shown}"
        if after >= 0:  # from elsewhere it is not CV that decides
            residual = 0.5 * never * (1.0 + cv * cv)
            rare = after + lost < residual
            state = (
                f"mean {after + lost:.6g} after a reset {'<' if rare else '>='}"
                f" mean residual time {residual:.6g}"
            )
        if not pays:
            where = f"every {name} in [{own[0]:g}, {own[1]:g}]" if own else f"every {name}"
            link = "but" if rare else "and"
            return f"{state} {link} {where} is slower than the reset-free mean {never:.6g}"
        if not falls and own is None:
            text = f"first-order: a finite {name} pays although {state}"
        elif rare:
            text = state
        else:
            text = f"a finite {name} pays although {state}"
    if kind == "boundary":
        text += f"; the best {name} is at the end of its range"
    return text


@dataclass(frozen=True)
class Ranking:
    """Protocol families for one passage time, the fastest first.

    Attributes
    ----------
    optima : tuple of Optimum
        The best member of each family, by its mean.
    """

    optima: tuple[Optimum, ...]

    @property
    def best(self) -> Optimum:
        """The fastest."""
        return self.optima[0]

    def __iter__(self) -> Iterator[Optimum]:
        return iter(self.optima)

    def __len__(self) -> int:
        return len(self.optima)

    def __getitem__(self, place: int) -> Optimum:
        return self.optima[place]

    def __str__(self) -> str:
        return "\n".join(
            f"{one.mean:<12.6g} {one.protocol!r}" + ("" if one.pays else " (does not pay)")
            for one in self.optima
        )


_FAMILIES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("Sharp", {}),
    ("Poisson", {}),
    ("Uniform", {}),
    ("Gamma", {"stages": 2.0}),
    ("Weibull", {"exponent": 2.0}),
)
"""Compared by default: families without a time scale of their own, two of them of fixed shape."""


def best_protocol(
    passage: PassageTime,
    families: Sequence[type[Protocol] | tuple[type[Protocol], dict[str, Any]]] | None = None,
) -> Ranking:
    """Compare the best members of protocol families for one passage time.

    Parameters
    ----------
    passage : PassageTime
        The reset-free passage time, of scalar parameters.
    families : sequence of Protocol classes or of (class, settings), optional
        Settings are those of :meth:`PassageTime.best`. Default: ``Sharp``, ``Poisson``,
        ``Uniform`` from zero, ``Gamma`` of two stages and ``Weibull`` of exponent 2.

    Returns
    -------
    Ranking
        The optima, the fastest first. For a fixed start and target, resets after a fixed period are
        never slower than any other protocol that ignores the path.

    Raises
    ------
    DomainError
        If ``passage`` is an array of passage times, or there is no family.

    Notes
    -----
    **Source**: A. Pal and S. Reuveni, PRL 118, 030603 (2017); derived in
    ``theory/08_any_protocol.py``.

    Examples
    --------
    >>> import resetsgd as rs
    >>> T = rs.first_passage(rs.DriftDiffusion(drift=0.0, diffusivity=1.0), start=1.0, target=0.0)
    >>> ranking = best_protocol(T, [rs.Poisson, rs.Sharp])
    >>> [round(one.mean, 6) for one in ranking]
    [1.335886, 1.544139]
    """
    if passage.shape:
        raise DomainError("passage", passage, "one passage time (scalar parameters)")
    if families is None:
        from resetsgd import protocols

        families = [(getattr(protocols, name), settings) for name, settings in _FAMILIES]
    if isinstance(families, type):
        raise DomainError("families", families, "a sequence of protocol classes")
    found: list[Optimum] = []
    for entry in families:
        family, settings = entry if isinstance(entry, tuple) else (entry, {})
        found.append(passage.best(family, **settings))
    if not found:
        raise DomainError("families", families, "at least one protocol class")
    return Ranking(tuple(sorted(found, key=lambda one: float(one.mean))))
