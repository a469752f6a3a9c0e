"""Routes to the tabulated values that do not use their formulas: quadrature of the potential."""

from __future__ import annotations

from collections.abc import Callable

import mpmath as mp

__all__ = ["cross_check"]

Number = mp.mpf
REQUIRED = 20  # digits

CASES = [
    (slope, D, start, target)
    for slope, D in (("0.7", "1.3"), ("2", "0.5"))
    for start, target in (("-0.6", "0.9"), ("0", "0.4"), ("0.3", "1.1"))
]


def cross_check(tables: dict[str, dict[str, Callable[..., Number]]]) -> str:
    """Moments by integrals over the potential, the transform by its differential equation."""
    free, poisson = tables["free"], tables["poisson"]
    worst: dict[str, float] = {}

    def agree(name: str, one: Number, other: Number) -> None:
        gap = abs(one - other) / abs(one)
        worst[name] = min(worst.get(name, 60.0), float(-mp.log10(gap)) if gap else 60.0)

    with mp.workdps(40):
        for slope, D, start, target in ((*map(mp.mpf, case),) for case in CASES):

            def below(y: Number, slope: Number = slope, D: Number = D) -> Number:
                """Integral of exp(-U/D) up to y."""
                if y < 0:
                    return D / slope * mp.exp(slope * y / D)
                return D / slope * (2 - mp.exp(-slope * y / D))

            cuts = [start, 0, target] if start < 0 else [start, target]
            weight = mp.quad(
                lambda y, D=D, k=slope: mp.exp(k * abs(y) / D) * below(y, k, D) / D, cuts
            )
            agree("mean", free["mean"](slope, D, start, target), weight)
            agree("log_mean", free["log_mean"](slope, D, start, target), mp.log(weight))
            s = mp.mpf("0.8") * D / target**2

            def right(x: Number, y: list[Number], k: Number = slope, D: Number = D) -> list[Number]:
                return [y[1], (s * y[0] + k * mp.sign(x) * y[1]) / D]  # noqa: B023

            # from the kink, where u = 1 and u' is that of the bounded solution below
            steep = (mp.sqrt(slope**2 + 4 * D * s) - slope) / (2 * D)
            solution = mp.odefun(lambda x, y: right(x + mp.mpf(10) ** -60, y), 0, [1, steep])
            first = solution(start)[0] if start > 0 else mp.exp(steep * start)
            value = first / solution(target)[0]
            agree("log_laplace", poisson["log_laplace"](slope, D, start, target, s), mp.log(value))
            agree(
                "poisson_mean",
                poisson["poisson_mean"](slope, D, start, target, s),
                (1 / value - 1) / s,
            )
            # variance: minus the second difference of the transform's logarithm
            h = mp.mpf(10) ** -13 * D / target**2
            log_f = [poisson["log_laplace"](slope, D, start, target, k * h) for k in (1, 2, 3)]
            second = (-5 * log_f[0] + 4 * log_f[1] - log_f[2]) / h**2
            with mp.workdps(15):
                agree("var", +free["var"](slope, D, start, target), +second)
    failed = [n for n, d in worst.items() if d < (8 if n == "var" else REQUIRED)]
    if failed:
        raise ArithmeticError(f"cross-check failed for {failed}: {worst}")
    return "cross-checked, digits: " + ", ".join(f"{n} {d:.0f}" for n, d in worst.items())
