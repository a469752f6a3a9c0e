"""Figures: what stands in them, that they leave no traces, and what cannot be drawn."""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest

import resetsgd as rs
from resetsgd import plots


def passage(drift: float, diffusivity: float = 1.0) -> rs.PassageTime:
    return rs.first_passage(
        rs.DriftDiffusion(drift=drift, diffusivity=diffusivity), start=1.0, target=0.0
    )


def test_the_curve_is_the_mean_and_the_marker_the_optimum() -> None:
    T = passage(-0.5)
    (axes,) = plots.mean_against_rate(T).axes
    curve, free, _, optimum = axes.lines
    rates, means = (np.asarray(values) for values in curve.get_data())
    assert np.array_equal(means, np.asarray(T.under(rs.Poisson(rates)).mean()))
    assert free.get_ydata()[0] == T.mean()
    best = T.best(rs.Poisson)
    assert [v[0] for v in optimum.get_data()] == [best.rate, best.mean]
    assert rates[0] < best.rate < rates[-1]
    assert axes.get_xscale() == axes.get_yscale() == "log"


@pytest.mark.parametrize("drift", [-9.0, -1.999, -0.5, 0.0, 3.0, 300.0])
@pytest.mark.parametrize("family", [rs.Poisson, rs.Sharp])
def test_every_regime_draws(drift: float, family: type[rs.Protocol], tmp_path: Path) -> None:
    T = passage(drift)
    figure = plots.mean_against_rate(T, family, title="a title")
    (axes,) = figure.axes
    assert len(axes.lines[0].get_xdata()) > 50
    marked = any("optimum" in str(line.get_label()) for line in axes.lines)
    assert marked == T.best(family).pays
    low, high = axes.get_ylim()
    assert sum(low <= tick <= high for tick in axes.get_yticks()) >= 2
    assert plots.save(figure, tmp_path / "it.svg").stat().st_size > 1000


def test_given_rates_and_lattices_of_coins() -> None:
    rates = np.geomspace(0.01, 1.0, 7)
    figure = plots.mean_against_rate(passage(-0.5), rs.Geometric, rates=rates, step=0.1)
    assert np.array_equal(figure.axes[0].lines[0].get_xdata(), rates)
    with pytest.raises(rs.DomainError, match="rates"):
        plots.mean_against_rate(passage(-0.5), rates=[0.0, 1.0])


def test_what_float64_cannot_hold_is_not_drawn() -> None:
    with pytest.raises(rs.DomainError, match="finite in float64"):
        plots.mean_against_rate(passage(1e4))


def test_figures_change_no_settings_and_load_no_pyplot() -> None:
    before = dict(mpl.rcParams)
    figure, axes = plots.figure(8.0, 3.0, panels=2)
    assert dict(mpl.rcParams) == before
    assert len(axes) == 2 and tuple(figure.get_size_inches()) == (8.0, 3.0)
    assert not axes[0].spines["top"].get_visible()
    assert "matplotlib.pyplot" not in sys.modules or mpl.get_backend().lower() == "agg"


def test_save_refuses_what_it_cannot_write(tmp_path: Path) -> None:
    figure, _ = plots.figure()
    with pytest.raises(rs.DomainError, match=r"\.png, \.svg, \.pdf"):
        plots.save(figure, tmp_path / "it.jpg")
    with pytest.raises(rs.OutputError, match="writable"):
        plots.save(figure, tmp_path / "no" / "it.png")
    assert list(tmp_path.iterdir()) == []


def test_a_sweep_draws_its_means_its_bounds_and_its_best() -> None:
    times = np.random.default_rng(3).wald(1.0, 0.5, 4000)
    swept = rs.renewal_sweep(times, np.geomspace(0.2, 10.0, 50))
    (axes,) = plots.sweep(swept, title="all rates").axes
    curve = next(line for line in axes.lines if len(line.get_xdata()) == 50)
    assert np.array_equal(np.asarray(curve.get_ydata()), swept.means)
    assert axes.get_title(loc="left") == "all rates"
    cut = rs.renewal_sweep(rs.observed(np.minimum(times, 2.0), times > 2.0), [0.5, 1.0, 2.0])
    drawn = plots.sweep(cut, rs.observed(times)).axes[0].lines
    assert any(np.array_equal(np.asarray(line.get_ydata()), cut.low) for line in drawn)
    with pytest.raises(rs.DomainError, match="two finite means"):
        plots.sweep(rs.renewal_sweep(times, [0.0, 1.0]))
