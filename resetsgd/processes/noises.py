"""Motion on a line under noise with a memory, or with heavy tails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

from resetsgd import domain
from resetsgd.errors import DomainError
from resetsgd.processes.base import Process

__all__ = ["ColouredNoise", "Driven", "StableNoise"]

Function = Callable[[Any], Any]


@dataclass(frozen=True, eq=False)
class Driven(Process):
    """What both have in common: a drift or a potential, or neither."""

    drift: Function | None = None
    potential: Function | None = None

    def __post_init__(self) -> None:
        if self.drift is not None and self.potential is not None:
            raise DomainError("potential", self.potential, "None where drift is given")
        for name in ("drift", "potential"):
            if getattr(self, name) is not None and not callable(getattr(self, name)):
                raise DomainError(name, getattr(self, name), "a function of the position")

    def _number(self, name: str, check: Callable[[str, Any], Any]) -> None:
        object.__setattr__(self, name, domain.single(name, getattr(self, name), check))

    def _key(self) -> tuple[object, ...]:
        return (type(self), *(getattr(self, field.name) for field in fields(self)))


@dataclass(frozen=True, eq=False)
class ColouredNoise(Driven):
    r"""A particle under noise that lasts, :math:`dx = b(x)\,dt + \eta\,dt`.

    :math:`\eta` is a stationary Ornstein–Uhlenbeck process,
    :math:`\langle \eta(t) \eta(s) \rangle = (D/\tau) e^{-|t - s|/\tau}`: gradient noise of
    minibatches that are drawn without replacement, or averaged over some steps. For
    :math:`\tau \to 0` it is white noise of diffusivity D. A reset draws it anew.

    Parameters
    ----------
    drift : callable, optional
        :math:`b(x)`, length/time, a plain Python function of one number; none by default.
    potential : callable, optional
        :math:`U(x)`, length²/time, in place of ``drift``: :math:`b = -U'`.
    diffusivity : float, default 1
        D, length²/time, positive.
    correlation_time : float, default 1
        :math:`\tau`, positive.

    Raises
    ------
    DomainError
        If an argument is not of these kinds.

    Notes
    -----
    For simulation only. **Source**: P. Hänggi, P. Jung, Adv. Chem. Phys. 89, 239 (1995).

    Examples
    --------
    >>> import resetsgd as rs
    >>> persistent = rs.ColouredNoise(diffusivity=1.0, correlation_time=0.1)
    >>> S = rs.simulate(persistent, 1.0, 0.0, rs.Poisson(2.5), paths=1000)
    >>> bool(abs(S.mean() - 3.6) < 5 * S.stderr())  # white noise: 1.54
    True
    """

    diffusivity: float = 1.0
    correlation_time: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._number("diffusivity", domain.positive)
        self._number("correlation_time", domain.positive)


@dataclass(frozen=True, eq=False)
class StableNoise(Driven):
    r"""A particle under heavy-tailed noise, :math:`dx = b(x)\,dt + dL_\alpha`.

    :math:`L_\alpha` is an alpha-stable Lévy process: :math:`\langle e^{ikL(t)} \rangle =
    \exp[-t\,\sigma^\alpha |k|^\alpha (1 - i \beta\,\mathrm{sign}(k) \tan(\pi\alpha/2))]`, gradient
    noise with large outliers. It jumps; a jump across the target arrives.

    Parameters
    ----------
    drift : callable, optional
        :math:`b(x)`, length/time, a plain Python function of one number; none by default.
    potential : callable, optional
        :math:`U(x)`, length²/time, in place of ``drift``: :math:`b = -U'`.
    exponent : float, default 1.5
        :math:`\alpha`, from 0.1 to 2; 2 is Brownian motion of diffusivity :math:`\sigma^2`.
    scale : float, default 1
        :math:`\sigma`, length/time^(1/α), positive.
    skewness : float, default 0
        :math:`\beta`, from -1 to 1; zero within 0.01 of the exponent 1.

    Raises
    ------
    DomainError
        If an argument is not of these kinds.

    Notes
    -----
    For simulation only. Without drift and looked at each time h it is the
    :class:`~resetsgd.RandomWalk` with jumps
    ``scipy.stats.levy_stable(alpha, beta, scale=sigma * h**(1/alpha))``.

    **Source**: A. V. Chechkin, R. Metzler, V. Y. Gonchar, J. Klafter, L. V. Tanatarov, J. Phys. A
    36, L537 (2003).

    Examples
    --------
    >>> import resetsgd as rs
    >>> flight = rs.StableNoise(exponent=1.5, scale=1.0)
    >>> S = rs.simulate(flight, 1.0, 0.0, rs.Poisson(1.0), paths=1000)
    >>> 0.5 < S.mean() < 5.0
    True
    """

    exponent: float = 1.5
    scale: float = 1.0
    skewness: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._number("exponent", lambda name, value: domain.within(name, value, 0.1, 2.0))
        self._number("scale", domain.positive)
        self._number("skewness", lambda name, value: domain.within(name, value, -1.0, 1.0))
        if self.skewness != 0.0 and abs(self.exponent - 1.0) < 0.01:
            raise DomainError("skewness", self.skewness, "0 for exponents within 0.01 of 1")
