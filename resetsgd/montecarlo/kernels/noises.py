"""Passage on a line under noise that is not white, not Gaussian or not constant, in 64 lanes.

COLOURED: dx = b(x) dt + eta dt with an Ornstein-Uhlenbeck noise eta of correlation time tau and
intensity D, dx = b dt + sqrt(2 D) dW for tau -> 0. A step draws eta at its end and the integral of
eta over it from their exact joint law, and averages the drift over both ends (Heun). The path is
smooth: it arrives where the chord of a step meets the target. Paths begin, and go on after a reset,
with eta from its stationary law.

STABLE: dx = b(x) dt + dL with an alpha-stable process L. A step adds an increment of its exact
law (J. M. Chambers, C. L. Mallows, B. W. Stuck, J. Am. Stat. Assoc. 71 (1976) 340, in logarithms).
A path arrives with the first step that ends on or beyond the target: it jumps across.

MILSTEIN: dx = b(x) dt + sqrt(2 D(x)) dW with D' in hand, of strong order one. Whether a step met
the target is decided by the crossing probability of a Brownian bridge with D as at its beginning.

Steps are cut short at resets and at the horizon. See :mod:`~.outcomes` for what is kept.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from resetsgd.montecarlo.kernels.clocks import next_reset, overhead, placed
from resetsgd.montecarlo.kernels.compiling import helper, inlined, kernel, spliced
from resetsgd.montecarlo.kernels.elementary import cos, exp, log, sin
from resetsgd.montecarlo.kernels.hitting import within_bridge
from resetsgd.montecarlo.kernels.lanes import (
    EVENTS,
    LANES,
    MOTION,
    next_word,
    normal_block,
    seed_lane,
    uniform,
    word_lanes,
)
from resetsgd.montecarlo.kernels.outcomes import ARRIVED, BROKEN, CENSORED, RUNNING
from resetsgd.montecarlo.kernels.variates import normal
from resetsgd.montecarlo.kernels.vectors import call_block, fetch_add, from_bits64, stack

__all__ = ["COLOURED", "INTS", "MILSTEIN", "NUMBERS", "REALS", "STABLE", "WORDS", "driven"]
__all__ += ["fill_stable", "milstein"]

COLOURED, STABLE, MILSTEIN = 0, 1, 2

NUMBERS = ("start", "low", "high", "side", "step", "horizon", "a", "b", "c")
"""a, b, c: diffusivity, correlation time, unused; or exponent, skewness, scale for a unit time; or
the weight of D' in the drift, unused, unused."""

INTS, REALS, WORDS = 2, 8, 8
"""Rows of the state; reals are time, lost, x, due, ticks, eta, and the probability not to have
crossed with the uniform it is compared with."""

_noise = stack(np.float32, 2, LANES)
_lanes = stack(np.float64, LANES)
_whole = stack(np.int64, LANES)
_state = stack(np.float64, REALS, LANES)
_pair = stack(np.float64, 8)
_both = stack(np.float64, 2 * LANES)
_ONE_BITS, _S12, _S20 = np.uint64(0x3FF0000000000000), np.uint64(12), np.uint64(20)
_HALF_CELL = 2.0**-53


@inlined
def _unit(words: Any, lane: int) -> Any:
    """The same uniform as ``lanes.uniform`` makes, by vector instructions."""
    high = np.uint64(next_word(words, lane))
    low = np.uint64(next_word(words, lane))
    cell = np.uint64(np.uint64(high << _S20) | np.uint64(low >> _S12))
    return (from_bits64(np.uint64(cell | _ONE_BITS)) - 1.0) + _HALF_CELL


@spliced
def _stable(words: Any, w: Any, alpha: float, turn: float, stretch: float) -> None:
    """One standard stable variate for each lane.

    ``turn`` and ``stretch`` follow from exponent and skewness, see :func:`_skewed`.
    """
    inverse = 1.0 / alpha
    for lane in range(LANES):
        u = _unit(words, lane)
        v = math.pi * (u - 0.5)
        # The cosine of v, with all digits where it is small.
        away = u if u < 0.5 else 1.0 - u
        log_cosine = log(sin(math.pi * away))
        waited = -log(_unit(words, lane))
        angle = alpha * (v + turn)
        rest = cos(v - angle)
        rest = rest if rest > 1e-300 else 1e-300
        power = (inverse - 1.0) * (log(rest) - log(waited)) - inverse * log_cosine
        w[lane] = stretch * sin(angle) * exp(power)


