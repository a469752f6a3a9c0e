"""Layer-wise re-initialisation: keep what lies below, begin again above."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from resetsgd import domain
from resetsgd.errors import DomainError
from resetsgd.training.methods.quiet import evaluating
from resetsgd.training.networks.seeded import seeded
from resetsgd.training.snapshot import chain, check

__all__ = ["Blocks", "FixedNorm", "LayerwiseReinit"]


class FixedNorm(nn.Module):
    """Subtracts a constant and divides by another: a normalisation that is set, not learnt.

    Examples
    --------
    >>> norm = FixedNorm()
    >>> norm.set_from(torch.tensor([1.0, 3.0]))
    >>> norm(torch.tensor([1.0, 3.0])).tolist()
    [-1.0, 1.0]
    """

    mean: Tensor
    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("scale", torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        """The normalised input, of the same shape."""
        return (x - self.mean) / self.scale

    @torch.no_grad()
    def set_from(self, x: Tensor) -> None:
        """Take mean and standard deviation of everything in a batch; a constant is only centred.

        Parameters
        ----------
        x : Tensor
            What enters.
        """
        spread = x.float().std(correction=0)
        self.mean.copy_(x.float().mean())
        self.scale.copy_(torch.where(spread > 0, spread, torch.ones_like(spread)))


class Blocks(nn.Module):
    """Blocks one after the other, with a :class:`FixedNorm` after each but the last.

    At first the normalisations do nothing.

    Parameters
    ----------
    blocks : sequence of nn.Module
        From the input to the logits; at least two.

    Raises
    ------
    DomainError
        For fewer than two, or what is no module.

    Examples
    --------
    >>> Blocks([nn.Linear(3, 4), nn.Linear(4, 2)])(torch.zeros(5, 3)).shape
    torch.Size([5, 2])
    """

    def __init__(self, blocks: Sequence[nn.Module]) -> None:
        super().__init__()
        if len(blocks) < 2 or not all(isinstance(block, nn.Module) for block in blocks):
            raise DomainError("blocks", blocks, "two or more modules")
        self.blocks = nn.ModuleList(blocks)
        self.norms = nn.ModuleList(FixedNorm() for _ in blocks[1:])

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        for block, norm in zip(self.blocks, self.norms, strict=False):
            x = norm(block(x))
        logits: Tensor = self.blocks[-1](x)
        return logits


class LayerwiseReinit:
    """Layer-wise re-initialisation in rounds: the first k blocks stay, the rest begins again.

    Each round scales the weights of the first k blocks back to the norms that they had at first,
    sets the fixed normalisation after block k from a batch of images, draws all later blocks anew
    and lets the optimizer forget. Between the rounds one trains as usual.

    Parameters
    ----------
    model : Blocks
        What is trained.
    optimizer : Optimizer
        Over its parameters; its state is cleared in each round.
    seed : int
        Key of the new weights, which depend on (seed, round) alone.

    Raises
    ------
    DomainError
        For an argument outside its range, a block that cannot be drawn anew, or a round too many.

    Notes
    -----
    Blocks are drawn anew by the ``reset_parameters`` of their layers. The order of a round follows
    the paper's description; its text leaves open how many steps lie between rounds.

    **Source**: Alabdulmohsin, Maennel and Keysers (2021).

    Examples
    --------
    >>> from torch.optim import SGD
    >>> model = Blocks([nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)])
    >>> reinit = LayerwiseReinit(model, SGD(model.parameters(), lr=0.1), seed=1)
    >>> reinit.round(torch.eye(3)), reinit.round(torch.eye(3)), reinit.done
    (1, 2, True)
    """

    def __init__(self, model: Blocks, optimizer: torch.optim.Optimizer, *, seed: int = 0) -> None:
        if not isinstance(model, Blocks):
            raise DomainError("model", type(model).__name__, "Blocks")
        check(model, optimizer)
        for layer in model.modules():
            own = next(layer.parameters(recurse=False), None)
            if own is not None and not callable(getattr(layer, "reset_parameters", None)):
                raise DomainError("model", type(layer).__name__, "of layers with reset_parameters")
        self.model, self._optimizers = model, chain(optimizer)
        self.seed = domain.integer("seed", seed, 0, 2**31 - 1)
        self.rounds = 0
        with torch.no_grad():
            self._norms = [[float(p.norm()) for p in b.parameters()] for b in model.blocks]

    @property
    def done(self) -> bool:
        """Whether there is no later block to begin again."""
        return self.rounds == len(self.model.blocks) - 1

    def round(self, images: Tensor) -> int:
        """Begin the next round; the number of blocks that stayed.

        Parameters
        ----------
        images : Tensor, shape (batch, ...)
            From which the fixed normalisation is set, in evaluation mode.
        """
        if self.done:
            raise DomainError("rounds", self.rounds + 1, f"at most {self.rounds}")
        self.rounds += 1
        kept = self.rounds
        with torch.no_grad():
            for block, norms in zip(self.model.blocks[:kept], self._norms, strict=False):
                for parameter, first in zip(block.parameters(), norms, strict=True):
                    now = float(parameter.norm())
                    # what began at zero has no norm to go back to
                    if parameter.ndim > 1 and first > 0 and now > 0:
                        parameter.mul_(first / now)
            x = images
            with evaluating(self.model):
                for i, block in enumerate(self.model.blocks[:kept]):
                    x = block(x)
                    if i < kept - 1:
                        x = self.model.norms[i](x)
            norm: Any = self.model.norms[kept - 1]
            norm.set_from(x)
            for later in self.model.norms[kept:]:
                later.mean.zero_()  # type: ignore[operator]
                later.scale.fill_(1.0)  # type: ignore[operator]
        seeded(self.seed * 2**20 + kept, self._draw)
        for optimizer in self._optimizers:
            optimizer.state.clear()
        return kept

    def _draw(self) -> nn.Module:
        for block in self.model.blocks[self.rounds :]:
            for layer in block.modules():
                if callable(reset := getattr(layer, "reset_parameters", None)):
                    reset()
        return self.model

    def state_dict(self) -> dict[str, Any]:
        """The number of rounds, and the norms at first."""
        return {"rounds": self.rounds, "norms": [list(norms) for norms in self._norms]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a :meth:`state_dict`.

        Parameters
        ----------
        state : dict
            Of the same model.
        """
        self.rounds = domain.integer("rounds", state["rounds"], 0, len(self.model.blocks) - 1)
        self._norms = [list(norms) for norms in state["norms"]]
