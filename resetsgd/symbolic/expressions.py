"""From a passage time to its formulas: what ``rs.symbolic(T.under(rs.Poisson))`` returns.

:mod:`~resetsgd.symbolic.rows` says which module of this package writes the Laplace transform of
which passage time; everything else, for resets at a constant rate, follows from
:mod:`~resetsgd.symbolic.renewal`.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import sympy as sp
from sympy.core.relational import Relational

from resetsgd import domain
from resetsgd.citations import bibtex
from resetsgd.errors import DomainError
from resetsgd.passage.base import PassageTime
from resetsgd.passage.curve import Family
from resetsgd.passage.restart import Restarted
from resetsgd.protocols import Poisson
from resetsgd.symbolic import renewal, symbols
from resetsgd.symbolic.rows import forms

__all__ = ["Expression", "Reset", "symbolic"]

r, s = symbols.rate, symbols.laplace_variable


class Expression:
    """The formulas of a passage time, in the named symbols of :mod:`resetsgd.symbolic.symbols`.

    Parameters
    ----------
    passage : PassageTime
        The reset-free passage time; its class says which formulas.

    Raises
    ------
    DomainError
        If it has no closed form.

    Examples
    --------
    >>> import resetsgd as rs
    >>> T = rs.first_passage(rs.DriftDiffusion(drift=-1.0, diffusivity=1.0), start=1.0, target=0.0)
    >>> Expression(T).log_laplace
    -L*(-v + sqrt(4*D*s + v**2))/(2*D)
    """

    def __init__(self, passage: PassageTime) -> None:
        self.passage = passage
        self._forms = forms(passage)
        self.log_laplace: sp.Expr = self._forms.log_laplace
        """Logarithm of the Laplace transform of the reset-free passage time."""
        self.values: dict[sp.Symbol, Any] = {
            symbol: domain.plain(value) for symbol, value in self._forms.values.items()
        }
        """What its symbols stand for, in numbers: ``mean.subs(values)`` is the mean."""

    def __repr__(self) -> str:
        return f"symbolic({self.passage!r})"

    @property
    def laplace(self) -> sp.Expr:
        """Laplace transform E[exp(-s T)] of the reset-free passage time."""
        return sp.exp(self.log_laplace)

    @cached_property
    def mean(self) -> sp.Expr:
        """Mean, time."""
        return self.free_mean

    @cached_property
    def free_mean(self) -> sp.Expr:
        """Mean without resets, time."""
        return self._cumulants(1)[0] if self._forms.mean is None else self._forms.mean()

    @cached_property
    def squared_cv(self) -> sp.Expr:
        """Squared coefficient of variation without resets, where both moments are finite."""
        if self._forms.squared_cv is not None:
            return self._forms.squared_cv()
        first, second = self._cumulants(2)
        return second / first**2

    @property
    def elementary(self) -> bool:
        """Whether the transform is elementary and has moments, so that series are in reach."""
        return self._forms.smooth or self._forms.expands

    def _cumulants(self, highest: int) -> list[sp.Expr]:
        """Cumulants without resets; velocities point to the target."""
        if self._forms.smooth:  # analytic at 0, also where it is written with |mu|
            even = {q: sp.Symbol(q.name, positive=True) for q in (symbols.velocity, symbols.drift)}
            made = [
                (-1) ** n * sp.diff(self.log_laplace.subs(even), s, n).subs(s, 0)
                for n in range(1, highest + 1)
            ]
            return [value.subs({b: a for a, b in even.items()}) for value in made]
        toward = {q: sp.Symbol(q.name, positive=True) for q in (symbols.velocity,)}
        expanded = sp.series(self.log_laplace.subs(toward), s, 0, highest + 1).removeO()
        expanded = sp.expand(expanded)
        back = {b: a for a, b in toward.items()}
        values = [
            sp.simplify((-1) ** n * sp.factorial(n) * expanded.coeff(s, n)).subs(back)
            for n in range(1, highest + 1)
        ]
        rest = expanded - sum(expanded.coeff(s, n) * s**n for n in range(highest + 1))
        if (rest.has(s) and sp.simplify(rest) != 0) or sp.simplify(expanded.coeff(s, 0)) != 0:
            raise DomainError("order", highest, f"below that: the moments of {self!r} are infinite")
        return values

    @property
    def symbols(self) -> list[sp.Symbol]:
        """The symbols that the formulas are written in, by name."""
        return sorted(self.mean.free_symbols | self.log_laplace.free_symbols, key=str)

    def latex(self) -> str:
        """The mean in LaTeX."""
        return str(sp.latex(self.mean))

    def cite(self) -> str:
        """BibTeX of the works that the formulas come from."""
        return bibtex(self.passage.sources)


class Reset(Expression):
    r"""The formulas of a passage time under resets at the constant rate r.

    Parameters
    ----------
    passage : PassageTime
        The reset-free passage time.
    overhead : bool, default False
        Whether each reset costs a time, of mean c.

    Examples
    --------
    >>> import resetsgd as rs
    >>> T = rs.first_passage(rs.DriftDiffusion(drift=-1.0, diffusivity=1.0), start=1.0, target=0.0)
    >>> found = rs.symbolic(T.under(rs.Poisson))
    >>> found.mean
    (exp(L*(-v + sqrt(4*D*r + v**2))/(2*D)) - 1)/r
    >>> found.critical
    2*D/(L*v) > 1
    >>> found.limit("rate", 0, v=0)
    oo
    """

    def __init__(self, passage: PassageTime, overhead: bool = False) -> None:
        super().__init__(passage)
        self.overhead: sp.Expr = symbols.overhead if overhead else sp.Integer(0)

    def __repr__(self) -> str:
        return f"symbolic({self.passage!r}.under(Poisson))"

    @property
    def exponent(self) -> sp.Expr:
        """E(r), minus the logarithm of the transform at the rate."""
        return -self.log_laplace.subs(s, r)

    @cached_property
    def mean(self) -> sp.Expr:
        """Mean under resetting, time: (exp(E(r)) - 1)(1 + r c)/r."""
        return (sp.exp(self.exponent) - 1) * (1 + r * self.overhead) / r

    @property
    def variance(self) -> sp.Expr:
        """Variance under resetting without overhead, time²."""
        if self.overhead != 0:
            raise DomainError("overhead", self.overhead, "0 for the variance")
        return renewal.variance_under_poisson(self.laplace)

    @property
    def laplace_under_resetting(self) -> sp.Expr:
        """Laplace transform under resetting without overhead."""
        if self.overhead != 0:
            raise DomainError("overhead", self.overhead, "0 for the transform")
        return renewal.laplace_under_poisson(self.laplace)

    @property
    def optimality(self) -> sp.Equality:
        """What an optimal rate solves: r E'(r) = (1 - exp(-E(r)))/(1 + r c)."""
        exponent = self.exponent
        fall = (1 - sp.exp(-exponent)) / (1 + r * self.overhead)
        return sp.Eq(r * sp.diff(exponent, r), fall)

    @property
    def critical(self) -> Relational:
        """When rare resets pay: CV² > 1 + 2 c/mean, where the moments are finite."""
        bar = sp.Integer(1)
        if self.overhead != 0:
            mean = self._cumulants(1)[0] if self.elementary else self.free_mean
            bar = 1 + 2 * self.overhead / mean
        return sp.Gt(self.squared_cv, bar, evaluate=False)

    def series(self, order: int = 2) -> sp.Expr:
        """Mean as a series in a small rate.

        Parameters
        ----------
        order : int, default 2
            Highest power of the rate.

        Raises
        ------
        DomainError
            If a moment that it needs is infinite.

        Notes
        -----
        For velocities that point to the target. Where the transform is not made of elementary
        functions, the moments stay symbols, ``symbols.moment(n)``. **Source**:
        :func:`resetsgd.symbolic.renewal.small_rate_series`; derived in
        ``theory/09_transitions.py``.
        """
        moments = {}
        if self.elementary:
            kappa = [sp.Integer(0), *self._cumulants(order + 1)]
            raw = [sp.Integer(1)]
            for m in range(1, order + 2):
                terms = (sp.binomial(m - 1, k - 1) * kappa[k] * raw[m - k] for k in range(1, m + 1))
                raw.append(sp.expand(sum(terms)) if self._forms.expands else sum(terms))
            moments = {symbols.moment(n): raw[n] for n in range(1, order + 2)}
        whole = sp.expand(renewal.small_rate_series(order) * (1 + r * self.overhead))
        parts = [whole.coeff(r, n).subs(moments) for n in range(order + 1)]
        if self._forms.expands or not moments:
            parts = [sp.factor(sp.expand(part)) for part in parts]
        return sp.Add(*(r**n * part for n, part in enumerate(parts)))

    def limit(self, of: str = "rate", to: Any = 0, **values: Any) -> sp.Expr:
        """Limit of the mean.

        Parameters
        ----------
        of : str, default "rate"
            Name of a symbol, such as "L", or its attribute in :mod:`~resetsgd.symbolic.symbols`.
        to : number or sympy.oo, default 0
            Where it goes, from above.
        **values
            Values of other symbols put in first, by the symbols' names.
        """
        known = {str(symbol): symbol for symbol in self.mean.free_symbols}
        unknown = [name for name in values if name not in known]
        if unknown:
            raise DomainError(unknown[0], values[unknown[0]], f"one of {', '.join(sorted(known))}")
        symbol = known.get(of) or getattr(symbols, of, None)
        if not isinstance(symbol, sp.Symbol):
            raise DomainError("of", of, f"one of {', '.join(sorted(known))}")
        expression = self.mean.subs({known[name]: sp.sympify(v) for name, v in values.items()})
        return sp.limit(expression, symbol, to, "+")


