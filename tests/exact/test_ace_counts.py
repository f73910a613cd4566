"""Numbers of ACE functions against Molien series written from characters, and certificates of reduced sets."""

from dataclasses import replace
from fractions import Fraction
from functools import lru_cache
from math import factorial, prod

import numpy as np
import pytest

from invarion.exceptions import BasisError, CertificateError
from invarion.models.ace.basis import AceBasis
from invarion.models.ace.config import ace, full_basis
from invarion.models.ace.enumeration import Truncation, enumerate_coupled, independent_inner
from invarion.models.ace.reduction import is_product, reduce_basis, select

PUBLISHED = {
    (1, 2): (1, 3, 5, 9),
    (1, 3): (1, 4, 8, 23),
    (1, 4): (1, 5, 14, 51),
    (2, 2): (2, 9, 26, 75),
    (3, 3): (3, 24, 137, 939),
    (4, 3): (4, 40, 304, 2732),
    (4, 4): (4, 50, 548, 7311),
    (6, 4): (6, 105, 1734, 34986),
    (5, 5): (5, 90, 1630, 39970),
}


def molien_count(n_channels: int, max_rank: int, degree: int) -> int:
    """Invariants of O(3) in the symmetric power of n copies of ranks 0..L: an average over the group of characters.

    The integrals over the rotation angle are sums over roots of unity, exact for a trigonometric polynomial.
    """
    n_angles = 2 * (degree * max_rank + 1) + 1
    angles = 2 * np.pi * np.arange(n_angles) / n_angles
    total = 0.0
    for parity in (1, -1):
        powers = {k: _power_sum(n_channels, max_rank, parity, k, angles) for k in range(1, degree + 1)}
        symmetric = sum(
            prod((powers[k] ** m) / (k**m * factorial(m)) for k, m in cycle.items()) for cycle in _cycles(degree)
        )
        total += 0.5 * float(np.mean(symmetric * (1 - np.cos(angles))))
    assert abs(total - round(total)) < 1e-6
    return round(total)


def _power_sum(n_channels, max_rank, parity, k, angles):
    return n_channels * sum(
        parity ** (rank * k) * sum(np.cos(k * m * angles) for m in range(-rank, rank + 1))
        for rank in range(max_rank + 1)
    )


@lru_cache
def _partitions(n: int, largest: int) -> tuple[tuple[int, ...], ...]:
    if n == 0:
        return ((),)
    return tuple((k, *rest) for k in range(min(n, largest), 0, -1) for rest in _partitions(n - k, k))


def _cycles(n: int):
    return [{k: partition.count(k) for k in set(partition)} for partition in _partitions(n, n)]


@pytest.mark.parametrize(("size", "counts"), PUBLISHED.items())
def test_full_basis_has_the_molien_counts(size, counts):
    n, rank = size
    functions = enumerate_coupled(Truncation((n,) * 4, (rank,) * 4))
    found = [sum(f.degree == degree for f in functions) for degree in (1, 2, 3, 4)]
    # at degree 1 only scalars are invariant; both lists count them
    assert found == list(counts)
    assert [molien_count(n, rank, degree) for degree in (1, 2, 3)] == found[:3]


def test_degree_four_equals_molien():
    for n, rank in ((1, 4), (2, 2), (2, 3)):
        functions = enumerate_coupled(Truncation((n,) * 4, (rank,) * 4))
        assert sum(f.degree == 4 for f in functions) == molien_count(n, rank, 4)


def test_two_elements_are_counted_as_twice_the_channels():
    assert len(enumerate_coupled(Truncation((2,) * 4, (2,) * 4), n_species=2)) == sum(
        molien_count(4, 2, degree) for degree in (1, 2, 3, 4)
    )


@pytest.mark.parametrize("rank", range(7))
def test_four_equal_slots_match_the_symmetric_power_of_one_rank(rank):
    # invariants of SO(3) of degree 4 in one rank-l tensor (even ones: 4 l is even)
    angles = 2 * np.pi * np.arange(8 * rank + 3) / (8 * rank + 3)
    character = {k: sum(np.cos(k * m * angles) for m in range(-rank, rank + 1)) for k in range(1, 5)}
    symmetric = sum(prod((character[k] ** m) / (k**m * factorial(m)) for k, m in cycle.items()) for cycle in _cycles(4))
    expected = round(float(np.mean(symmetric * (1 - np.cos(angles)))))
    assert len(independent_inner((rank,) * 4, (0,) * 4)) == expected


def test_functions_are_linearly_independent_in_floating_point_too():
    basis = full_basis(ace(5.0, n_radial=2, max_rank=2, max_degree=4), (29,))
    values = _random_values(basis, 400)
    assert np.linalg.matrix_rank(values / np.linalg.norm(values, axis=0)) == len(basis) == 112


def _random_values(basis: AceBasis, n_points: int) -> np.ndarray:
    import torch

    from invarion.models.ace.descriptor import AceDescriptor
    from invarion.models.ace.plan import compile_plan
    from invarion.models.ace.radial import RadialFunctions

    plan = compile_plan(basis.functions, len(basis.species))
    radial = RadialFunctions("SBessel", 1.0, 6, plan.radials, np.full((1, 1), 5.0))
    points = torch.from_numpy(np.random.default_rng(0).normal(size=(n_points, plan.n_values)))
    return AceDescriptor(basis, radial, plan).invariants(points, 0).numpy()


