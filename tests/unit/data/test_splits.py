"""Splits: a partition, reproducible, of the sizes asked for, with groups kept together."""

import numpy as np
import pytest
from ase import Atoms
from hypothesis import given
from hypothesis import strategies as st

from invarion.data import split
from invarion.exceptions import DataError


def numbered(n, **info):
    """Structures that know their place in the list, with further info given as functions of it."""
    return [Atoms("H", info={"i": i, **{key: value(i) for key, value in info.items()}}) for i in range(n)]


def places(*parts):
    return [atoms.info["i"] for part in parts for atoms in part]


FRACTIONS = st.tuples(st.integers(1, 20), st.integers(0, 20), st.integers(0, 20)).map(
    lambda parts: tuple(part / sum(parts) for part in parts)
)


@given(n=st.integers(3, 200), fractions=FRACTIONS, seed=st.integers(0, 2**32))
def test_fractions_give_a_partition_of_the_nearest_sizes(n, fractions, seed):
    parts = split(numbered(n), fractions, seed=seed)
    assert sorted(places(*parts)) == list(range(n))
    for part, fraction in zip(parts, fractions, strict=True):
        assert abs(len(part) - fraction * n) < 2
        assert (len(part) > 0) == (fraction > 0)
        assert places(part) == sorted(places(part))


@given(n=st.integers(6, 60), sizes=st.tuples(st.integers(1, 2), st.integers(1, 2), st.integers(0, 2)))
def test_numbers_of_structures(n, sizes):
    parts = split(numbered(n), sizes)
    assert tuple(map(len, parts)) == sizes
    assert len(set(places(*parts))) == sum(sizes)


def test_a_sum_below_one_leaves_the_rest_out():
    assert [len(part) for part in split(numbered(100), (0.5, 0.1, 0.1))] == [50, 10, 10]


def test_two_parts():
    assert [len(part) for part in split(numbered(10), (0.9, 0.1))] == [9, 1, 0]


def test_seeds():
    atoms = numbered(50)
    assert places(split(atoms, seed=1).test) == places(split(atoms, seed=1).test)
    assert places(split(atoms, seed=1).test) != places(split(atoms, seed=2).test)


def test_the_split_of_a_seed_never_changes():
    """Runs of years ago must stay comparable: the split is fixed by the seed, not by a library's version."""
    assert places(split(numbered(20), (0.8, 0.1, 0.1), seed=0).test) == [14, 15]


def test_random_state_is_untouched():
    np.random.seed(3)  # noqa: NPY002 - the old state must stay
    before = np.random.get_state()[1].copy()  # noqa: NPY002 - the old state must stay
    split(numbered(9))
    assert np.array_equal(before, np.random.get_state()[1])  # noqa: NPY002 - the old state must stay


def test_every_structure_is_equally_likely_to_be_tested():
    counts = np.zeros(10)
    for seed in range(400):
        counts[places(split(numbered(10), (0.6, 0.2, 0.2), seed=seed).test)] += 1
    assert np.all(np.abs(counts - 80) < 5 * np.sqrt(80))


@given(
    groups=st.lists(st.integers(1, 12), min_size=3, max_size=30),
    seed=st.integers(0, 1000),
)
def test_groups_stay_together(groups, seed):
    owner = np.repeat(np.arange(len(groups)), groups).tolist()
    parts = split(numbered(len(owner), g=lambda i: owner[i]), (0.6, 0.2, 0.2), seed=seed, groups="g")
    of_part = [{atoms.info["g"] for atoms in part} for part in parts]
    assert sorted(places(*parts)) == list(range(len(owner)))
    assert all(of_part)
    assert sum(map(len, of_part)) == len(groups)


def test_many_groups_meet_the_fractions():
    parts = split(numbered(300, g=lambda i: i // 3), (0.8, 0.1, 0.1), groups="g")
    assert [len(part) for part in parts] == pytest.approx([240, 30, 30], abs=3)


def test_three_equal_groups_leave_no_part_empty():
    assert [len(part) for part in split(numbered(120, g=lambda i: i // 40), groups="g")] == [40, 40, 40]


def test_structures_that_name_their_part():
    names = ["train", "val", "TEST", "Training"]
    parts = split(numbered(4, subset=lambda i: names[i]), part_key="subset")
    assert [places(part) for part in parts] == [[0, 3], [1], [2]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"parts": (0.8, 0.3)}, "sum to 1.1"),
        ({"parts": (0.8,)}, "give 2 or 3"),
        ({"parts": (0.8, -0.1)}, "none below 0"),
        ({"parts": (0.0, 0.0)}, "not all 0"),
        ({"parts": (float("nan"), 0.1)}, "none below 0"),
        ({"parts": (9, 5)}, "cannot be met by 10 structures"),
        ({"groups": "molecule"}, "structure 0: has no info key 'molecule'.* its keys: i"),
        ({"part_key": "i"}, "structure 0: i is '0'; allowed are train"),
    ],
)
def test_refused(arguments, message):
    with pytest.raises(DataError, match=message):
        split(numbered(10), **arguments)


def test_too_few_structures():
    with pytest.raises(DataError, match="cannot be met by 2 structures"):
        split(numbered(2))
    with pytest.raises(DataError, match="seed is -1"):
        split(numbered(20), seed=-1)
    with pytest.raises(DataError, match="no structures"):
        split([])
