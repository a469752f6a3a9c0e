"""A Hugging Face callback that resets: ``Trainer(..., callbacks=[ResetCallback(protocol)])``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from resetsgd.errors import DomainError, MissingExtra
from resetsgd.training import storage
from resetsgd.training.integrations import refuse_sharded
from resetsgd.training.resetter import Resetter

try:
    from transformers import TrainerCallback
except ImportError:  # this module can be looked at, and its class refuses
    TrainerCallback = object

__all__ = ["ResetCallback"]

_FILE = "resetter.safetensors"


class ResetCallback(TrainerCallback):
    """Resets the model in training, as :class:`~resetsgd.training.Resetter` does.

    One step is one step of the optimizer, whatever the accumulation of gradients; an evaluation is
    an observation. What a resumed run needs lies in each checkpoint folder, in a file of its own.

    Parameters
    ----------
    protocol : Protocol, Decider, or list of them
        When to reset. Not ``OnSpike``: the Trainer does not show callbacks the loss of a step.
    monitor : str or None
        The metric of the evaluation that is observed; None observes nothing.
    resume : path, optional
        Checkpoint folder that a resumed run goes on from, if it is not
        ``checkpoint-<step>`` in the output folder.
    **options
        All others are those of :class:`~resetsgd.training.Resetter`.

    Raises
    ------
    MissingExtra
        If the package is not installed.
    DomainError
        When training starts, for wrong options, a sharded model, or a run that is resumed from a
        folder without the state of a resetter; after an evaluation without the metric.

    Examples
    --------
    >>> import resetsgd as rs
    >>> callback = ResetCallback(rs.Geometric(probability=1e-3), seed=0)  # doctest: +SKIP
    >>> trainer = transformers.Trainer(model, callbacks=[callback])  # doctest: +SKIP
    """

    def __init__(
        self,
        protocol: Any,
        *,
        monitor: str | None = "eval_loss",
        resume: str | Path | None = None,
        **options: Any,
    ) -> None:
        if TrainerCallback is object:
            raise MissingExtra("transformers", "integrations")
        super().__init__()
        self.protocol = protocol
        self.monitor = monitor
        self.resume = resume
        self.options = options
        self.resetter: Resetter | None = None
        """The resetter, once training has started."""

    def on_train_begin(
        self,
        args: Any,
        state: Any,
        control: Any,
        model: Any = None,
        optimizer: Any = None,
        **_: Any,
    ) -> None:
        """Make the resetter, of the model and its optimizer."""
        refuse_sharded(model)
        self.resetter = Resetter(model, optimizer, self.protocol, **self.options)
        if self.resetter.watches:
            raise DomainError(
                "protocol", self.protocol, "one that does not watch the loss: the Trainer hides it"
            )
        if state.global_step > 0:
            folder = self._folder(args, state) if self.resume is None else Path(self.resume)
            if not (folder / _FILE).exists():
                raise DomainError("resume", str(folder), f"a checkpoint folder with {_FILE}")
            self.resetter.load_state_dict(storage.read(folder / _FILE))

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Take the step of the resetter."""
        if self.resetter is not None:
            self.resetter.step()

    def on_evaluate(
        self, args: Any, state: Any, control: Any, metrics: dict[str, float], **_: Any
    ) -> None:
        """Observe the metric."""
        if self.resetter is None or self.monitor is None:
            return
        if self.monitor not in metrics:
            known = ", ".join(sorted(metrics))
            raise DomainError("monitor", self.monitor, f"a metric of the evaluation: {known}")
        self.resetter.observe(metrics[self.monitor])

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Write the state beside the Trainer's own."""
        if self.resetter is not None and state.is_world_process_zero:
            folder = self._folder(args, state)
            folder.mkdir(parents=True, exist_ok=True)
            storage.write(folder / _FILE, self.resetter.state_dict())

    @staticmethod
    def _folder(args: Any, state: Any) -> Path:
        return Path(args.output_dir) / f"checkpoint-{state.global_step}"
