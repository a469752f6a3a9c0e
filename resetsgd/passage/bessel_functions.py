"""Logarithms and ratios of modified Bessel functions, to rounding also where they vanish.

log phi(x) = log[2^(1-v)/Gamma(v) x^v K_v(x)] and log 0F1(u+1; x²/4), which is
log[Gamma(u+1) (2/x)^u I_u(x)], are 0 at x = 0, and what first passage needs is how they leave it.
Small arguments are summed in powers of q = x²/4, where the two series of K are paired so that
nothing cancels next to whole orders; large orders use Debye's expansion (DLMF 10.41), whose leading
terms are combined by hand; the rest are integrals of positive functions and SciPy's scaled ones.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np
from scipy import special

from resetsgd.domain import Array
from resetsgd.passage.arrangements import horner, log1p

__all__ = ["LARGE", "log_gamma_density", "log_hyp", "log_phi", "ratio_i", "ratio_k"]

LARGE = 30.0
"""Orders from which on Debye's expansion is used; twelve terms leave 1e-17."""
_TERMS = 12
_ASYMPTOTIC = 1e4
"""Arguments from which on the large-argument expansion is used, at orders below ``LARGE``."""


@lru_cache(maxsize=1)
def _debye() -> list[Array]:
    """Polynomials D_k(p) of log(1 + sum u_k(p)/v^k) = sum D_k(p)/v^k, rising powers."""
    u: list[list[Fraction]] = [[Fraction(1)]]
    for _ in range(_TERMS):
        last = u[-1]
        new = [Fraction(0)] * (len(last) + 3)
        for j, c in enumerate(last):  # p²(1 - p²) u'/2 + integral of (1 - 5 p²) u / 8
            new[j + 1] += c * Fraction(j, 2) + c / (8 * (j + 1))
            new[j + 3] -= c * Fraction(j, 2) + 5 * c / (8 * (j + 3))
        u.append(new)
    logs: list[list[Fraction]] = []
    for k in range(1, _TERMS + 1):  # k u_k = sum_j j D_j u_(k-j)
        total = [k * c for c in u[k]]
        for j in range(1, k):
            for a, x in enumerate(logs[j - 1]):
                for b, y in enumerate(u[k - j]):
                    total[a + b] -= j * x * y
        logs.append([c / k for c in total])
    return [np.array([float(c) for c in poly]) for poly in logs]


def _debye_log(order: Any, x: Any, sign: float) -> Any:
    """log 0F1 (sign +1) or log phi (sign -1) for large orders."""
    z = x / order
    root = np.sqrt(1.0 + z * z) if np.iscomplexobj(z) else np.hypot(1.0, z)
    delta = z * (z / (1.0 + root))
    value = sign * order * (delta - log1p(0.5 * delta)) - 0.5 * log1p(delta)
    for k, poly in enumerate(_debye(), 1):
        # D_k(p) - D_k(1), p = 1/root: small against the leading term
        value = value + (horner(1.0 / root, poly) - poly.sum()) / (sign * order) ** k
    return value


def _debye_ratio(order: Any, x: Any, sign: float) -> Any:
    """d/dx of the same, times sign."""
    z = x / order
    root = np.hypot(1.0, z)
    value = 1.0 / (1.0 + root) - sign / (2.0 * order * root**2)
    for k, poly in enumerate(_debye(), 1):
        slope = horner(1.0 / root, poly[1:] * np.arange(1, len(poly)))
        value = value - sign * slope / root**3 / (order * (sign * order) ** k)
    return z * value


@lru_cache(maxsize=1)
def _zeta() -> Array:
    k = np.arange(2.0, 52.0)
    return np.asarray(special.zetac(k) / k)


def _log_gamma_1p(e: Any) -> Any:
    """log Gamma(1 + e) for -1 < e <= 1, relative accuracy also at e = 0."""
    value = np.zeros_like(e)
    for c in _zeta()[::-1]:
        value = (c - value) * e
    return value * e - np.log1p(e) + (1.0 - np.euler_gamma) * e


