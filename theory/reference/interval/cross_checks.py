"""Routes to the tabulated values that do not use their formulas: quadrature of the image series."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import mpmath as mp

__all__ = ["cross_check"]

Number = mp.mpf
REQUIRED = 20  # digits

CASES = [
    ("-2", "0.7", "0.3", "0.9", "2"),
    ("0", "30", "4", "0.2", "0.05"),
    ("5", "2", "0.5", "1", "1"),
]


def densities(mu: Number, D: Number, below: Number, above: Number, t: Number) -> list[Number]:
    """Density of the exit at either end, from the images of the free propagator."""
    L, values = below + above, []
    for x, sign in ((below, 1), (above, -1)):
        front = mp.exp(-sign * mu * x / (2 * D) - mu**2 * t / (4 * D)) / mp.sqrt(
            4 * mp.pi * D * t**3
        )
        reach = int(mp.ceil(mp.sqrt(4 * D * t * 80) / (2 * L))) + 2
        images = (
            (x + 2 * k * L) * mp.exp(-((x + 2 * k * L) ** 2) / (4 * D * t))
            for k in range(-reach, reach + 1)
        )
        values.append(front * mp.fsum(images))
    return values


def pairs(
    tables: dict[str, dict[str, Callable[..., Number]]],
) -> Iterator[tuple[str, Number, Number]]:
    """(function, tabulated value, value by another route)."""
    f = {name: function for group in tables.values() for name, function in group.items()}
    for mu, D, below, above, unit in ((*map(mp.mpf, case),) for case in CASES):
        place, rate = (mu, D, below, above), unit * D / (below * above)
        slowest = mu**2 / (4 * D) + mp.pi**2 * D / (below + above) ** 2
        short = mp.log(min(below, above) ** 2 / (4 * D))
        edges = [short + k for k in (-5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6)]
        edges = [e for e in edges if e < mp.log(60 / slowest)] + [mp.log(60 / slowest)]
        edges = sorted([*edges, *(mp.log(c / slowest) for c in (1, 3, 8, 20))])

        def moment(
            k: int,
            x: Number,
            side: int,
            place: tuple[Number, ...] = place,
            edges: list[Number] = edges,
        ) -> Number:
            """E[T^k exp(-x T); side]."""

            def integrand(w: Number) -> Number:
                t = mp.exp(w)
                return t ** (k + 1) * mp.exp(-x * t) * densities(*place, t)[side]

            return mp.quad(integrand, edges)

        chance = [moment(0, 0, side) for side in (0, 1)]
        first = [moment(1, 0, side) for side in (0, 1)]
        second = [moment(2, 0, side) for side in (0, 1)]
        yield "lower", f["lower"](*place), chance[0]
        yield "upper", f["upper"](*place), chance[1]
        yield "mean", f["mean"](*place), sum(first)
        yield "log_mean", f["log_mean"](*place), mp.log(sum(first))
        yield "var", f["var"](*place), sum(second) - sum(first) ** 2
        yield "lower_mean", f["lower_mean"](*place), first[0] / chance[0]
        yield (
            "lower_var",
            f["lower_var"](*place),
            second[0] / chance[0] - (first[0] / chance[0]) ** 2,
        )
        hit = sum(moment(0, rate, side) for side in (0, 1))
        delayed = sum(moment(1, rate, side) for side in (0, 1))
        yield "laplace", f["laplace"](*place, rate), hit
        yield "log_laplace", f["log_laplace"](*place, rate), mp.log(hit)
        # the trial between two resets: E[min(T, R)] = (1 - hit)/rate, second moments from delayed
        trial = (1 - hit) / rate
        mean = trial / hit
        square = 2 * (trial - delayed) / rate
        yield "poisson_mean", f["poisson_mean"](*place, rate), mean
        yield "poisson_log_mean", f["poisson_log_mean"](*place, rate), mp.log(mean)
        value = (square + 2 * (trial - delayed) * mean) / hit - mean**2
        yield "poisson_var", f["poisson_var"](*place, rate), value


def cross_check(tables: dict[str, dict[str, Callable[..., Number]]]) -> str:
    """Run all of them; a line with the worst agreement of each function, or an error."""
    worst: dict[str, float] = {}
    with mp.workdps(32):
        for name, value, other in pairs(tables):
            gap = abs(value - other) / max(abs(value), abs(other))
            digits = float(-mp.log10(gap)) if gap else 32.0
            worst[name] = min(worst.get(name, 32.0), digits)
    failed = [name for name, digits in worst.items() if digits < REQUIRED]
    if failed:
        raise ArithmeticError(f"cross-check failed for {failed}: {worst}")
    return "cross-checked, digits: " + ", ".join(f"{n} {d:.0f}" for n, d in worst.items())
