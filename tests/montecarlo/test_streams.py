"""Random streams: published answers, keys that cannot collide, and compiled = interpreted."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

import resetsgd as rs
from resetsgd.montecarlo import streams
from resetsgd.montecarlo.kernels import fill, lanes, vectors
from resetsgd.montecarlo.kernels.compiling import kernel


def words(*, seed: int, path: int, purpose: str = "free", n: int = 10) -> list[int]:
    """The first words of a stream."""
    out = np.empty(n, np.uint32)
    fill.fill_words(out, np.uint64(seed), np.uint64(path), streams.PURPOSES[purpose])
    return out.tolist()


def xoshiro(state: list[int], n: int) -> list[int]:
    """xoshiro128++ as published, in whole numbers of Python."""
    low, found = 2**32 - 1, []
    s = list(state)
    for _ in range(n):
        total = (s[0] + s[3]) & low
        found.append((((total << 7) & low | total >> 25) + s[0]) & low)
        t = (s[1] << 9) & low
        s[2] ^= s[0]
        s[3] ^= s[1]
        s[1] ^= s[2]
        s[0] ^= s[3]
        s[2] ^= t
        s[3] = (s[3] << 11) & low | s[3] >> 21
    return found


def mixed(z: int) -> int:
    """The finaliser of SplitMix64."""
    low = 2**64 - 1
    z = ((z ^ z >> 30) * 0xBF58476D1CE4E5B9) & low
    z = ((z ^ z >> 27) * 0x94D049BB133111EB) & low
    return z ^ z >> 31


def state(seed: int, path: int, purpose: int) -> list[int]:
    """Where the stream of a key starts."""
    low, golden, halves = 2**64 - 1, 0x9E3779B97F4A7C15, []
    for salt in (0xA0761D6478BD642F, 0xE7037ED1A0B428DB):
        key = mixed((mixed((seed + salt) & low) + golden * purpose) & low)
        half = mixed((path * golden + key) & low)
        halves += [half % 2**32, half >> 32]
    return halves


# The answers of the authors' reference programs: xoshiro128plusplus.c from the state 1, 2, 3, 4,
# and splitmix64.c from the state 1477776061723855037.
XOSHIRO = [641, 1573767, 3222811527, 3517856514, 836907274,
           4247214768, 3867114732, 1355841295, 495546011, 621204420]  # fmt: skip
SPLITMIX = [1985237415132408290, 2979275885539914483, 13511426838097143398]


def test_known_answers_of_the_generators() -> None:
    """The twin in Python gives the published words; the kernel gives those of the twin."""
    assert xoshiro([1, 2, 3, 4], 10) == XOSHIRO
    golden, start = 0x9E3779B97F4A7C15, 1477776061723855037
    assert [mixed((start + k * golden) % 2**64) for k in (1, 2, 3)] == SPLITMIX
    assert int(lanes._mixed(np.uint64((start + golden) % 2**64))) == SPLITMIX[0]
    for seed, path, purpose in ((0, 0, 1), (2**64 - 1, 2**63 - 1, 255), (12345, 678, 2)):
        name = {code: name for name, code in streams.PURPOSES.items()}[purpose]
        twin = xoshiro(state(seed, path, purpose), 50)
        assert words(seed=seed, path=path, purpose=name, n=50) == twin


def test_lanes_hold_the_streams_of_their_paths() -> None:
    """A block of normals is the same in any lane, and is the Box-Muller transform of its words."""
    z = np.empty((16, lanes.LANES), np.float32)
    block(np.uint64(5), np.uint64(70), z)
    again = np.empty_like(z)
    block(np.uint64(5), np.uint64(63), again)
    assert (again[:, 7:] == z[:, :-7]).all()
    drawn = np.array(words(seed=5, path=70 + 9, purpose="motion", n=16), float).reshape(8, 2)
    radius = np.sqrt(-2 * np.log((drawn[:, 0] // 2 + 0.5) / 2**31))
    low = (drawn[:, 1] % 2**30) / 2**30
    quarter = np.pi / 2 * np.where(low < 0.5, low, low - 1)
    high = (drawn[:, 1] // 2**30).astype(int)
    turned = np.where(high % 2 == 1, np.pi / 2 - quarter, quarter) + np.pi * (high // 2)
    pairs = np.stack([radius * np.cos(turned), radius * np.sin(turned)], axis=1).ravel()
    assert z[:, 9] == pytest.approx(pairs, rel=1e-5, abs=1e-5)


@kernel
def block(seed: Any, first: Any, z: Any) -> None:
    """Sixteen normals of sixty-four paths."""
    state = lanes.word_lanes()
    scratch = _scratch()
    for lane in range(lanes.LANES):
        lanes.seed_lane(state, lane, seed, first + np.uint64(lane), lanes.MOTION)
    lanes.normal_block(state, scratch, 16)
    for k in range(16):
        for lane in range(lanes.LANES):
            z[k, lane] = scratch[k, lane]


_scratch = vectors.stack(np.float32, 16, lanes.LANES)


def test_uniforms_are_in_the_middle_of_their_cells() -> None:
    high, low = words(seed=3, path=4, n=2)
    assert streams.uniforms(1, seed=3, path=4)[0] == ((high * 2**32 + low) // 4096 + 0.5) / 2**52


def test_streams_do_not_depend_on_how_much_is_drawn() -> None:
    for draw in (streams.uniforms, streams.normals, streams.exponentials):
        assert (draw(10, seed=3, path=2) == draw(1000, seed=3, path=2)[:10]).all()


def test_every_part_of_the_key_matters() -> None:
    key = {"seed": 2**40 + 1, "path": 2**35 + 1, "purpose": "free"}
    others = [
        {"seed": 2**40 + 2}, {"seed": 1}, {"path": 2**35 + 2}, {"path": 1}, {"purpose": "motion"},
    ]  # fmt: skip
    for draw in (streams.uniforms, streams.normals, streams.exponentials):
        this = draw(100, **key)
        assert not any(np.isin(draw(100, **{**key, **other}), this).any() for other in others)


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"n": -1, "seed": 0}, "n"),
        ({"n": 1, "seed": -1}, "seed"),
        ({"n": 1, "seed": 2**64}, "seed"),
        ({"n": 1, "seed": 1.5}, "seed"),
        ({"n": 1, "seed": 0, "path": 2**63}, "path"),
        ({"n": 1, "seed": 0, "purpose": "luck"}, "purpose"),
    ],
)
def test_wrong_keys_are_named(arguments: dict[str, object], name: str) -> None:
    with pytest.raises(rs.DomainError, match=f"^{name} = "):
        streams.uniforms(**arguments)  # type: ignore[arg-type]


@pytest.mark.statistical(alpha=4.9e-9)
def test_neighbouring_paths_and_seeds_start_independently(budget) -> None:
    """First uniforms of 40,000 paths and seeds fill 50 x 50 cells of consecutive pairs evenly.

    Detects a joint density wrong by 12 % (root mean square). Twin: streams of which each starts a
    tenth of the way on from where its neighbour did.
    """
    by_path = np.array([streams.uniforms(1, seed=9, path=k)[0] for k in range(40_000)])
    by_seed = np.array([streams.uniforms(1, seed=k)[0] for k in range(40_000)])
    overlapping = (by_path[0] + 0.1 * np.arange(40_000) + 0.05 * by_path) % 1.0

    def p_value(first: np.ndarray) -> float:
        cells = np.histogram2d(first[:-1], first[1:], bins=50, range=[[0, 1], [0, 1]])[0]
        # Overlapping pairs: the pair statistic less the single one is chi-square distributed.
        single = np.histogram(first, bins=50, range=(0, 1))[0]
        n = cells.sum()
        pairs = ((cells - n / 2500) ** 2).sum() / (n / 2500)
        singles = ((single - len(first) / 50) ** 2).sum() / (len(first) / 50)
        return min(1.0, 2 * float(stats.chi2.sf(pairs - singles, 2450)))

    assert budget.plausible(min(p_value(by_path), p_value(by_seed)))
    assert not budget.plausible(p_value(overlapping))


CHILD = """
import json, resetsgd as rs
from resetsgd.montecarlo import streams
found = {"times": [], "resets": [], "normals": streams.normals(3000, seed=4).tolist()}
walk = rs.DriftDiffusion(drift=0.3, diffusivity=1.0)
bowl = rs.OrnsteinUhlenbeck(1.0, 0.0, 1.0)
hill = rs.Landscape(drift=lambda x: 0.2 * x, diffusivity=lambda x: 1 + 0.1 * x * x)
for protocol in (rs.Poisson(1.0), rs.Sharp(1.0), rs.Geometric(probability=0.2, step=0.2)):
    for process, scheme, step in (
        (walk, "bridge", None), (walk, "bridge", 0.1), (walk, "exact", None),
        (walk, "euler", 0.1), (bowl, "heun", 0.1), (hill, "heun", 0.1),
    ):
        S = rs.simulate(process, 1.0, 0.0, protocol, paths=5, scheme=scheme, step=step, horizon=9.0)
        found["times"] += S.times.tolist()
        found["resets"] += S.resets.tolist()
