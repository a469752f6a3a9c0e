"""Run and tumble: atoms and densities, both ends, every protocol, the diffusive limit, draws."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy import integrate, stats

import resetsgd as rs

RUN = {"speed": 1.3, "flip_rate": 0.8}
GAUSS, WEIGHTS = np.polynomial.legendre.leggauss(60)


def half_line(heading=0, speed=1.3, flip_rate=0.8, start=0.9):
    return rs.first_passage(rs.Telegraph(speed, flip_rate, heading), start=start, target=0.0)


def interval(heading=0, speed=1.3, flip_rate=0.8, start=0.9, high=3.0):
    return rs.first_passage(
        rs.Telegraph(speed, flip_rate, heading), start=start, target=(0.0, high)
    )


def played(heading, start, high, n, seed, speed=1.3, flip_rate=0.8, until=400.0):
    """Flights played one by one: times and directions of arrival, ``inf`` beyond ``until``."""
    draw = np.random.default_rng(seed)
    place, time = np.full(n, start), np.zeros(n)
    way = np.where(draw.random(n) < 0.5 * (1 + heading), 1.0, -1.0)
    times, ways = np.full(n, np.inf), np.zeros(n)
    left = np.arange(n)
    while left.size:
        flight = draw.exponential(1 / flip_rate, left.size)
        room = np.where(way[left] > 0, high - place[left], place[left]) / speed
        come = room <= flight
        times[left[come]] = time[left[come]] + room[come]
        ways[left[come]] = way[left[come]]
        left, flight = left[~come], flight[~come]
        place[left] += way[left] * speed * flight
        time[left] += flight
        way[left] *= -1
        left = left[time[left] < until]
    return times, ways


def quadrature(function, edges):
    """Gauss-Legendre between edges."""
    total = 0.0
    for low, high in pairwise(edges):
        total += (
            0.5 * (high - low) * np.sum(WEIGHTS * function(low + (high - low) * (GAUSS + 1) / 2))
        )
    return total


@pytest.mark.parametrize("heading", [0, 1, -1])
@pytest.mark.parametrize("make", [half_line, interval])
def test_atoms_density_survival_and_transform_agree(make, heading):
    law = make(heading)
    front, other = 0.9 / 1.3, 2.1 / 1.3
    weights = [(front, 0.5 * (1 - heading) * np.exp(-0.8 * front))]
    edges = [front, 2.0, 4.0, 8.0]
    if make is interval:
        weights.append((other, 0.5 * (1 + heading) * np.exp(-0.8 * other)))
        across = 3.0 / 1.3
        fronts = [x + k * across for x in (front, other) for k in range(4)]
        edges = sorted({*fronts, *(x for x in (8.0, 12.0) if x > max(fronts))})
        edges = [x for x in edges if x <= 8.0] + [8.0]
        edges = sorted(set(edges))
    come = quadrature(law.density, edges) + sum(w for t, w in weights if t < 8.0)
    assert come == pytest.approx(1 - law.survival(8.0), abs=1e-12)
    assert law.survival(front * (1 - 1e-12)) == 1.0
    assert law.survival(front) == pytest.approx(1 - weights[0][1], abs=1e-12)
    tail = integrate.quad(lambda t: np.exp(-3 * t) * law.density(t), edges[-1], 20.0)[0]
    transform = quadrature(lambda t: np.exp(-3 * t) * law.density(t), edges) + tail
    transform += sum(w * np.exp(-3 * t) for t, w in weights)
    assert transform == pytest.approx(law.laplace(3.0), rel=1e-11)


def test_backward_equations_hold():
    """-+v f' + gamma (other - f) = s f for the two headings, right sign only."""
    s, v, g, h = 0.6, 1.3, 0.8, 1e-5
    for make in (half_line, interval):
        for way in (1, -1):
            near, far = (make(way, start=0.9 + k * h).laplace(s) for k in (-1, 1))
            one, other = make(way).laplace(s), make(-way).laplace(s)
            slope = v * (far - near) / (2 * h)
            assert way * slope + g * (other - one) == pytest.approx(s * one, rel=1e-7)
            assert -way * slope + g * (other - one) != pytest.approx(s * one, rel=1e-2)


