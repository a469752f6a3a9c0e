"""The U-curve of learning noisy labels, and what resets to a checkpoint make of it.

Linear regression under gradient flow, solved exactly: the risk first falls, as the signal is
learnt, then rises, as the noise is memorised. Resetting to a checkpoint replaces the risk in the
long run by its average over the age. No resetting beats stopping at the best moment, which has to
be known; against training on it does pay.
"""

import numpy as np

import resetsgd as rs
from resetsgd import plots
from resetsgd.sgd import Regression

eigenvalues = np.arange(1, 41) ** -1.5
problem = Regression(eigenvalues, signal=1.0, noise_variance=2.0, samples=100)
best = problem.best_checkpoint()
print(f"best checkpoint at time {best.at:.4f}, risk {best.loss:.4f}")
print(f"risk of training on for ever {problem.risk(np.inf):.4f}")

drawing, (left, right) = plots.figure(9.2, 4.0, panels=2)
time, rates = np.geomspace(1e-2, 1e4, 300), np.geomspace(1e-4, 1e2, 300)
with plots.style():
    left.semilogx(time, problem.risk(time), color=plots.INK, label="risk")
    left.semilogx(time, problem.bias(time), color=plots.PREDICTED, label="signal not yet learnt")
    left.semilogx(time, problem.variance(time), color=plots.MEASURED, label="noise memorised")
    left.plot(best.at, best.loss, "o", markersize=9, color=plots.ACCENT)
    left.set_xlabel("time of gradient flow")
    left.set_ylabel("risk")
    left.legend()
    for at, colour in ((0.0, plots.PREDICTED), (best.at / 4, plots.INK),
                       (best.at, plots.MEASURED)):  # fmt: skip
        advice = problem.best_rate(checkpoint_time=at)
        risk = problem.risk_under(rs.Poisson(rates), checkpoint_time=at)
        right.semilogx(rates, risk, color=colour, label=f"checkpoint at time {at:.3g}")
        if advice.pays and np.isfinite(advice.rate):
            right.plot(advice.rate, advice.risk, "o", color=colour)
        print(f"checkpoint at {at:7.4f}: rate {advice.rate:.4g}, {advice.reason}")
    right.axhline(best.loss, color=plots.ACCENT, linestyle=(0, (5, 3)), linewidth=1.5,
                  label="stopped at the best moment")  # fmt: skip
    right.set_ylim(0.0, 1.5 * problem.risk(np.inf))
    right.set_xlabel("reset rate")
    right.set_ylabel("risk in the long run")
    right.legend()
plots.save(drawing, "label_noise.png")
