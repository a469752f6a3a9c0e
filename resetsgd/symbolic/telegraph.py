"""Passage of a run-and-tumble walker, as SymPy expressions.

The walker moves at the speed v and turns at the rate g. To a point L is the distance; out of an
interval x and y are the distances to the lower and the upper end. A heading is "toward" or "away"
of the target, or of the lower end. All of it is derived in ``theory/07_telegraph.py``.
"""

from __future__ import annotations

import sympy as sp

from resetsgd.symbolic import symbols

__all__ = [
    "decay",
    "density",
    "exit_mean",
    "exit_variance",
    "laplace_transform",
    "lower_exit",
    "turning",
]

L, s, t = symbols.distance, symbols.laplace_variable, symbols.time
speed, flip_rate = sp.symbols("v g", positive=True)
x, y = sp.symbols("x y", positive=True)


def decay() -> sp.Expr:
    """Decay rate of the transform with the distance, k = sqrt(s (s + 2 g))/v, 1/length.

    Returns
    -------
    sympy.Expr
        In ``symbols.laplace_variable``.

    Notes
    -----
    **Source**: Evans and Majumdar, J. Phys. A 51, 475003 (2018); derived in
    ``theory/07_telegraph.py``.

    Examples
    --------
    >>> decay()
    sqrt(s)*sqrt(2*g + s)/v
    """
    return sp.sqrt(s * (s + 2 * flip_rate)) / speed


def turning() -> sp.Expr:
    """Transform of the time to come back to the start, turned round: A.

    Returns
    -------
    sympy.Expr
        Dimensionless.

    Notes
    -----
    **Source**: Evans and Majumdar, J. Phys. A 51, 475003 (2018); derived in
    ``theory/07_telegraph.py``.

    Examples
    --------
    >>> turning().subs(s, 0)
    1
    """
    return (flip_rate + s - speed * decay()) / flip_rate


def _mixed(toward: sp.Expr, away: sp.Expr, heading: str) -> sp.Expr:
    return {"toward": toward, "away": away, "either": (toward + away) / 2}[heading]


def laplace_transform(heading: str = "either") -> sp.Expr:
    """Laplace transform E[exp(-s T)] to a point.

    Parameters
    ----------
    heading : {"either", "toward", "away"}
        Direction of the first run.

    Returns
    -------
    sympy.Expr
        Dimensionless.

    Notes
    -----
    **Source**: Evans and Majumdar, J. Phys. A 51, 475003 (2018); derived in
    ``theory/07_telegraph.py``.

    Examples
    --------
    >>> laplace_transform("toward")
    exp(-L*sqrt(s)*sqrt(2*g + s)/v)
    """
    wave = sp.exp(-decay() * L)
    return _mixed(wave, turning() * wave, heading)


def density(heading: str) -> sp.Expr:
    """Density of T at t > L/v; toward the target it lacks the atom exp(-g L/v) at L/v.

    Parameters
    ----------
    heading : {"either", "toward", "away"}
        Direction of the first run.

    Returns
    -------
    sympy.Expr
        1/time.

    Notes
    -----
    **Source**: derived in ``theory/07_telegraph.py``.

    Examples
    --------
    >>> round(density("toward").subs({L: 1, speed: 1, flip_rate: 1, t: 2}).evalf(), 6)
    0.096421
    """
    front = L / speed
    w = flip_rate * sp.sqrt(t**2 - front**2)
    toward = flip_rate**2 * front * sp.besseli(1, w) / w
    away = flip_rate / (t + front) * (front * sp.besseli(0, w) + (t - front) * sp.besseli(1, w) / w)
    return sp.exp(-flip_rate * t) * _mixed(toward, away, heading)


def lower_exit(heading: str = "either") -> sp.Expr:
    """Laplace transform E[exp(-s T); lower end] of the exit from an interval.

    Parameters
    ----------
    heading : {"either", "toward", "away"}
        Direction of the first run, seen from the lower end.

    Returns
    -------
    sympy.Expr
        Dimensionless.

    Notes
    -----
    **Source**: derived in ``theory/07_telegraph.py``.

    Examples
    --------
    >>> sp.limit(lower_exit().subs({x: 1, y: 1, speed: 1, flip_rate: 1}), s, 0)
    1/2
    """
    k, c = decay(), -sp.log(turning())
    bottom = sp.sinh(k * (x + y) + c)
    return _mixed(sp.sinh(k * y + c) / bottom, sp.sinh(k * y) / bottom, heading)


def exit_mean(heading: str = "either") -> sp.Expr:
    """Mean time of exit from an interval.

    Parameters
    ----------
    heading : {"either", "toward", "away"}
        Direction of the first run, seen from the lower end.

    Returns
    -------
    sympy.Expr
        Time.

    Notes
    -----
    **Source**: derived in ``theory/07_telegraph.py``.

    Examples
    --------
    >>> exit_mean("toward")
    g*x*y/v**2 + x/v
    """
    return flip_rate * x * y / speed**2 + _mixed(x / speed, y / speed, heading)


def exit_variance(heading: str = "either") -> sp.Expr:
    """Variance of the time of exit from an interval.

    Parameters
    ----------
    heading : {"either", "toward", "away"}
        Direction of the first run, seen from the lower end.

    Returns
    -------
    sympy.Expr
        Time².

    Notes
    -----
    **Source**: derived in ``theory/07_telegraph.py``.

    Examples
    --------
    >>> exit_variance("either").subs({x: 1, y: 1, speed: 1, flip_rate: 1})
    2
    """
    d, u = (flip_rate * distance / speed for distance in (x, y))
    toward = (u**3 * d + d**3 * u + d**3) / 3 + u**2 * d
    away = (d**3 * u + u**3 * d + u**3) / 3 + d**2 * u
    between = (d - u) ** 2 / 4 if heading == "either" else 0
    return (_mixed(toward, away, heading) + between) / flip_rate**2