@pytest.mark.parametrize("heading", [0, 1, -1])
def test_two_ends_add_up(heading):
    law = interval(heading)
    lower, upper = law.splitting()
    assert lower + upper == pytest.approx(1.0, abs=1e-14)
    mean = lower * law.given("lower").mean() + upper * law.given("upper").mean()
    assert mean == pytest.approx(law.mean(), rel=1e-13)
    second = sum(
        p * (law.given(e).var() + law.given(e).mean() ** 2)
        for p, e in ((lower, "lower"), (upper, "upper"))
    )
    assert second == pytest.approx(law.var() + law.mean() ** 2, rel=1e-10)
    for s in (1e-7, 0.4, 60.0):
        parts = law.side("lower").laplace(s) + law.side("upper").laplace(s)
        assert parts == pytest.approx(law.laplace(s), rel=1e-13)
    for t in (0.5, 1.0, 2.0, 5.0, 30.0, 80.0):
        parts = law.side("lower").survival(t) + law.side("upper").survival(t) - 1
        assert parts == pytest.approx(law.survival(t), abs=1e-11)
    mirrored = interval(-heading, start=2.1)
    assert mirrored.splitting().upper == pytest.approx(lower, rel=1e-14)
    assert mirrored.var() == pytest.approx(law.var(), rel=1e-13)


def test_moments_follow_from_the_transform():
    for heading in (0, 1, -1):
        law = interval(heading)
        s = 1e-3
        log_f = np.array([law.log_laplace(k * s) for k in range(1, 6)])
        fit = np.polyfit(np.arange(6) * s, np.append(0.0, log_f), 5)
        assert -fit[-2] == pytest.approx(law.mean(), rel=1e-9)
        assert 2 * fit[-3] == pytest.approx(law.var(), rel=1e-5)
    assert half_line().mean() == half_line().var() == np.inf


def test_reflection_at_long_times():
    """S ~ sqrt(2/pi) (gamma L/v + share of first runs away + 1/2...) / sqrt(gamma t)."""
    t = 1e12
    for heading, share in ((-1, 0.0), (1, 1.0), (0, 0.5)):
        lead = 2 * (0.8 * 0.9 / 1.3 + share) / np.sqrt(2 * np.pi * 0.8 * t)
        assert half_line(heading).survival(t) == pytest.approx(lead, rel=1e-9)


@pytest.mark.parametrize("heading", [0, 1, -1])
@pytest.mark.parametrize("make", [half_line, interval])
def test_sharp_and_coins_against_sums_over_the_survival(make, heading):
    law = make(heading)
    for period in (0.8, 1.7, 6.0):
        edges = [0.0, 0.9 / 1.3, 2.1 / 1.3, 2.1 / 1.3 + 1.5, 3.0, 3.2, 4.0, 5.0, period]
        edges = sorted({x for x in edges if x <= period})
        if make is interval:  # all fronts are edges
            fronts = [x + k * 3 / 1.3 for x in (0.9 / 1.3, 2.1 / 1.3) for k in range(3)]
            edges = sorted({*edges, *(x for x in fronts if x < period)})
        spent = quadrature(law.survival, edges)
        assert law.restricted_mean(period) == pytest.approx(spent, rel=1e-11)
        exact = spent / (1 - law.survival(period))
        assert law.under(rs.Sharp(period)).mean() == pytest.approx(exact, rel=1e-10)
    p, step = 0.12, 0.31
    coins = np.arange(1, 400)
    chance = p * (1 - p) ** (coins - 1.0)
    won = np.sum(chance * (1 - law.survival(coins * step)))
    lasted = np.sum(chance * law.restricted_mean(coins * step))
    assert law.under(rs.Geometric(p, step=step)).mean() == pytest.approx(lasted / won, rel=1e-11)


