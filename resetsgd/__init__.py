"""resetsgd: stochastic gradient descent as a diffusion with stochastic resetting.

A *process* is what moves, a *protocol* when it resets, a *passage time* when it arrives; resetting
acts on passage times and gives back a passage time::

    import resetsgd as rs

    T = rs.first_passage(rs.DriftDiffusion(drift=-0.5, diffusivity=1.0), start=1.0, target=0.0)
    T.under(rs.Poisson(rate=0.7)).mean()
    T.best(rs.Poisson)

Names are loaded when first used: importing the package loads neither numba, sympy, matplotlib nor
torch. PyTorch users: ``from resetsgd.training import Resetter, Snapshot``.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from resetsgd import landscapes as landscapes
    from resetsgd import symbolic as symbolic
    from resetsgd.errors import (
        CensoredMean as CensoredMean,
    )
    from resetsgd.errors import (
        CorruptData as CorruptData,
    )
    from resetsgd.errors import (
        DomainError as DomainError,
    )
    from resetsgd.errors import (
        MissingExtra as MissingExtra,
    )
    from resetsgd.errors import (
        NoDevice as NoDevice,
    )
    from resetsgd.errors import (
        NotConverged as NotConverged,
    )
    from resetsgd.errors import (
        OutputError as OutputError,
    )
    from resetsgd.errors import (
        ResetSGDError as ResetSGDError,
    )
    from resetsgd.errors import (
        ResetSGDWarning as ResetSGDWarning,
    )
    from resetsgd.errors import (
        StreamMismatch as StreamMismatch,
    )
    from resetsgd.estimation.traces import from_traces as from_traces
    from resetsgd.montecarlo import targets as targets
    from resetsgd.montecarlo.api import Simulated as Simulated
    from resetsgd.montecarlo.api import simulate as simulate
    from resetsgd.montecarlo.bar import ProgressBar as ProgressBar
    from resetsgd.montecarlo.controls import antithetic as antithetic
    from resetsgd.montecarlo.controls import control_variate as control_variate
    from resetsgd.montecarlo.estimate import Estimate as Estimate
    from resetsgd.montecarlo.rare import rare as rare
    from resetsgd.montecarlo.recording import Record as Record
    from resetsgd.montecarlo.renewal import renewal_sweep as renewal_sweep
    from resetsgd.montecarlo.sampling import sample_stationary as sample_stationary
    from resetsgd.montecarlo.sampling import trajectories as trajectories
    from resetsgd.montecarlo.streaming import Streamed as Streamed
    from resetsgd.montecarlo.streaming import simulate_streaming as simulate_streaming
    from resetsgd.montecarlo.sweep import Sweep as Sweep
    from resetsgd.montecarlo.sweep import sweep as sweep
    from resetsgd.montecarlo.toy_sgd.api import simulate_sgd as simulate_sgd
    from resetsgd.montecarlo.toy_sgd.api import train_sgd as train_sgd
    from resetsgd.montecarlo.toy_sgd.options import BestSoFar as BestSoFar
    from resetsgd.montecarlo.toy_sgd.options import LossResets as LossResets
    from resetsgd.montecarlo.toy_sgd.options import Reaches as Reaches
    from resetsgd.montecarlo.toy_sgd.problems import LinearTask as LinearTask
    from resetsgd.montecarlo.toy_sgd.problems import LogisticTask as LogisticTask
    from resetsgd.montecarlo.toy_sgd.problems import PhaseRetrievalTask as PhaseRetrievalTask
    from resetsgd.montecarlo.toy_sgd.problems import TeacherStudentTask as TeacherStudentTask
    from resetsgd.montecarlo.toy_sgd.result import SGDRuns as SGDRuns
    from resetsgd.montecarlo.toy_sgd.result import SimulatedSGD as SimulatedSGD
    from resetsgd.passage.base import PassageTime as PassageTime
    from resetsgd.passage.critical import critical as critical
    from resetsgd.passage.discrete import Discrete as Discrete
    from resetsgd.passage.first_passage import first_passage as first_passage
    from resetsgd.passage.mixture import cloud as cloud
    from resetsgd.passage.mixture import mixture as mixture
    from resetsgd.passage.observed import Observed as Observed
    from resetsgd.passage.observed import observed as observed
    from resetsgd.passage.optimum import Optimum as Optimum
    from resetsgd.passage.optimum import best_protocol as best_protocol
    from resetsgd.passage.phase_diagram import phase_diagram as phase_diagram
    from resetsgd.processes import Bessel as Bessel
    from resetsgd.processes import ColouredNoise as ColouredNoise
    from resetsgd.processes import DriftDiffusion as DriftDiffusion
    from resetsgd.processes import Landscape as Landscape
    from resetsgd.processes import Langevin as Langevin
    from resetsgd.processes import LinearTrap as LinearTrap
    from resetsgd.processes import OrnsteinUhlenbeck as OrnsteinUhlenbeck
    from resetsgd.processes import Process as Process
    from resetsgd.processes import QuadraticSGD as QuadraticSGD
    from resetsgd.processes import RandomWalk as RandomWalk
    from resetsgd.processes import StableNoise as StableNoise
    from resetsgd.processes import Telegraph as Telegraph
    from resetsgd.protocols import (
        Gamma as Gamma,
    )
    from resetsgd.protocols import (
        Geometric as Geometric,
    )
    from resetsgd.protocols import (
        Pareto as Pareto,
    )
    from resetsgd.protocols import (
        Poisson as Poisson,
    )
    from resetsgd.protocols import (
        Protocol as Protocol,
    )
    from resetsgd.protocols import (
        Schedule as Schedule,
    )
    from resetsgd.protocols import (
        Sharp as Sharp,
    )
    from resetsgd.protocols import (
        Uniform as Uniform,
    )
    from resetsgd.protocols import (
        Waiting as Waiting,
    )
    from resetsgd.protocols import (
        Weibull as Weibull,
    )
    from resetsgd.statistics import Comparison as Comparison
    from resetsgd.statistics import compare as compare
    from resetsgd.steady import age_average as age_average
    from resetsgd.steady.stationary import stationary as stationary

__version__ = "0.1.0.dev0"

# Public name -> the module it lives in.
_HOMES = {
    "Bessel": "processes",
    "BestSoFar": "montecarlo.toy_sgd.options",
    "CensoredMean": "errors",
    "ColouredNoise": "processes",
    "Comparison": "statistics",
    "CorruptData": "errors",
    "Discrete": "passage.discrete",
    "DomainError": "errors",
    "DriftDiffusion": "processes",
    "Estimate": "montecarlo.estimate",
    "Gamma": "protocols",
    "Geometric": "protocols",
    "Landscape": "processes",
    "Langevin": "processes",
    "LinearTask": "montecarlo.toy_sgd.problems",
    "LinearTrap": "processes",
    "LogisticTask": "montecarlo.toy_sgd.problems",
    "LossResets": "montecarlo.toy_sgd.options",
    "MissingExtra": "errors",
    "NoDevice": "errors",
    "NotConverged": "errors",
    "Observed": "passage.observed",
    "Optimum": "passage.optimum",
    "OrnsteinUhlenbeck": "processes",
    "OutputError": "errors",
    "Pareto": "protocols",
    "PassageTime": "passage.base",
    "PhaseRetrievalTask": "montecarlo.toy_sgd.problems",
    "Poisson": "protocols",
    "Process": "processes",
    "Protocol": "protocols",
    "QuadraticSGD": "processes",
    "RandomWalk": "processes",
    "ProgressBar": "montecarlo.bar",
    "Record": "montecarlo.recording",
    "Reaches": "montecarlo.toy_sgd.options",
    "ResetSGDError": "errors",
    "ResetSGDWarning": "errors",
    "SGDRuns": "montecarlo.toy_sgd.result",
    "Schedule": "protocols",
    "Sharp": "protocols",
    "Simulated": "montecarlo.api",
    "SimulatedSGD": "montecarlo.toy_sgd.result",
    "StableNoise": "processes",
    "StreamMismatch": "errors",
    "Streamed": "montecarlo.streaming",
    "TeacherStudentTask": "montecarlo.toy_sgd.problems",
    "Sweep": "montecarlo.sweep",
    "Telegraph": "processes",
    "Uniform": "protocols",
    "Waiting": "protocols",
    "Weibull": "protocols",
    "age_average": "steady",
    "antithetic": "montecarlo.controls",
    "best_protocol": "passage.optimum",
    "cloud": "passage.mixture",
    "compare": "statistics",
    "control_variate": "montecarlo.controls",
    "critical": "passage.critical",
    "first_passage": "passage.first_passage",
    "from_traces": "estimation.traces",
    "mixture": "passage.mixture",
    "observed": "passage.observed",
    "phase_diagram": "passage.phase_diagram",
    "rare": "montecarlo.rare",
    "renewal_sweep": "montecarlo.renewal",
    "sample_stationary": "montecarlo.sampling",
    "simulate": "montecarlo.api",
    "simulate_streaming": "montecarlo.streaming",
    "simulate_sgd": "montecarlo.toy_sgd.api",
    "stationary": "steady.stationary",
    "sweep": "montecarlo.sweep",
    "symbolic": "symbolic",
    "train_sgd": "montecarlo.toy_sgd.api",
    "trajectories": "montecarlo.sampling",
}

# Modules whose functions are called by their name: ``rs.landscapes.double_well()``.
_MODULES = {"landscapes": "landscapes", "targets": "montecarlo.targets"}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        module = importlib.import_module(f"{__name__}.{_MODULES[name]}")
        globals()[name] = module
        return module
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES, *_MODULES})
