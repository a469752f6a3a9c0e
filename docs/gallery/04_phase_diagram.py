"""Where resetting pays: a phase diagram.

The interval (0, 1) again, over starts near its lower end and the drift. The black line bounds the
region where some rate of resetting shortens the mean; in the hatched part only a finite rate does,
and on leaving it to the right the best rate jumps to zero. Below this map the hatched part narrows
to a tip, the tricritical point, at the start 0.2519 and the drift 0.8753.
"""

import numpy as np

import resetsgd as rs
from resetsgd import plots


def leave(start: float, drift: float) -> rs.PassageTime:
    """The time to leave the interval."""
    return rs.first_passage(rs.DriftDiffusion(drift, 1.0), start, target=(0.0, 1.0))


found = rs.phase_diagram(leave, np.linspace(0.01, 0.17, 24), np.linspace(8.0, 44.0, 13))
drawing = found.plot(x="start", y="drift toward the upper end")
for phase in ("no", "yes", "first-order"):
    print(f"{phase:12} {np.mean(found.phase == phase):.3f} of the map")
plots.save(drawing, "phase_diagram.png")
