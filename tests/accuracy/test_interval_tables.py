"""Interval and reflecting wall against their tables: failing twins, coverage, fresh points."""

from __future__ import annotations

import make_tables
import numpy as np
import pytest
import tables
from interval.forms import FORMS as INTERVAL
from interval.forms import passage as interval
from wall.forms import FORMS as WALL
from wall.forms import passage as walled

import resetsgd as rs

FORMS = {form.table.split("/")[0] + "." + form.name: form for form in (*INTERVAL, *WALL)}


def interval_parts(i):
    """mu, D and the distances to the ends as float64 has them."""
    return i["drift"], i["diffusivity"], i["start"] - i["low"], i["high"] - i["start"]


def wall_parts(i):
    """nu toward the wall, D and the distances to target and wall."""
    gap = i["start"] - i["target"]
    return np.sign(gap) * i["drift"], i["diffusivity"], np.abs(gap), np.abs(i["wall"] - i["start"])


def textbook_interval(i, s):
    """The sum of both transforms as it stands in the papers."""
    mu, D, below, above = interval_parts(i)
    g, k = mu / (2 * D), np.sqrt(mu**2 + 4 * D * s) / (2 * D)
    down, up = np.exp(-g * below) * np.sinh(k * above), np.exp(g * above) * np.sinh(k * below)
    return (down + up) / np.sinh(k * (below + above))


def textbook_wall(i, s, sign=-1.0):
    nu, D, x, y = wall_parts(i)
    g, k = nu / (2 * D), np.sqrt(nu**2 + 4 * D * s) / (2 * D)

    def solution(z):
        return k * np.cosh(k * z) + sign * g * np.sinh(k * z)

    return np.exp(-g * x) * solution(y) / solution(x + y)


def wald(i):
    """(h P_upper - l P_lower)/mu."""
    mu, D, below, above = interval_parts(i)
    g = mu / (2 * D)
    down = np.exp(-g * below) * np.sinh(g * above) / np.sinh(g * (below + above))
    return np.where(mu == 0, below * above / (2 * D), (above * (1 - down) - below * down) / mu)


def restarted(transform):
    def mean(i):
        f = transform(i, i["rate"])
        return (1 - f) / (i["rate"] * f)

    return mean


TWINS = {
    "interval.mean": wald,
    "interval.log_laplace": lambda i: np.log(textbook_interval(i, i["rate"])),
    "interval.poisson_mean": restarted(textbook_interval),
    "wall.log_laplace": lambda i: np.log(textbook_wall(i, i["rate"])),
    "wall.poisson_mean": restarted(textbook_wall),
}


@pytest.mark.parametrize("name", TWINS)
def test_textbook_arrangement_in_float64_fails_the_same_check(name):
    """Wrong-formula twin: algebraically right, numerically not."""
    with np.errstate(all="ignore"):
        accuracy = tables.Accuracy.of(FORMS[name], TWINS[name])
    assert np.mean(accuracy.ratios > 1.0) > 0.05
    # where nothing cancels or overflows the twin is right: it fails for the reason it should
    assert np.mean(accuracy.ratios <= 1.0) > 0.05


def test_the_wrong_sign_at_the_wall_fails_wherever_there_is_a_drift():
    form = FORMS["wall.laplace"]
    i = tables.inputs(form.table)
    with np.errstate(all="ignore"):
        accuracy = tables.Accuracy.of(form, lambda i: textbook_wall(i, i["rate"], sign=1.0))
        right = tables.Accuracy.of(form, lambda i: textbook_wall(i, i["rate"]))
    tame = (right.ratios <= 1.0) & (tables.Reference.of(form).value > 1e-3)
    drift = np.abs(i["drift"] * (i["wall"] - i["target"]) / i["diffusivity"])
    drifting = tame & (drift > 0.3) & (drift < 10) & (tables.Reference.of(form).value < 0.99)
    assert drifting.sum() > 50
    # the rest are rates at which the wall is out of reach
    assert np.mean(accuracy.ratios[drifting] > 1.0) > 0.85
    still = tame & (i["drift"] == 0)
    assert still.sum() > 50
    assert (accuracy.ratios[still] <= 1.0).all()


@pytest.mark.parametrize("sign, factor", [(-1.0, 1.0), (1.0, 1.01)])
def test_wrong_drift_and_wrong_diffusivity_fail(sign, factor):
    def wrong(i):
        T = interval(i | {"drift": sign * i["drift"], "diffusivity": factor * i["diffusivity"]})
        return T.under(rs.Poisson(i["rate"])).log_mean()

    accuracy = tables.Accuracy.of(FORMS["interval.poisson_log_mean"], wrong)
    assert np.mean(accuracy.ratios > 1.0) > 0.6


@pytest.mark.parametrize("family", ["interval", "wall"])
def test_tables_cover_what_is_promised(family):
    points = 0
    for table in ("free", "poisson"):
        i = tables.inputs(f"{family}/{table}")
        points += len(i["drift"])
        length = i["high"] - i["low"] if family == "interval" else np.abs(i["wall"] - i["target"])
        for values in (length, i["diffusivity"]):
            assert values.min() <= 1.001e-12
            assert values.max() >= 0.999e12
        assert (i["drift"] == 0).sum() > 100
    assert points >= 10_000
    positive = i["rate"][i["rate"] > 0]
    assert positive.min() <= 1e-12
    assert positive.max() >= 1e12
    assert (i["rate"] == 0).sum() > 100
    files = (tables.HERE / family).glob("*.npz")
    assert sum(file.stat().st_size for file in files) < 1e6


@pytest.mark.parametrize("family, make", [("interval", interval), ("wall", walled)])
def test_fresh_points_meet_the_bound_too(family, make):
    """Points in no table: the promise is not a fit to its own grid."""
    draw = np.random.default_rng(20251)
    n = 150
    D, L = 10 ** draw.uniform(-9, 9, (2, n))
    share = 10 ** draw.uniform(-9, -0.01, n)
    peclet = draw.choice([-1.0, 1.0], n) * 10 ** draw.uniform(-9, 2, n)
    rate = D / (L * np.where(draw.random(n) < 0.5, share, 1.0)) ** 2 * 10 ** draw.uniform(-9, 4, n)
    place = (-share * L, np.zeros(n), (1 - share) * L)
    if family == "interval":
        names, order = ("low", "start", "high"), place
    else:
        names, order = ("start", "target", "wall"), (place[1], place[0], place[2])
    rows = np.column_stack([2 * D * (peclet / L), D, *order, rate])
    i = dict(zip(("drift", "diffusivity", *names, "rate"), rows.T, strict=True))
    assert np.isfinite(make(i).log_laplace(rate)).all()
    for form in (form for form in FORMS.values() if form.table == f"{family}/poisson"):
        high, low, kappa = make_tables.evaluate((family, "poisson", form.name, rows))
        kappa = (kappa.astype(np.uint32) << 16).view(np.float32).astype(np.float64)
        reference = tables.Reference(high, low / 127 * 2.0**-53, kappa)
        ratios = reference.errors(form.evaluate(i)) / (form.constant + form.slope * kappa)
        assert (ratios <= 1.0).all(), (form.call, rows[np.argmax(ratios)].tolist(), ratios.max())
