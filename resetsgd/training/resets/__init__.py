"""What a :class:`~resetsgd.training.Resetter` can be told: when, where to, and how.

Each is a frozen value, and any may be combined with any other.

- *When*: the protocols of :mod:`resetsgd` (``Geometric``, ``Poisson``, ``Sharp``, any waiting time,
  ``Schedule``), or :class:`ByAge`, :class:`ByMetric`, :class:`OnPlateau`, :class:`OnSpike`; and
  from when on, :class:`AfterPatience` or a number of steps.
- *Where to*: :class:`Best`, :class:`Initial`, :class:`AtStep`, :class:`Latest`, :class:`Cloud`,
  :class:`Fresh`, :class:`Origin`.
- *How*: :class:`Replace`, :class:`Partial`, :class:`Smallest`, :class:`ShrinkPerturb`.
"""

from __future__ import annotations

from resetsgd.training.resets.how import How, Partial, Replace, ShrinkPerturb, Smallest
from resetsgd.training.resets.layers import select
from resetsgd.training.resets.published import DEFECTS, RECIPES, Recipe
from resetsgd.training.resets.when import (
    AfterPatience,
    ByAge,
    ByMetric,
    Decider,
    OnPlateau,
    OnSpike,
)
from resetsgd.training.resets.where import (
    AtStep,
    Best,
    Cloud,
    Fresh,
    Initial,
    Latest,
    MadeTarget,
    Origin,
    Target,
)

__all__ = [
    "DEFECTS",
    "RECIPES",
    "AfterPatience",
    "AtStep",
    "Best",
    "ByAge",
    "ByMetric",
    "Cloud",
    "Decider",
    "Fresh",
    "How",
    "Initial",
    "Latest",
    "MadeTarget",
    "OnPlateau",
    "OnSpike",
    "Origin",
    "Partial",
    "Recipe",
    "Replace",
    "ShrinkPerturb",
    "Smallest",
    "Target",
    "select",
]
