"""Counter-based streams: known answers, keys, and laws (each with a wrong law that is rejected)."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from resetsgd.errors import DomainError
from resetsgd.training.streams import Purpose, _philox, batches, coins, permutation, uniforms, words

ALPHA = 1e-9

KNOWN = [  # Random123's known-answer vectors for philox4x32-10: key, counter, result
    (0, [0] * 4, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
    (2**64 - 1, [2**32 - 1] * 4, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
    (
        0x299F31D0_A4093822,
        [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
        [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
    ),
]


@pytest.mark.parametrize(("key", "counter", "result"), KNOWN)
def test_known_answers(key: int, counter: list[int], result: list[int]) -> None:
    assert _philox(key, np.array(counter, np.uint64)[:, None])[:, 0].tolist() == result


def test_words_follow_their_counter_whatever_the_shape() -> None:
    many = words(3, Purpose.BATCH, 10, replica=np.arange(4000), step=np.arange(2)[:, None])
    assert many.shape == (2, 4000, 10)
    assert (many < 2**32).all()
    for replica, step in ((0, 0), (3999, 1), (2500, 0)):
        alone = words(3, Purpose.BATCH, 10, replica=replica, step=step)
        assert alone.tolist() == many[step, replica].tolist()
    prefix = words(3, Purpose.BATCH, 3, replica=7, step=1)
    assert prefix.tolist() == many[1, 7, :3].tolist()


def test_every_part_of_the_key_matters() -> None:
    base = words(1, Purpose.COIN, 4, replica=2, step=3).tolist()
    others = [
        words(2, Purpose.COIN, 4, replica=2, step=3),
        words(1 + 2**32, Purpose.COIN, 4, replica=2, step=3),
        words(1, Purpose.BATCH, 4, replica=2, step=3),
        words(1, Purpose.COIN, 4, replica=3, step=2),
    ]
    assert all(other.tolist() != base for other in others)


def test_a_coin_is_the_same_alone_and_in_any_company() -> None:
    together = coins(11, range(64), np.arange(100)[:, None], 0.2)
    for first, replicas in ((0, 1), (10, 7), (60, 4)):
        some = coins(11, range(first, first + replicas), np.arange(100)[:, None], 0.2)
        assert (some == together[:, first : first + replicas]).all()
    assert bool(coins(11, 5, 17, 0.2)) == together[17, 5]


def test_the_ends_of_probability_are_exact_and_coins_are_coupled() -> None:
    grid = np.arange(2000)
    assert not coins(0, grid, 1, 0.0).any()
    assert coins(0, grid, 1, 1.0).all()
    assert (coins(0, grid, 1, 0.1) <= coins(0, grid, 1, 0.2)).all()


def test_the_global_generator_is_left_alone() -> None:
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    coins(0, range(10), 3, 0.5)
    batches(0, 1, 2, population=10, size=3)
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002


@pytest.mark.statistical(alpha=ALPHA)
def test_coin_frequency() -> None:
    """A million coins at 0.01, and at 0.011 for the wrong twin (ten standard errors off)."""
    flat = coins(2024, np.arange(1000), np.arange(1000)[:, None], 0.01).sum()
    twin = coins(2024, np.arange(1000), np.arange(1000)[:, None], 0.011).sum()
    assert stats.binomtest(int(flat), 10**6, 0.01).pvalue > ALPHA
    assert stats.binomtest(int(twin), 10**6, 0.01).pvalue < ALPHA


@pytest.mark.statistical(alpha=ALPHA)
@pytest.mark.parametrize("axis", [0, 1], ids=["steps", "replicas"])
def test_coins_of_neighbours_are_independent(axis: int) -> None:
    """Disjoint neighbouring pairs both reset with probability p squared; the twin repeats a coin.

    The two cases share the declared budget: each is tested at half of it.
    """
    p = 0.3
    drawn = coins(5, np.arange(1000), np.arange(1000)[:, None], p)
    pair = np.moveaxis(drawn, axis, 0)
    both = int((pair[0::2] & pair[1::2]).sum())
    assert stats.binomtest(both, 500_000, p**2).pvalue > ALPHA / 2
    repeated = int(pair[0::2].sum())
    assert stats.binomtest(repeated, 500_000, p**2).pvalue < ALPHA / 2


def subset_pvalue(drawn: npt.NDArray[np.int64]) -> float:
    """That all 3-subsets of six are equally likely."""
    names = {subset: i for i, subset in enumerate(combinations(range(6), 3))}
    counts = np.zeros(len(names))
    for subset, times in zip(
        *np.unique(np.sort(drawn, 1), axis=0, return_counts=True), strict=True
    ):
        counts[names[tuple(subset.tolist())]] += times
    return float(stats.chisquare(counts).pvalue)


@pytest.mark.statistical(alpha=ALPHA)
def test_batches_are_uniform_subsets() -> None:
    """All 20 subsets; the twin mends a repeated index with its neighbour, which is not uniform."""
    drawn = batches(8, np.arange(500), np.arange(200)[:, None], population=6, size=3)
    assert subset_pvalue(drawn.reshape(-1, 3)) > ALPHA
    twin = np.random.default_rng(0).integers(0, 6, (100_000, 3))
    for i in (1, 2):
        for _ in range(3):
            repeated = (twin[:, :i] == twin[:, [i]]).any(1)
            twin[repeated, i] = (twin[repeated, i] + 1) % 6
    assert subset_pvalue(twin) < ALPHA


@pytest.mark.parametrize(("population", "size"), [(1, 1), (5, 5), (300, 128), (10**6, 4)])
def test_batches_repeat_nothing_and_reach_everything(population: int, size: int) -> None:
    drawn = batches(3, np.arange(50), 7, population=population, size=size)
    assert drawn.shape == (50, size)
    assert drawn.min() >= 0
    assert drawn.max() < population
    assert all(len(set(row)) == size for row in drawn.tolist())
    assert batches(3, 31, 7, population=population, size=size).tolist() == drawn[31].tolist()


def test_batches_in_blocks_are_batches_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    at_once = batches(1, np.arange(30), np.arange(9)[:, None], population=50, size=20)
    monkeypatch.setattr("resetsgd.training.streams._ROWS", 17)
    monkeypatch.setattr("resetsgd.training.streams._BLOCK", 100)
    in_blocks = batches(1, np.arange(30), np.arange(9)[:, None], population=50, size=20)
    assert (at_once == in_blocks).all()


def test_uniforms_fill_the_unit_interval() -> None:
    drawn = uniforms(1, Purpose.FLAG, 100_000)
    assert 0 <= drawn.min() < 1e-4
    assert 1 - 1e-4 < drawn.max() < 1
    assert sorted(permutation(1, Purpose.SPLIT, 100).tolist()) == list(range(100))


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("seed", (-1, 0, 0, 0.5)),
        ("seed", (2**64, 0, 0, 0.5)),
        ("replica", (0, -1, 0, 0.5)),
        ("replica", (0, 1.5, 0, 0.5)),
        ("step", (0, 0, 2**32, 0.5)),
        ("probability", (0, 0, 0, 1.01)),
        ("probability", (0, 0, 0, float("nan"))),
        ("replica, step", (0, [1, 2], [1, 2, 3], 0.5)),
    ],
)
def test_wrong_input_is_named(name: str, arguments: tuple[int, int, int, float]) -> None:
    with pytest.raises(DomainError, match=rf"^{name} = "):
        coins(*arguments)


def test_a_batch_cannot_exceed_its_population() -> None:
    with pytest.raises(DomainError, match=r"^size = 11: "):
        batches(0, 0, 0, population=10, size=11)


def test_addressed_words_are_the_first_of_their_blocks() -> None:
    """And do not depend on which others are asked for."""
    from resetsgd.training.streams import Purpose, addressed, words

    blocks = words(5, Purpose.AUGMENT, 4 * 100, replica=3, step=8)[0::4]
    index = np.arange(100)
    assert (addressed(5, Purpose.AUGMENT, index, replica=3, step=8) == blocks).all()
    assert (addressed(5, Purpose.AUGMENT, index[::-7], replica=3, step=8) == blocks[::-7]).all()
    assert addressed(5, Purpose.AUGMENT, 42, replica=3, step=8) == blocks[42]
    table = addressed(5, Purpose.AUGMENT, index[:2], replica=np.arange(9)[:, None], step=8)
    assert table.shape == (9, 2)
    assert (table[3] == blocks[:2]).all()


def test_no_two_purposes_share_a_stream():
    codes = [code for name, code in vars(Purpose).items() if name.isupper()]
    assert len(codes) > 10 and len(set(codes)) == len(codes)
