"""Sets of images on the device of an ensemble, and mini-batches of them as its layers take them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from resetsgd.errors import DomainError
from resetsgd.training.data.device import OnDevice
from resetsgd.training.ensemble.draws import Keys, addressed
from resetsgd.training.ensemble.program import Program
from resetsgd.training.network import tensor
from resetsgd.training.streams import Purpose

__all__ = ["Feed"]


class Feed:
    """A checked set.

    Parameters
    ----------
    images : Tensor, array or OnDevice
        Float32, or stored as the latter stores them.
    labels : Tensor or array of int64, or None
        Of shape (n,), or (K, n) where every replica has labels of its own; None for those of an
        :class:`resetsgd.training.OnDevice`.
    program : Program
        What takes them.
    replicas : int
        K.
    device : torch.device
        Where to.
    """

    def __init__(
        self, images: Any, labels: Any, program: Program, replicas: int, device: torch.device
    ) -> None:
        self._held = images if isinstance(images, OnDevice) else None
        pixels = images.images if isinstance(images, OnDevice) else tensor("images", images)
        if labels is None and isinstance(images, OnDevice):
            labels = images.labels
        classes = tensor("labels", labels)
        self.convolutional = program.convolutional
        wanted = (4, program.inputs) if self.convolutional else (2, program.inputs)
        found = pixels.flatten(1) if self._held and not self.convolutional else pixels
        shape = "channels, height, width" if self.convolutional else "features"
        if (found.ndim, *found.shape[1:2]) != wanted or not len(found):
            size = f"of shape (n, {shape}), n >= 1, with {program.inputs} {shape.partition(',')[0]}"
            raise DomainError("images", tuple(pixels.shape), size)
        finite = self._held is not None or bool(torch.isfinite(pixels).all())
        if self._held is None and (pixels.dtype != torch.float32 or not finite):
            raise DomainError("images", pixels.dtype, "float32 and finite")
        own = classes.ndim == 2
        if classes.dtype != torch.int64 or classes.shape not in (
            (len(pixels),),
            (replicas, len(pixels)),
        ):
            raise DomainError(
                "labels",
                (classes.dtype, tuple(classes.shape)),
                f"int64 of shape ({len(pixels)},), or one row for each replica",
            )
        wrong = classes[(classes < 0) | (classes >= program.classes)]
        if len(wrong):
            raise DomainError("labels", int(wrong[0]), f"a class in [0, {program.classes - 1}]")
        self.own, self.device = own, device
        self.pixels, self.labels = pixels.to(device).contiguous(), classes.to(device).contiguous()
        if self._held is not None and self._held.images.device != self.pixels.device:
            raise DomainError("images", self._held.images.device, f"on the device {device}")

    def __len__(self) -> int:
        return len(self.pixels)

    def shares(self, images: Any, labels: Any) -> bool:
        """Whether this reads the memory of what was given: what is written into that is seen."""
        if self._held is not None:
            return labels is None or _address(labels) == self.labels.data_ptr()
        mine = [self.pixels.data_ptr(), self.labels.data_ptr()]
        return mine == [_address(images), _address(labels)]

    @property
    def augmented(self) -> bool:
        """Whether mini-batches are augmented."""
        return self._held is not None and self._held.augmentation is not None

    def batch(self, rows: Tensor, keys: Keys | None, out: Tensor | None = None) -> Tensor:
        """Mini-batches (k, batch) of rows as columns or maps; ``out`` may hold flat ones."""
        count, size = rows.shape
        if self._held is None and not self.convolutional:
            if out is not None:
                torch.index_select(self.pixels, 0, rows.flatten(), out=out)
            else:
                out = self.pixels.index_select(0, rows.flatten())
            return out.view(count, size, -1).transpose(1, 2)
        across = rows.t().contiguous()
        if self._held is None:
            images = self.pixels.index_select(0, across.flatten())
        else:
            places = None
            if self.augmented:
                assert keys is not None
                places = self._places(keys, rows).transpose(0, 1).contiguous()
            images = self._held.batch(across, places)
        if not self.convolutional:
            return images.view(size, count, -1).permute(1, 2, 0)
        return images.view(size, -1, *self.pixels.shape[2:])

    def targets(self, rows: Tensor, replicas: Tensor) -> Tensor:
        """Labels (k, 1, batch) of mini-batches of these replicas."""
        if self.own:
            rows = rows + (replicas * len(self)).unsqueeze(1)
        return self.labels.view(-1).index_select(0, rows.flatten()).view(len(rows), 1, -1)

    def piece(self, start: int, stop: int) -> Tensor:
        """Some images, the same for all replicas, float32 and not augmented."""
        images = self.pixels[start:stop]
        return images if self._held is None else self._held.normalised(images)

    def _places(self, keys: Keys, rows: Tensor) -> Tensor:
        """Where images are cropped and whether they are flipped, as ``Augmentation.draw``."""
        assert self._held is not None
        augmentation = self._held.augmentation
        assert augmentation is not None
        word = addressed(Keys(*(key.unsqueeze(-1) for key in keys)), Purpose.AUGMENT, rows)
        low, places = 2**15 - 1, 2 * augmentation.padding + 1
        row, column = ((word & low) * places) >> 15, (((word >> 15) & low) * places) >> 15
        return torch.stack((row, column, (word >> 30) & int(augmentation.flip)), -1)


def _address(value: Any) -> int:
    """Where the first element of a tensor or an array lies."""
    return int(value.data_ptr() if isinstance(value, Tensor) else value.ctypes.data)
