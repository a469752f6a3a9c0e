"""Where resetting pays, over two parameters of the process."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from resetsgd import domain
from resetsgd.domain import Array, RealLike
from resetsgd.errors import DomainError
from resetsgd.passage.base import PassageTime
from resetsgd.passage.critical import of_shape, protocol_class, together
from resetsgd.passage.optimum import Optimum
from resetsgd.protocols import Poisson, Protocol

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["PhaseDiagram", "phase_diagram"]


@dataclass(frozen=True)
class PhaseDiagram:
    """Where resetting pays, over two parameters.

    Attributes
    ----------
    x, y : ndarray, shape (nx,), (ny,)
        Values of the parameters.
    parameter : ndarray, shape (ny, nx)
        Optimal value of the protocol's parameter.
    speedup : ndarray, shape (ny, nx)
        Reset-free mean over the best one; ``inf`` where the former is infinite.
    mean : ndarray, shape (ny, nx)
        Mean at the optimum.
    phase : ndarray of str, shape (ny, nx)
        ``"no"``: resetting does not pay; ``"yes"``: it does, from rare resets on;
        ``"first-order"``: a finite rate does although rare resets do not.
    protocol : Protocol subclass
        Who resets.
    """

    x: Array
    y: Array
    parameter: Array
    speedup: Array
    mean: Array
    phase: Any
    protocol: type[Protocol]

    def plot(self, x: str = "x", y: str = "y", title: str | None = None) -> Figure:
        """Draw the speedup and the borders between the phases.

        Parameters
        ----------
        x, y : str
            Names of the parameters, on the axes.
        title : str, optional
            Stands above the figure.
        """
        # Figures know passage times, not the other way round: loaded when one is asked for.
        plots: Any = importlib.import_module("resetsgd.plots")
        figure: Figure = plots.phase_diagram(self, x, y, title)
        return figure


def phase_diagram(
    build: Callable[[Any, Any], PassageTime],
    x: RealLike,
    y: RealLike,
    *,
    protocol: type[Protocol] = Poisson,
    **settings: Any,
) -> PhaseDiagram:
    """Map the optimum over two parameters.

    Parameters
    ----------
    build : callable
        From values of both parameters to a passage time. It is called with two arrays first; if it
        does not take them, with pairs of numbers.
    x, y : array, shape (nx,), (ny,)
        Values of the parameters.
    protocol : Protocol subclass, default Poisson
        Who resets.
    **settings
        As in :meth:`PassageTime.best`.

    Returns
    -------
    PhaseDiagram

    Raises
    ------
    DomainError
        If ``x`` or ``y`` is not a one-dimensional array of finite numbers, or the protocol or a
        setting is not admissible.

    Examples
    --------
    >>> import resetsgd as rs
    >>> def build(speed, distance):
    ...     return rs.first_passage(rs.DriftDiffusion(-speed, 1.0), start=distance, target=0.0)
    >>> phase_diagram(build, [0.5, 1.0, 3.0], [1.0, 3.0]).phase
    array([['yes', 'yes', 'no'],
           ['yes', 'no', 'no']], dtype='<U11')
    """
    protocol_class(protocol)
    across = np.atleast_1d(np.asarray(domain.finite("x", x)))
    up = np.atleast_1d(np.asarray(domain.finite("y", y)))
    if across.ndim != 1 or up.ndim != 1:
        raise DomainError("x, y", (across.shape, up.shape), "two one-dimensional arrays")
    grid = np.meshgrid(across, up)
    shape = grid[0].shape
    parameter, speedup, mean = (np.empty(shape) for _ in range(3))
    phase = np.full(shape, "no", dtype="<U11")
    whole = together(lambda: of_shape(build(*grid), shape).best(protocol, **settings))
    found: list[tuple[Any, Optimum]] = [((), whole)]
    if whole is None:
        found = [
            (place, build(float(across[place[1]]), float(up[place[0]])).best(protocol, **settings))
            for place in np.ndindex(shape)
        ]
    for place, best in found:
        parameter[place], speedup[place] = best.protocol.value, best.speedup
        mean[place] = best.mean
        phase[place] = np.where(best.first_order, "first-order", np.where(best.pays, "yes", "no"))
    return PhaseDiagram(across, up, parameter, speedup, mean, phase, protocol)
