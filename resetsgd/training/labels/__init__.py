"""Label noise with a receipt, and the estimation of its transition matrix from data."""

from resetsgd.training.labels.estimate import NoiseEstimate, confident_joint, estimate_noise
from resetsgd.training.labels.manifest import NoiseManifest
from resetsgd.training.labels.matrices import (
    asymmetric_matrix,
    pair_matrix,
    symmetric_matrix,
    transition_matrix,
)
from resetsgd.training.labels.noise import (
    asymmetric_noise,
    human_noise,
    instance_noise,
    matrix_noise,
    pair_noise,
    symmetric_noise,
)

__all__ = [
    "NoiseEstimate",
    "NoiseManifest",
    "asymmetric_matrix",
    "asymmetric_noise",
    "confident_joint",
    "estimate_noise",
    "human_noise",
    "instance_noise",
    "matrix_noise",
    "pair_matrix",
    "pair_noise",
    "symmetric_matrix",
    "symmetric_noise",
    "transition_matrix",
]