def test_rare_coins_are_summed_by_gregory():
    """The long tail of a heavy law: against a plain sum over 2^14 coins."""
    law, p, step = half_line(1), 4e-3, 0.05
    coins = np.arange(1.0, 2.0**14)
    chance = p * np.exp(np.log1p(-p) * (coins - 1.0))
    late = law.survival(coins * step)
    won = np.sum(chance * (1 - late))
    # E[min(T, k step)] by Simpson's rule over the survival
    middle = law.survival((coins - 0.5) * step)
    early = np.concatenate([[1.0], late[:-1]])
    area = np.cumsum((early + 4 * middle + late) * step / 6)
    front = int(0.9 / 1.3 / step)
    piece = law.restricted_mean((front + 1) * step) - front * step  # the piece with the front
    area = area + (piece - (area[front] - area[front - 1])) * (coins > front)
    assert law.under(rs.Geometric(p, step=step)).mean() == pytest.approx(
        np.sum(chance * area) / won, rel=1e-9
    )


def test_coins_at_the_front_see_the_order():
    """Ballistic arrival exactly at a coin: lost, or counted, by the order of looking."""
    law = half_line(-1, speed=1.0, flip_rate=1.0, start=1.0)
    p = 0.5
    first, second = (
        law.under(rs.Geometric(p, step=1.0, order=order)).mean()
        for order in ("move-coin-look", "move-look-coin")
    )
    coins = np.arange(1, 80)
    chance = p * (1 - p) ** (coins - 1.0)
    lasted = np.sum(chance * law.restricted_mean(coins * 1.0))
    won = np.sum(chance * (1 - law.survival(coins * 1.0)))
    assert second == pytest.approx(lasted / won, rel=1e-11)
    assert first == pytest.approx(lasted / (won - p * np.exp(-1.0)), rel=1e-11)


def test_the_best_period_may_be_just_after_the_front():
    law = half_line(-1, speed=1.0, flip_rate=1.0, start=1.0)
    best = law.best(rs.Sharp)
    assert best.kind == "front"
    assert best.period == pytest.approx(1.0, rel=1e-14)
    assert best.mean == pytest.approx(np.e, rel=1e-12)
    assert law.under(rs.Sharp(1.0)).mean() == np.inf
    assert best.mean < min(law.under(rs.Sharp(x)).mean() for x in (1.01, 1.1, 1.5, 3.0))


@pytest.mark.parametrize("heading", [0, 1, -1])
def test_diffusive_limit(heading):
    """Fast runs and frequent flips diffuse with D = v²/2 gamma; the wrong D is seen."""
    errors = []
    for g in (1e4, 1e6):
        v, rate = np.sqrt(2 * 0.7 * g), 1.9
        walk = rs.first_passage(rs.DriftDiffusion(0.0, 0.7), start=0.9, target=0.0)
        exact = walk.under(rs.Poisson(rate)).mean()
        value = half_line(heading, v, g).under(rs.Poisson(rate)).mean()
        errors.append(abs(value / exact - 1))
        assert half_line(heading, v, g).best(rs.Poisson).rate == pytest.approx(
            2.5396382821881653 * 0.7 / 0.81, rel=20 / np.sqrt(g)
        )
    assert errors[1] < 3e-3
    assert errors[1] < 0.2 * errors[0] or errors[0] < 1e-3
    exit_ = interval(heading, np.sqrt(1.4e8), 1e8)
    assert exit_.mean() == pytest.approx(0.9 * 2.1 / 1.4, rel=1e-3)
    assert exit_.mean() != pytest.approx(0.9 * 2.1 / 0.7, rel=1e-1)


