"""Latent gradient bias: batch size and stochasticity, two claims reconciled by one Péclet number.

Claim
-----
Resetting has been found to help more the larger the batch, and more the stronger the noise of SGD.
Along the direction to the target SGD on noisy labels is a drifting, diffusing particle with Pe = L
B [(1-tau) g_c - tau g_w]/(eta sigma²(tau)). Batch size over learning rate only scales Pe, the noise
rate turns its sign at tau* = g_c/(g_c + g_w): below tau* a larger batch, or a smaller learning
rate, makes Pe more positive and the gain by resets falls, to nothing from Pe = 1 on; above tau* it
makes Pe more negative and the gain rises. The gain is one falling function of Pe, whichever of the
three is changed; both findings are the same curve, seen from its two sides. Simulated SGD on drawn
batches, with a wall behind that keeps the reset-free mean finite, has the predicted gains.

Cost: about 2 min in full, 10 s in quick mode, one core.

Reference: Bae, Song and Jeong, Mach. Learn.: Sci. Technol. 6, 015062 (2025); Ray, Mondal and
Reuveni, J. Phys. A 52, 255002 (2019).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

import resetsgd as rs
from resetsgd import sgd
from resetsgd.campaign.study import Study, Verdict

PULL, SPREAD, DISTANCE, BEHIND = 0.00625, 1.0, 1.0, 2.0
"""|g_c| = |g_w|, variance of a sample's gradient, L, and how far behind the start the wall is."""
LOW, HIGH = 0.3, 0.7
"""Noise rates below and above tau* = 1/2."""


def along(noise_rate: Any, batch_size: Any, learning_rate: Any = 0.2) -> sgd.Direction:
    """SGD along the direction to the target."""
    return sgd.drift_diffusion(
        -PULL, PULL, noise_rate, clean_covariance=SPREAD, learning_rate=learning_rate,
        batch_size=batch_size,
    )  # fmt: skip


def passage(direction: sgd.Direction, corrected: bool = False) -> rs.PassageTime:
    """Reset-free passage to the target, with the wall behind."""
    shift = sgd.BARRIER_SHIFT * float(np.asarray(direction.step)) if corrected else 0.0
    return rs.first_passage(direction.process, start=0.0, target=DISTANCE + shift, wall=-BEHIND)


def gain(direction: sgd.Direction) -> float:
    """Mean without resets over the mean at the best rate."""
    with np.errstate(all="ignore"):  # logarithms of zero on the way
        return float(np.asarray(passage(direction).best(rs.Poisson).speedup))


def simulated(
    direction: sgd.Direction, probability: float, runs: int, generator: np.random.Generator
) -> tuple[float, float]:
    """Mean steps to the target of SGD on drawn batches, and its error.

    Each step draws how many of the batch are mislabelled; the coin comes after the look.
    """
    batch, eta = int(np.asarray(direction.batch_size)), float(np.asarray(direction.learning_rate))
    tau = float(np.asarray(direction.noise_rate))
    x, times = np.zeros(runs), np.empty(0)
    for step in range(1, 2_000_000):
        wrong = generator.binomial(batch, tau, x.size)
        slope = PULL * (2.0 * wrong / batch - 1.0)
        slope += np.sqrt(SPREAD / batch) * generator.standard_normal(x.size)
        x = x - eta * slope
        x = np.where(x < -BEHIND, -2.0 * BEHIND - x, x)
        there = x >= DISTANCE
        if there.any():
            times = np.append(times, np.full(int(there.sum()), float(step)))
            x = x[~there]
            if not x.size:
                break
        if probability:
            x = np.where(generator.random(x.size) < probability, 0.0, x)
    return float(times.mean()), float(times.std() / np.sqrt(times.size))


