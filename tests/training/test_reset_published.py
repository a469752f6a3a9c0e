"""The published method by name, against a transcription of its order, with and without its bugs."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR

from resetsgd.training import Resetter, coins
from resetsgd.training.resets import DEFECTS, RECIPES, Recipe
from resetsgd.training.storage import digest

STEPS, SEED = 120, 4
INPUTS = torch.randn(STEPS, 8, 5, generator=torch.Generator().manual_seed(1))
HELD_OUT = torch.randn(64, 5, generator=torch.Generator().manual_seed(2))


def make() -> tuple[nn.Module, torch.optim.Optimizer, CosineAnnealingLR]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-3)
    return model, optimizer, CosineAnnealingLR(optimizer, T_max=STEPS, eta_min=1e-3)


def train(model: nn.Module, optimizer: torch.optim.Optimizer, t: int) -> None:
    optimizer.zero_grad()
    (model(INPUTS[t]).sum(1) - torch.sin(3.0 * INPUTS[t, :, 0] * t)).square().mean().backward()
    optimizer.step()


@torch.no_grad()
def validate(model: nn.Module, t: int) -> float:
    """A loss that falls and then rises, as under label noise."""
    model.eval()
    loss = (model(HELD_OUT).sum(1) - torch.sin(HELD_OUT[:, 0])).square().mean()
    model.train()
    return float(loss) + 0.002 * abs(t - 30)


def transcribed(recipe: Recipe, *, defective: bool) -> tuple[list[str], list[int], str]:
    """Three networks and three optimizers; contents after each step, resets, the best network."""
    current, optimizer, scheduler = make()
    (best, best_optimizer, _), (home, home_optimizer, _) = make(), make()
    records: list[float] = []
    lowest, since, begun = float("inf"), 0, False
    contents, happened = [], []

    def carry(source: torch.optim.Optimizer, target: torch.optim.Optimizer) -> None:
        state = source.state_dict()
        rate = optimizer.param_groups[0]["lr"]
        target.load_state_dict(state if defective else copy.deepcopy(state))
        if not defective and target is optimizer:
            target.param_groups[0]["lr"] = rate

    for t in range(STEPS):
        train(current, optimizer, t)
        if begun and coins(SEED, 0, t + 1, recipe.probability):
            current.load_state_dict(home.state_dict())
            if recipe.optimizer:
                carry(home_optimizer, optimizer)
            happened.append(t + 1)
        if t % recipe.look_every == 0:
            loss = validate(current, t)
            if loss < lowest:
                lowest, since = loss, t
                best.load_state_dict(current.state_dict())
                carry(optimizer, best_optimizer)
                if recipe.adaptive and begun:
                    home.load_state_dict(best.state_dict())
                    carry(best_optimizer, home_optimizer)
            records.append(lowest)
            looks = recipe.patience // recipe.look_every
            unchanged = len(records) >= looks and len(set(records[-looks:])) == 1
            if not begun and t > 0 and (unchanged if defective else t - since >= recipe.patience):
                begun = True
                home.load_state_dict(best.state_dict())
                carry(best_optimizer, home_optimizer)
        scheduler.step()
        contents.append(digest([dict(current.state_dict()), optimizer.param_groups[0]["lr"]]))
    return contents, happened, digest(dict(best.state_dict()))


def ours(**options: Any) -> tuple[list[str], list[int], str]:
    model, optimizer, scheduler = make()
    resetter = Resetter.published(model, optimizer, variant="small", seed=SEED, **options)
    contents = []
    for t in range(STEPS):
        train(model, optimizer, t)
        resetter.step()
        if RECIPES["small"].looks(t + 1):
            resetter.observe(validate(model, t))
        scheduler.step()
        contents.append(digest([dict(model.state_dict()), optimizer.param_groups[0]["lr"]]))
    resets = resetter.resets
    assert resetter.best_snapshot is not None
    resetter.best_snapshot.restore()
    return contents, resets, digest(dict(model.state_dict()))


@pytest.mark.parametrize("adaptive", [False, True])
@pytest.mark.parametrize("optimizer", [False, True])
def test_the_published_order_bit_for_bit(
    adaptive: bool, optimizer: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = Recipe(0.3, 12, 4, adaptive, optimizer, STEPS, 8, 0.1, 0.9, 1e-3)
    monkeypatch.setitem(RECIPES, "small", recipe)
    corrected = transcribed(recipe, defective=False)
    assert ours() == corrected
    assert len(corrected[1]) > 3
    defective = transcribed(recipe, defective=True)
    assert ours(defects=DEFECTS) == defective
    assert defective[0] != corrected[0]
    assert ours(defects=["short patience"])[0] != corrected[0]
    for name in ("shared momentum", "learning rate"):
        changed = ours(defects=[name])[0] != corrected[0]
        assert changed == optimizer  # both come with the state of the optimizer


def test_the_variants_are_the_published_settings() -> None:
    model, optimizer, _ = make()
    readme = Resetter.published(model, optimizer)
    assert readme.settings() == Resetter.published(model, optimizer, variant="readme").settings()
    assert (readme.momentum, readme.learning_rate, readme.buffers) == ("restore", "keep", "restore")
    plain = Resetter.published(model, optimizer, variant="defaults")
    assert (plain.momentum, plain.target.adaptive) == ("keep", False)  # type: ignore[attr-defined]
    assert RECIPES["readme"].short_patience == 4990
    assert RECIPES["defaults"].short_patience == 0
    with_all = Resetter.published(model, optimizer, defects=DEFECTS)
    assert (with_all.momentum, with_all.learning_rate) == ("keep", "restore")
