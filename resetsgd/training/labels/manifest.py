"""The receipt of a set of noisy labels: what made them, and the digests that prove it."""

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
from resetsgd.files import write_whole
from resetsgd.training.labels import draws, matrices
from resetsgd.training.labels.draws import Features
from resetsgd.training.labels.matrices import (
    CONVENTIONS,
    Labels,
    Matrix,
    checked_labels,
    checked_matrix,
)
from resetsgd.training.streams import GENERATOR

__all__ = ["COUNTS", "WIDEST", "NoiseManifest", "checked_features"]

COUNTS = ("exact", "bernoulli")

WIDEST = 1e3
"""Largest width of the law of flip rates: as good as uniform, and still resolved."""

_LARGEST = 1e9

_KINDS = ("symmetric", "pair", "asymmetric", "matrix", "instance", "human")
_TEXTS = ("clean_sha256", "noisy_sha256", "count", "kind", "generator")
_OPTIONAL = ("convention", "source", "features_sha256")

Rows = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class NoiseManifest:
    """Everything that made a set of noisy labels, and the digests that prove it.

    Parameters
    ----------
    seed : int
        Seed of the noise.
    rate : float or None
        Noise rate asked for, None if a matrix or people made the labels. Symmetric noise: share of
        labels that are flagged. Pair flips, asymmetric noise: probability of a flip in the classes
        that flip. Instance-dependent noise: centre of the law of the flip rates.
    realised : float
        Share of labels that differ from the clean ones.
    samples, classes : int
        Number of labels and of classes.
    convention : {"exclusive", "inclusive"} or None
        Symmetric noise: whether a flagged label goes to one of the other classes, or to any class.
    count : {"exact", "bernoulli"}
        Whether labels are flagged in exact proportion, or each by its own coin. Labels by people
        say ``"exact"``: nothing is drawn.
    clean_sha256, noisy_sha256 : str
        SHA-256 of the labels as little-endian 64-bit integers.
    matrix : tuple of tuple of float
        Transition matrix, a row for each clean class: that of the law; of instance-dependent noise
        and of labels by people the realised one.
    kind : {"symmetric", "pair", "asymmetric", "matrix", "instance", "human"}
        The law of the noise.
    source : str or None
        Asymmetric noise: name of the map. Labels by people: where they are from.
    spread : float or None
        Instance-dependent noise: width of the law of the flip rates.
    features_sha256 : str or None
        Instance-dependent noise: SHA-256 of the features as bytes or
        little-endian doubles.
    generator : str
        Name of the random generator.

    Examples
    --------
    >>> import numpy as np
    >>> from resetsgd.training.labels import symmetric_noise
    >>> clean = np.arange(10) % 5
    >>> noisy, manifest = symmetric_noise(clean, 0.4, classes=5, seed=1)
    >>> again = NoiseManifest.from_json(manifest.to_json())
    >>> bool((again.apply(clean) == noisy).all()), again.realised
    (True, 0.4)
    """

    seed: int
    rate: float | None
    realised: float
    samples: int
    classes: int
    convention: str | None
    count: str
    clean_sha256: str
    noisy_sha256: str
    matrix: Rows
    kind: str = "symmetric"
    source: str | None = None
    spread: float | None = None
    features_sha256: str | None = None
    generator: str = GENERATOR

    def __post_init__(self) -> None:
        domain.integer("seed", self.seed, 0, 2**64 - 1)
        domain.choice("kind", self.kind, _KINDS)
        if self.kind in ("matrix", "human"):
            _absent("rate", self.rate)
        else:
            domain.probability("rate", self.rate)  # type: ignore[arg-type]
        domain.probability("realised", self.realised)
        domain.integer("samples", self.samples, 1)
        domain.integer("classes", self.classes, 2, matrices.MOST_CLASSES)
        if self.kind == "symmetric":
            domain.choice("convention", self.convention, CONVENTIONS)  # type: ignore[arg-type]
        else:
            _absent("convention", self.convention)
        if self.kind == "instance":
            domain.within("spread", self.spread, 0.0, WIDEST, open_low=True)  # type: ignore[arg-type]
        else:
            _absent("spread", self.spread)
            _absent("features_sha256", self.features_sha256)
        if self.kind == "asymmetric":
            domain.choice("source", self.source or "", tuple(matrices.MAPS))
        domain.choice("count", self.count, COUNTS)
        domain.choice("generator", self.generator, (GENERATOR,))
        checked_matrix("matrix", self.matrix, self.classes)

    @classmethod
    def record(
        cls,
        clean: Labels,
        noisy: Labels,
        *,
        matrix: Matrix | None = None,
        seed: int = 0,
        rate: float | None = None,
        count: str = "exact",
        features: Features | None = None,
        **law: Any,
    ) -> NoiseManifest:
        """The manifest of labels that were just made; without a matrix, of the realised one."""
        classes = law.pop("classes")
        if matrix is None:
            matrix = matrices.transition_matrix(clean, noisy, classes=classes)
        return cls(
            seed=seed,
            rate=rate,
            realised=float(np.mean(noisy != clean)),
            samples=clean.size,
            classes=classes,
            count=count,
            clean_sha256=_sha256(clean),
            noisy_sha256=_sha256(noisy),
            matrix=_rows(matrix),
            features_sha256=None if features is None else _features_sha256(features),
            **({"convention": None} | law),
        )

    def apply(
        self,
        clean: npt.ArrayLike,
        *,
        features: npt.ArrayLike | None = None,
        human: npt.ArrayLike | None = None,
    ) -> Labels:
        """The noisy labels, made again from the clean ones.

        Parameters
        ----------
        clean : array_like of int, shape (samples,)
            The clean labels.
        features : array_like, shape (samples, ...), optional
            Of instance-dependent noise: the features it was made from.
        human : array_like of int, shape (samples,), optional
            Of labels by people: these labels. They are verified.

        Returns
        -------
        ndarray of int64, shape (samples,)

        Raises
        ------
        DomainError
            If the features or the labels by people are missing.
        CorruptData
            If these are not the clean labels (or features) of the manifest, or if the result is not
            what the manifest recorded.
        """
        labels = checked_labels("clean", clean, self.classes)
        if _sha256(labels) != self.clean_sha256:
            raise CorruptData(
                f"clean labels with SHA-256 {_sha256(labels)[:12]}... are not those of the noise "
                f"manifest, {self.clean_sha256[:12]}..."
            )
        noisy, matrix = self._again(labels, features, human)
        if _sha256(noisy) != self.noisy_sha256:
            raise CorruptData(
                f"noisy labels with SHA-256 {_sha256(noisy)[:12]}... are not those of the noise "
                f"manifest, {self.noisy_sha256[:12]}...: its settings were changed"
            )
        same = _rows(matrix) == self.matrix and float(np.mean(noisy != labels)) == self.realised
        if not same or labels.size != self.samples:
            raise CorruptData(
                "the noise manifest records another matrix, realised rate or number of samples "
                "than its settings give: it was changed"
            )
        return noisy

    def _again(
        self, clean: Labels, features: npt.ArrayLike | None, human: npt.ArrayLike | None
    ) -> tuple[Labels, Matrix]:
        """The noisy labels and the matrix that the settings give."""
        rate = -1.0 if self.rate is None else self.rate
        if self.kind == "symmetric":
            convention = str(self.convention)
            law = matrices.symmetric_matrix(self.classes, rate, convention=convention)
            return (
                draws.symmetric(clean, rate, self.classes, convention, self.count, self.seed),
                law,
            )
        if self.kind in ("pair", "asymmetric", "matrix"):
            if self.kind == "pair":
                law = matrices.pair_matrix(self.classes, rate)
            elif self.kind == "asymmetric":
                law = matrices.asymmetric_matrix(str(self.source), rate)
            else:
                law = np.array(self.matrix)
            return draws.by_matrix(clean, law, self.count, self.seed), law
        if self.kind == "instance":
            if features is None:
                raise DomainError("features", None, "what the noise was made from")
            given = checked_features(features, clean.size)
            if _features_sha256(given) != self.features_sha256:
                raise CorruptData("the features are not those of the noise manifest")
            spread = float(self.spread or 0.0)
            noisy = draws.by_instance(clean, given, rate, spread, self.classes, self.seed)
        else:
            if human is None:
                raise DomainError("human", None, "the labels by people, to be verified")
            noisy = checked_labels("human", human, self.classes)
            if noisy.size != clean.size:
                raise DomainError(
                    "human", f"{noisy.size} labels", f"{clean.size}, as many as clean"
                )
        return noisy, matrices.transition_matrix(clean, noisy, classes=self.classes)

    def to_json(self) -> str:
        """The manifest as one JSON object, keys in a fixed order, a line for each matrix row."""
        content = asdict(self) | {"matrix": "rows"}
        rows = ",\n    ".join(json.dumps(row) for row in self.matrix)
        text = json.dumps(content, indent=2)
        return text.replace('"matrix": "rows"', f'"matrix": [\n    {rows}\n  ]', 1)

    @classmethod
    def from_json(cls, text: str) -> NoiseManifest:
        """The manifest in a JSON text; ``CorruptData`` if it is not one."""
        try:
            content = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise CorruptData(f"noise manifest is not JSON: {error}") from None
        return cls.from_dict(content)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> NoiseManifest:
        """The manifest in a mapping of its fields; ``CorruptData`` if one is missing or wrong."""
        names = {field.name for field in fields(cls)}
        if not isinstance(content, Mapping) or set(content) != names:
            raise CorruptData(f"noise manifest must have exactly the fields {sorted(names)}")
        for name in (*_TEXTS, *_OPTIONAL):
            if not isinstance(content[name], str) and (name in _TEXTS or content[name] is not None):
                raise CorruptData(f"noise manifest: {name} must be text")
        try:
            matrix = tuple(tuple(float(entry) for entry in row) for row in content["matrix"])
            return cls(**(dict(content) | {"matrix": matrix}))
        except DomainError as error:
            raise CorruptData(f"noise manifest: {error}") from None
        except (TypeError, ValueError):
            raise CorruptData("noise manifest: matrix must be rows of numbers") from None

    def save(self, path: str | Path) -> None:
        """Write :meth:`to_json` to a file, whole or not at all.

        Raises
        ------
        OutputError
            If the file cannot be written.
        """
        try:
            write_whole(Path(path), (self.to_json() + "\n").encode())
        except OSError as error:
            raise OutputError(f"{path}: noise manifest cannot be written: {error}") from None

    @classmethod
    def load(cls, path: str | Path) -> NoiseManifest:
        """Read what :meth:`save` wrote.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        CorruptData
            If the file is no noise manifest; the text names the file.
        """
        try:
            return cls.from_json(Path(path).read_text(encoding="utf-8"))
        except UnicodeDecodeError:
            raise CorruptData(f"{path}: noise manifest is not text") from None
        except CorruptData as error:
            raise CorruptData(f"{path}: {error}") from None


def checked_features(value: npt.ArrayLike, samples: int) -> Features:
    """Features as a matrix with a row for each sample: bytes, or finite float64."""
    array = np.asarray(value)
    if array.ndim < 2 or len(array) != samples or array[0].size == 0:
        raise DomainError("features", array.shape, f"features of each of {samples} samples")
    flat = array.reshape(samples, -1)
    if flat.dtype == np.uint8:
        return flat
    return np.asarray(domain.within("features", flat, -_LARGEST, _LARGEST))


def _absent(name: str, value: object) -> None:
    if value is not None:
        raise DomainError(name, value, "absent (None) from this kind of noise")


def _rows(matrix: Matrix) -> Rows:
    return tuple(tuple(row) for row in matrix.tolist())


def _sha256(labels: Labels) -> str:
    return hashlib.sha256(labels.astype("<i8").tobytes()).hexdigest()


def _features_sha256(features: Features) -> str:
    dtype = "u1" if features.dtype == np.uint8 else "<f8"
    return hashlib.sha256(np.ascontiguousarray(features.astype(dtype, copy=False)).data).hexdigest()