@pytest.mark.parametrize("selection", ["cheapest", "balanced"])
@pytest.mark.parametrize(("size", "independent"), [((1, 2), 6), ((1, 3), 13), ((2, 2), 15), ((3, 3), 45), ((4, 4), 97)])
def test_reduced_sets_are_complete_and_certified(size, independent, selection):
    n, rank = size
    full = full_basis(ace(5.0, n_radial=n, max_rank=rank, max_degree=4), (29,))
    reduced = reduce_basis(full, selection)
    assert len(reduced) == independent
    assert reduced.certificates[0].complete
    assert reduced.check()
    assert AceBasis.from_data(reduced.to_data()) == reduced


def test_cheapest_has_no_five_body_function_and_balanced_has():
    full = full_basis(ace(5.0, n_radial=4, max_rank=4, max_degree=4), (29,))
    assert reduce_basis(full, "cheapest").max_degree == 3
    assert reduce_basis(full, "balanced").degrees()[3] >= 10


def test_sets_with_five_body_functions_tell_environments_apart_that_share_all_four_body_information(shared):
    """The cheapest set does not: what is left is the rounding of the coordinates in the file."""
    import torch
    from ase.io import read

    from invarion.models.ace.network import AceNetwork
    from invarion.neighbors import graph

    pairs: dict[str, list] = {}
    for atoms in read(shared / "data" / "degenerate" / "pairs.extxyz", ":"):
        if atoms.info["pair"].startswith("nigam_B8"):
            pairs.setdefault(atoms.info["pair"], []).append(atoms)
    assert len(pairs) == 10
    seen = [atoms for pair in pairs.values() for atoms in pair]
    for pair in pairs.values():
        species = tuple(sorted({int(z) for z in pair[0].numbers}))
        found = {}
        for selection in ("cheapest", "balanced", "conditioned"):
            config = ace(6.0, n_radial=3, max_rank=3, max_degree=4, selection=selection, contraction="none")
            config = config.adapted(seen)
            network = AceNetwork(config, species).double()
            rows = []
            for atoms in pair:
                g = graph(atoms, 6.0)
                index = torch.searchsorted(torch.tensor(species), g.species)
                values = network.descriptor.values(g, index)[:1]
                rows.append(network.descriptor.invariants(values, int(index[0]))[0])
            found[selection] = float(((rows[0] - rows[1]).abs() / (rows[0].abs() + rows[1].abs() + 1e-12)).max())
        assert min(found["balanced"], found["conditioned"]) > 1e-4
        assert found["cheapest"] < 1e-2 * found["balanced"]


def test_reduced_functions_are_independent_in_floating_point_too():
    import torch

    from invarion.models.ace.descriptor import AceDescriptor
    from invarion.models.ace.plan import compile_plan
    from invarion.models.ace.radial import RadialFunctions

    reduced = reduce_basis(full_basis(ace(5.0, n_radial=2, max_rank=3, max_degree=4), (29,)))
    plan = compile_plan(reduced.functions)
    descriptor = AceDescriptor(reduced, RadialFunctions("SBessel", 1.0, 6, plan.radials, np.full((1, 1), 5.0)), plan)
    point = torch.from_numpy(np.random.default_rng(1).normal(size=plan.n_values))
    jacobian = torch.autograd.functional.jacobian(lambda a: descriptor.invariants(a[None], 0)[0], point)
    assert np.linalg.matrix_rank(jacobian.numpy()) == len(reduced) == 29


def test_tampering_is_found():
    reduced = reduce_basis(full_basis(ace(5.0, n_radial=2, max_rank=2, max_degree=3), (29,)))
    proof = reduced.certificates[0]
    for forged in (
        replace(proof, determinant=proof.determinant + 1),
        replace(proof, point=(*proof.point[:-1], proof.point[-1] + 1)),
        replace(proof, orbit_dimension=2),
        replace(proof, dimension=proof.dimension + 1),
        replace(proof, columns=(*proof.columns[:-1], proof.columns[0])),
    ):
        with pytest.raises(CertificateError):
            replace(reduced, certificates=(forged,)).check()


def test_minimum_per_degree_is_met_or_refused():
    functions = full_basis(ace(5.0, n_radial=3, max_rank=3, max_degree=4), (29,)).functions[0]
    kept = select(functions, "cheapest", {4: 12, 3: 10})
    degrees = [functions[i].degree for i in kept]
    assert len(kept) == 45
    assert degrees.count(4) >= 12
    assert degrees.count(3) >= 10
    assert not any(is_product(functions[i]) for i in kept if functions[i].degree == 4)
    with pytest.raises(BasisError, match="independent functions of degree 4"):
        select(functions, "cheapest", {4: 46})


def test_too_many_functions_are_refused_before_memory_runs_out():
    with pytest.raises(BasisError, match="more than 200000 functions"):
        enumerate_coupled(Truncation((12,) * 4, (6,) * 4), n_species=4)


def test_fraction_free():
    """The oracle's partitions are right: the cycle index of S4 sums to one."""
    assert sum(prod(Fraction(1, k**m * factorial(m)) for k, m in cycle.items()) for cycle in _cycles(4)) == 1
