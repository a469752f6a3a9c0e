"""Sharpness-aware minimisation around any optimizer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from resetsgd import domain
from resetsgd.errors import DomainError
from resetsgd.training.methods.quiet import quieted

__all__ = ["SAM"]


class SAM(Optimizer):
    """Sharpness-aware minimisation: the gradient is taken a distance ``radius`` uphill.

    Each step moves the weights w to w + radius g / |g|, takes the gradient there, puts w back to
    the bit, and lets the inner optimizer step with that gradient.

    Parameters
    ----------
    base_optimizer : Optimizer
        What makes the step; momentum, weight decay and learning rate are its own.
    radius : float
        The rho of the paper, at least 0, in units of the weights; published for noisy labels: 0.1,
        and 0.05 at 80 % noise. At 0 it is the inner optimizer.
    quiet : sequence of nn.Module
        The model and the loss: batch norm records, and losses that remember samples renew, in the
        first pass only. Left out, both see each batch twice.

    Raises
    ------
    DomainError
        For an optimizer or radius outside its range; when stepped, without a closure.

    Notes
    -----
    ``step(closure)`` calls the closure twice; it clears the gradient, computes the loss and calls
    ``backward``, as PyTorch asks of closures. :meth:`ascend` and :meth:`descend` are the two halves
    for loops of their own.

    The parameter groups are those of the inner optimizer (a scheduler may drive either), and so is
    the state: ``state_dict`` holds the momentum, which that of a widely used implementation leaves
    out, and a :class:`resetsgd.training.Snapshot` finds it under ``base_optimizer``. Between steps
    nothing else is kept.

    **Source**: Foret, Kleiner, Mobahi and Neyshabur (2021), equations 2 and 3, without the term of
    the second derivative, as there.

    Examples
    --------
    >>> model = nn.Linear(2, 1)
    >>> _ = nn.init.ones_(model.weight), nn.init.zeros_(model.bias)
    >>> optimizer = SAM(torch.optim.SGD(model.parameters(), lr=0.1), radius=0.01)
    >>> def closure():
    ...     optimizer.zero_grad()
    ...     loss = model(torch.ones(4, 2)).square().mean()
    ...     loss.backward()
    ...     return loss
    >>> losses = [optimizer.step(closure).item() for _ in range(60)]
    >>> losses[-1] < 0.01
    True
    """

    def __init__(
        self,
        base_optimizer: Optimizer,
        radius: float = 0.05,
        *,
        quiet: Sequence[nn.Module] = (),
    ) -> None:
        if not isinstance(base_optimizer, Optimizer) or isinstance(base_optimizer, SAM):
            found = type(base_optimizer).__name__
            raise DomainError("base_optimizer", found, "a torch.optim.Optimizer, not SAM again")
        if not isinstance(quiet, (list, tuple)) or not all(
            isinstance(module, nn.Module) for module in quiet
        ):
            raise DomainError("quiet", quiet, "a list of modules")
        radius = float(domain.nonnegative("radius", radius))
        self.quiet = tuple(quiet)
        self._before: list[tuple[Tensor, Tensor]] = []
        self._made = False
        super().__init__(base_optimizer.param_groups, {"radius": radius})
        self.base_optimizer = base_optimizer
        self.param_groups = base_optimizer.param_groups  # one list, so that new groups are in both
        self._made = True

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters, to the inner optimizer.

        Parameters
        ----------
        param_group : dict
            ``"params"`` and whatever is to differ from the defaults.
        """
        if self._made:
            param_group.setdefault("radius", self.defaults["radius"])
            self.base_optimizer.add_param_group(param_group)
        else:
            super().add_param_group(param_group)

    @torch.no_grad()
    def ascend(self) -> None:
        """Move uphill along the gradient that is there; the weights are kept for :meth:`descend`.

        Raises
        ------
        DomainError
            If the weights are uphill already.
        """
        if self._before:
            raise DomainError("ascend", "called twice", "followed by descend")
        moved = [
            (parameter, group["radius"])
            for group in self.param_groups
            for parameter in group["params"]
            if parameter.grad is not None
        ]
        self._before = [(parameter, parameter.detach().clone()) for parameter, _ in moved]
        if not moved:
            return
        norms = torch._foreach_norm([parameter.grad for parameter, _ in moved])
        first = norms[0].device
        exact = any(n.dtype == torch.float64 for n in norms)
        wide = torch.float64 if exact else torch.float32
        norm = torch.linalg.vector_norm(torch.stack([n.to(first, wide) for n in norms]))
        for parameter, radius in moved:
            # where the gradient is zero there is no uphill
            scale = torch.where(norm > 0, radius / norm, 0.0).to(parameter)
            parameter.add_(parameter.grad * scale)

    @torch.no_grad()
    def descend(self) -> None:
        """Put the weights back and let the inner optimizer step with the gradient that is there.

        Raises
        ------
        DomainError
            If :meth:`ascend` was not called.
        """
        if not self._before:
            raise DomainError("descend", "called", "preceded by ascend")
        self._back()
        self.base_optimizer.step()

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Both passes and the step.

        Parameters
        ----------
        closure : callable
            Clears the gradient, computes the loss, calls ``backward`` and returns the loss.

        Returns
        -------
        Any
            What the closure returned first: the loss before the step.

        Raises
        ------
        DomainError
            Without a closure.
        """
        if closure is None:
            raise DomainError("closure", None, "given: the gradient is taken twice a step")
        with torch.enable_grad():
            value = closure()
        self.ascend()
        try:
            with torch.enable_grad(), quieted(*self.quiet):
                closure()
        except BaseException:
            self._back()
            raise
        if self._before:
            self.descend()
        return value

    def state_dict(self) -> dict[str, Any]:
        """That of the inner optimizer, with the radius of each group."""
        return self.base_optimizer.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over a :meth:`state_dict`.

        Parameters
        ----------
        state_dict : dict
            Of a SAM around an optimizer of the same kind and shapes.
        """
        self.base_optimizer.load_state_dict(state_dict)
        self.param_groups = self.base_optimizer.param_groups

    def _back(self) -> None:
        with torch.no_grad():
            for parameter, value in self._before:
                parameter.copy_(value)
        self._before = []