def test_resetting_under_poisson_in_closed_form():
    """(1 - f)/(r f) with f = e^{-kL} (1 + A)/2, and CV = 1 at the best rate."""
    g, v, L, r = 0.8, 1.3, 0.9, 0.7
    k = np.sqrt(r * (r + 2 * g)) / v
    f = np.exp(-k * L) * (1 + (g + r - k * v) / g) / 2
    assert half_line().under(rs.Poisson(r)).mean() == pytest.approx((1 - f) / (r * f), rel=1e-14)
    best = half_line().best(rs.Poisson)
    assert half_line().under(rs.Poisson(best.rate)).cv() == pytest.approx(1.0, rel=1e-9)


def test_an_end_many_flips_away_is_not_felt():
    """1400 mean flips to the far end: the law of the half line until a flight reaches it."""
    far = rs.first_passage(rs.Telegraph(0.7, 2.5), 0.0, (-1e3, 0.3))
    alone = rs.first_passage(rs.Telegraph(0.7, 2.5), 0.0, 0.3)
    t = np.array([0.1, 0.43, 0.5, 5.0, 100.0, 1400.0])
    assert far.survival(t[0]) == 1.0
    assert (np.diff(far.survival(t)) < 0).any() and far.survival(1400.0) > 0.01
    np.testing.assert_allclose(far.survival(t), alone.survival(t), rtol=1e-11)
    np.testing.assert_allclose(far.density(t[2:]), alone.density(t[2:]), rtol=1e-9)
    near = rs.first_passage(rs.Telegraph(0.7, 2.5), 0.0, (-5.0, 0.3))
    assert not np.allclose(near.survival(t), alone.survival(t), rtol=1e-3)


@pytest.mark.parametrize("make", [half_line, interval])
@pytest.mark.parametrize("turns", [0.5, 30.0, 300.0])
def test_transform_within_a_fixed_period(make, turns):
    """E[exp(-sT); T < tau] at imaginary s, against the atoms and a quadrature of the density."""
    law, tau = make(1), 2.1
    s = 1j * turns / tau
    x, w = np.polynomial.legendre.leggauss(200)
    expected, edges = 0.0, [0.9 / 1.3]
    places, weights = (np.atleast_1d(part) for part in law._atoms())
    if make is interval:
        edges += [2.1 / 1.3]
    for place, weight in zip(places, weights, strict=True):
        expected += weight * np.exp(-s * place) * (place < tau)
    for low, high in zip([0.0, *edges], [*edges, tau], strict=True):
        u = low + 0.5 * (high - low) * (1.0 + x)
        expected += 0.5 * (high - low) * (w @ (np.exp(-s * u) * law.density(u)))
    found = np.exp(law.trial_fixed(tau, s).log_success)
    assert abs(found - expected) < 1e-9 * max(1.0, turns)
    assert not abs(found - 1.01 * expected) < 1e-9 * max(1.0, turns)


def test_extreme_arguments_give_numbers():
    draw = np.random.default_rng(4)
    for _ in range(200):
        v, g, L, r = 10.0 ** draw.uniform(-50, 50, 4)
        heading = draw.choice([-1, 0, 1])
        law = half_line(heading, v, g, L)
        values = [law.log_laplace(r), law.under(rs.Poisson(r)).log_mean(), law.survival(1 / r)]
        exit_ = interval(heading, v, g, 0.3 * L, L)
        values += [exit_.log_laplace(r), exit_.log_mean(), exit_.mean(), *exit_.splitting()]
        values += [exit_.given("upper").mean(), exit_.under(rs.Poisson(r)).log_mean()]
        assert not np.isnan(np.asarray(values, float)).any(), (v, g, L, r, heading, values)


def test_wrong_arguments_are_named():
    for name, arguments in (
        ("speed", (0.0, 1.0)), ("flip_rate", (1.0, -1.0)), ("heading", (1.0, 1.0, 0.5)),
    ):  # fmt: skip
        with pytest.raises(rs.DomainError, match=name):
            rs.Telegraph(*arguments)
    with pytest.raises(rs.DomainError, match="start"):
        rs.first_passage(rs.Telegraph(1.0, 1.0), start=1.0, target=1.0)
    with pytest.raises(rs.DomainError, match="wall"):
        rs.first_passage(rs.Telegraph(1.0, 1.0), start=1.0, target=0.0, wall=2.0)


