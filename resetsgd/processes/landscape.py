"""Motion in any one-dimensional potential."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from resetsgd import domain as check
from resetsgd.domain import RealLike
from resetsgd.errors import DomainError
from resetsgd.processes.base import Process

__all__ = ["Landscape"]

Function = Callable[[Any], Any]

_NOISES = {"ito": 0.0, "stratonovich": 0.5, "hanggi-klimontovich": 1.0}
_ENDS = ("reflecting", "absorbing")


@dataclass(frozen=True, eq=False)
class Landscape(Process):
    r"""A particle of mobility one in a potential, :math:`dx = -U'(x)\,dt + \sqrt{2 D(x)}\,dW`.

    Parameters
    ----------
    potential : callable, optional
        :math:`U(x)`, length²/time: smooth between the ``breaks``. Called with arrays where it takes
        them, else point by point. Give this or ``drift``.
    diffusivity : float or callable
        Diffusivity :math:`D`, length²/time, positive; one by default. A callable D(x) makes the
        noise multiplicative, and ``noise`` says how it is meant.
    domain : tuple of two
        Where it moves, length; the whole line by default.
    noise : {"ito", "stratonovich", "hanggi-klimontovich"}
        The product of noise and its state-dependent amplitude: the drift in the sense of Ito is
        :math:`-U' + \alpha D'` with :math:`\alpha` = 0, 1/2, 1. The last one is isothermal: for
        D' != 0 only it keeps the Boltzmann law of a thermal bath whose temperature is one.
    rate : callable or float, optional
        Rate r(x) of resets that depends on where it is, 1/time, nonnegative.
    reset_to : float, optional
        Where these resets lead, length; the start by default.
    drift : callable, optional
        The drift :math:`\mu(x)`, length/time, in place of ``potential``: the one written next to
        the noise, to which :math:`\alpha D'` is added.
    breaks : sequence of float
        Points where the potential, the diffusivity or the rate has a kink or a jump.
    ends : tuple of two
        What a finite end of the domain does: ``"reflecting"`` or ``"absorbing"`` (a particle
        absorbed there never arrives elsewhere).

    Raises
    ------
    DomainError
        If an argument is not of these kinds.

    Notes
    -----
    **Source**: C. W. Gardiner, *Handbook of Stochastic Methods* (2004), sections 4.3 and 5.2; for
    the conventions P. Hanggi and H. Thomas, Phys. Rep. 88, 207 (1982). Derived in
    ``theory/10_landscapes.py``.

    Examples
    --------
    A double well with a barrier of ten times the noise:

    >>> import resetsgd as rs
    >>> well = rs.Landscape(lambda x: (x**2 - 1) ** 2, diffusivity=0.1)
    >>> round(rs.first_passage(well, start=-1.0, target=1.0).mean(), 2)
    25527.09
    """

    potential: Function | None = None
    diffusivity: float | Function = 1.0
    domain: tuple[float, float] = (-np.inf, np.inf)
    noise: str = "ito"
    rate: float | Function | None = None
    reset_to: float | None = None
    drift: Function | None = None
    breaks: tuple[float, ...] = ()
    ends: tuple[str, str] = ("reflecting", "reflecting")

    def __post_init__(self) -> None:
        if (self.potential is None) == (self.drift is None):
            raise DomainError("potential", self.potential, "given, or drift=, but not both")
        for name in ("potential", "drift"):
            if getattr(self, name) is not None and not callable(getattr(self, name)):
                raise DomainError(name, getattr(self, name), "a function of the position")
        if not callable(self.diffusivity):
            value = _number("diffusivity", check.positive("diffusivity", self.diffusivity))
            object.__setattr__(self, "diffusivity", value)
        if self.rate is not None and not callable(self.rate):
            object.__setattr__(self, "rate", _number("rate", check.nonnegative("rate", self.rate)))
        check.choice("noise", self.noise, tuple(_NOISES))
        low, high = _pair("domain", self.domain)
        low, high = (_number("domain", check._real("domain", end)) for end in (low, high))
        if not low < high:
            raise DomainError("domain", self.domain, "a tuple (low, high) with low < high")
        object.__setattr__(self, "domain", (low, high))
        for end in _pair("ends", self.ends):
            check.choice("ends", end, _ENDS)
        object.__setattr__(self, "ends", tuple(self.ends))
        places = np.atleast_1d(check.finite("breaks", np.asarray(self.breaks, dtype=float)))
        object.__setattr__(self, "breaks", tuple(sorted(float(x) for x in places)))
        if self.reset_to is not None:
            if self.rate is None:
                raise DomainError("reset_to", self.reset_to, "None without rate=")
            value = _number("reset_to", check.within("reset_to", self.reset_to, low, high))
            object.__setattr__(self, "reset_to", value)

    def _key(self) -> tuple[object, ...]:
        return (type(self), *(getattr(self, field.name) for field in fields(self)))

    @property
    def alpha(self) -> float:
        """Weight of D' in the drift in the sense of Ito: 0, 1/2 or 1."""
        return _NOISES[self.noise]


def _pair(name: str, value: Any) -> tuple[Any, Any]:
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise DomainError(name, value, "a tuple of two")
    return value[0], value[1]


def _number(name: str, value: RealLike) -> float:
    if np.ndim(value) != 0:
        raise DomainError(name, value, "a single number")
    return float(np.asarray(value))