print(json.dumps(found))
"""


def child(**environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", CHILD],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_interpreted_kernels_give_the_same_numbers_as_compiled_ones() -> None:
    """Up to the roundings that a fused product saves."""
    one, two = (json.loads(child(**way)) for way in ({"NUMBA_DISABLE_JIT": "1"}, {}))
    assert one["resets"] == two["resets"]
    assert one["times"] == pytest.approx(two["times"], rel=1e-4)
    assert one["normals"] == pytest.approx(two["normals"], rel=1e-12)


KERNELS = sorted((Path(rs.__file__).parent / "montecarlo" / "kernels").glob("*.py"))


@pytest.mark.parametrize("file", KERNELS, ids=lambda file: file.name)
def test_kernels_keep_the_house_rules(file: Path) -> None:
    """No fastmath; every loop is a ``for`` over a range, or a ``while`` that counts a budget."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.While):
            assert "used < budget" in ast.unparse(node.test), f"line {node.lineno}"
        if isinstance(node, ast.keyword):
            assert node.arg != "fastmath"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in ("jit", "njit", "prange"), "use helper or kernel"


def test_the_cache_follows_every_kernel_source(tmp_path: Path) -> None:
    from resetsgd.montecarlo.kernels import compiling

    for file in KERNELS:
        (tmp_path / file.name).write_bytes(file.read_bytes())
    before = compiling._digest(tmp_path)
    assert before == compiling._digest(KERNELS[0].parent)
    with (tmp_path / "lanes.py").open("a") as file:
        file.write("# edited\n")
    assert compiling._digest(tmp_path) != before


