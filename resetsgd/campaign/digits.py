"""The experiment on handwritten digits with noisy labels: what is trained, and what is looked at.

One small network, four kinds of runs: a reference run that gives the checkpoint, a pilot that sets
the target, reset-free continuations from the checkpoint, and runs under resetting. All replicas of
a kind are trained together as one stacked computation. Test images are clean and only reported on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from resetsgd.errors import DomainError, NotConverged

if TYPE_CHECKING:
    from resetsgd.campaign.store import Cell
    from resetsgd.passage.observed import Observed
    from resetsgd.training import NoiseManifest
    from resetsgd.training.network import State

__all__ = ["DigitsExperiment", "Settings", "ages", "arrivals"]

Progress = Callable[[int], None]
"""Called with the number of replica-steps just done."""


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Everything the experiment depends on; sizes in images, replicas and optimizer steps."""

    train: int = 500
    validation: int = 400
    test: int = 897
    noise_rate: float = 0.4
    hidden: int = 64
    learning_rate: float = 0.1
    momentum: float = 0.9
    batch_size: int = 32
    reference_steps: int = 1600
    pilot_replicas: int = 96
    replicas: int = 384
    horizon: int = 800
    target_share: float = 0.5
    """The target is the smallest level that at most this share of the pilot runs reaches."""
    factors: tuple[float, ...] = (0.25, 0.5, 1.0, 3.0)
    """Probabilities measured, in units of the predicted optimum."""
    measured_replicas: int = 128
    measured_steps: int = 1200
    burn_in: float = 8.0
    """Steps before the long-run accuracy is averaged, in mean times between resets."""
    seed: int = 20250604

    def quick(self) -> Settings:
        """A smaller experiment of its own, at a tenth of the cost: a first look, and for tests."""
        return msgspec.structs.replace(
            self,
            seed=self.seed + 1,
            reference_steps=500,
            pilot_replicas=48,
            replicas=96,
            horizon=400,
            factors=(0.5, 1.0, 3.0),
            measured_replicas=48,
            measured_steps=600,
        )