@pytest.mark.statistical(alpha=4e-9)
def test_played_flights_and_draws_follow_the_law():
    """20000 flights see distances above 0.03; the twin flips twice as often."""
    marks = np.array([0.7, 0.9, 1.3, 1.7, 2.2, 3.0, 5.0, 9.0, 30.0])
    for heading in (0, 1, -1):
        for make, high in ((half_line, np.inf), (interval, 3.0)):
            times, ways = played(heading, 0.9, high, 20_000, seed=heading + 5)
            for sample in (times, make(heading).sample(20_000, seed=7)):
                seen = np.array([(sample > t).sum() for t in marks])
                for law, right in ((make(heading), True), (make(heading, flip_rate=1.6), False)):
                    late = np.clip(law.survival(marks), 1e-12, 1 - 1e-12)
                    worst = min(
                        stats.binomtest(int(n), 20_000, float(q)).pvalue
                        for n, q in zip(seen, late, strict=True)
                    )
                    assert bool(worst > 3e-11) is right
            if make is interval:
                lower = interval(heading).splitting().lower
                assert stats.binomtest(int((ways < 0).sum()), 20_000, lower).pvalue > 3e-11


@pytest.mark.parametrize("make", [half_line, interval])
@pytest.mark.parametrize("law", [
    rs.Poisson(0.7), rs.Poisson(0.7, overhead=0.4), rs.Gamma(2.0), rs.Gamma(0.7, stages=0.5),
    rs.Uniform(0.0, 2.0), rs.Gamma(2.0, overhead=0.4),
], ids=repr)  # fmt: skip
def test_the_law_in_time_adds_up_to_the_mean_of_the_trials(make, law):
    """Integral of the survival from the renewal equation; the twin forgets an atom."""
    under = make().under(law)
    mean = under.mean()
    far = 60.0 * mean
    assert under.restricted_mean(far) == pytest.approx(mean, rel=1e-10)
    front = float(np.min(make()._atoms()[0]))
    just = np.nextafter(front, 0.0)
    assert under.survival(just) == 1.0
    drop = 1.0 - float(under.survival(front))
    without = mean + drop * (mean - front)  # the atom's walkers set out anew
    assert under.restricted_mean(far) != pytest.approx(without, rel=1e-6)


def test_a_front_table_is_the_law_and_the_twin_is_refused():
    from resetsgd.errors import NotConverged
    from resetsgd.passage.front_table import FrontTable

    free = interval()
    table = FrontTable(free)
    t = np.exp(np.linspace(np.log(0.7), np.log(40.0), 97))
    assert table._survival(t) == pytest.approx(free.survival(t), abs=1e-13)
    assert table._density(t) == pytest.approx(free.density(t), abs=1e-12)
    times, weights = free._atoms()
    free._atoms = lambda: (times, 0.9 * weights)
    with pytest.raises(NotConverged):
        FrontTable(free)


@pytest.mark.parametrize("heading", [-1, 0, 1])
@pytest.mark.parametrize("rate", [1e-12, 0.3, 870.0, 1e5, 1e8])
def test_one_rate_out_of_an_interval_is_the_same_as_many(heading, rate):
    T = rs.first_passage(rs.Telegraph(48.6, 0.195, heading=heading), 0.0, (-58.6, 28.0))
    one, many = T.under(rs.Poisson(rate)).mean(), T.under(rs.Poisson(np.array([rate]))).mean()
    condition = 58.6 / 48.6 * np.sqrt(rate * (rate + 0.39))
    np.testing.assert_allclose(one, many[0], rtol=(16 + 4 * condition) * 2.3e-16)
