"""Eight processes, one question: the mean first-passage time against the rate of resetting.

Time is in units of each process's own best mean, the rate in units of its inverse. Where the
reset-free mean is infinite the curve rises without bound to the left; where it is finite it
ends on that mean, and resetting at a small rate pays exactly if the curve falls from there.
"""

import numpy as np

import resetsgd as rs
from resetsgd import plots

CASES = {
    "free diffusion": rs.first_passage(rs.DriftDiffusion(0.0, 1.0), 1.0, 0.0),
    "drift away": rs.first_passage(rs.DriftDiffusion(0.5, 1.0), 1.0, 0.0),
    "drift toward, Pe 1/4": rs.first_passage(rs.DriftDiffusion(-0.5, 1.0), 1.0, 0.0),
    "from outside a ball, 3 d": rs.first_passage(rs.Bessel(3, 1.0), 1.5, 1.0),
    "up in a quadratic bowl": rs.first_passage(rs.OrnsteinUhlenbeck(1.0, 0.0, 1.0), 1.5, 2.0),
    "over a kink": rs.first_passage(rs.LinearTrap(1.0, 1.0), -0.3, 0.2),
    "run and tumble": rs.first_passage(rs.Telegraph(1.0, 2.0), 1.0, 0.0),
    "out of an interval": rs.first_passage(rs.DriftDiffusion(0.0, 1.0), 0.1, (0.0, 1.0)),
}

drawing, (axes,) = plots.figure(7.2, 4.6)
with plots.style():
    for name, T in CASES.items():
        best = T.best(rs.Poisson)
        rates = np.geomspace(1e-3, 40.0, 200) / best.mean
        means = np.asarray(T.under(rs.Poisson(rates)).mean()) / best.mean
        (line,) = axes.loglog(rates * best.mean, means, linewidth=1.7, label=name)
        if best.pays:
            axes.plot(best.rate * best.mean, 1.0, "o", color=line.get_color())
        print(f"{name:26} best rate {best.rate:8.4f}, speedup {best.speedup:7.4g}: {best.reason}")
    axes.set_ylim(0.7, 60.0)
    axes.set_xlabel("reset rate × best mean")
    axes.set_ylabel("mean / best mean")
    axes.legend(ncols=2)
plots.save(drawing, "mean_against_rate.png")