def symbolic(passage: PassageTime | Family) -> Expression:
    """The formulas of a passage time, as SymPy expressions in named positive symbols.

    Parameters
    ----------
    passage : PassageTime or Family
        A reset-free passage time of a closed form, or one under resets at a constant rate:
        ``T.under(rs.Poisson)``, or ``T.under(rs.Poisson(0.7))``, which has the same formulas.

    Returns
    -------
    Expression or Reset
        With ``mean``, ``latex()``, ``cite()``; under resets also ``series(order)``, ``limit(...)``,
        ``optimality`` and ``critical``.

    Raises
    ------
    DomainError
        If there is no closed form.

    Examples
    --------
    >>> import resetsgd as rs
    >>> T = rs.first_passage(rs.DriftDiffusion(drift=-1.0, diffusivity=1.0), start=1.0, target=0.0)
    >>> rs.symbolic(T.under(rs.Poisson)).series(1)
    L*r*(-2*D + L*v)/(2*v**3) + L/v
    """
    if isinstance(passage, Family):
        plain = set(passage.fixed) <= {"overhead"} and passage.then is None
        if passage.protocol is not Poisson or not plain:
            allowed = "under Poisson, to the start: the only protocol with closed forms here"
            raise DomainError("passage", passage, allowed)
        return Reset(passage.free, overhead=bool(passage.fixed.get("overhead")))
    if isinstance(passage, Restarted):
        protocol = passage.protocol
        if not isinstance(protocol, Poisson):
            raise DomainError("passage", passage, "under Poisson, or reset-free")
        return Reset(passage.free, overhead=not protocol.lost.none)
    if isinstance(passage, PassageTime):
        return Expression(passage)
    raise DomainError("passage", passage, "a passage time, or one under a protocol class")
