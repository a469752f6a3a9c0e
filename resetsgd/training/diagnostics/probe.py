"""The samples that instruments look at: images, observed labels, and the true ones if known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from resetsgd import domain
from resetsgd.errors import DomainError
from resetsgd.training import storage
from resetsgd.training.data import Dataset
from resetsgd.training.data.device import OnDevice
from resetsgd.training.streams import Purpose, permutation

__all__ = ["Probe"]


@dataclass(frozen=True, eq=False)
class Probe:
    """A fixed set of samples on the device of the model; nothing is drawn from it in training.

    Parameters
    ----------
    images : Tensor, shape (n, ...)
        As the network takes them.
    labels : Tensor, shape (n,) or (n, ...)
        Observed labels, those that are trained on.
    truth : Tensor, shape of labels, optional
        True labels; where they differ from the observed ones a sample is *wrong*, else *clean*.
    index : Tensor of int64, shape (n,), optional
        Positions in the training set, for losses that remember samples and for masks of instances.

    Raises
    ------
    DomainError
        If there is no sample, or shapes, types or devices do not fit.

    Examples
    --------
    >>> probe = Probe(torch.eye(3), torch.tensor([0, 1, 1]), truth=torch.tensor([0, 1, 0]))
    >>> len(probe), probe.wrong.tolist(), round(probe.noise_rate, 3)
    (3, [False, False, True], 0.333)
    """

    images: Tensor
    labels: Tensor
    truth: Tensor | None = None
    index: Tensor | None = None

    def __post_init__(self) -> None:
        for name in ("images", "labels", "truth", "index"):
            held = getattr(self, name)
            if held is None and name in ("truth", "index"):
                continue
            if not isinstance(held, Tensor) or held.ndim == 0:
                raise DomainError(name, held, "a tensor with a row for each sample")
            if len(held) != len(self.images) or not len(held):
                raise DomainError(name, tuple(held.shape), "one row for each of at least one image")
            if held.device != self.images.device:
                raise DomainError(name, str(held.device), f"on the device {self.images.device}")
        if self.truth is not None and (
            self.truth.shape != self.labels.shape or self.truth.dtype != self.labels.dtype
        ):
            raise DomainError("truth", tuple(self.truth.shape), "of shape and type of the labels")
        if self.index is not None and (self.index.ndim != 1 or self.index.dtype != torch.int64):
            raise DomainError("index", self.index, "int64 of shape (n,)")

    @classmethod
    def of(
        cls,
        data: Dataset,
        truth: npt.ArrayLike | None = None,
        *,
        samples: int | None = None,
        seed: int = 0,
        device: torch.device | str = "cpu",
    ) -> Probe:
        """Training samples of a data set, normalised as :func:`resetsgd.training.fit` does.

        Parameters
        ----------
        data : Dataset
            Its training labels are the observed ones.
        truth : array_like of int, shape (training samples,), optional
            True labels of all training images.
        samples : int, optional
            How many, a uniformly random set of them; by default all.
        seed : int
            Key of that set.
        device : torch.device or str
            Where the model lives.

        Raises
        ------
        DomainError
            For more samples than there are, or true labels of another number.

        Examples
        --------
        >>> from resetsgd.training import digits, symmetric_noise
        >>> from dataclasses import replace
        >>> data = digits(train=200, validation=50, test=50)
        >>> noisy, _ = symmetric_noise(data.train.labels, 0.4, classes=10)
        >>> noisy_data = replace(data, train=data.train.with_labels(noisy))
        >>> Probe.of(noisy_data, data.train.labels).noise_rate
        0.4
        """
        split = data.train
        count = len(split) if samples is None else domain.integer("samples", samples, 1, len(split))
        rows = np.sort(permutation(seed, Purpose.PROBE, len(split))[:count])
        held = OnDevice(split, device, normalisation=data.normalisation)
        places = torch.from_numpy(rows).to(device)
        true = None
        if truth is not None:
            known = np.asarray(truth)
            if known.shape != split.labels.shape or known.dtype.kind not in "iu":
                allowed = (
                    f"whole numbers of shape {split.labels.shape}, one for each training image"
                )
                raise DomainError("truth", known.shape, allowed)
            true = torch.from_numpy(known[rows].astype(np.int64)).to(device)
        return cls(held.batch(places), held.labels[places], true, places)

    def __len__(self) -> int:
        return len(self.images)

    @property
    def wrong(self) -> Tensor:
        """Which samples have a wrong label, bool of shape (n,).

        Raises
        ------
        DomainError
            If the true labels are not known.
        """
        if self.truth is None:
            raise DomainError("truth", None, "given to the probe: which labels are wrong is asked")
        return (self.labels != self.truth).reshape(len(self), -1).any(1)

    @property
    def noise_rate(self) -> float:
        """Share of samples with a wrong label."""
        return float(self.wrong.to(torch.float64).mean())

    def rows(self, chosen: Tensor) -> Probe:
        """Some of the samples.

        Parameters
        ----------
        chosen : Tensor of int64, shape (m,)
            Which.
        """
        held = (self.images, self.labels, self.truth, self.index)
        return Probe(*(None if t is None else t[chosen] for t in held))  # type: ignore[arg-type]

    def digest(self) -> str:
        """SHA-256 of everything in it."""
        tree: dict[str, Any] = {k: getattr(self, k) for k in self.__dataclass_fields__}
        return storage.digest(tree)
