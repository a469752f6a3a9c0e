"""What instruments found, as plain arrays with the steps; in memory and in a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from resetsgd.errors import CorruptData, DomainError
from resetsgd.training import storage
from resetsgd.training.diagnostics.base import MOMENTS

__all__ = ["Record", "Table", "read_records"]

# "step", "moment" and the values by name, a row for each measurement
Record = dict[str, npt.NDArray[Any]]

_RESERVED = ("step", "moment")
_FORMAT = "diagnostics"


def _array(name: str, value: Any) -> npt.NDArray[Any]:
    if isinstance(value, Tensor):
        value = value.detach().cpu().numpy()
    array = np.array(value)
    if array.dtype.kind not in "biuf":
        raise DomainError(name, value, "a number or an array of numbers")
    return array


class Table:
    """The measurements of one instrument.

    Examples
    --------
    >>> table = Table()
    >>> table.add(10, "schedule", {"loss": 0.5})
    >>> table.add(20, "after reset", {"loss": 0.25})
    >>> table.record()["step"], table.record()["loss"]
    (array([10, 20]), array([0.5 , 0.25]))
    """

    def __init__(self) -> None:
        self._steps: list[int] = []
        self._moments: list[int] = []
        self._values: dict[str, list[npt.NDArray[Any]]] = {}

    def __len__(self) -> int:
        return len(self._steps)

    def add(self, step: int, moment: str, found: Mapping[str, Any]) -> None:
        """Append one measurement.

        Parameters
        ----------
        step : int
            Optimizer steps done.
        moment : str
            One of :data:`~resetsgd.training.diagnostics.base.MOMENTS`.
        found : mapping of str to number or array
            What was measured.

        Raises
        ------
        DomainError
            If names or shapes are not those of the measurements before, or a value is no number.
        """
        if not isinstance(found, Mapping) or not all(isinstance(name, str) for name in found):
            raise DomainError("measurement", found, "numbers and arrays by name")
        arrays = {name: _array(name, value) for name, value in found.items()}
        for name in _RESERVED:
            if name in arrays:
                raise DomainError("measurement", name, "another name: this one is taken")
        if len(self):
            before = {name: held[-1].shape for name, held in self._values.items()}
            now = {name: array.shape for name, array in arrays.items()}
            if before != now:
                raise DomainError("measurement", now, f"of names and shapes {before}, as before")
        self._steps.append(step)
        self._moments.append(MOMENTS.index(moment))
        for name, array in arrays.items():
            self._values.setdefault(name, []).append(array)

    def record(self) -> Record:
        """All measurements, in order; new arrays."""
        return {
            "step": np.array(self._steps, np.int64),
            "moment": np.array([MOMENTS[m] for m in self._moments], "U12"),
            **{name: np.stack(held) for name, held in self._values.items()},
        }

    def state_dict(self) -> dict[str, Any]:
        """The same as tensors and lists, for a file."""
        return {
            "steps": list(self._steps),
            "moments": list(self._moments),
            "values": {n: torch.from_numpy(np.stack(held)) for n, held in self._values.items()},
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Table:
        """Take over a :meth:`state_dict`.

        Parameters
        ----------
        state : mapping
            Of a table.

        Raises
        ------
        CorruptData
            If something is missing or of the wrong kind.
        """
        table = cls()
        try:
            table._steps = [int(step) for step in state["steps"]]
            table._moments = [int(moment) for moment in state["moments"]]
            [MOMENTS[moment] for moment in table._moments]
            for name, held in state["values"].items():
                table._values[name] = list(held.cpu().numpy().copy())
            sizes = {len(table._moments), *(len(held) for held in table._values.values())}
            if sizes - {len(table)}:
                raise ValueError("columns of different length")
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            raise CorruptData(f"record is damaged: {error!r}") from None
        return table


def write_records(path: str | Path, tables: Mapping[str, Table]) -> None:
    """Keep tables in a file; what it raises is what :func:`resetsgd.training.storage.write` does.

    Parameters
    ----------
    path : path
        Where to.
    tables : mapping of str to Table
        By the name of their instrument.
    """
    storage.write(path, {_FORMAT: {name: table.state_dict() for name, table in tables.items()}})


def read_records(path: str | Path) -> dict[str, Record]:
    """Read what :meth:`~resetsgd.training.diagnostics.Diagnostics.save` wrote; executes nothing.

    Parameters
    ----------
    path : path
        The file.

    Returns
    -------
    dict of str to dict of str to ndarray
        For each instrument ``"step"``, ``"moment"`` and its values, a row for each measurement.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    CorruptData
        If a bit of it differs from what was written, or it is another kind of file.
    """
    tree = storage.read(path)
    if not isinstance(tree, dict) or set(tree) != {_FORMAT}:
        raise CorruptData(f"{path}: holds no records of diagnostics")
    try:
        return {name: Table.from_state(state).record() for name, state in tree[_FORMAT].items()}
    except CorruptData as error:
        raise CorruptData(f"{path}: {error}") from None
