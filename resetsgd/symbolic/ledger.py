"""A ledger of a derivation: what SymPy proved, what numbers confirmed, which errors were caught."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import mpmath as mp
import sympy as sp

__all__ = ["Ledger", "agreement", "numeric"]

_WORKING = 70


def agreement(a: Any, b: Any) -> float:
    """Decimal digits to which two numbers agree, at most 70.

    Parameters
    ----------
    a, b : number
        Anything mpmath understands.

    Returns
    -------
    float
        Minus the decimal logarithm of the relative difference.

    Notes
    -----
    **Source**: the definition; used by every study in ``theory/``.

    Examples
    --------
    >>> round(agreement(1000, 1001))
    3
    """
    a, b = mp.mpf(a), mp.mpf(b)
    gap = abs(a - b)
    if gap == 0:
        return float(_WORKING)
    return float(min(_WORKING, -mp.log10(gap / max(abs(a), abs(b)))))


def numeric(expression: sp.Expr) -> Callable[[Mapping[sp.Symbol, Any]], Any]:
    """An expression as an mpmath function of a mapping from symbols to values.

    Parameters
    ----------
    expression : sympy.Expr
        Any closed expression.

    Returns
    -------
    callable
        Evaluates at mpmath's current precision; values not needed are ignored.

    Notes
    -----
    **Source**: SymPy's printer for mpmath; for ``theory/`` and tests, never for shipped numbers.

    Examples
    --------
    >>> x = sp.Symbol("x")
    >>> int(numeric(x**2)({x: 3}))
    9
    """
    arguments = sorted(expression.free_symbols, key=str)
    function = sp.lambdify(arguments, expression, "mpmath")

    def evaluate(point: Mapping[sp.Symbol, Any]) -> Any:
        return function(*(point[symbol] for symbol in arguments))

    return evaluate


@dataclass
class Ledger:
    """Record of a derivation; ``failed`` is empty if and only if all of it stands.

    Parameters
    ----------
    required : float, default 30
        Digits to which a numerical confirmation has to agree.
    tolerated : float, default 3
        Digits to which a deliberately wrong formula may agree, at its best point.

    Attributes
    ----------
    proved : list of str
        Identities that SymPy reduced to zero, conditions that it reduced to true.
    confirmed : dict of str to float
        Numerical confirmations and their worst agreement in digits.
    rejected : dict of str to float
        Negative controls and their best agreement in digits.
    failed : list of str
        Everything of the above that did not come out.

    Examples
    --------
    >>> x = sp.Symbol("x", positive=True)
    >>> book = Ledger()
    >>> book.prove("square of the root", sp.sqrt(x) ** 2 - x)
    >>> book.reject("wrong power", [(2.0**2, 2.0**3)])
    >>> book.stands, book.proved
    (True, ['square of the root'])
    """

    required: float = 30.0
    tolerated: float = 3.0
    proved: list[str] = field(default_factory=list)
    confirmed: dict[str, float] = field(default_factory=dict)
    rejected: dict[str, float] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)

    @property
    def stands(self) -> bool:
        """Whether something was recorded and nothing failed."""
        return not self.failed and bool(self.proved or self.confirmed)

    def prove(self, statement: str, zero: Any) -> None:
        """Record an expression that SymPy must reduce to zero, or a condition that must be true.

        Parameters
        ----------
        statement : str
            What is proved.
        zero : sympy.Expr or bool
            Difference of both sides, or the condition.
        """
        true = zero if isinstance(zero, bool) else sp.simplify(zero) == 0
        (self.proved if true else self.failed).append(statement)

    def confirm(self, statement: str, pairs: Iterable[tuple[Any, Any]]) -> None:
        """Record pairs of numbers that must agree, the worst of them to ``required`` digits.

        Parameters
        ----------
        statement : str
            What is confirmed.
        pairs : iterable of pairs
            Values of both sides.
        """
        with mp.workdps(_WORKING):
            worst = min(agreement(a, b) for a, b in pairs)
        self.confirmed[statement] = round(worst, 1)
        if not worst >= self.required:
            self.failed.append(f"{statement}: {worst:.1f} digits only")

    def reject(self, statement: str, pairs: Iterable[tuple[Any, Any]]) -> None:
        """Record a negative control: pairs that must disagree, the best of them included.

        Parameters
        ----------
        statement : str
            The wrong formula.
        pairs : iterable of pairs
            Its values and the right ones.
        """
        with mp.workdps(_WORKING):
            best = max(agreement(a, b) for a, b in pairs)
        self.rejected[statement] = round(best, 1)
        if not best <= self.tolerated:
            self.failed.append(f"not rejected, {best:.1f} digits: {statement}")
