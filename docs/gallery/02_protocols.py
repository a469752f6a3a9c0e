"""Sharp, gamma, Poisson: the more regular the resets, the faster.

A diffusing particle, reset after waiting times of the same mean and different scatter. Gamma
waiting times of k stages lie between Poisson (k = 1) and a fixed period (k to infinity); no other
protocol that ignores the path beats the best fixed period.
"""

import numpy as np

import resetsgd as rs
from resetsgd import plots

T = rs.first_passage(rs.DriftDiffusion(drift=0.0, diffusivity=1.0), start=1.0, target=0.0)
frequency = np.geomspace(0.15, 15.0, 60)  # resets per unit of time
families = {
    "Poisson": (rs.Poisson, {}, plots.PREDICTED),
    "gamma, 2 stages": (rs.Gamma, {"stages": 2.0}, plots.REFERENCE),
    "gamma, 8 stages": (rs.Gamma, {"stages": 8.0}, plots.INK),
    "sharp": (rs.Sharp, {}, plots.MEASURED),
}

drawing, (axes,) = plots.figure()
with plots.style():
    for name, (family, settings, colour) in families.items():
        means = T.under(family.at_frequency(frequency, **settings)).mean()
        axes.loglog(frequency, means, color=colour, label=name)
    axes.set_ylim(1.2, 6.0)
    axes.set_yticks([1.5, 2, 3, 4, 5, 6], ["1.5", "2", "3", "4", "5", "6"])
    axes.minorticks_off()
    axes.set_xlabel("mean number of resets per unit of time")
    axes.set_ylabel("mean first-passage time")
    axes.legend()
print(rs.best_protocol(T, [(family, settings) for family, settings, _ in families.values()]))
plots.save(drawing, "protocols.png")
