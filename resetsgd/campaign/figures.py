"""The figures of predict-then-measure campaigns and of trials."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from resetsgd.campaign.judgement import Judgement, Point
from resetsgd.campaign.prediction import Curve, Prediction
from resetsgd.passage.observed import Observed
from resetsgd.plots import ACCENT, INK, MEASURED, PREDICTED, REFERENCE, figure, style
from resetsgd.protocols import Geometric

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from resetsgd.campaign.trials import Gain

__all__ = ["accuracy_curve", "gains", "mean_curve", "survival_curves", "u_shape"]


@style()
def u_shape(
    test: npt.NDArray[Any], validation_loss: npt.NDArray[Any], checkpoint: int, noise_rate: float
) -> Figure:
    """Learning and then memorising: clean test accuracy and noisy validation loss of one run."""
    made, (left, right) = figure(9.6, 3.6, panels=2)
    steps = np.arange(1, len(test) + 1)
    left.plot(steps, test, color=INK, lw=1.4)
    left.set_ylabel("test accuracy (clean labels)")
    left.set_title("Accuracy rises, then memorisation eats it")
    left.set_ylim(min(0.4, float(test[20:].min()) - 0.03), 1.0)
    right.plot(steps, validation_loss, color=INK, lw=1.4)
    right.set_ylabel(f"validation loss ({noise_rate:.0%} noisy labels)")
    right.set_title("The checkpoint is its minimum")
    right.set_ylim(validation_loss.min() - 0.1, min(validation_loss.max(), 4.5))
    for axes, curve, height in ((left, test, 0.96), (right, validation_loss, 0.9)):
        axes.axvline(checkpoint, color=ACCENT, lw=1.2, ls="--")
        axes.plot(checkpoint, curve[checkpoint - 1], "o", color=ACCENT, ms=8, mec="white")
        axes.annotate(
            f"checkpoint, step {checkpoint}",
            (checkpoint, height),
            xycoords=("data", "axes fraction"),
            xytext=(6, 0),
            textcoords="offset points",
            va="top",
        )
        axes.set_xlabel("optimizer step")
    return made


@style()
def mean_curve(prediction: Prediction, judgement: Judgement) -> Figure:
    """Predicted mean passage time with its band, and the measured points on it."""
    made, (axes,) = figure(6.6, 4.2)
    _band(axes, prediction.probabilities, prediction.mean, "predicted from reset-free runs")
    points = [p for p in judgement.points if p.quantity == "mean passage time"]
    _points(axes, points, "measured under resetting")
    bound = prediction.reset_free_restricted_mean
    axes.axhline(bound, color=REFERENCE, ls="--", lw=1.4)
    axes.annotate(
        "never resetting takes longer than this",
        (prediction.probabilities[0], bound),
        xytext=(0, 4),
        textcoords="offset points",
        color=REFERENCE,
    )
    if prediction.pays:
        axes.plot(
            prediction.probability,
            prediction.optimal_mean,
            "*",
            color=ACCENT,
            ms=15,
            mec="white",
            label=f"predicted optimum, {prediction.probability:.3g}",
            zorder=5,
        )
    axes.set(xscale="log", yscale="log")
    lowest = min(prediction.mean.low)
    highest = max(point.measured for point in points)
    axes.set_ylim(0.6 * lowest, 3.0 * max(highest, bound))
    axes.set_xlabel("reset probability per step")
    axes.set_ylabel("mean steps to the target")
    axes.set_title("Time to the target against reset probability")
    axes.legend(loc="upper center")
    return made


@style()
def survival_curves(
    prediction: Prediction, free: Observed, measured: list[Observed | None]
) -> Figure:
    """How many runs have not arrived: without resets, and with resets at one probability."""
    made, (axes,) = figure(6.6, 4.2)
    steps = np.arange(0, prediction.measured_steps + 1)
    inside = steps[steps <= prediction.horizon]
    axes.step(
        inside, free.survival(inside), where="post", color=REFERENCE, label="never reset, measured"
    )
    index = int(np.argmin(np.abs(np.log(np.array(prediction.planned) / _optimum(prediction)))))
    chance = prediction.planned[index]
    said = np.asarray(free.under(Geometric(probability=chance)).survival(steps.astype(float)))
    axes.plot(steps, said, color=PREDICTED, label=f"probability {chance:.3g}, predicted")
    sample = measured[index]
    late = np.ones(steps.size) if sample is None else np.asarray(sample.survival(steps))
    axes.step(
        steps,
        late,
        where="post",
        color=MEASURED,
        lw=1.4,
        label=f"probability {chance:.3g}, measured",
    )
    floor = 0.5 / free.runs if sample is None else 0.5 / sample.runs
    axes.set(yscale="log", ylim=(floor, 1.3), xlim=(0, min(steps[-1], 1.1 * prediction.horizon)))
    axes.set_xlabel("steps")
    axes.set_ylabel("share that has not arrived")
    axes.set_title("Without resets many never arrive")
    axes.legend(loc="center right")
    return made


@style()
def accuracy_curve(
    prediction: Prediction, judgement: Judgement, checkpoint: float, memorised: float
) -> Figure:
    """Long-run test accuracy under resetting: age average predicted, and measured."""
    made, (axes,) = figure(6.6, 4.2)
    _band(axes, prediction.probabilities, prediction.accuracy, "predicted: average over ages")
    points = [p for p in judgement.points if p.quantity == "long-run test accuracy"]
    _points(axes, points, "measured under resetting")
    for level, text in ((checkpoint, "checkpoint"), (memorised, "never reset, at the horizon")):
        axes.axhline(level, color=REFERENCE, ls="--", lw=1.2)
        axes.annotate(
            text,
            (prediction.probabilities[-1], level),
            xytext=(0, 4),
            textcoords="offset points",
            color=REFERENCE,
            ha="right",
        )
    axes.set(xscale="log")
    axes.set_xlabel("reset probability per step")
    axes.set_ylabel("long-run test accuracy (clean labels)")
    axes.set_title("Where resetting holds the network")
    axes.legend(loc="center right")
    return made


def _optimum(prediction: Prediction) -> float:
    return prediction.probability if prediction.pays else prediction.planned[0]


def _band(axes: Axes, x: list[float], curve: Curve, label: str) -> None:
    axes.fill_between(
        x, curve.low, curve.high, color=PREDICTED, alpha=0.18, lw=0, label="95 % interval"
    )
    axes.plot(x, curve.value, color=PREDICTED, label=label)


def _points(axes: Axes, points: list[Point], label: str) -> None:
    axes.errorbar(
        [p.probability for p in points],
        [p.measured for p in points],
        yerr=[1.96 * p.measured_stderr for p in points],
        fmt="o",
        color=MEASURED,
        mec="white",
        capsize=3,
        elinewidth=1.6,
        label=label,
        zorder=4,
    )


@style()
def gains(panels: Mapping[str, Mapping[str, Gain]], xlabel: str) -> Figure:
    """Paired differences in accuracy with their 95 % intervals, a panel for each task."""
    names = list(dict.fromkeys(name for panel in panels.values() for name in panel))
    made, axes = figure(2.2 + 2.6 * len(panels), 0.9 + 0.34 * len(names), panels=len(panels))
    for place, (title, panel) in zip(axes, panels.items(), strict=True):
        place.axvline(0.0, color=REFERENCE, lw=1.0)
        for name, found in panel.items():
            low, high = 100 * (found.mean - found.low), 100 * (found.high - found.mean)
            place.errorbar(
                100 * found.mean, -names.index(name), xerr=[[low], [high]], fmt="o", ms=5,
                color=MEASURED if found.low > 0 else INK, mfc="white", capsize=2, lw=1.4,
            )  # fmt: skip
        place.set_yticks([-row for row in range(len(names))], names)
        place.set_ylim(0.6 - len(names), 0.6)
        place.tick_params(labelleft=place is axes[0], left=False)
        place.set_xlabel(xlabel)
        place.set_title(title)
    return made
