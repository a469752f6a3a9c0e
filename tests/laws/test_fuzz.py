"""Extreme parameters: numbers or refusals, never NaN, and never for long."""

from __future__ import annotations

import json
from pathlib import Path

import fuzz
import pytest

import resetsgd as rs

KNOWN: dict[tuple[str, str], str] = {
    (make, call): kind
    for kind, make, call in json.loads(Path(__file__).with_name("fuzz_known.json").read_text())
}
"""Findings that wait to be mended, as (how it is made, what is asked): how it ends.

The list may only become shorter: a finding that is not in it fails the test, and so does one that
is in it and no longer there. What is too slow is left out of the run. Written by

    python tests/laws/fuzz.py --count 150 --seed 7 --calls 4 --write tests/laws/fuzz_known.json
"""


def _asked() -> list[fuzz.Problem]:
    slow = {pair for pair, kind in KNOWN.items() if kind == "too slow"}
    return [
        fuzz.Problem(one.make, tuple(call for call in one.calls if (one.make, call) not in slow))
        for one in fuzz.problems(seed=7, count=150, calls=4)
    ]


def test_extreme_parameters_give_numbers_or_refusals_and_not_for_long():
    found, ended = {}, set()
    for outcome in fuzz.outcomes(_asked()):
        ended.add(outcome.kind)
        if outcome.finding:
            found[outcome.problem.make, outcome.call] = outcome.kind
    assert ended >= {"ok", "DomainError", "NotConverged"}
    expected = {pair: kind for pair, kind in KNOWN.items() if kind != "too slow"}
    new = {pair: kind for pair, kind in found.items() if expected.get(pair) != kind}
    assert not new, "\n".join(f"{kind}: T = {make}; {call}" for (make, call), kind in new.items())
    mended = sorted(set(expected) - set(found))
    assert not mended, f"no longer found, to be taken off the list: {mended}"


@pytest.mark.parametrize(("call", "kind"), [
    ("np.nan", "NaN"), ("complex(0.0, np.nan)", "NaN"), ("[1.0, np.nan]", "NaN"),
    ("T.survival(2.0)", "outside [0, 1]"), ("T.mean()", "negative"),
    ("T.log_laplace(1.0)", "above one"), ("T.absent", "AttributeError"), ("math.inf", "ok"),
])  # fmt: skip
def test_a_wrong_answer_is_seen(call, kind):
    wrong = "type('Wrong', (), {'survival': lambda self, t: t, 'mean': lambda self: -1.0,"
    make = wrong + " 'log_laplace': lambda self, s: s})()"
    *_, last = fuzz.outcomes([fuzz.Problem(make, (call,))])
    assert last.call == call and last.kind.startswith(kind)


def test_what_never_ends_is_killed_and_the_rest_is_still_asked(monkeypatch):
    monkeypatch.setattr(fuzz, "LIMIT", 2.0)
    endless = "[None for _ in iter(int, 1)]"
    problem = fuzz.Problem("rs.Poisson(1.0)", ("T.rate", endless, "T.value", "1/0"))
    found = list(fuzz.outcomes([problem]))
    assert [one.call for one in found if one.kind == "too slow"] == [endless]
    assert [one.kind for one in found if one.call == "T.value"] == ["ok"]
    assert found[-1].kind.startswith("ZeroDivisionError")


@pytest.mark.parametrize("place", [0.0, 1.0, -1e300, 5e-324])
@pytest.mark.parametrize("process", [
    rs.DriftDiffusion(0.3, 1.0), rs.OrnsteinUhlenbeck(1.0, 0.0, 1.0), rs.LinearTrap(1.0, 1.0),
    rs.Telegraph(1.0, 1.0), rs.Landscape(lambda x: x * x), rs.Bessel(3.0, 1.0),
    rs.QuadraticSGD(1.0, 1.0, 0.3),
])  # fmt: skip
def test_the_start_at_the_target_is_refused(process, place):
    with pytest.raises(rs.DomainError):
        rs.first_passage(process, place, place)
