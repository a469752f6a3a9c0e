"""Drift-diffusion against its tables: twins that must fail, ends of float64, fresh points."""

from __future__ import annotations

from pathlib import Path

import make_tables
import numpy as np
import pytest
import tables
from drift_diffusion.forms import passage
from scipy.special import ndtr

import resetsgd as rs

REFERENCE = Path(tables.__file__).parent
FORMS = {form.name: form for form in tables.forms() if form.table.startswith("drift_diffusion/")}


def parts(i):
    """v toward the target, D, L as float64 has them."""
    gap = i["start"] - i["target"]
    return -np.sign(gap) * i["drift"], i["diffusivity"], np.abs(gap)


def textbook_log_laplace(i):
    v, D, L = parts(i)
    return -L * (np.sqrt(v**2 + 4 * D * i["rate"]) - v) / (2 * D)


def textbook_mean(i):
    """(1 - f)/(r f) as it stands in the papers."""
    r, f = i["rate"], np.exp(textbook_log_laplace(i))
    return np.where(r > 0, (1 - f) / (r * f), passage(i).mean())


def textbook_variance(i):
    """(1 - f² + 2 r f')/(r f)²."""
    v, D, L = parts(i)
    r, f = i["rate"], np.exp(textbook_log_laplace(i))
    slope = -L / np.sqrt(v**2 + 4 * D * r) * f
    return np.where(r > 0, (1 - f**2 + 2 * r * slope) / (r * f) ** 2, passage(i).var())


def textbook_survival(i):
    v, D, L = parts(i)
    width = np.sqrt(2 * D * i["t"])
    mirrored = np.exp(v * L / D) * ndtr(-(L + v * i["t"]) / width)
    return ndtr((L - v * i["t"]) / width) - mirrored


TWINS = {
    "log_laplace": textbook_log_laplace,
    "poisson_mean": textbook_mean,
    "poisson_var": textbook_variance,
    "survival": textbook_survival,
}


@pytest.mark.parametrize("name", TWINS)
def test_textbook_arrangement_in_float64_fails_the_same_check(name):
    """Wrong-formula twin: algebraically right, numerically not."""
    with np.errstate(all="ignore"):
        accuracy = tables.Accuracy.of(FORMS[name], TWINS[name])
    assert np.mean(accuracy.ratios > 1.0) > 0.05
    # where nothing cancels or overflows the twin is right: it fails for the reason it should
    assert np.mean(accuracy.ratios <= 1.0) > 0.5


@pytest.mark.parametrize("sign, factor", [(-1.0, 1.0), (1.0, 2.0)])
def test_wrong_sign_of_the_drift_and_wrong_diffusivity_fail(sign, factor):
    def wrong(i):
        T = passage(i | {"drift": sign * i["drift"], "diffusivity": factor * i["diffusivity"]})
        return T.under(rs.Poisson(i["rate"])).log_mean()

    accuracy = tables.Accuracy.of(FORMS["poisson_log_mean"], wrong)
    assert np.mean(accuracy.ratios > 1.0) > 0.8


def test_log_mean_is_finite_where_the_mean_overflows():
    mean = tables.Reference.of(FORMS["poisson_mean"])
    log_mean = tables.Reference.of(FORMS["poisson_log_mean"])
    rate = tables.inputs("drift_diffusion/poisson")["rate"]
    beyond = np.isinf(mean.value) & (rate > 0)
    assert beyond.sum() > 1000
    assert np.isfinite(log_mean.value[beyond]).all()
    # and the mean is still a number at exponents whose exponential is not
    T = rs.first_passage(rs.DriftDiffusion(0.0, 1.0), start=720.0 / 1e6, target=0.0)
    assert np.isfinite(T.under(rs.Poisson(1e12)).mean())
    assert T.log_laplace(1e12) < -709.8


def test_tables_cover_what_is_promised():
    i = tables.inputs("drift_diffusion/poisson")
    positive = i["rate"][i["rate"] > 0]
    assert (i["rate"] == 0).sum() > 100
    for values in (positive, i["diffusivity"], np.abs(i["start"] - i["target"])):
        assert values.min() <= 1.001e-12
        assert values.max() >= 0.999e12
    peclet = passage(i).peclet
    assert peclet.min() < -9.9e3
    assert peclet.max() > 9.9e3
    assert (peclet == 0).sum() > 100
    assert ((peclet != 1) & (np.abs(peclet - 1) < 1e-9)).sum() > 50
    for below in (i["start"] < i["target"], i["target"] != 0):
        assert 0.2 < below.mean() < 0.8
    assert sum(file.stat().st_size for file in REFERENCE.glob("drift_diffusion/*.npz")) < 2e6


def test_fresh_points_meet_the_bound_too():
    """Points in no table: the promise is not a fit to its own grid."""
    draw = np.random.default_rng(20250)
    n = 400
    peclet = draw.choice([-1.0, 1.0], n) * 10 ** draw.uniform(-12, 4, n)
    D, L, rate = 10 ** draw.uniform(-12, 12, (3, n))
    rate = np.where(draw.random(n) < 0.5, D / L**2 * 10 ** draw.uniform(-12, 5.7, n), rate)
    rows = np.column_stack([2 * D * (peclet / L), D, np.zeros(n), L, rate])
    names = ("drift", "diffusivity", "start", "target", "rate")
    i = dict(zip(names, rows.T, strict=True))
    for form in (form for form in FORMS.values() if form.table == "drift_diffusion/poisson"):
        high, low, kappa = make_tables.evaluate(("drift_diffusion", "poisson", form.name, rows))
        kappa = (kappa.astype(np.uint32) << 16).view(np.float32).astype(np.float64)
        reference = tables.Reference(high, low / 127 * 2.0**-53, kappa)
        ratios = reference.errors(form.evaluate(i)) / (form.constant + form.slope * kappa)
        assert (ratios <= 1.0).all(), (form.call, rows[np.argmax(ratios)].tolist(), ratios.max())