@helper
def _skewed(alpha: float, beta: float) -> Any:
    """Turn and stretch of a skewed law; its exponent is not one."""
    if beta == 0.0:
        return 0.0, 1.0
    lean = beta * math.tan(0.5 * math.pi * alpha)
    return math.atan(lean) / alpha, (1.0 + lean * lean) ** (0.5 / alpha)


@inlined
def milstein(x: float, a: float, s: float, bend: float, h: float, z: float) -> Any:
    """One step of dx = a dt + s dW, in the sense of Ito, with ``bend`` = s s'."""
    return x + (a * h + s * math.sqrt(h) * z + 0.5 * bend * h * (z * z - 1.0))


@helper
def _memory(h: float, diffusivity: float, tau: float, out: Any) -> None:
    """Coefficients of a step of coloured noise.

    With eta' = out[0] eta + out[1] z1 and the integral out[2] eta + out[3] z1 + out[4] z2.
    """
    s = h / tau
    lost = -math.expm1(-s)  # 1 - e
    both = -math.expm1(-2.0 * s)  # 1 - e²
    width = math.sqrt(diffusivity / tau * both)
    out[0], out[1], out[2] = 1.0 - lost, width, tau * lost
    out[3] = diffusivity * lost * lost / width if width > 0.0 else 0.0
    if s < 0.02:
        # 2 s - 3 + 4 e - e² - (1 - e)^4 / (1 - e²) by its series, which the difference has lost.
        rest = s**3 * (1.0 / 6.0 - s * s / 60.0)
    else:
        rest = 2.0 * s - 2.0 * lost - lost * lost - lost**4 / both
    out[4] = math.sqrt(diffusivity * tau * max(rest, 0.0))


@kernel
def fill_stable(out: Any, seed: Any, path: Any, alpha: float, beta: float) -> None:
    """Standard stable variates, each lane from the stream of a path of its own from ``path`` on."""
    words, w = word_lanes(), _lanes()
    for lane in range(LANES):
        seed_lane(words, lane, seed, path + np.uint64(lane), MOTION)
    turn, stretch = _skewed(alpha, beta)
    for i in range(0, len(out), LANES):
        _stable(words, w, alpha, turn, stretch)
        for lane in range(min(LANES, len(out) - i)):
            out[i + lane] = w[lane]


