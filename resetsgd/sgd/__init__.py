"""SGD as a diffusion with resetting: the dictionary, and what is exactly solvable.

:func:`drift_diffusion` translates gradient statistics into a drifting, diffusing particle;
:func:`long_run_loss` and :func:`best_reset` solve SGD in a quadratic bowl under resetting to a
checkpoint; :func:`label_noise_regulariser` is what label noise makes SGD prefer;
:class:`Regression` is linear regression on noisy labels, its U-curve and its resets.

Units: positions are lengths in parameter space, losses are losses, a learning rate is length²/loss,
and time counts optimizer steps unless a page says that it is the time of gradient flow, the
learning rate per step.
"""

from __future__ import annotations

from resetsgd.sgd.data import clean_priority, resetting_mean, sgd_risk
from resetsgd.sgd.dictionary import BARRIER_SHIFT, Direction, drift_diffusion, variance_factor
from resetsgd.sgd.label_noise import (
    EffectivePotential,
    LabelNoiseRegulariser,
    label_noise_regulariser,
)
from resetsgd.sgd.quadratic import (
    LongRunOptimum,
    best_reset,
    long_run_covariance,
    long_run_loss,
)
from resetsgd.sgd.regression import Regression
from resetsgd.sgd.regression_resets import ResetAdvice

__all__ = [
    "BARRIER_SHIFT",
    "Direction",
    "EffectivePotential",
    "LabelNoiseRegulariser",
    "LongRunOptimum",
    "Regression",
    "ResetAdvice",
    "best_reset",
    "clean_priority",
    "drift_diffusion",
    "label_noise_regulariser",
    "long_run_covariance",
    "long_run_loss",
    "resetting_mean",
    "sgd_risk",
    "variance_factor",
]