def sweeps(count: int) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Name of the sweep -> what is changed, Péclet number, gain."""
    cases = {
        f"batch size, tau = {LOW}": [(LOW, b, 0.2) for b in np.geomspace(2, 120, count)],
        f"batch size, tau = {HIGH}": [(HIGH, b, 0.2) for b in np.geomspace(2, 120, count)],
        f"learning rate, tau = {LOW}": [(LOW, 48, e) for e in np.geomspace(0.09, 2, count)],
        f"learning rate, tau = {HIGH}": [(HIGH, 48, e) for e in np.geomspace(0.09, 2, count)],
        "noise rate": [(n, 48, 0.2) for n in np.linspace(0.05, 0.95, count)],
    }
    place = {"b": 1, "l": 2, "n": 0}
    found = {}
    for name, values in cases.items():
        directions = [along(*value) for value in values]
        changed = np.array([value[place[name[0]]] for value in values])
        peclets = np.array([float(np.asarray(one.peclet(DISTANCE))) for one in directions])
        found[name] = changed, peclets, np.array([gain(one) for one in directions])
    return found


def main(quick: bool) -> Verdict:
    """Sweep, compare with the critical values, collapse, simulate."""
    found = sweeps(9 if quick else 25)
    # 1. directions of the two findings: gains where resets pay at all
    trends = {}
    for name, (_, peclets, gains) in found.items():
        order = np.argsort(peclets)
        inner = gains[order] > 1 + 1e-9
        steps = np.diff(gains[order][inner])
        trends[name] = bool(np.all(steps < 0)) and int(inner.sum()) > 3
    batches = found[f"batch size, tau = {HIGH}"]
    rises = bool(np.all(np.diff(batches[2]) > 0))
    batches = found[f"batch size, tau = {LOW}"]
    falls = bool(np.all(np.diff(batches[2]) <= 1e-12)) and batches[2][0] > 1.1
    # 2. one curve: the same Péclet number reached in three ways
    reference = along(LOW, 24)
    other = along(LOW, 48, 0.4)
    noise = float(np.asarray(along(0.5, 48).critical_noise_rate))
    low, high = 0.2, noise
    for _ in range(60):
        middle = 0.5 * (low + high)
        much = along(middle, 48).peclet(DISTANCE) > reference.peclet(DISTANCE)  # type: ignore[operator]
        low, high = (middle, high) if much else (low, middle)
    gains = [gain(reference), gain(other), gain(along(middle, 48))]
    collapse = float(np.ptp(gains))
    # 3. without the wall, resetting ceases to pay where the critical batch size says
    transitions = rs.critical(
        lambda b: along(LOW, b).passage_time(DISTANCE), 20.0, 200.0
    ) if hasattr(rs, "critical") else []  # fmt: skip
    predicted = float(np.asarray(along(LOW, 48).critical_batch_size(DISTANCE)))
    there = [float(one.at) for one in transitions]
    critical = len(there) == 1 and abs(there[0] / predicted - 1) < 1e-9
    # 4. SGD itself
    generator = np.random.default_rng(16)
    rows = []
    for tau in (LOW, HIGH):
        for batch in (16,) if quick else (16, 48):
            one = along(tau, batch)
            free = passage(one, corrected=True)
            rate = 3.0 * float(np.asarray(one.diffusivity)) / DISTANCE**2
            p = float(-np.expm1(-rate))
            theory = float(np.asarray(free.mean())) / float(
                np.asarray(free.under(rs.Poisson(rate)).mean())
            )
            runs = 300 if quick else 6000
            (a, da), (b, db) = (simulated(one, q, runs, generator) for q in (0.0, p))
            error = a / b * float(np.hypot(da / a, db / b))
            rows.append((tau, batch, float(np.asarray(one.peclet(DISTANCE))), theory, a / b, error))
    worst = max(abs(row[4] - row[3]) / np.hypot(row[5], 0.01 * row[3]) for row in rows)
    agree = worst < 4.0
    # a simulation that drops the sign of the latent bias would be seen
    swapped = [abs(rows[i][4] - rows[-1 - i][3]) / rows[i][5] for i in range(len(rows))]
    seen = max(swapped) > 4.0
    stands = all([*trends.values(), rises, falls, collapse < 1e-6, critical, agree])
    status = "holds" if stands and seen else "underpowered" if quick and stands else "fails"
    text = ", ".join(
        f"tau = {row[0]:g}, B = {row[1]}: {row[4]:.2f} ± {row[5]:.2f} (predicted {row[3]:.2f})"
        for row in rows
    )
    sentence = (
        f"above tau* the gain rises with the batch size, below it falls and ends at B = "
        f"{predicted:.0f}; all sweeps lie on one falling function of the Péclet number; gains of"
        f" simulated SGD: {text}"
    )
    numbers = {
        "falls_with_peclet": trends,
        "rises_with_batch_above": rises,
        "falls_with_batch_below": bool(falls),
        "spread_at_one_peclet": collapse,
        "critical_batch_size": predicted,
        "critical_by_search": there,
        "simulated": [list(row) for row in rows],
        "worst_deviation": float(worst),
        "sign_of_bias_seen_by": float(max(swapped)),
    }
    return Verdict(status, sentence, numbers, picture(found))


def picture(found: dict[str, Any]) -> Figure:
    """Gain against batch size on both sides of tau*, and against the Péclet number."""
    figure = Figure(figsize=(9.6, 4.0), layout="constrained")
    left, right = figure.subplots(1, 2)
    for tau, colour in ((HIGH, "#d7301f"), (LOW, "#3182bd")):
        batch, _, gains = found[f"batch size, tau = {tau}"]
        side = "away from" if tau > 0.5 else "toward"
        left.plot(batch, gains, color=colour, lw=1.8, label=f"tau = {tau}: drift {side} the target")
    left.set(xscale="log", yscale="log", xlabel="batch size", ylabel="gain by the best resets")
    left.set_title("More batch helps, or hurts", fontsize=10)
    left.legend(frameon=False)
    marks = {"b": "o", "l": "s", "n": "^"}
    for name, (_, peclets, gains) in found.items():
        colour = "#555555" if name[0] == "n" else "#d7301f" if str(HIGH) in name else "#3182bd"
        right.plot(peclets, gains, marks[name[0]], ms=5, mfc="none", color=colour, label=name)
    right.axvline(1.0, color="#bbbbbb", lw=0.8)
    right.axvline(0.0, color="#bbbbbb", lw=0.8, ls=":")
    right.set(yscale="log", xlabel="Péclet number", ylabel="gain by the best resets")
    right.set_title("One curve", fontsize=10)
    right.legend(frameon=False, title="changed", alignment="left")
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    return figure


if __name__ == "__main__":
    Study(__file__, main).command()