def _psi(order: Any, q: Any) -> tuple[Any, Any]:
    """1 - phi and q times its slope in q, for q = x²/4 up to max(1/2, order/4), order > 0."""
    n = np.maximum(np.rint(order), 1.0)
    e = order - n
    e = np.where(e == 0, 1e-100, e)
    whole = int(np.max(n, initial=1.0))
    term, product, value = np.ones_like(q), np.ones_like(order), np.zeros_like(q)
    slope = np.zeros_like(q)
    for k in range(1, min(whole, 60)):  # -q^k/((1-v)_k k!), k < n
        now = k < n
        term = np.where(now, term * q / ((k - order) * k), term)
        product = np.where(now, -product * (k + e), product)
        value = np.where(now, value - term, value)
        slope = np.where(now, slope - k * term, slope)
    if whole > LARGE + 1:  # the rest is far below rounding
        return value, slope
    # from q^n on both series together: q^(n+k)/(P (1-e)_k (n+k)!) (1 - exp(e B_k))/e
    exponent = e * np.log(q) + _log_gamma_1p(-e) - _log_gamma_1p(e)
    for j in range(1, whole + 1):
        exponent = exponent - np.where(j <= n, np.log1p(e / j), 0.0)
    scale = q**n / (product * special.gamma(n + 1.0))
    for k in range(40):
        added = scale * (-np.expm1(exponent) / e)
        value = value + added
        slope = slope + (n + k) * added - scale * np.exp(exponent)
        if np.all(np.abs(added) <= 1e-18 * np.abs(value)):
            break
        scale = scale * q / ((k + 1 - e) * (n + k + 1))
        exponent = exponent + np.log1p(-e / (k + 1)) - np.log1p(e / (n + k + 1))
    return value, slope


def _scaled_k(order: Any, x: Any) -> tuple[Any, Any]:
    """exp(x) K_{v-1}(x) and exp(x) K_v(x) for real 0 <= v < LARGE + 1 and 1/2 < x < 1e4.

    The trapezoidal rule for the integral of exp(-2 x sinh²(t/2)) cosh(v t) over t > 0: positive
    terms, error below 1e-16 (SciPy's kve is off by up to 200 epsilons here).
    """
    h = np.minimum(0.2, 0.6 / np.sqrt(np.hypot(x, order)))  # against the width of the peak
    first, second = 0.5 * np.ones_like(x), 0.5 * np.ones_like(x)
    for k in range(1, 80):
        t = k * h
        weight = 2.0 * x * np.sinh(0.5 * t) ** 2
        up, down = 0.5 * np.exp(order * t - weight), 0.5 * np.exp(-order * t - weight)
        shift = np.exp(-t)
        first = first + (up * shift + down / shift)
        second = second + (up + down)
        if np.all(up <= 1e-18 * second):
            break
    return h * first, h * second


def _log_phi_between(order: Any, x: Any) -> Any:
    """log phi for real 1/2 < x < 1e4 and orders below LARGE, upward in the order.

    phi_{v+1} = phi_v + q/(v (v - 1)) phi_{v-1}, positive terms from order 1 on.
    """
    steps = np.maximum(np.floor(order) - 1.0, 0.0)
    base = order - steps
    lower, upper = _scaled_k(base + 1.0, x)
    front = 2.0 ** (1.0 - base) / special.gamma(base) * x**base
    first, second = front * lower, front * (0.5 * x / base) * upper
    for k in range(int(np.max(steps, initial=0.0))):
        v = base + k + 1.0
        first, second = (
            np.where(k < steps, second, first),
            np.where(k < steps, second + 0.25 * x * x / (v * (v - 1.0)) * first, second),
        )
    return np.log(first) - x


def _log_phi_low(order: Any, q: Any) -> Any:
    """log phi for orders below 1/2 where phi is small: both series of K paired from q^0 on."""
    exponent = order * np.log(q) + _log_gamma_1p(-order) - _log_gamma_1p(order)
    value, scale = np.zeros_like(q), np.ones_like(q)
    for k in range(30):
        value = value - scale * np.expm1(exponent)
        scale = scale * q / ((k + 1 - order) * (k + 1))
        exponent = exponent + np.log1p(-order / (k + 1)) - np.log1p(order / (k + 1))
    return np.log(value)


