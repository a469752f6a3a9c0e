"""Label noise with a receipt: noisy labels and the manifest that reproduces and verifies them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from resetsgd import domain
from resetsgd.errors import CorruptData, DomainError, OutputError
from resetsgd.training.streams import GENERATOR, Purpose, uniforms, words

__all__ = ["Labels", "NoiseManifest", "symmetric_noise"]

Labels = npt.NDArray[np.int64]

_CONVENTIONS = ("exclusive", "inclusive")
_COUNTS = ("exact", "bernoulli")


@dataclass(frozen=True)
class NoiseManifest:
    """Everything that made a set of noisy labels, and the digests that prove it.

    Parameters
    ----------
    seed : int
        Seed of the noise.
    rate : float
        Noise rate asked for: the share of labels that are flagged.
    realised : float
        Share of labels that differ from the clean ones (under the inclusive convention a flagged
        label can fall back on its own class).
    samples, classes : int
        Number of labels and of classes.
    convention : {"exclusive", "inclusive"}
        Where a flagged label goes: to one of the other classes, or to any class.
    count : {"exact", "bernoulli"}
        How labels are flagged: exactly ``round(rate * samples)`` of them, or each by its own coin.
    clean_sha256, noisy_sha256 : str
        SHA-256 of the labels as little-endian 64-bit integers.
    kind : str
        The law of the noise; ``"symmetric"`` is the only one so far.
    generator : str
        Name of the random generator.

    Examples
    --------
    >>> import numpy as np
    >>> clean = np.arange(10) % 5
    >>> noisy, manifest = symmetric_noise(clean, 0.4, classes=5, seed=1)
    >>> again = NoiseManifest.from_json(manifest.to_json())
    >>> bool((again.apply(clean) == noisy).all()), again.realised
    (True, 0.4)
    """

    seed: int
    rate: float
    realised: float
    samples: int
    classes: int
    convention: str
    count: str
    clean_sha256: str
    noisy_sha256: str
    kind: str = "symmetric"
    generator: str = GENERATOR

    def __post_init__(self) -> None:
        domain.integer("seed", self.seed, 0, 2**64 - 1)
        domain.probability("rate", self.rate)
        domain.probability("realised", self.realised)
        domain.integer("samples", self.samples, 1)
        domain.integer("classes", self.classes, 2)
        domain.choice("convention", self.convention, _CONVENTIONS)
        domain.choice("count", self.count, _COUNTS)
        domain.choice("kind", self.kind, ("symmetric",))
        domain.choice("generator", self.generator, (GENERATOR,))

    def apply(self, clean: npt.ArrayLike) -> Labels:
        """The noisy labels, made again from the clean ones.

        Parameters
        ----------
        clean : array_like of int, shape (samples,)
            The clean labels.

        Returns
        -------
        ndarray of int64, shape (samples,)

        Raises
        ------
        CorruptData
            If these are not the clean labels of the manifest, or if the result is not what the
            manifest recorded.
        """
        labels = _labels("clean", clean, self.classes)
        if _sha256(labels) != self.clean_sha256:
            raise CorruptData(
                f"clean labels with SHA-256 {_sha256(labels)[:12]}... are not those of the noise "
                f"manifest, {self.clean_sha256[:12]}..."
            )
        noisy = _symmetric(labels, self.rate, self.classes, self.convention, self.count, self.seed)
        if _sha256(noisy) != self.noisy_sha256:
            raise CorruptData(
                f"noisy labels with SHA-256 {_sha256(noisy)[:12]}... are not those of the noise "
                f"manifest, {self.noisy_sha256[:12]}...: its settings were changed"
            )
        return noisy

    def to_json(self) -> str:
        """The manifest as one JSON object, keys in a fixed order."""
        return json.dumps(asdict(self), indent=2)

    @classmethod
    def from_json(cls, text: str) -> NoiseManifest:
        """The manifest in a JSON text; ``CorruptData`` if it is not one."""
        try:
            content = json.loads(text)
        except ValueError as error:
            raise CorruptData(f"noise manifest is not JSON: {error}") from None
        return cls.from_dict(content)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> NoiseManifest:
        """The manifest in a mapping of its fields; ``CorruptData`` if one is missing or wrong."""
        names = {field.name for field in fields(cls)}
        if not isinstance(content, Mapping) or set(content) != names:
            raise CorruptData(f"noise manifest must have exactly the fields {sorted(names)}")
        for name in ("clean_sha256", "noisy_sha256", "convention", "count", "kind", "generator"):
            if not isinstance(content[name], str):
                raise CorruptData(f"noise manifest: {name} must be text")
        try:
            return cls(**content)
        except DomainError as error:
            raise CorruptData(f"noise manifest: {error}") from None

    def save(self, path: str | Path) -> None:
        """Write :meth:`to_json` to a file; ``OutputError`` if it cannot be written."""
        try:
            Path(path).write_text(self.to_json() + "\n", encoding="utf-8")
        except OSError as error:
            raise OutputError(f"{path}: noise manifest cannot be written: {error}") from None

    @classmethod
    def load(cls, path: str | Path) -> NoiseManifest:
        """Read what :meth:`save` wrote."""
        try:
            return cls.from_json(Path(path).read_text(encoding="utf-8"))
        except UnicodeDecodeError:
            raise CorruptData(f"{path}: noise manifest is not text") from None


def symmetric_noise(
    labels: npt.ArrayLike,
    rate: float,
    *,
    classes: int | None = None,
    convention: str = "exclusive",
    count: str = "exact",
    seed: int = 0,
) -> tuple[Labels, NoiseManifest]:
    """Symmetric label noise: flagged labels move to a uniformly random class.

    Parameters
    ----------
    labels : array_like of int, shape (n,)
        Clean labels in [0, classes).
    rate : float
        Share of labels that are flagged, in [0, 1].
    classes : int, optional
        Number of classes; by default one more than the largest label.
    convention : {"exclusive", "inclusive"}
        A flagged label moves to one of the *other* classes (default, the convention of the
        published method), or to any class, its own included.
    count : {"exact", "bernoulli"}
        Exactly ``round(rate * n)`` labels are flagged, a uniformly random set of them (default), or
        each label is flagged independently with probability ``rate``.
    seed : int
        The draws of label i depend on (seed, i) alone; under ``"bernoulli"`` so does its result.

    Returns
    -------
    noisy : ndarray of int64, shape (n,)
        The noisy labels.
    manifest : NoiseManifest
        What reproduces and verifies them.

    Raises
    ------
    DomainError
        For labels that are not whole numbers in range, a rate outside [0, 1], an unknown word.

    Examples
    --------
    >>> import numpy as np
    >>> noisy, manifest = symmetric_noise(np.zeros(1000, int), 0.4, classes=10, seed=3)
    >>> int((noisy != 0).sum()), manifest.realised
    (400, 0.4)
    """
    found = _labels("labels", labels, None)
    if classes is None:
        classes = max(2, int(found.max()) + 1)
    clean = _labels("labels", found, domain.integer("classes", classes, 2))
    rate = float(np.asarray(domain.probability("rate", rate)))
    noisy = _symmetric(
        clean,
        rate,
        classes,
        domain.choice("convention", convention, _CONVENTIONS),
        domain.choice("count", count, _COUNTS),
        seed,
    )
    manifest = NoiseManifest(
        seed=seed,
        rate=rate,
        realised=float(np.mean(noisy != clean)),
        samples=clean.size,
        classes=classes,
        convention=convention,
        count=count,
        clean_sha256=_sha256(clean),
        noisy_sha256=_sha256(noisy),
    )
    return noisy, manifest


def _symmetric(
    clean: Labels, rate: float, classes: int, convention: str, count: str, seed: int
) -> Labels:
    """The noisy labels, from checked arguments."""
    samples = np.arange(clean.size)
    keys = uniforms(seed, Purpose.FLAG, 1, replica=samples)[:, 0]
    if count == "bernoulli":
        flagged = keys < rate
    else:
        flagged = np.zeros(clean.size, bool)
        flagged[np.argsort(keys, kind="stable")[: round(rate * clean.size)]] = True
    choices = classes - (convention == "exclusive")
    drawn = words(seed, Purpose.MOVE, 1, replica=samples)[:, 0]
    # multiply-shift maps a 32-bit word on [0, choices) with a relative bias below choices / 2**32
    moved = ((drawn * np.uint64(choices)) >> np.uint64(32)).astype(np.int64)
    if convention == "exclusive":
        moved += moved >= clean  # skip the own class
    return np.where(flagged, moved, clean)


def _labels(name: str, value: npt.ArrayLike, classes: int | None) -> Labels:
    """Labels as a non-empty int64 vector with entries in [0, classes)."""
    array = np.asarray(value)
    if array.ndim != 1 or array.size == 0 or array.dtype.kind not in "iu":
        raise DomainError(name, value, "a non-empty vector of whole numbers")
    limit = 2**31 if classes is None else classes
    if array.min() < 0 or array.max() >= limit:
        wrong = array[(array < 0) | (array >= limit)][0]
        raise DomainError(name, wrong.item(), f"a class in [0, {limit - 1}]")
    return array.astype(np.int64)


def _sha256(labels: Labels) -> str:
    return hashlib.sha256(labels.astype("<i8").tobytes()).hexdigest()
