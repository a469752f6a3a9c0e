"""The house style of figures, and the figures that the command line draws.

Figures are matplotlib ``Figure`` objects made without pyplot: no display, no global state, nothing
to close. Matplotlib is loaded when the first figure is made.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from resetsgd import domain
from resetsgd.domain import RealLike
from resetsgd.errors import DomainError, OutputError
from resetsgd.files import write_whole
from resetsgd.protocols import Poisson, Protocol

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from resetsgd.montecarlo.sweep import Sweep
    from resetsgd.passage.base import PassageTime
    from resetsgd.passage.phase_diagram import PhaseDiagram

__all__ = [
    "ACCENT",
    "INK",
    "MEASURED",
    "PREDICTED",
    "REFERENCE",
    "STYLE",
    "SUFFIXES",
    "checked_suffix",
    "figure",
    "mean_against_rate",
    "phase_diagram",
    "save",
    "style",
    "sweep",
]

# Four colours that stay apart for colour-blind readers and in grey print.
PREDICTED = "#1b5e9b"
"""Blue: what theory or a prediction says; its band is the same colour at ``alpha=0.18``."""
MEASURED = "#d1481f"
"""Vermilion: what was measured or simulated."""
REFERENCE = "#8a9199"
"""Grey: what everything is compared with, such as the process without resetting."""
ACCENT = "#e0a106"
"""Amber: the one thing to look at, such as a checkpoint or an optimum."""
INK = "#23282d"
"""Near black: text and axes."""

STYLE: dict[str, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # ships with matplotlib: the same figure everywhere
    "font.size": 10.0,
    "axes.titlesize": 11.0,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 10.0,
    "axes.labelsize": 10.0,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.edgecolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#e4e7ea",
    "grid.linewidth": 0.7,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 9.0,
    "ytick.labelsize": 9.0,
    "lines.linewidth": 2.0,
    "lines.markersize": 6.0,
    "lines.solid_capstyle": "round",
    "legend.frameon": True,  # white behind the text, no box around it
    "legend.facecolor": "white",
    "legend.edgecolor": "none",
    "legend.framealpha": 0.85,
    "legend.fontsize": 9.0,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "svg.fonttype": "none",  # text stays text: small files that can be searched
    "svg.hashsalt": "resetsgd",  # the same figure gives the same bytes
}
"""Matplotlib settings of every figure of the house."""

SUFFIXES = (".png", ".svg", ".pdf")
"""File name suffixes that `save` writes."""

_DECADES = (-4.0, 4.0)
_PER_DECADE = 100
_TALLEST = 40.0
"""Means are drawn up to at most this many times the smallest one."""


@contextmanager
def style() -> Iterator[None]:
    """Draw in the house style; a context, and a decorator for functions that draw.

    Artists take most settings when they are made, so drawing belongs inside.
    """
    import matplotlib as mpl

    # Starting from the defaults, a matplotlibrc on this machine changes nothing.
    with mpl.rc_context():
        mpl.rcParams.update(
            {k: v for k, v in mpl.rcParamsDefault.items() if not k.startswith("backend")}
        )
        mpl.rcParams.update(cast("Any", STYLE))
        yield


@style()
def figure(width: float = 6.4, height: float = 4.0, panels: int = 1) -> tuple[Figure, list[Axes]]:
    """Make an empty figure in the house style, its panels side by side.

    Parameters
    ----------
    width, height : float
        Size of the whole figure, inches.
    panels : int, default 1
        Number of panels.

    Returns
    -------
    figure : matplotlib Figure
    axes : list of matplotlib Axes
        One for each panel, from left to right.
    """
    from matplotlib.figure import Figure

    made = Figure(figsize=(width, height), layout="constrained")
    return made, list(made.subplots(1, panels, squeeze=False)[0])


def save(drawing: Figure, path: str | Path, *, argument: str = "path", dpi: float = 160) -> Path:
    """Write a figure as PNG, SVG or PDF, whole or not at all; the same figure gives the same bytes.

    Parameters
    ----------
    drawing : matplotlib Figure
        What to write.
    path : str or Path
        Where to; the suffix chooses the format.
    argument : str, default "path"
        What an error calls the path.
    dpi : float, default 160
        Dots per inch of a PNG.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    DomainError
        If the suffix is none of `SUFFIXES`.
    OutputError
        If the file cannot be written.
    """
    target = Path(path)
    kind = checked_suffix(target, argument)
    dated = {"png": {}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}[kind]
    page = io.BytesIO()
    with style():
        drawing.savefig(page, format=kind, dpi=dpi, metadata=dated)
    try:
        write_whole(target, page.getvalue())
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        why = error.strerror if isinstance(error, OSError) else error
        raise OutputError(f"{argument} = {str(path)!r}: must be a writable file ({why})") from None
    return target


def checked_suffix(path: Path, argument: str) -> str:
    """The format that a file name asks for, without the dot; a DomainError for an unknown one."""
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise DomainError(argument, str(path), f"a file name ending in {', '.join(SUFFIXES)}")
    return suffix[1:]


@style()
def mean_against_rate(
    passage: PassageTime,
    family: type[Protocol] = Poisson,
    *,
    rates: RealLike | None = None,
    title: str | None = None,
    **fixed: Any,
) -> Figure:
    """Draw the mean first-passage time against how often one resets, both axes logarithmic.

    Parameters
    ----------
    passage : PassageTime
        One passage time (scalar parameters).
    family : Protocol subclass, default Poisson
        Who resets; the horizontal axis is its frequency (of ``Sharp``, 1/period).
    rates : array, optional
        Frequencies to draw, 1/time, increasing; by default those around the minimum.
    title : str, optional
        Stands above the figure.
    **fixed
        The family's other parameters, for example ``step=0.1`` of ``Geometric``.

    Returns
    -------
    matplotlib Figure
        The curve, the mean without resetting where it is finite, and the optimum if resetting pays.

    Raises
    ------
    DomainError
        If fewer than two of the means are finite in float64, or a rate is not positive.
    """
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

    best = passage.best(family, **fixed)
    frequency = 0.0
    if best.pays:
        value = float(np.asarray(getattr(best.protocol, "rate", 0.0)))
        frequency = value or 1.0 / float(np.asarray(getattr(best.protocol, "period", np.inf)))
    centre = frequency or 1.0 / float(np.asarray(passage.timescale()))
    if rates is None:
        grid = centre * 10.0 ** np.arange(*_DECADES, 1.0 / _PER_DECADE)
        grid = grid[np.isfinite(grid) & (grid > 0) & (grid < family.most_frequent(**fixed))]
    else:
        grid = np.atleast_1d(domain.positive("rates", rates))
    with np.errstate(all="ignore"):
        means = np.asarray(passage.under(family.at_frequency(grid, **fixed)).mean())
    if np.count_nonzero(np.isfinite(means)) < 2:
        raise DomainError("mean", float(best.mean), "finite in float64 to be drawn")
    free = best.reset_free_mean
    if rates is None:
        # A shallow minimum is drawn on a short axis, so that it can be seen.
        gain = free / best.mean if np.isfinite(best.mean) else np.inf
        tallest = float(np.clip(6.0 * gain - 5.0, 1.02, _TALLEST)) if best.pays else 8.0
        grid, means = _around_minimum(grid, means, tallest)

    made, (axes,) = figure()
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.plot(grid, means, color=PREDICTED, label="with resetting", zorder=3)
    lowest, highest = np.min(means[means < np.inf]), np.max(means[means < np.inf])
    if np.isfinite(free):
        label = f"without resetting, {free:.4g}"
        if free > 3.0 * highest:
            label += " (above)"
        else:
            lowest, highest = min(lowest, free), max(highest, free)
        axes.axhline(free, color=REFERENCE, linestyle=(0, (5, 3)), linewidth=1.5, label=label)
    else:
        axes.plot([], [], " ", label="without resetting: infinite")
    if frequency and np.isfinite(best.mean):
        name = f"optimum: {best.protocol.parameter} "
        name += f"{float(np.asarray(getattr(best.protocol, best.protocol.parameter))):.4g}"
        axes.axvline(frequency, color=ACCENT, linewidth=1.0, alpha=0.7, zorder=2)
        axes.plot(
            frequency,
            best.mean,
            linestyle="none",
            marker="o",
            markersize=9,
            markerfacecolor=ACCENT,
            markeredgecolor="white",
            markeredgewidth=1.3,
            label=f"{name}, mean {best.mean:.4g}",
            zorder=4,
        )
    room = (highest / lowest) ** 0.08 if highest > 1.01 * lowest else 1.2
    axes.set_ylim(lowest / room, highest * room)
    axes.set_xlim(grid[0], grid[-1])
    for axis, (low, high) in (
        (axes.xaxis, (grid[0], grid[-1])),
        (axes.yaxis, (lowest / room, highest * room)),
    ):
        decades = float(np.log10(high / low))
        # Powers of ten alone say too little on a short axis.
        shown = (1.0,) if decades > 3 else (1.0, 3.0) if decades > 2 else (1.0, 2.0, 5.0)
        locator = LogLocator(subs=shown, numticks=10) if decades > 0.7 else MaxNLocator(6)
        axis.set_major_locator(locator)
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:.6g}".replace("e+", "e")))
    axes.set_xlabel(
        "reset rate (1/time)" if hasattr(best.protocol, "rate") else "resets per unit of time"
    )
    axes.set_ylabel("mean first-passage time")
    if title is not None:
        axes.set_title(title)
    axes.legend(loc="best")
    return made


_FASTEST = 100.0
"""Speedups are shown up to this factor."""


@style()
def phase_diagram(diagram: PhaseDiagram, x: str, y: str, title: str | None = None) -> Figure:
    """Draw where resetting pays, and how much, over two parameters.

    Parameters
    ----------
    diagram : PhaseDiagram
        What to draw.
    x, y : str
        Names of the parameters, on the axes.
    title : str, optional
        Stands above the figure.

    Returns
    -------
    matplotlib Figure
        The speedup as colour, cut at 100; the border of the region where resetting pays; and,
        hatched, where a finite rate pays although rare resets do not.
    """
    from matplotlib.colors import LinearSegmentedColormap, LogNorm
    from matplotlib.patches import Patch
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    made, (axes,) = figure(6.8, 4.4)
    axes.grid(visible=False)
    pays = diagram.phase != "no"
    first = diagram.phase == "first-order"
    gain = np.where(pays, np.clip(diagram.speedup, 1.0, _FASTEST), np.nan)
    largest = float(np.nanmax(gain, initial=1.0)) if pays.any() else 1.0
    axes.set_facecolor("#eef0f2")
    colours = LinearSegmentedColormap.from_list("gain", ["#e8f0f8", PREDICTED])
    norm = LogNorm(1.0, max(largest, 1.02))
    mesh = axes.pcolormesh(diagram.x, diagram.y, gain, cmap=colours, norm=norm, shading="nearest")
    mesh.set_rasterized(True)
    handles = [Patch(facecolor="#eef0f2", edgecolor=REFERENCE, label="resetting does not pay")]
    several = min(gain.shape) > 1
    if several and pays.any() and not pays.all():
        axes.contour(diagram.x, diagram.y, pays.astype(float), [0.5], colors=INK, linewidths=1.4)
    if several and first.any():
        axes.contourf(
            diagram.x, diagram.y, first.astype(float), [0.5, 1.5], colors="none", hatches=["///"]
        )
        axes.contour(
            diagram.x, diagram.y, first.astype(float), [0.5], colors=MEASURED, linewidths=1.2
        )
        label = "only a finite rate pays"
        handles.append(Patch(facecolor="none", edgecolor=MEASURED, hatch="///", label=label))
    bar = made.colorbar(mesh, ax=axes, pad=0.02)
    cut = " (100 or more at the top)" if largest >= _FASTEST else ""
    bar.set_label(f"speedup{cut}")
    bar.outline.set_visible(False)
    bar.ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if largest > 3 else "all"))
    bar.ax.yaxis.set_minor_locator(NullLocator())
    bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.4g}"))
    for values, rescale in ((diagram.x, axes.set_xscale), (diagram.y, axes.set_yscale)):
        steps = np.diff(values)
        even = steps.size < 2 or bool(np.allclose(steps, steps[0], rtol=1e-6))
        if not even and np.all(values > 0):
            rescale("log")
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    if title is not None:
        axes.set_title(title)
    made.legend(handles=handles, loc="outside lower center", ncols=2)
    return made


@style()
def sweep(found: Sweep, exact: PassageTime | None = None, title: str | None = None) -> Figure:
    """Draw swept means with two standard errors, and the best value with its error.

    Parameters
    ----------
    found : Sweep
        Of :func:`resetsgd.sweep` or :func:`resetsgd.renewal_sweep`, of Poisson rates if ``exact``.
    exact : PassageTime, optional
        The reset-free law, to draw its mean under Poisson resets beside.
    title : str, optional
        Stands above the figure.

    Returns
    -------
    matplotlib Figure
        A band where the sweep has more than 40 values, else points; a second line where paths were
        censored: the lower bound of the mean.

    Raises
    ------
    DomainError
        If fewer than two means are finite at positive values.
    """
    there = (found.values > 0) & np.isfinite(found.means) & np.isfinite(found.stderr)
    if there.sum() < 2:
        raise DomainError("found", found, "at least two finite means at positive values")
    x, y, spread = found.values[there], found.means[there], 2.0 * found.stderr[there]
    drawing, (axes,) = figure()
    if x.size > 40:
        axes.fill_between(x, y - spread, y + spread, color=MEASURED, alpha=0.18, lw=0)
        axes.plot(x, y, color=MEASURED, label="simulated ± 2 standard errors")
    else:
        axes.errorbar(
            x, y, spread, fmt="o", color=MEASURED, capsize=2, label="simulated ± 2 standard errors"
        )
    if found.censored.any():
        axes.plot(x, found.low[there], color=MEASURED, ls=":", label="lower bound")
    if exact is not None:
        mean = np.asarray(exact.under(Poisson(x)).mean())
        axes.plot(x, mean, color=PREDICTED, label="exact", zorder=1)
    if x.size >= 5 and not (best := found.best()).at_edge:
        axes.errorbar(
            [best.value], [best.mean], xerr=[2.0 * best.value_stderr], fmt="D", color=ACCENT,
            capsize=3, zorder=4, label=f"best {found.parameter} {best.value:.3g}",
        )  # fmt: skip
    axes.set(xscale="log", xlabel=found.parameter, ylabel="mean passage time")
    axes.set_ylim(0.0, min(float((y + spread).max()) * 1.05, 5.0 * float(y.min())))
    if title:
        axes.set_title(title)
    axes.legend()
    return drawing


def _around_minimum(grid: Any, means: Any, tallest: float) -> tuple[Any, Any]:
    """The stretch around the smallest mean in which none is above ``tallest`` times the smallest.

    Of a flat beginning one decade is enough.
    """
    place = int(np.argmin(np.where(np.isnan(means), np.inf, means)))
    tall = ~(means <= tallest * means[place])
    left, right = np.flatnonzero(tall[:place]), np.flatnonzero(tall[place:])
    begin = int(left[-1]) + 1 if left.size else 0
    end = place + int(right[0]) if right.size else len(grid)
    flat = np.abs(means[begin:end] / means[begin] - 1.0) < 0.005 * (tallest - 1.0)
    begin += max(int(np.argmin(flat)) - _PER_DECADE, 0)
    return grid[begin:end], means[begin:end]
