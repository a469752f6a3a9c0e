"""A whole split on the device as bytes, and batches of it: cropped, flipped, normalised there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import pad

from resetsgd import domain
from resetsgd.errors import DomainError
from resetsgd.training.data.base import Split
from resetsgd.training.streams import Purpose, addressed

__all__ = ["Augmentation", "OnDevice"]


@dataclass(frozen=True)
class Augmentation:
    """Random crops of the padded image, and random flips left to right.

    What is drawn for an image depends on (seed, replica, step, image) alone: not on its place in
    the batch, the batch size, how many replicas run beside it, the rank of the process that has it,
    or where a run was resumed.

    Parameters
    ----------
    padding : int
        Pixels of black added on each side before the crop; 0 crops nothing.
    flip : bool
        Whether half of the images are flipped.

    Examples
    --------
    >>> draws = Augmentation(padding=4).draw(seed=0, step=7, samples=[3, 1, 4])
    >>> draws.shape, bool((draws[1] == Augmentation(padding=4).draw(0, 7, [1])[0]).all())
    ((3, 3), True)
    """

    padding: int = 4
    flip: bool = True

    def __post_init__(self) -> None:
        domain.integer("padding", self.padding, 0, 2**12)

    def draw(
        self, seed: int, step: int | npt.ArrayLike, samples: npt.ArrayLike, *, replica: Any = 0
    ) -> npt.NDArray[np.int64]:
        """Where the crop begins and whether the image is flipped.

        Parameters
        ----------
        seed : int
            Key of the stream.
        step, samples, replica : int or array of int
            Optimizer step, images (their rows in the split) and replica; they broadcast together.

        Returns
        -------
        ndarray of int64, shape ``broadcast(step, samples, replica).shape + (3,)``
            First row and first column of the crop in the padded image, in [0, 2 padding], and 1 for
            a flip, 0 for none.

        Raises
        ------
        DomainError
            For an argument outside its range.
        """
        word = addressed(seed, Purpose.AUGMENT, samples, replica=replica, step=step)
        places = np.uint64(2 * self.padding + 1)
        # bits 0..14 give the row, 15..29 the column, 30 the flip; the relative bias of a place is
        # below places / 2**15
        low = np.uint64(2**15 - 1)
        row = ((word & low) * places) >> np.uint64(15)
        column = (((word >> np.uint64(15)) & low) * places) >> np.uint64(15)
        flipped = (word >> np.uint64(30)) & np.uint64(self.flip)
        return np.stack((row, column, flipped), axis=-1).astype(np.int64)


class OnDevice:
    """A split whose images and labels live on a device, images as bytes where they are stored so.

    Parameters
    ----------
    split : Split
        The images and labels.
    device : torch.device or str
        Where to.
    normalisation : tuple of two tuples of float
        Mean and standard deviation of each channel, that of the training images:
        ``data.normalisation``. By default pixels stay in [0, 1].
    augmentation : Augmentation, optional
        Of batches; None leaves the images as they are.

    Raises
    ------
    DomainError
        For an augmentation of flat images, or a normalisation of another number of channels.

    Examples
    --------
    >>> import numpy as np
    >>> images = np.arange(2 * 3 * 4 * 4, dtype=np.uint8).reshape(2, 3, 4, 4)
    >>> held = OnDevice(Split(images, np.array([0, 1]), np.arange(2)))
    >>> batch = held.batch(torch.tensor([1]))
    >>> batch.shape, batch.dtype, bool((batch * 255 == held.images[1:]).all())
    (torch.Size([1, 3, 4, 4]), torch.float32, True)
    """

    def __init__(
        self,
        split: Split,
        device: torch.device | str = "cpu",
        *,
        normalisation: tuple[tuple[float, ...], tuple[float, ...]] | None = None,
        augmentation: Augmentation | None = None,
    ) -> None:
        images, labels = split.tensors()
        self.images, self.labels = images.to(device), labels.to(device)
        self.stored = images.dtype == torch.uint8
        self.augmentation = augmentation
        if augmentation is not None and not self.stored:
            raise DomainError("augmentation", augmentation, "absent: these images are flat")
        means, deviations = ((0.0,), (1.0,)) if normalisation is None else normalisation
        channels = images.shape[1] if self.stored else 1
        if len(means) != len(deviations) or len(means) not in (1, channels):
            raise DomainError("normalisation", normalisation, f"of 1 or {channels} channels")
        domain.finite("normalisation", means)
        domain.positive("normalisation", deviations)
        self._plain = not self.stored and (*means, *deviations) == (0.0, 1.0)
        level = 255.0 if self.stored else 1.0
        shape = (1, -1, 1, 1) if self.stored else (1, -1)

        def constant(values: Any) -> Tensor:
            tensor = torch.tensor(values, dtype=torch.float32, device=device)
            return tensor.reshape(shape)

        self._mean = constant([level * mean for mean in means])
        self._scale = constant([level * deviation for deviation in deviations])
        border = 0 if augmentation is None else augmentation.padding
        self._padded = pad(self.images, (border,) * 4) if border else self.images

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, rows: Tensor, draws: Tensor | None = None) -> Tensor:
        """Some images, as a network takes them.

        Parameters
        ----------
        rows : Tensor of int64, shape (...,)
            Rows of the split, on its device.
        draws : Tensor of int64, shape (..., 3), optional
            What :meth:`Augmentation.draw` drew for them; without it nothing is augmented.

        Returns
        -------
        Tensor of float32, shape (..., channels, height, width) or (..., features)

        Raises
        ------
        DomainError
            For draws without an augmentation.
        """
        if draws is None:
            images = self.images[rows]
        elif self.augmentation is None:
            raise DomainError("draws", tuple(draws.shape), "absent: there is no augmentation")
        else:
            images = self._crop(rows, draws)
        return self.normalised(images)

    def normalised(self, images: Tensor) -> Tensor:
        """Images of this split, or of another one, as a network takes them: float32."""
        if self._plain:
            return images
        return (images.to(torch.float32) - self._mean) / self._scale

    def _crop(self, rows: Tensor, draws: Tensor) -> Tensor:
        """Crops of the padded images by one gather."""
        channels, height, width = self.images.shape[1:]
        border = self._padded.shape[-1] - width
        device = self.images.device
        down = draws[..., 0, None] + torch.arange(height, device=device)
        across = torch.arange(width, device=device)
        turned = draws[..., 2, None]
        across = draws[..., 1, None] + across + turned * (width - 1 - 2 * across)
        line = width + border
        plane = line * self._padded.shape[-2]
        place = (down * line)[..., :, None] + across[..., None, :]
        first = rows[..., None] * (channels * plane) + torch.arange(
            0, channels * plane, plane, device=device
        )
        return self._padded.reshape(-1)[first[..., None, None] + place[..., None, :, :]]
