"""Random streams: published answers, keys that cannot collide, and compiled = interpreted."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

import resetsgd as rs
from resetsgd.montecarlo import streams
from resetsgd.montecarlo.kernels.philox import philox, random_block, unit

# Random123, tests/kat_vectors, rows "philox4x32": rounds, counter, key, answer.
KNOWN = [
    (7, "00000000 00000000 00000000 00000000", "00000000 00000000",
     "5f6fb709 0d893f64 4f121f81 4f730a48"),
    (7, "ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff",
     "5207ddc2 45165e59 4d8ee751 8c52f662"),
    (7, "243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0",
     "4dfccaba 190a87f0 c47362ba b6b5242a"),
    (10, "00000000 00000000 00000000 00000000", "00000000 00000000",
     "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    (10, "ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff",
     "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    (10, "243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0",
     "d16cfe09 94fdcceb 5001e420 24126ea1"),
]  # fmt: skip


def words(text: str) -> tuple[int, ...]:
    return tuple(int(word, 16) for word in text.split())


@pytest.mark.parametrize(("rounds", "counter", "key", "answer"), KNOWN)
def test_known_answers(rounds: int, counter: str, key: str, answer: str) -> None:
    assert philox(*words(counter), *words(key), rounds) == words(answer)


def test_a_block_is_philox_of_path_purpose_and_position() -> None:
    path, purpose, index = 0x0123456789ABCDEF, 0x81, 0x00FEDCBA98765432
    assert random_block(5, 6, path, purpose, index) == philox(
        0x98765432, 0x81FEDCBA, 0x89ABCDEF, 0x01234567, 5, 6, 10
    )


def test_uniforms_are_inside_the_open_interval_and_symmetric() -> None:
    top = 0xFFFFFFFF
    assert unit(0, 0) == 2.0**-53
    assert unit(top, top) == 1.0 - 2.0**-53
    assert unit(0x80000000, 0) == 0.5 + 2.0**-53


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
import hashlib, resetsgd as rs
from resetsgd.montecarlo import streams
digest = hashlib.sha256(streams.normals(3000, seed=4).tobytes())
walk = rs.DriftDiffusion(drift=0.3, diffusivity=1.0)
for protocol in (rs.Poisson(1.0), rs.Sharp(1.0), rs.Geometric(probability=0.2, step=0.2)):
    for scheme, step in (("bridge", None), ("bridge", 0.1), ("exact", None), ("euler", 0.1)):
        S = rs.simulate(walk, 1.0, 0.0, protocol, paths=40, scheme=scheme, step=step, horizon=9.0)
        digest.update(S.times.tobytes() + S.resets.tobytes())
print(digest.hexdigest())
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


def test_interpreted_kernels_give_the_same_bits_as_compiled_ones() -> None:
    assert child(NUMBA_DISABLE_JIT="1") == child()


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
    with (tmp_path / "philox.py").open("a") as file:
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
