"""Trials of a passage time in whole steps against coins on a lattice of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from resetsgd.errors import NotConverged
from resetsgd.passage.sums import Coins, spent
from resetsgd.protocols import Trial

if TYPE_CHECKING:
    from resetsgd.passage.lattice_time import LatticeTime

__all__ = ["dense_coins", "rare_coins", "summed_coins"]


def rare_coins(free: LatticeTime, log_keep: Any, k: int, s: Any, look_first: bool) -> Trial:
    """A coin every k steps: q^floor(n/k), by the k-th roots of unity."""
    w = s * free.step
    if k == 1:
        log_value, tail = free._resolved(w - log_keep)
        never = np.isneginf(np.real(log_keep))
        lost = 0.0 if not look_first else log_keep
        log_success = log_value - np.where(never, 0.0, lost)
        if never.any():  # a reset at every coin: one step, or none
            first = _one_step(free, w)
            log_success = np.where(never, first if look_first else -np.inf, log_success)
            tail = np.where(never, 1.0, tail)
        return Trial(log_success, np.log(tail * spent(free.step, s)) - log_success)
    tossed = np.where(np.isneginf(np.real(log_keep)), -800.0, log_keep) / k
    roots = 2j * np.pi * np.arange(k).reshape(-1, *(1,) * np.ndim(log_keep)) / k
    u = w - tossed + roots
    u = np.where(np.abs(u) == 0, 0.0, u)
    log_value, minus = free._at(np.mod(u.imag + np.pi, 2 * np.pi) * 1j - np.pi * 1j + u.real)
    # the residue of n modulo k, as a sum over the roots
    weight = np.expm1(-k * tossed) / np.expm1(-tossed + roots) / k
    weight = np.where(np.abs(tossed) == 0, np.where(roots == 0, 1.0, 0.0), weight)
    shift = tossed - roots if look_first else 0.0
    success = np.sum(weight * np.exp(log_value - shift), axis=0)
    tail = np.sum(weight * minus / -np.expm1(-u), axis=0) * spent(free.step, s)
    if not (np.iscomplexobj(log_keep) or np.iscomplexobj(s)):
        success, tail = success.real, tail.real
    log_success = np.log(success)
    return Trial(log_success, np.log(tail) - log_success)


def _one_step(free: LatticeTime, w: Any) -> Any:
    """log of exp(-w) P(N = 1)."""
    u = 700.0
    return np.real(free._at(np.asarray(u))[0]) + u - w


def dense_coins(free: LatticeTime, log_keep: Any, k: int, s: Any, look_first: bool) -> Trial:
    """k coins in each step."""
    never = np.isneginf(np.real(log_keep))
    keep = np.where(never, -800.0, log_keep)
    w = s * free.step / k
    log_value, tail = free._resolved(k * (w - keep))
    log_success = log_value - (keep if look_first else 0.0)
    log_success = np.where(never, -np.inf, log_success)
    x = w - keep
    inner = np.where(x == 0, k, np.expm1(-k * x) / np.expm1(-np.where(x == 0, 1.0, x)))
    duration = tail * inner * spent(free.step / k, s)
    return Trial(log_success, np.log(duration) - log_success)


def summed_coins(free: LatticeTime, log_keep: Any, step: float, s: Any, look_first: bool) -> Trial:
    """Incommensurable steps: arrival by arrival."""
    rise = float(np.min(np.real(s) * step - np.real(log_keep)))
    most = 45.0 / rise * max(1.0, step / free.step) if rise > 0 else np.inf
    if most > 2**15:
        raise NotConverged(
            f"step = {step:g}: coins this rare and not at the steps are not supported"
        )
    law = free._table.all_until(int(most) + 1)
    late, mass = law[-1], -np.diff(law, axis=0)
    at = free.step * np.arange(1, len(law))
    shape = np.broadcast_shapes(log_keep.shape, free.shape)
    wide = [np.broadcast_to(a, shape).ravel() for a in (log_keep, step, s)]
    coins = Coins(wide[0], wide[1], wide[2], look_first)
    index = np.arange(wide[0].size)[:, None]
    which = np.broadcast_to(np.arange(free._size).reshape(free.shape), shape).ravel()
    won = np.sum(coins.success(at, index) * mass.T[which], axis=1)
    lived = np.sum(coins.duration(at, index) * mass.T[which], axis=1)
    lived = lived + coins.endless(index[:, 0]) * late[which]
    log_success = np.log(won).reshape(shape)
    return Trial(log_success, np.log(lived).reshape(shape) - log_success)
