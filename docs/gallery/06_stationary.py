"""Where it sits: resetting holds a particle that would otherwise be lost.

A free particle spreads without bound. Reset to a point at a rate, it has a stationary density: two
exponentials under Poisson resets, smoother wings under sharp ones. On the right, how the state
forgets its start.
"""

import numpy as np

import resetsgd as rs
from resetsgd import plots

walk = rs.DriftDiffusion(drift=0.5, diffusivity=1.0)
protocols = {"Poisson": rs.Poisson(1.0), "gamma, 4 stages": rs.Gamma(4.0, stages=4.0),
             "sharp": rs.Sharp(1.0)}  # fmt: skip
colours = (plots.PREDICTED, plots.REFERENCE, plots.MEASURED)
x = np.linspace(-4.0, 5.0, 361)

drawing, (left, right) = plots.figure(9.2, 4.0, panels=2)
with plots.style():
    for (name, protocol), colour in zip(protocols.items(), colours, strict=True):
        state = rs.stationary(walk, protocol, reset_to=0.0)
        left.semilogy(x, state.density(x), color=colour, label=name)
        print(f"{name:16} mean {state.mean():.4f}, variance {state.var():.4f}")
    left.set_ylim(1e-4, 1.0)
    left.set_title("at rest, one reset per unit of time")
    left.set_xlabel("position")
    left.set_ylabel("density")
    left.legend()
    state = rs.stationary(walk, rs.Poisson(1.0), reset_to=0.0)
    for t, shade in ((0.1, 0.25), (0.5, 0.45), (2.0, 0.7)):
        early = state.relaxation(t, start=2.0)
        right.plot(x, early.density(x), color=plots.ACCENT, alpha=shade, label=f"t = {t:g}")
    right.plot(x, state.density(x), color=plots.PREDICTED, label="at rest")
    right.set_title("from a start at 2")
    right.set_xlabel("position")
    right.legend()
plots.save(drawing, "stationary.png")
