"""From a process, a protocol and a reset point to a stationary state."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from resetsgd import domain
from resetsgd.domain import Array, RealLike
from resetsgd.errors import DomainError
from resetsgd.processes import DriftDiffusion, Process
from resetsgd.protocols import Geometric, Poisson, Protocol, Sharp
from resetsgd.steady.age_law import ages_of
from resetsgd.steady.ages import FixedAge, LatticeAges, PoissonAges
from resetsgd.steady.closed import LaplaceState
from resetsgd.steady.propagator import Drifting, Propagator, propagator
from resetsgd.steady.state import Part, State, Stationary

__all__ = ["stationary"]


def stationary(
    process: Process,
    protocol: Protocol,
    reset_to: RealLike,
    *,
    partial: RealLike | None = None,
) -> State:
    r"""Where a process sits in the long run under resetting.

    Parameters
    ----------
    process : Process
        ``DriftDiffusion`` or ``OrnsteinUhlenbeck``: any protocol. ``Landscape``: Poisson.
    protocol : Protocol
        When it resets. Under ``Geometric`` the process is seen at the steps, after the coin by
        default (``order="move-coin-look"``), before it otherwise; under the others at any time.
    reset_to : float or array
        Where resets lead, length; arrays broadcast.
    partial : float or array, optional
        Partial resets: each leads from x to reset_to + partial (x - reset_to). In [0, 1); Poisson
        only. The density and the rest of the law follow for drift-diffusion, the first two moments
        and samples for Ornstein–Uhlenbeck as well.

    Returns
    -------
    State
        With ``mean``, ``var``, ``std``, ``density``, ``cdf``, ``survival``, ``quantile``,
        ``sample``, ``average``; without partial resets also ``relaxation(t)``.

    Raises
    ------
    DomainError
        If the process or the protocol is not supported, arguments do not broadcast, or there is no
        stationary state: free diffusion that is never reset.

    Notes
    -----
    The density is the average of the reset-free propagator over the age, for Poisson resets

    .. math:: p(x) = \int_0^\infty r e^{-ru} G(x, u \mid x_r)\,du .

    Two exponentials for drift-diffusion under Poisson resets; else by quadrature with a relative
    error below 1e-11. Moments are exact.

    **Source**: M. R. Evans, S. N. Majumdar, Phys. Rev. Lett. 106, 160601 (2011); A. Pal, Phys. Rev.
    E 91, 012113 (2015); O. Tal-Friedman, Y. Roichman, S. Reuveni, Phys. Rev. E 106, 054116 (2022)
    for partial resets. Derived in ``theory/11_stationary_states.py``.

    Examples
    --------
    >>> import resetsgd as rs
    >>> free = rs.DriftDiffusion(drift=0.0, diffusivity=1.0)
    >>> state = rs.stationary(free, rs.Poisson(rate=2.0), reset_to=1.0)
    >>> state.mean(), state.var()
    (1.0, 1.0)
    """
    if not isinstance(protocol, Protocol):
        raise DomainError("protocol", protocol, "a protocol, for example Poisson(rate=0.7)")
    state = _state(process, protocol, reset_to, partial)
    extra = "" if partial is None else f", partial={partial!r}"
    state.made_by = f"stationary({process!r}, {protocol!r}, reset_to={state.reset_to!r}{extra})"
    return state


def _state(
    process: Process, protocol: Protocol, reset_to: RealLike, partial: RealLike | None
) -> State:
    """The state of a kind of process and protocol."""
    if isinstance(protocol, Poisson) and protocol.partial is not None:
        if partial is not None:
            raise DomainError("partial", partial, "None: the protocol has its own")
        partial, protocol = protocol.partial, replace(protocol, partial=None)
    if any(kind.__name__ == "Landscape" for kind in type(process).__mro__):
        from resetsgd.steady.landscape import LandscapeState

        if partial is not None:
            raise DomainError("partial", partial, "None for a landscape")
        state: State = LandscapeState(process, protocol, reset_to)
        return state
    cloud = propagator(process, reset_to)
    place = domain.plain(np.asarray(reset_to, dtype=np.float64))
    if partial is not None:
        from resetsgd.steady.partial import partial_state

        return partial_state(cloud, protocol, place, partial)
    ages = ages_of(protocol)
    domain.broadcast(protocol=np.empty(ages.shape), process=np.empty(cloud.shape))
    if isinstance(cloud, Drifting) and np.any(ages.never):
        raise DomainError("protocol", protocol, "one that resets: free diffusion has no rest")
    transient = _transient(process, protocol, cloud)
    if isinstance(process, DriftDiffusion) and isinstance(protocol, Poisson):
        state = LaplaceState([Part(cloud, ages)], place, transient)
        arrays = (process.drift, process.diffusivity, protocol.working_rate)
        mu, diffusivity, rate = (np.asarray(a, dtype=np.float64) for a in arrays)
        state.parameters = (mu, diffusivity, rate)
        return state
    return Stationary([Part(cloud, ages)], place, transient)


def _transient(
    process: Process, protocol: Protocol, home: Propagator
) -> Callable[[Array, Any], list[Part]]:
    """The parts of the state at a time: not yet reset, and reset at least once."""

    def parts(t: Array, start: Any) -> list[Part]:
        first = propagator(process, start, "start")
        if isinstance(protocol, Poisson):
            rate = np.asarray(protocol.working_rate)
            kept = np.exp(-rate * t)
            return [
                Part(first, FixedAge(t), kept),
                Part(home, PoissonAges(rate, np.where(t > 0, t, 1.0)), -np.expm1(-rate * t)),
            ]
        if isinstance(protocol, Sharp):
            period = np.asarray(protocol.period)
            whole = np.where(np.isinf(period), 0.0, np.floor(t / period))
            left = np.where(whole > 0, t - whole * np.where(whole > 0, period, 0.0), t)
            before = np.where(whole > 0, 0.0, 1.0)
            age = FixedAge(np.clip(left, 0.0, t))
            return [Part(first, age, before), Part(home, age, 1.0 - before)]
        if isinstance(protocol, Geometric):
            return _coins(protocol, t, first, home)
        raise DomainError("protocol", protocol, "Poisson, Sharp or Geometric for a relaxation")

    return parts


def _coins(protocol: Geometric, t: Array, first: Propagator, home: Propagator) -> list[Part]:
    """After n steps: never reset with probability (1-p)^m, m the coins tossed before the look."""
    p, step = np.asarray(protocol.working_probability), np.asarray(protocol.step)
    if t.ndim or step.ndim:
        raise DomainError("t", t, "one time, with one step, under Geometric")
    n = float(np.floor(t / step * (1.0 + 4.0 * np.finfo(np.float64).eps)))
    tossed = max(n - 1.0, 0.0) if protocol.look_first else n
    with np.errstate(divide="ignore", invalid="ignore"):
        log_keep = np.log1p(-p)
        kept = np.where(tossed > 0, np.exp(tossed * log_keep), 1.0)
        reset = np.where(tossed > 0, -np.expm1(tossed * log_keep), 0.0)
    ages = LatticeAges(p, step, int(protocol.look_first), limit=max(tossed, 1.0))
    return [Part(first, FixedAge(n * step), kept), Part(home, ages, reset)]