def ages(horizon: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Ages at which the test accuracy is looked at: every step at first, then ever more rarely."""
    marks = np.concatenate(
        [np.arange(20), np.arange(20, 60, 4), np.arange(60, 200, 10), np.arange(200, horizon, 20)]
    )
    return np.append(marks[marks < horizon], horizon)


def arrivals(cell: Cell) -> Observed | None:
    """The passage times of a measured cell; None if no run arrived."""
    from resetsgd.passage.observed import Observed

    censored = cell.arrays["censored"]
    return None if censored.all() else Observed(cell.arrays["times"], censored)


class DigitsExperiment:
    """Data, noise and network of the experiment, and its runs.

    Parameters
    ----------
    settings : Settings
        Sizes and seeds.

    Raises
    ------
    MissingExtra
        If torch or scikit-learn is not installed.
    """

    def __init__(self, settings: Settings) -> None:
        from resetsgd.training import MLP, digits, symmetric_noise

        self.settings = s = settings
        data = digits(s.train, s.validation, s.test, seed=s.seed)
        self.data_sha256 = data.sha256
        noisy, manifests = {}, {}
        for offset, name in enumerate(("train", "validation")):
            clean = getattr(data, name).labels
            noisy[name], manifests[name] = symmetric_noise(
                clean, s.noise_rate, classes=data.classes, seed=s.seed + offset
            )
        self.manifests: dict[str, NoiseManifest] = manifests
        self._train = data.train.with_labels(noisy["train"]).tensors()
        self._validation = data.validation.with_labels(noisy["validation"]).tensors()
        self._test = data.test.tensors()
        self.network = MLP(widths=(data.train.images.shape[1], s.hidden, data.classes))

    def _ensemble(self, replicas: int, stream: int) -> Any:
        """An ensemble whose batches and coins no other kind of run draws."""
        from resetsgd.training import Ensemble

        s = self.settings
        return Ensemble(
            self.network,
            replicas,
            learning_rate=s.learning_rate,
            momentum=s.momentum,
            batch_size=s.batch_size,
            seed=s.seed + 1000 * (stream + 1),
        )

    def reference(self, progress: Progress) -> tuple[dict[str, Any], dict[str, Any]]:
        """One run from scratch; the checkpoint is its state of least noisy-validation loss."""
        s = self.settings
        ensemble = self._ensemble(1, 0)
        ensemble.load(self.network.initial(seed=s.seed))
        table = np.empty((s.reference_steps, 3))
        best, at, checkpoint = np.inf, 0, ensemble.state(0)
        for step in range(s.reference_steps):
            ensemble.train_step(*self._train)
            loss, accuracy = (float(x[0]) for x in ensemble.evaluate(*self._validation))
            table[step] = loss, accuracy, float(ensemble.accuracies(*self._test)[0])
            if loss < best:
                best, at, checkpoint = loss, step + 1, ensemble.state(0)
            progress(1)
        arrays = {
            "validation_loss": table[:, 0],
            "validation_accuracy": table[:, 1],
            "test_accuracy": table[:, 2],
        }
        for i, part in enumerate((*checkpoint.parameters, *checkpoint.momentum)):
            arrays[f"state{i}"] = part.numpy()
        record = {
            "checkpoint_step": at,
            "checkpoint_validation_loss": best,
            "checkpoint_validation_accuracy": float(table[at - 1, 1]),
            "checkpoint_test_accuracy": float(table[at - 1, 2]),
            "best_test_accuracy": float(table[:, 2].max()),
            "best_test_step": int(table[:, 2].argmax()) + 1,
            "last_test_accuracy": float(table[-1, 2]),
        }
        return arrays, record

    def state(self, arrays: dict[str, Any]) -> State:
        """The checkpoint out of the arrays of a reference run."""
        import torch

        from resetsgd.training.network import State

        count = len(self.network.shapes)
        parts = [torch.from_numpy(arrays[f"state{i}"].copy()) for i in range(2 * count)]
        return State(tuple(parts[:count]), tuple(parts[count:]))

    def free(
        self, checkpoint: State, replicas: int, stream: int, progress: Progress
    ) -> dict[str, Any]:
        """Reset-free continuations: noisy-validation accuracy at every step, test at some ages."""
        s = self.settings
        ensemble = self._ensemble(replicas, stream)
        ensemble.load(checkpoint)
        looks = set(ages(s.horizon).tolist())
        validation = np.empty((replicas, s.horizon))
        test = [ensemble.accuracies(*self._test).numpy().copy()]
        for step in range(s.horizon):
            ensemble.train_step(*self._train)
            validation[:, step] = ensemble.accuracies(*self._validation).numpy()
            if step + 1 in looks:
                test.append(ensemble.accuracies(*self._test).numpy().copy())
            progress(replicas)
        return {"validation": validation, "test": np.stack(test, axis=1), "ages": ages(s.horizon)}

    def target(self, pilot: dict[str, Any], above: float) -> float:
        """The smallest noisy-validation accuracy that at most ``target_share`` of the pilot reach.

        The checkpoint's own accuracy ``above`` is no target: resetting could not miss it.
        """
        best = pilot["validation"].max(axis=1)
        levels = np.unique(pilot["validation"])
        share = np.array([(best >= level).mean() for level in levels])
        allowed = levels[(share <= self.settings.target_share) & (share > 0) & (levels > above)]
        if allowed.size == 0:
            raise NotConverged(
                f"target: no level above the checkpoint's {above:.4f} is reached by some of the"
                f" pilot runs but by no more than {self.settings.target_share:.0%}"
            )
        return float(allowed[0])

    def under_resetting(
        self,
        checkpoint: State,
        probability: float,
        target: float,
        stream: int,
        progress: Progress,
    ) -> dict[str, Any]:
        """Runs under resetting, in the order move, coin, look; they go on after arriving."""
        s = self.settings
        if not 0 < probability < 1:
            raise DomainError("probability", probability, "in (0, 1)")
        count, steps = s.measured_replicas, s.measured_steps
        ensemble = self._ensemble(count, stream)
        ensemble.load(checkpoint)
        arrived = np.zeros(count, dtype=np.int64)
        settled = min(int(np.ceil(s.burn_in / probability)), steps // 2)
        total, looks, resets = np.zeros(count), 0, 0
        for step in range(1, steps + 1):
            ensemble.train_step(*self._train)
            coins = ensemble.coins(probability)
            resets += int(coins.sum())
            ensemble.reset(coins, checkpoint)
            if (arrived == 0).any():
                there = ensemble.accuracies(*self._validation).numpy() >= target
                arrived = np.where((arrived == 0) & there, step, arrived)
            if step > settled and step % 5 == 0:
                total += ensemble.accuracies(*self._test).numpy()
                looks += 1
            progress(count)
        return {
            "times": np.where(arrived > 0, arrived, steps).astype(np.float64),
            "censored": arrived == 0,
            "test": total / looks,
            "resets": resets,
        }
