"""The published resetting method: its settings by name, and what is wrong with its code."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DEFECTS", "RECIPES", "Recipe"]


@dataclass(frozen=True)
class Recipe:
    """Settings of the published method.

    Parameters
    ----------
    probability : float
        Of a reset, after each step once resetting has begun.
    patience : int
        Steps without a better validation metric after which it begins.
    look_every : int
        Steps between validations. The first is after the first step: see :meth:`looks`.
    adaptive : bool
        Whether the checkpoint follows the best state afterwards.
    optimizer : bool
        Whether the optimizer state goes back with the weights.
    steps, batch_size : int
        Length of the run, and images in a batch; every batch is a fresh draw, there are no epochs.
    learning_rate, momentum, weight_decay : float
        Of SGD, under one cosine to 1e-3.
    metric : str
        What validation looks at: a lower loss.

    Examples
    --------
    >>> recipe = RECIPES["readme"]
    >>> recipe.probability, recipe.patience, recipe.adaptive
    (0.001, 5000, True)
    >>> [step for step in range(1, 30) if recipe.looks(step)]
    [1, 11, 21]
    """

    probability: float
    patience: int
    look_every: int
    adaptive: bool
    optimizer: bool
    steps: int
    batch_size: int
    learning_rate: float
    momentum: float
    weight_decay: float
    metric: str = "loss"

    def looks(self, step: int) -> bool:
        """Whether validation follows this step, counted from 1."""
        return (step - 1) % self.look_every == 0

    @property
    def short_patience(self) -> int:
        """The patience that the published code has in effect."""
        return max(-(-self.patience // self.look_every) - 1, 0) * self.look_every


RECIPES: dict[str, Recipe] = {
    "defaults": Recipe(0.01, 10, 100, False, False, 30_000, 32, 0.01, 0.9, 1e-3),
    "readme": Recipe(0.001, 5000, 10, True, True, 50_000, 256, 0.1, 0.9, 5e-4),
}
"""By name: the defaults of the published program, and the run that its description shows."""

DEFECTS: dict[str, str] = {
    "shared momentum": (
        "the optimizer state of the checkpoint shares its tensors with the live one on PyTorch "
        "since 2.1, so that restoring it changes nothing: the momentum goes on"
    ),
    "learning rate": (
        "the learning rate goes back with the optimizer, the scheduler does not: recursive "
        "schedules, the cosine among them, stay out of step to the end of the run"
    ),
    "short patience": (
        "patience is counted in looks, one too few: none at all where it is below the distance of "
        "two looks, as in the defaults"
    ),
}
"""Defects that ``Resetter.published(defects=...)`` has on request.

Others lie outside a resetter and are nowhere here: test images choose the checkpoint; the memory of
the ELR loss is made anew at every step; SCE on CIFAR-100 has the constants of CIFAR-10; the program
stops at the first improvement unless the optimizer state is kept; resets are not recorded.
"""