def _hankel(order: Any, x: Any, sign: float) -> Any:
    """log[exp(x) K_v(x)] (sign +1) or log[exp(-x) I_v(x)] (sign -1) for large x."""
    term, tail = np.ones_like(x), np.zeros_like(x)
    for k in range(1, 16):
        term = term * sign * (4.0 * order**2 - (2 * k - 1) ** 2) / (8.0 * k * x)
        tail = tail + term
    front = 0.5 * np.log(np.pi / 2) if sign > 0 else -0.5 * np.log(2.0 * np.pi)
    return front - 0.5 * np.log(x) + log1p(tail)


def log_phi(order: Any, x: Any) -> Any:
    """log[2^(1-v)/Gamma(v) x^v K_v(x)] for order v > 0 and x >= 0, or complex x of Re x > 0."""
    order, x = np.broadcast_arrays(np.asarray(order, np.float64), x)
    value = np.zeros(x.shape, x.dtype)
    q = 0.25 * x * x
    least = np.abs(q) <= 1e-305
    edge = order * (0.25 if np.iscomplexobj(x) else np.minimum(1.0, 0.1 * order))
    small = ~least & (np.abs(q) <= np.maximum(0.25, edge))
    for part in (small & (order < LARGE), small & (order >= LARGE)):
        if part.any():
            less = _psi(order[part], q[part])[0]
            value[part] = log1p(-less)
            low = np.zeros(x.shape, bool)
            low[part] = ((np.real(less) > 0.5) & (order[part] < 0.5)) | (order[part] < 1e-9)
            if low.any():
                value[low] = _log_phi_low(order[low], q[low])
    large = ~least & ~small & (order >= LARGE)
    if large.any():
        value[large] = _debye_log(order[large], x[large], -1.0)
    far = ~least & ~small & ~large & (np.real(x) > _ASYMPTOTIC)
    middle = ~least & ~small & ~large & ~far
    if far.any() or (middle.any() and np.iscomplexobj(x)):
        part = far | middle if np.iscomplexobj(x) else far
        v, z, beyond = order[part], x[part], far[part]
        scaled = _hankel(v, np.where(beyond, z, _ASYMPTOTIC), 1.0)
        scaled = np.where(beyond, scaled, np.log(special.kve(v, np.where(beyond, 1.0, z))))
        front = (1.0 - v) * np.log(2.0) - special.gammaln(v)
        value[part] = front + v * np.log(z) + scaled - z
    if middle.any() and not np.iscomplexobj(x):
        value[middle] = _log_phi_between(order[middle], x[middle])
    # where q underflows only q^v with v < 1 may be left of it
    least &= (x != 0) & (order < 1.0)
    if least.any():
        v = order[least]
        power = 2.0 * v * np.log(0.5 * x[least]) + special.gammaln(1 - v) - special.gammaln(1 + v)
        value[least] = np.log(-np.expm1(power)) if not np.iscomplexobj(x) else log1p(-np.exp(power))
    return value


def log_hyp(half: Any, x: Any) -> Any:
    """log 0F1(h; x²/4), the function of order h - 1, for h > 0 and x >= 0, or complex Re x > 0."""
    half, x = np.broadcast_arrays(np.asarray(half, np.float64), x)
    order = half - 1.0
    value = np.zeros(x.shape, x.dtype)
    most = 2.0 if np.iscomplexobj(x) else 40.0  # a sum of positive terms needs no care
    small = (np.abs(x) <= most) | (np.abs(x) ** 2 <= order)
    large = ~small & (order >= LARGE)
    if large.any():
        value[large] = _debye_log(order[large], x[large], 1.0)
    if small.any():
        h, q = half[small], 0.25 * x[small] ** 2
        most_terms = np.max(np.sqrt(np.minimum(np.abs(q), 400.0)), initial=1.0)
        count = int(3.0 * most_terms + 24.0)
        total = np.zeros_like(q)
        for k in range(count, 0, -1):
            total = (1.0 + total) * (q / ((h + (k - 1)) * k))
        value[small] = log1p(total)
    rest = ~large & ~small
    if rest.any():
        v, z = order[rest], x[rest]
        far = np.real(z) > _ASYMPTOTIC
        scaled = np.log(special.ive(v, np.where(far, 1.0, z)))
        if np.iscomplexobj(z):  # SciPy scales by the real part alone
            scaled = scaled - 1j * np.imag(z)
        scaled = np.where(far, _hankel(v, np.where(far, z, _ASYMPTOTIC), -1.0), scaled)
        value[rest] = special.gammaln(half[rest]) - v * np.log(0.5 * z) + scaled + z
    return value