@kernel
def driven(
    seed: Any,
    kind: int,
    ends: int,
    numbers: Any,
    drift: int,
    parameters: Any,
    spread: int,
    spread_numbers: Any,
    clock: Any,
    table: Any,
    lost_table: Any,
    places: Any,
    times: Any,
    outcomes: Any,
    resets: Any,
    sides: Any,
    counter: Any,
    first: int,
    ints: Any,
    reals: Any,
    kept: Any,
    report: Any,
    budget: int,
) -> int:
    """Move paths until the budget of steps is used up or none is left; returns the steps made.

    ``kind`` is COLOURED, STABLE or MILSTEIN, ``ends`` 1 for a point and 2 for an interval;
    ``numbers`` see :data:`NUMBERS`; ``spread`` writes sqrt(2 D) and D', for MILSTEIN. The other
    arguments are those of
    :func:`resetsgd.montecarlo.kernels.line.line`.
    """
    start, low, high, side = numbers[0], numbers[1], numbers[2], numbers[3]
    dt, horizon, one, two, three = numbers[4], numbers[5], numbers[6], numbers[7], numbers[8]
    paths = len(times)
    words, events, z = word_lanes(), word_lanes(), _noise()
    x, a, b, w, moved, h = _lanes(), _lanes(), _lanes(), _lanes(), _lanes(), _lanes()
    t, until, eta, later = _lanes(), _lanes(), _lanes(), _lanes()
    both, alive, limit, ahead = _both(), _lanes(), _lanes(), _lanes()
    flag, cut, position, count = _whole(), _whole(), _whole(), _whole()
    state, whole, part = _state(), _pair(), _pair()
    turn, stretch, scale, width = 0.0, 1.0, 0.0, 0.0
    if kind == STABLE:
        turn, stretch = _skewed(one, two)
        scale = three * dt ** (1.0 / one)
    elif kind == COLOURED:
        _memory(dt, one, two, whole)
        width = math.sqrt(one / two)
    for lane in range(LANES):
        position[lane], count[lane] = ints[0, lane], ints[1, lane]
        for row in range(4):
            words[row, lane], events[row, lane] = kept[row, lane], kept[row + 4, lane]
        for row in range(REALS):
            state[row, lane] = reals[row, lane]
        t[lane], x[lane], eta[lane] = reals[0, lane], reals[2, lane], reals[5, lane]
        alive[lane], limit[lane] = reals[6, lane], reals[7, lane]
        until[lane] = min(state[3, lane], horizon - state[1, lane])
        later[lane] = 0.0
    used, running, refill = 0, 0, True
    while used < budget:
        if refill:
            refill, running = False, 0
            for lane in range(LANES):
                if position[lane] < 0 and counter[0] < paths:
                    taken = fetch_add(counter, 1)
                    if taken < paths:
                        path = np.uint64(first + taken)
                        seed_lane(words, lane, seed, path, MOTION)
                        seed_lane(events, lane, seed, path, EVENTS)
                        position[lane], count[lane] = taken, 0
                        x[lane], t[lane], state[1, lane] = start, 0.0, 0.0
                        state[3, lane], state[4, lane] = next_reset(
                            events, lane, clock, table, 0, 0.0, 0.0, 0.0
                        )
                        eta[lane] = width * normal(events, lane) if kind == COLOURED else 0.0
                        alive[lane] = 1.0
                        limit[lane] = uniform(events, lane) if kind == MILSTEIN else 0.0
                        until[lane] = min(state[3, lane], horizon)
                if position[lane] >= 0:
                    running += 1
                else:  # a free lane moves with the others, and nobody looks
                    x[lane], t[lane], until[lane], eta[lane] = start, 0.0, math.inf, 0.0
                    alive[lane], limit[lane] = 1.0, 0.0
            if running == 0:
                break
        used += running
        for lane in range(LANES):
            # The sum of the steps may exceed the time of the reset in its last digit.
            left = max(until[lane] - t[lane], 0.0)
            cut[lane] = 0 if left > dt else 1
            h[lane] = dt if left > dt else left
        call_block(drift, x, a, LANES, parameters)
        if kind == STABLE:
            _stable(words, w, one, turn, stretch)
            for lane in range(LANES):
                w[lane] *= scale
        elif kind == MILSTEIN:
            normal_block(words, z, 2)
            call_block(spread, x, both, LANES, spread_numbers)
        else:
            normal_block(words, z, 2)
            for lane in range(LANES):
                first_z, second_z = float(z[0, lane]), float(z[1, lane])
                w[lane] = whole[2] * eta[lane] + whole[3] * first_z + whole[4] * second_z
                later[lane] = whole[0] * eta[lane] + whole[1] * first_z
        for lane in range(LANES):
            if cut[lane] != 0 and position[lane] >= 0 and kind != MILSTEIN:
                if kind == STABLE:
                    w[lane] *= (h[lane] / dt) ** (1.0 / one)
                else:
                    _memory(h[lane], one, two, part)
                    first_z, second_z = float(z[0, lane]), float(z[1, lane])
                    w[lane] = part[2] * eta[lane] + part[3] * first_z + part[4] * second_z
                    later[lane] = part[0] * eta[lane] + part[1] * first_z
        if kind == MILSTEIN:
            for lane in range(LANES):
                s, bend = both[lane], both[LANES + lane]
                slope = a[lane] + one * bend
                moved[lane] = milstein(x[lane], slope, s, bend, h[lane], float(z[0, lane]))
                eta[lane] = 0.5 * s * s * h[lane]
            if ends == 1:
                for lane in range(LANES):
                    near, far = side * (x[lane] - low), side * (moved[lane] - low)
                    ahead[lane] = 1.0 - exp(-max(near * far, 0.0) / eta[lane])
            else:
                for lane in range(LANES):
                    near, far = x[lane] - low, moved[lane] - low
                    ahead[lane] = 1.0 - exp(-max(near * far, 0.0) / eta[lane])
                    near, far = high - x[lane], high - moved[lane]
                    ahead[lane] *= 1.0 - exp(-max(near * far, 0.0) / eta[lane])
            for lane in range(LANES):
                alive[lane] *= ahead[lane]
                later[lane] = 0.0
        else:
            for lane in range(LANES):
                moved[lane] = x[lane] + (a[lane] * h[lane] + w[lane])
        if kind == COLOURED:
            call_block(drift, moved, b, LANES, parameters)
            for lane in range(LANES):
                moved[lane] += 0.5 * (b[lane] - a[lane]) * h[lane]
        any_flag = 0
        for lane in range(LANES):
            inside = side * (moved[lane] - low)
            if ends == 2:
                inside = min(moved[lane] - low, high - moved[lane])
            fine = 1 if inside > 0.0 else 0
            fine &= 1 if abs(moved[lane]) < math.inf else 0
            fine &= 1 if alive[lane] >= limit[lane] else 0
            flag[lane] = 1 - (fine & (1 - cut[lane]))
            any_flag |= flag[lane]
        if any_flag == 0:
            for lane in range(LANES):
                x[lane], eta[lane] = moved[lane], later[lane]
                t[lane] += dt
            continue
        for lane in range(LANES):
            if flag[lane] == 0 or position[lane] < 0:
                x[lane], eta[lane] = moved[lane], later[lane]
                t[lane] += dt
                continue
            end = moved[lane]
            outcome, exit_side, lasted = RUNNING, 0, 0.0
            lost = state[1, lane]
            if not abs(end) < math.inf:
                outcome, lasted = BROKEN, t[lane] + lost
            elif side * (end - low) <= 0.0 or (ends == 2 and end >= high) or (
                not alive[lane] >= limit[lane]
            ):  # fmt: skip
                upper = ends == 2 and end >= high
                outcome, tau = ARRIVED, h[lane]
                edge = high if upper else low
                if kind == COLOURED:
                    tau *= min((edge - x[lane]) / (end - x[lane]), 1.0)
                elif kind == MILSTEIN and tau > 0.0:
                    if ends == 2 and low < end < high:
                        down = exp(-(x[lane] - low) * (end - low) / eta[lane])
                        up = exp(-(high - x[lane]) * (high - end) / eta[lane])
                        upper = uniform(events, lane) * (down + up) >= down
                        edge = high if upper else low
                    tau = within_bridge(
                        abs(x[lane] - edge), abs(end - edge), tau, eta[lane] / tau,
                        normal(events, lane), uniform(events, lane),
                    )  # fmt: skip
                lasted = min(t[lane] + tau + lost, horizon)
                exit_side = 1 if upper or (ends == 1 and side < 0.0) else -1
            elif cut[lane] == 0:
                x[lane], eta[lane] = end, later[lane]
                t[lane] += dt
            else:
                t[lane] = until[lane]
                if state[3, lane] > horizon - lost:
                    outcome = CENSORED
                else:
                    count[lane] += 1
                    x[lane] = placed(events, lane, clock, places, end, low)
                    lost += overhead(events, lane, clock, lost_table)
                    state[1, lane] = lost
                    state[3, lane], state[4, lane] = next_reset(
                        events, lane, clock, table, count[lane], t[lane], lost, state[4, lane]
                    )
                    eta[lane] = width * normal(events, lane) if kind == COLOURED else 0.0
                    until[lane] = min(state[3, lane], horizon - lost)
                    if t[lane] + lost >= horizon:
                        outcome = CENSORED
                if outcome == CENSORED:
                    lasted = horizon
            if outcome == RUNNING:
                continue
            times[position[lane]], outcomes[position[lane]] = lasted, outcome
            resets[position[lane]], sides[position[lane]] = count[lane], exit_side
            if outcome == BROKEN and report[0] == 0.0:
                report[0], report[1] = 1.0, float(position[lane])
                report[2], report[3] = lasted, x[lane]
            position[lane] = -1
            refill = True
        if report[0] != 0.0:
            break
    for lane in range(LANES):
        ints[0, lane], ints[1, lane] = position[lane], count[lane]
        state[0, lane], state[2, lane], state[5, lane] = t[lane], x[lane], eta[lane]
        state[6, lane], state[7, lane] = alive[lane], limit[lane]
        for row in range(REALS):
            reals[row, lane] = state[row, lane]
        for row in range(4):
            kept[row, lane], kept[row + 4, lane] = words[row, lane], events[row, lane]
    return used