def test_a_read_only_installation_without_a_home_works(tmp_path: Path) -> None:
    """Files where folders would have to be made stand for what root is not denied."""
    source = Path(rs.__file__).parent
    copy = tmp_path / "resetsgd"
    for file in source.rglob("*.py"):
        (copy / file.relative_to(source)).parent.mkdir(parents=True, exist_ok=True)
        (copy / file.relative_to(source)).write_bytes(file.read_bytes())
    (copy / "montecarlo" / "kernels" / "__pycache__").write_text("")
    done = subprocess.run(
        [sys.executable, "-B", "-W", "error", "-c",
         "import resetsgd as rs\n"
         "from resetsgd.montecarlo import streams\n"
         "from resetsgd.montecarlo.kernels import compiling\n"
         "print(rs.__file__, compiling.cache_folder(), streams.uniforms(1, seed=1)[0])"],
        env={**{k: v for k, v in os.environ.items() if not k.startswith("NUMBA_CACHE")},
             "PYTHONPATH": str(tmp_path), "HOME": "/dev/null", "XDG_CACHE_HOME": ""},
        cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    where, folder, value = done.stdout.split()
    assert Path(where).is_relative_to(tmp_path)
    assert folder == "None"
    assert float(value) == streams.uniforms(1, seed=1)[0]
