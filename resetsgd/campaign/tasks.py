"""Small tasks with noisy labels, on which a method can be tried over and over on one core.

A task is plain values: which images, how many, how noisy, which network, how long. The training set
is small against the network, so that a plain run passes its best test accuracy and then memorises
the wrong labels well before it ends. A seed draws everything that can be drawn: which images train
and validate, the noise, the initial weights, the mini-batches. Test images are the same for every
seed where there is no published test set to draw them from, so that no seed learns or chooses from
what another is tested on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from resetsgd.errors import DomainError

if TYPE_CHECKING:
    from torch import nn

    from resetsgd.training import Dataset, Split

__all__ = ["TASKS", "Task"]


class Task(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A task: sizes in images and optimizer steps.

    Parameters
    ----------
    name : {"digits", "fashion-mnist", "cifar10"}
        The images: the digits of scikit-learn, Fashion-MNIST, or CIFAR-10 (the pack of JPEG images
        if it is there, else the binary version).
    train, validation, test : int
        Sizes of the parts.
    steps, batch_size, every : int
        Optimizer steps of a run, images in each, and steps between looks.
    learning_rate, momentum, weight_decay : float
        Of SGD.
    noise_rate : float
        Share of the training and of the validation labels that are wrong (symmetric, exclusive).
    """

    name: str
    train: int
    validation: int
    test: int
    steps: int
    batch_size: int
    every: int
    learning_rate: float
    momentum: float = 0.9
    weight_decay: float = 5e-4
    noise_rate: float = 0.4

    def data(self, seed: int) -> Dataset:
        """The images and noisy labels of a seed.

        Raises
        ------
        DomainError
            If the files are nowhere; the text says what was looked for.
        CorruptData
            If a file is damaged.
        """
        from resetsgd.training import EvaluationProtocol, NoiseManifest, symmetric_noise

        def noise(split: Split, key: int) -> tuple[np.ndarray, NoiseManifest]:
            return symmetric_noise(split.labels, self.noise_rate, classes=10, seed=key)

        # arrange keys the training labels by 2 seed, the validation labels by 2 seed + 1
        return EvaluationProtocol().arrange(self._clean(seed), noise, seed=2 * seed)[0]

    def _clean(self, seed: int) -> Dataset:
        from resetsgd.training import cifar10, cifar10_pack, digits, fashion_mnist
        from resetsgd.training.data import parts

        sizes: dict[str, Any] = {"train": self.train, "validation": self.validation, "seed": seed}
        if self.name == "digits":
            whole = digits(1797 - self.test - 1, 1, self.test, seed=0)
            drawn = tuple(
                np.concatenate([getattr(part, field) for part in (whole.train, whole.validation)])
                for field in ("images", "labels")
            )
            held = whole.test.images, whole.test.labels
            return parts((drawn[0], drawn[1]), held, classes=10, test=None, **sizes)
        if self.name == "fashion-mnist":
            return fashion_mnist(test=self.test, **sizes).flat()
        if self.name == "cifar10":
            try:
                return cifar10_pack(test=self.test, **sizes)
            except DomainError:
                return cifar10(test=self.test, **sizes)
        raise DomainError("name", self.name, "one of digits, fashion-mnist, cifar10")

    def network(self, seed: int) -> nn.Module:
        """A network that fits the task, large enough to memorise its training set."""
        from resetsgd.training import networks

        if self.name == "digits":
            return networks.mlp((64, 64, 10), seed=seed)
        if self.name == "fashion-mnist":
            return networks.mlp((784, 128, 10), seed=seed)
        return _strided(seed)


def _strided(seed: int) -> nn.Sequential:
    """A convolutional network for few operations: 0.5 million multiplications an image."""
    from torch import nn

    from resetsgd.training.networks.seeded import seeded

    def build() -> nn.Sequential:
        return nn.Sequential(
            nn.Conv2d(3, 16, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1, bias=False),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(512, 128),
            nn.ReLU(),
            nn.Linear(128, 10),
        )

    return seeded(seed, build)


TASKS = {
    "digits": Task(
        name="digits",
        train=500,
        validation=400,
        test=797,
        steps=1600,
        batch_size=32,
        every=20,
        learning_rate=0.05,
    ),
    "fashion-mnist": Task(
        name="fashion-mnist",
        train=4000,
        validation=1000,
        test=3000,
        steps=3200,
        batch_size=64,
        every=50,
        learning_rate=0.05,
    ),
    "cifar10": Task(
        name="cifar10",
        train=4000,
        validation=800,
        test=2000,
        steps=1600,
        batch_size=64,
        every=80,
        learning_rate=0.05,
    ),
}
"""The three tasks of the studies, by name."""
