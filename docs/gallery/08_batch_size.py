"""Does resetting help more with larger batches, or with more noise? It depends on the drift.

The dictionary between SGD and a diffusing particle turns gradient statistics into drift and
diffusion along the way from a checkpoint to a target. Below the critical noise rate, here 1/2,
training drifts toward the target, and only the noise of small batches makes resetting pay. Above
it training drifts away, the more surely the larger the batch: ever fewer runs arrive without
resets, and what resets add grows with the batch at first. It vanishes where no noise is left.
"""

import numpy as np

import resetsgd as rs
from resetsgd import plots
from resetsgd.sgd import drift_diffusion

batches = np.geomspace(1.0, 256.0, 49)
distance, budget = 0.5, 400.0  # in steps

drawing, (left, right) = plots.figure(9.2, 4.0, panels=2)
with plots.style():
    for noise_rate, colour in ((0.47, plots.PREDICTED), (0.53, plots.MEASURED)):
        along = drift_diffusion(
            clean_gradient=-1.0, noisy_gradient=1.0, noise_rate=noise_rate, clean_covariance=4.0,
            learning_rate=0.05, batch_size=batches,
        )  # fmt: skip
        T = along.passage_time(distance)
        R = T.under(rs.Poisson(T.best(rs.Poisson).rate))
        arrive, alone = 1.0 - R.survival(budget), 1.0 - T.survival(budget)
        left.semilogx(batches, along.peclet(distance), color=colour)
        right.semilogx(batches, arrive, color=colour, label=f"noise rate {noise_rate:g}")
        right.semilogx(batches, alone, ":", color=colour)
        most = int(np.argmax(arrive - alone))
        largest = np.max(along.critical_batch_size(distance))
        print(f"noise rate {noise_rate:g}: resetting pays up to batch size {largest:.3g}; it adds")
        print(f"  {arrive[0] - alone[0]:.3f} at batch size 1,", end=" ")
        print(f"at most {arrive[most] - alone[most]:.3f} at {batches[most]:.3g}")
    left.axhline(1.0, color=plots.ACCENT, linewidth=1.5)
    left.text(28.0, 1.2, "resetting pays below", color=plots.ACCENT)
    left.set_ylim(-6.0, 6.0)
    left.set_xlabel("batch size")
    left.set_ylabel("Péclet number")
    right.plot([], [], ":", color=plots.REFERENCE, label="without resets")
    right.set_ylim(0.0, 1.03)
    right.set_xlabel("batch size")
    right.set_ylabel("share that arrives in 400 steps")
    right.legend(loc="center right")
plots.save(drawing, "batch_size.png")
