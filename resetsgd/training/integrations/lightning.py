"""A Lightning callback that resets: ``Trainer(callbacks=[ResetCallback(protocol)])``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from resetsgd.errors import DomainError, MissingExtra
from resetsgd.training.integrations import refuse_sharded
from resetsgd.training.resetter import Resetter

try:
    from lightning.pytorch import Callback
except ImportError:  # this module can be looked at, and its class refuses
    Callback = object

__all__ = ["ResetCallback"]

_SHARDED = ("FSDPStrategy", "DeepSpeedStrategy", "ModelParallelStrategy", "XLAFSDPStrategy")


class ResetCallback(Callback):
    """Resets the module in training, as :class:`~resetsgd.training.Resetter` does.

    One step is one step of the optimizer, whatever the accumulation of gradients; a validation
    (other than the sanity check) is an observation. What a resumed run needs is in Lightning's
    checkpoint.

    Parameters
    ----------
    protocol : Protocol, Decider, or list of them
        When to reset.
    monitor : str or None
        The logged metric that is observed; None observes nothing, for targets that need no metric.
    **options
        All others are those of :class:`~resetsgd.training.Resetter`.

    Raises
    ------
    MissingExtra
        If the package is not installed.
    DomainError
        When training starts, for wrong options, several optimizers or a sharded model; after a
        validation that did not log the metric.

    Examples
    --------
    >>> import resetsgd as rs
    >>> callback = ResetCallback(rs.Geometric(probability=1e-3), seed=0)  # doctest: +SKIP
    >>> trainer = lightning.Trainer(callbacks=[callback])  # doctest: +SKIP
    """

    def __init__(self, protocol: Any, *, monitor: str | None = "val_loss", **options: Any) -> None:
        if Callback is object:
            raise MissingExtra("lightning", "integrations")
        super().__init__()
        self.protocol = protocol
        self.monitor = monitor
        self.options = options
        self.resetter: Resetter | None = None
        """The resetter, once training has started."""
        self._stored: Mapping[str, Any] | None = None
        self._seen = 0

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Make the resetter, of the module and its one optimizer."""
        strategy = type(trainer.strategy).__name__
        if strategy in _SHARDED:
            raise DomainError("strategy", strategy, "one that keeps the model whole on each device")
        refuse_sharded(pl_module)
        if len(trainer.optimizers) != 1:
            raise DomainError("optimizers", len(trainer.optimizers), "one optimizer")
        self.resetter = Resetter(pl_module, trainer.optimizers[0], self.protocol, **self.options)
        if self._stored is not None:
            self.resetter.load_state_dict(self._stored)
            self._stored = None
        self._seen = trainer.global_step

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Take the step of the resetter, if the optimizer has taken one."""
        if self.resetter is not None and trainer.global_step > self._seen:
            self._seen = trainer.global_step
            loss = outputs.get("loss") if isinstance(outputs, Mapping) else outputs
            self.resetter.step(loss=loss)

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        """Observe the metric."""
        if self.resetter is None or self.monitor is None or trainer.sanity_checking:
            return
        if self.monitor not in trainer.callback_metrics:
            logged = ", ".join(sorted(trainer.callback_metrics)) or "none"
            raise DomainError("monitor", self.monitor, f"a logged metric; there are: {logged}")
        self.resetter.observe(trainer.callback_metrics[self.monitor])

    def state_dict(self) -> dict[str, Any]:
        """What Lightning puts into its checkpoint."""
        return {} if self.resetter is None else {"resetter": self.resetter.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep it until the optimizer is there."""
        self._stored = state_dict.get("resetter")
