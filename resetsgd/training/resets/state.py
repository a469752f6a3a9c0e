"""The state of a resetter as plain values and tensors, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from resetsgd import domain
from resetsgd.errors import CorruptData, StreamMismatch
from resetsgd.training.resets.engine import Engine, Place, ResetEvent
from resetsgd.training.resets.ranks import number
from resetsgd.training.snapshot import Snapshot

__all__ = ["dumped", "loaded"]


def dumped(engine: Engine, settings: dict[str, Any]) -> dict[str, Any]:
    """Everything that the future of the resetter depends on, copied."""
    best = engine._best_place
    shared = best is not None and best in engine._places
    return {
        "steps": engine.steps,
        "events": [list(event) for event in engine.events],
        "best": engine.best,
        "best_step": engine._best_step,
        "metric": engine._metric,
        "start": engine._start,
        "since": engine._since,
        "memory": [
            {k: list(v) if isinstance(v, list) else v for k, v in part.items()}
            for part in engine._memory
        ],
        "places": [_stored(place) for place in engine._places],
        "best_place": "shared" if shared else None if best is None else _stored(best),
        "settings": settings,
    }


def loaded(engine: Engine, state: Mapping[str, Any], settings: dict[str, Any]) -> None:
    """Take over a state; nothing is touched unless all of it is in order."""
    try:
        theirs = dict(state["settings"])
        if theirs != settings:
            different = sorted(
                k for k in theirs.keys() | settings.keys() if theirs.get(k) != settings.get(k)
            )
            raise StreamMismatch(
                "resetter state is of other settings: "
                + "; ".join(f"{k} = {theirs.get(k)}, not {settings.get(k)}" for k in different)
            )
        steps = domain.integer("steps", state["steps"], 0)
        best_step, start, since = (
            _step(name, state[name], steps) for name in ("best_step", "start", "since")
        )
        best, metric = (
            None if state[n] is None else number(n, state[n]) for n in ("best", "metric")
        )
        events = [ResetEvent(*event) for event in state["events"]]
        for event in events:
            domain.integer("events", event.step, 0, steps)
        memory = [{**decider.begin()} for decider in engine._deciders]
        for mine, part in zip(memory, state["memory"], strict=True):
            if mine.keys() != part.keys():
                raise ValueError("memory")
            mine |= {k: list(v) if isinstance(v, list) else v for k, v in part.items()}
        places = [_loaded(engine, place, steps) for place in state["places"]]
        kept = state["best_place"]
        best_place: Place | None
        if kept == "shared":
            best_place = places[-1]
        else:
            best_place = None if kept is None else _loaded(engine, kept, steps)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise CorruptData(f"resetter state is damaged: {error!r}") from None
    engine.steps, engine.events = steps, events
    engine.best, engine._metric = best, metric
    engine._best_step, engine._since = best_step or 0, since or 0
    engine._start, engine._memory = start, memory
    engine._places, engine._best_place = places, best_place
    engine._plan()


def _stored(place: Place) -> dict[str, Any]:
    return {
        "step": place.step,
        "metric": place.metric,
        "snapshot": place.snapshot.state_dict(),
    }


def _loaded(engine: Engine, place: Mapping[str, Any], last: int) -> Place:
    step = domain.integer("step", place["step"], 0, last)
    metric = None if place["metric"] is None else number("metric", place["metric"])
    snapshot = Snapshot.capture(engine.model, engine.optimizer, engine.also)
    snapshot.load_state_dict(place["snapshot"])
    return Place(step, metric, snapshot)


def _step(name: str, value: Any, last: int) -> int | None:
    return None if value is None else domain.integer(name, value, 0, last)
