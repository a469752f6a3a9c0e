"""Trees of tensors and plain values in one safetensors file that cannot be half written or altered.

Reading executes nothing: the file holds raw tensors and JSON. Its SHA-256 covers every byte.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from resetsgd.errors import CorruptData, DomainError, OutputError
from resetsgd.files import write_whole

__all__ = ["digest", "flatten", "read", "unflatten", "write"]

_BLANK = "0" * 64
_FORMAT = "resetsgd-1"


def flatten(tree: Any) -> tuple[dict[str, torch.Tensor], str]:
    """Split a tree into its tensors, by name, and a JSON text with everything else.

    Parameters
    ----------
    tree : nested dict, list and tuple
        Leaves are tensors, numbers, text, booleans and None; keys are text and whole numbers.

    Raises
    ------
    DomainError
        For any other leaf or key: nothing is pickled.

    Examples
    --------
    >>> tensors, text = flatten({"a": [torch.zeros(2), 0.1], 3: (None, float("inf"))})
    >>> unflatten(tensors, text)
    {'a': [tensor([0., 0.]), 0.1], 3: (None, inf)}
    """
    tensors: dict[str, torch.Tensor] = {}

    def encode(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            name = f"{len(tensors):06d}"
            tensors[name] = value.detach()
            return {"tensor": name}
        if isinstance(value, Mapping):
            if not all(type(key) in (str, int) for key in value):
                raise DomainError("state", list(value), "a mapping with keys of text or integers")
            return {"dict": [[key, encode(item)] for key, item in value.items()]}
        if isinstance(value, tuple):
            return {"tuple": [encode(item) for item in value]}
        if isinstance(value, list):
            return [encode(item) for item in value]
        if isinstance(value, float) and not math.isfinite(value):
            return {"float": str(float(value))}
        if value is None or isinstance(value, (bool, int, float, str)):
            return value
        raise DomainError("state", value, "tensors, numbers, text, None and containers of them")

    text = json.dumps(encode(tree), separators=(",", ":"), allow_nan=False)
    return tensors, text


def unflatten(tensors: Mapping[str, torch.Tensor], text: str) -> Any:
    """The tree that :func:`flatten` split."""

    def decode(value: Any) -> Any:
        if isinstance(value, list):
            return [decode(item) for item in value]
        if isinstance(value, dict):
            ((kind, content),) = value.items()
            if kind == "tensor":
                return tensors[content]
            if kind == "dict":
                return {key: decode(item) for key, item in content}
            if kind == "tuple":
                return tuple(decode(item) for item in content)
            return float(content)
        return value

    return decode(json.loads(text))


def digest(tree: Any) -> str:
    """SHA-256 of a tree: of every bit of its tensors, their types and shapes, and all else."""
    tensors, text = flatten(tree)
    found = hashlib.sha256(text.encode())
    for name, tensor in tensors.items():
        found.update(f"{name}:{tensor.dtype}:{tuple(tensor.shape)}:".encode())
        found.update(tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return found.hexdigest()


def write(path: str | Path, tree: Any) -> None:
    """Write a tree so that the file is, at any moment, the old one or the new one, whole.

    Equal trees give equal files, byte for byte.
    The new file is written beside the old one, flushed to the disk, and renamed onto it.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    target = Path(path)
    tensors, text = flatten(tree)
    content = safetensors.torch.save(
        # copies: two names may not share memory in a safetensors file
        {name: tensor.cpu().clone().contiguous() for name, tensor in tensors.items()},
        {_FORMAT: f"{_BLANK} {text}"},  # one entry: the library writes several in any order
    )
    # the digest is that of the whole file with zeros in the digest's own place
    signed = content.replace(_field(_BLANK), _field(hashlib.sha256(content).hexdigest()), 1)
    try:
        write_whole(target, signed)
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)  # the rename itself reaches the disk
        finally:
            os.close(folder)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from None


def read(path: str | Path) -> Any:
    """Read what :func:`write` wrote.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    CorruptData
        If a single bit differs from what was written, or the file is not of this kind.
    """
    try:
        content = Path(path).read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise CorruptData(f"{path}: cannot be read: {error.strerror}") from None
    try:
        length = int.from_bytes(content[:8], "little")
        claimed, text = json.loads(content[8 : 8 + length])["__metadata__"][_FORMAT].split(" ", 1)
        unsigned = content.replace(_field(claimed), _field(_BLANK), 1)
        genuine = hashlib.sha256(unsigned).hexdigest() == claimed
    except (ValueError, KeyError, TypeError, AttributeError, MemoryError, RecursionError):
        genuine = False
    if not genuine:
        raise CorruptData(f"{path}: damaged, truncated, or not a file of this kind")
    return unflatten(safetensors.torch.load(content), text)


def _field(digest: str) -> bytes:
    """The place of the digest in a file, with this digest in it."""
    return f'"{_FORMAT}":"{digest} '.encode()
