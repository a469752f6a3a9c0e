"""A first-order transition: CV is below 1, and yet resetting pays threefold.

A particle leaves the interval (0, 1). It starts close to the lower end and drifts to the upper
one: either it leaves below at once, or it has to cross. CV² = 0.45 says, rightly, that rare resets
make the mean longer. Frequent ones make it three times shorter: the mean rises before it falls.
The criterion CV > 1 is about small rates only; `best` looks at all of them.
"""

import numpy as np

import resetsgd as rs
from resetsgd import plots


def leave(drift: float) -> rs.PassageTime:
    """The time to leave the interval."""
    return rs.first_passage(rs.DriftDiffusion(drift, 1.0), start=0.05, target=(0.0, 1.0))


T = leave(25.0)
best = T.best(rs.Poisson)
print(f"CV^2 = {T.cv() ** 2:.4f}, speedup {best.speedup:.4f}")
print(best.reason)
print(f"leaves below with probability {T.splitting().lower:.4f}")
for found in rs.critical(leave, 10.0, 60.0, points=11):
    print(f"resetting pays for drifts {found.pays} {found.at:.4f}: {found.order}, {found.jump:.1f}")

drawing, (axes,) = plots.figure()
rates = np.geomspace(0.3, 3e4, 300)
with plots.style():
    for drift, colour in ((25.0, plots.PREDICTED), (45.46, plots.ACCENT), (60.0, plots.MEASURED)):
        T = leave(drift)
        means = np.asarray(T.under(rs.Poisson(rates)).mean())
        axes.loglog(rates, means / T.mean(), color=colour, label=f"drift {drift:g}")
    axes.axhline(1.0, color=plots.REFERENCE, linestyle=(0, (5, 3)), linewidth=1.5)
    axes.text(0.33, 0.9, "never reset", color=plots.REFERENCE)
    axes.set_ylim(0.25, 4.0)
    axes.set_yticks([0.25, 0.5, 1, 2, 4], ["1/4", "1/2", "1", "2", "4"])
    axes.minorticks_off()
    axes.set_xlabel("reset rate")
    axes.set_ylabel("mean / mean without resetting")
    axes.legend()
plots.save(drawing, "first_order.png")