def ratio_k(order: Any, x: Any) -> Any:
    """K_{v-1}(x)/K_v(x) for real x > 0 and any real order."""
    order, x = np.broadcast_arrays(np.asarray(order, np.float64), x)
    flipped = order < 0.5  # K_{v-1}/K_v = K_{1-v}/K_{-v}: one over the ratio of order 1 - v
    v = np.where(flipped, 1.0 - order, order)
    value = np.empty(x.shape)
    large = v >= LARGE
    if large.any():
        value[large] = _debye_ratio(v[large], x[large], -1.0)
    far = ~large & (x > _ASYMPTOTIC)
    if far.any():
        v_, z = v[far], x[far]
        value[far] = np.exp(_hankel(v_ - 1.0, z, 1.0) - _hankel(v_, z, 1.0))
    rest = ~large & ~far
    if rest.any():
        v_, z = v[rest], x[rest]
        steps = np.maximum(np.rint(v_) - 1.0, 0.0)
        base = v_ - steps
        near = z < 1.0
        q = np.clip(0.25 * z * z, 1e-305, 0.25)
        less, slope = _psi(base, q)  # K_{v-1}/K_v = -phi'/phi
        lower, upper = _scaled_k(base, np.where(near, 1.0, z))
        ratio = np.where(near, slope / (1.0 - less) * (0.5 * z / q), lower / upper)
        for k in range(int(np.max(steps, initial=0.0))):
            # K_{v+1} = K_{v-1} + 2 v/x K_v, positive terms
            now = k < steps
            ratio = np.where(now, 1.0 / (ratio + 2.0 * (base + k) / z), ratio)
        value[rest] = ratio
    return np.where(flipped, 1.0 / value, value)


def ratio_i(half: Any, x: Any) -> Any:
    """I_h(x)/I_{h-1}(x) for real x >= 0 and h > 0."""
    half, x = np.broadcast_arrays(np.asarray(half, np.float64), x)
    order = half - 1.0
    value = np.empty(x.shape)
    large = order >= LARGE
    if large.any():
        value[large] = _debye_ratio(order[large], x[large], 1.0)
    near = ~large & (x <= 60.0)
    if near.any():
        h, z = half[near], x[near]
        # continued fraction with positive terms
        tail = np.zeros_like(z)
        for k in range(int(np.max(z, initial=0.0)) + 30, 0, -1):
            tail = z * z / (2.0 * (h + (k - 1)) + tail)
        value[near] = np.where(z > 0, tail / np.where(z > 0, z, 1.0), 0.0)
    rest = ~large & ~near
    if rest.any():
        v, z = order[rest], x[rest]
        far = z > _ASYMPTOTIC
        at = np.where(far, 1.0, z)
        direct = special.ive(v + 1.0, at) / special.ive(v, at)
        z = np.where(far, z, _ASYMPTOTIC)
        value[rest] = np.where(far, np.exp(_hankel(v + 1.0, z, -1.0) - _hankel(v, z, -1.0)), direct)
    return value


def log_gamma_density(nu: Any, z: Any) -> Any:
    """nu log z - z - log Gamma(nu); for large orders the parts that cancel are combined."""
    large = nu > 10.0
    v = np.where(large, nu, 10.0)
    away = (z - v) / v
    near = np.abs(away) < 0.5
    fall = np.where(near, np.log1p(np.where(near, away, 0.0)), np.log(z / v)) - away
    w = 1.0 / (v * v)  # Stirling's series
    rest = (1 / 1680 - w * (1 / 1188 - w * (691 / 360360 - w / 156))) * w
    rest = (1 / 12 - w * (1 / 360 - w * (1 / 1260 - rest))) / v
    combined = v * fall + 0.5 * np.log(v / (2.0 * np.pi)) - rest
    return np.where(large, combined, nu * np.log(z) - z - special.gammaln(nu))
