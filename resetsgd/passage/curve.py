"""A passage time under every member of a protocol family: a curve, before a rate is chosen."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np

from resetsgd import domain
from resetsgd.citations import bibtex
from resetsgd.domain import Real, RealLike
from resetsgd.errors import DomainError
from resetsgd.passage.base import PassageTime
from resetsgd.passage.optimum import Optimum
from resetsgd.passage.restart import refuse_settings
from resetsgd.protocols import Protocol

__all__ = ["Family"]


class Family:
    """What ``T.under(Poisson)`` gives: the passage time as a function of the protocol's parameter.

    Parameters
    ----------
    free : PassageTime
        The reset-free passage time.
    protocol : Protocol subclass
        Its ``parameter`` is what varies: the rate of ``Poisson``, the period of ``Sharp``.
    then : PassageTime, optional
        The passage time from the reset point on, where it is not the start.
    **fixed
        The family's other parameters, for example ``shape=2.0`` of ``Gamma``.

    Raises
    ------
    DomainError
        If ``protocol`` is not a protocol class.

    Examples
    --------
    >>> import resetsgd as rs
    >>> T = rs.first_passage(rs.DriftDiffusion(drift=0.0, diffusivity=1.0), start=1.0, target=0.0)
    >>> family = T.under(rs.Poisson)
    >>> round(family(1.0).cv(), 6)
    1.115025
    >>> family.mean([0.5, 1.0, 2.0]).round(4)
    array([2.0562, 1.7183, 1.5566])
    >>> round(family.best().rate, 4)
    2.5396
    """

    def __init__(
        self,
        free: PassageTime,
        protocol: type[Protocol],
        *,
        then: PassageTime | None = None,
        **fixed: Any,
    ) -> None:
        if not (isinstance(protocol, type) and issubclass(protocol, Protocol)):
            raise DomainError("protocol", protocol, "a protocol class such as Poisson")
        known = {item.name for item in fields(protocol)}
        refuse_settings(set(fixed) - known, fixed, f"a parameter of {protocol.__name__}")
        self.free, self.protocol, self.then, self.fixed = free, protocol, then, fixed

    def __repr__(self) -> str:
        return f"{self.free!r}.under({self.protocol.__name__})"

    def __call__(self, value: RealLike) -> PassageTime:
        """The passage time at a value of the parameter."""
        member = self.protocol(**{self.protocol.parameter: value, **self.fixed})
        return self.free.under(member, then=self.then)

    def mean(self, values: RealLike) -> Real:
        """Mean first-passage time at values of the parameter; they broadcast."""
        return self(np.asarray(values)[()]).mean()

    def best(self, **settings: Any) -> Optimum:
        """The best member, see :meth:`PassageTime.best`."""
        return self.free.best(self.protocol, then=self.then, **{**self.fixed, **settings})

    def cite(self) -> str:
        """BibTeX of the works that the formulas come from."""
        return bibtex(self(domain.plain(1.0)).sources)
