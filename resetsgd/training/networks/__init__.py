"""Networks of the noisy-label literature, as plain modules drawn from an explicit seed.

Each function returns an ``nn.Module`` that maps images to logits; none touches torch's global
generator. Each can be trained many times over as a :class:`resetsgd.training.Ensemble`.
"""

from __future__ import annotations

from resetsgd.training.networks.convolutional import small_cnn, vcnn
from resetsgd.training.networks.perceptron import mlp
from resetsgd.training.networks.residual import ResNet, resnet18, resnet34
from resetsgd.training.networks.seeded import parameter_count

__all__ = ["ResNet", "mlp", "parameter_count", "resnet18", "resnet34", "small_cnn", "vcnn"]
