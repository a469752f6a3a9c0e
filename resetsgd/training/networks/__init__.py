"""Networks of the noisy-label literature, as plain modules drawn from an explicit seed.

Each function returns an ``nn.Module`` that maps images to logits; none touches torch's global
generator. The specification of which ensembles are made is :class:`resetsgd.training.MLP`.
"""

from __future__ import annotations

from resetsgd.training.networks.convolutional import small_cnn, vcnn
from resetsgd.training.networks.perceptron import mlp
from resetsgd.training.networks.residual import ResNet, resnet18, resnet34
from resetsgd.training.networks.seeded import parameter_count

__all__ = ["ResNet", "mlp", "parameter_count", "resnet18", "resnet34", "small_cnn", "vcnn"]
