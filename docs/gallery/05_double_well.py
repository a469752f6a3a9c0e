"""Out of a double well: any potential, to ten digits or an error.

A landscape is a function. Its passage times come from the backward equation with an estimate of
their error, and can be reset like all others. From the bottom of the well a reset only undoes what
was climbed; from the slope or the top it pays, because falling back into the well costs most.
"""

import numpy as np

import resetsgd as rs
from resetsgd import plots


def potential(x):
    """Two wells at -1 and 1, a barrier of 1 between them."""
    return (x**2 - 1.0) ** 2


noise = 0.35
well = rs.Landscape(potential, diffusivity=noise)
starts = {"the bottom": (-1.0, plots.INK), "the slope": (-0.3, plots.ACCENT),
          "the top": (0.0, plots.PREDICTED)}  # fmt: skip

drawing, (left, right) = plots.figure(9.2, 4.0, panels=2)
with plots.style():
    x = np.linspace(-1.6, 1.6, 300)
    left.plot(x, potential(x), color=plots.REFERENCE)
    left.axvline(1.0, color=plots.MEASURED, linestyle=(0, (5, 3)), linewidth=1.5)
    left.text(0.96, 2.2, "target", color=plots.MEASURED, ha="right")
    left.set_ylim(-0.1, 2.5)
    left.set_xlabel("position")
    left.set_ylabel("potential")
    rates = np.geomspace(3e-3, 30.0, 120)
    for name, (start, colour) in starts.items():
        T = rs.first_passage(well, start=start, target=1.0)
        best = T.best(rs.Poisson)
        left.plot(start, potential(start), "o", markersize=9, color=colour)
        right.loglog(rates, T.under(rs.Poisson(rates)).mean(), color=colour, label=f"from {name}")
        right.axhline(T.mean(), color=colour, linestyle=(0, (2, 3)), linewidth=1.2)
        if best.pays:
            right.plot(best.rate, best.mean, "o", color=colour)
        print(f"{name:10} mean {T.mean():9.5f} (relative error {T.error:.0e}), CV {T.cv():.4f}:",
              best.reason)  # fmt: skip
    right.set_ylim(1.0, 200.0)
    right.set_xlabel("reset rate")
    right.set_ylabel("mean first-passage time")
    right.legend()


def cross(start: float) -> rs.PassageTime:
    """The time to reach the other well."""
    return rs.first_passage(well, start=start, target=1.0)


for change in rs.critical(cross, -0.9, 0.9, points=17):
    print(f"resetting pays from starts {change.pays} {change.at:.10f}, {change.order}")
plots.save(drawing, "double_well.png")
