"""The ACE descriptor: radial functions, invariance, both paths, analytic design rows, calibration."""

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import bulk

import invarion as inv
from invarion.exceptions import ConfigError
from invarion.geometry import random_rotation
from invarion.models.ace.basis import AceBasis
from invarion.models.ace.config import AceConfig, ace_basis, full_basis
from invarion.models.ace.design import DesignBuilder
from invarion.models.ace.enumeration import Coupled, Slot
from invarion.models.ace.network import AceNetwork
from invarion.models.ace.plan import compile_plan, gradient_terms
from invarion.models.ace.radial import RadialFunctions, radial_values, smooth_combinations

FAMILIES = [("SBessel", 1.0), ("ChebExpCos", 4.0), ("ChebPow", 3.0), ("ChebLinear", 1.0)]


def make_network(species=(14, 29), seed=0, **settings):
    """A network in float64 with random coefficients, radial ones included."""
    settings = {"n_radial": (4, 3, 2), "max_rank": 3, "max_degree": 3, "basis": "full", **settings}
    network = AceNetwork(inv.ace(5.0, **settings), species).double()
    rng = np.random.default_rng(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.from_numpy(rng.normal(0, 0.3, parameter.shape)))
        radial = network.descriptor.radial.coefficients
        radial.add_(torch.from_numpy(rng.normal(0, 0.2, radial.shape)))
    return network.eval()


def cluster(n=7, seed=0):
    rng = np.random.default_rng(seed)
    atoms = bulk("Si", cubic=True) * (2, 2, 2)
    atoms.rattle(0.2, seed=seed)
    atoms.numbers[rng.choice(len(atoms), len(atoms) // 2, replace=False)] = 29
    return Atoms(atoms.numbers[:n], atoms.positions[:n])


def index_of(graph, species=(14, 29)):
    return torch.searchsorted(torch.tensor(species), graph.species)


@pytest.mark.parametrize(("family", "parameter"), FAMILIES)
def test_radial_functions_end_with_two_derivatives(family, parameter):
    combinations = torch.from_numpy(smooth_combinations(family, 5))
    away = torch.tensor([0.04, 0.02, 0.01], dtype=torch.float64)
    raw = radial_values(family, 5.0 - away, 5.0, combinations.shape[1], parameter)
    values = (raw @ combinations.T).abs()
    # a function with value, slope and curvature zero at the cutoff falls at least with the third power
    assert (torch.log2(values[0] / values[1]) > 2.8).all()
    beyond = torch.tensor([5.0, 6.0], dtype=torch.float64)
    assert not radial_values(family, beyond, 5.0, 5, parameter).any()


def test_sbessel_functions_are_orthonormal():
    r = (torch.arange(20000, dtype=torch.float64) + 0.5) * 5.0 / 20000
    values = radial_values("SBessel", r, 5.0, 8, 1.0)
    overlap = torch.einsum("ra,rb,r->ab", values, values, r.square()) * 5.0 / 20000
    torch.testing.assert_close(overlap, torch.eye(8, dtype=torch.float64), atol=1e-6, rtol=0)


def test_radial_functions_combine_the_family_per_pair_of_elements():
    radial = RadialFunctions("ChebPow", 3.0, 4, ((1, 0), (2, 0), (1, 1)), np.array([[5.0, 4.0], [4.0, 3.0]])).double()
    radial.coefficients[1, 0] *= 2.0
    r = torch.tensor([2.0, 2.0, 3.5], dtype=torch.float64)
    zero, one = torch.tensor([0, 1, 1]), torch.tensor([1, 0, 1])
    values = radial(r, zero, one)
    torch.testing.assert_close(values[1], 2.0 * values[0])
    assert not values[2].any()


@pytest.mark.parametrize("readout", ["linear", "embedding", "polynomial", "mlp", "kernel"])
def test_energies_do_not_change_under_rotation_reflection_and_renumbering(readout):
    network = make_network(readout=readout, max_degree=2, n_centers=4)
    atoms = cluster()
    graph = inv.graph(atoms, 5.0)
    energies = network(graph, index_of(graph))
    turned = atoms.copy()
    turned.positions = atoms.positions @ (-np.asarray(random_rotation(np.random.default_rng(1)))).T
    order = np.random.default_rng(2).permutation(len(atoms))
    graph = inv.graph(turned[order], 5.0)
    torch.testing.assert_close(network(graph, index_of(graph)), energies[order], atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"max_degree": 4, "n_radial": 2, "radial": "SBessel"},
        {"basis": "reduced", "max_rank": 5},
        {"cutoffs": {"Si-Cu": 4.0}, "inner_cutoff": 2.0, "inner_width": 0.5},
        {"readout": "mlp"},
        {"readout": "embedding"},
        {"readout": "polynomial", "n_radial": 2, "max_degree": 2},
        {"readout": "kernel", "n_radial": 2, "n_centers": 3},
        {"zbl": (2.0, 2.6)},
    ],
)
def test_kernels_equal_the_plain_path(settings, dtype):
    pytest.importorskip("numba", reason="the kernels need numba")
    network = make_network(**settings).to(dtype)
    graph = inv.graph(cluster(11), 5.0, dtype=dtype)
    index = index_of(graph)
    results = []
    for training in (False, True):
        network.train(training)
        vectors = graph.vectors.clone().requires_grad_()
        energies = network(graph._replace(vectors=vectors), index)
        results.append((energies.detach(), *torch.autograd.grad((energies[:, 0] * torch.arange(11)).sum(), vectors)))
    rtol = 1e-9 if dtype == torch.float64 else 2e-4
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=rtol * float(other.abs().max()))


@pytest.mark.parametrize(("family", "parameter"), FAMILIES)
def test_tables_are_finite_down_to_no_distance(family, parameter):
    pytest.importorskip("numba", reason="the kernels need numba")
    from invarion.models.ace.fused import radial_tables

    network = make_network(radial=family, radial_parameter=parameter)
    assert np.isfinite(radial_tables(network.descriptor, np.dtype(float), 4).table).all()


@pytest.mark.parametrize("readout", ["embedding", "mlp"])
def test_numbers_do_not_depend_on_how_many_atoms_wait_for_their_readout(readout, monkeypatch):
    pytest.importorskip("numba", reason="the kernels need numba")
    from invarion.models.ace import fused

    potential = inv.Potential(make_network(readout=readout, hidden=(5,)).config, [14, 29]).double().eval()
    potential.network.load_state_dict(make_network(readout=readout, hidden=(5,)).state_dict())
    atoms = cluster(60)
    together = potential.predict(atoms)
    for room in (1, 100_000):
        monkeypatch.setattr(fused, "_WAITING", room)
        apart = potential.predict(atoms)
        np.testing.assert_allclose(apart.energy, together.energy, rtol=1e-12)
        np.testing.assert_allclose(apart.forces, together.forces, rtol=0, atol=1e-12 * np.abs(together.forces).max())


@pytest.mark.parametrize("readout", ["linear", "mlp"])
def test_kernels_do_not_depend_on_the_number_of_threads(readout):
    pytest.importorskip("numba", reason="the kernels need numba")
    network = make_network(readout=readout, hidden=(5,))
    atoms = bulk("Cu", cubic=True) * (5, 5, 5)
    atoms.rattle(0.1, seed=0)
    potential = inv.Potential(network.config, [14, 29]).double().eval()
    potential.network.load_state_dict(network.state_dict())
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            found.append(potential.predict(atoms))
    finally:
        torch.set_num_threads(before)
    # the kernels' numbers are the same to the last bit; those of a network's matrix products need not be
    room = 0.0 if readout == "linear" else 1e-12 * np.abs(found[0].forces).max()
    np.testing.assert_allclose(found[0].forces, found[1].forces, rtol=0, atol=room)


@pytest.mark.parametrize("atoms", [Atoms("Cu"), Atoms("Si2", [(0, 0, 0), (9, 0, 0)])])
def test_atoms_without_neighbours_have_their_reference_energy(atoms):
    for readout in ("linear", "embedding", "polynomial", "mlp", "kernel"):
        network = make_network(readout=readout, max_degree=2, n_centers=3)
        potential = inv.Potential(network.config, [14, 29], [-1.0, -2.0]).double().eval()
        potential.network.load_state_dict(network.state_dict())
        prediction = potential.predict(atoms)
        expected = sum({14: -1.0, 29: -2.0}[z] for z in atoms.numbers)
        assert prediction.energy[0] == pytest.approx(expected, abs=1e-10)
        assert not prediction.forces.any()


@pytest.mark.parametrize("readout", ["linear", "embedding", "polynomial", "mlp", "kernel"])
def test_design_rows_are_derivatives_of_energy_forces_and_strain(readout):
    network = make_network(readout=readout, max_degree=2, n_radial=2, max_rank=2, hidden=(5, 4), n_centers=6)
    atoms = bulk("Si", cubic=True)
    atoms.rattle(0.2, seed=1)
    atoms.numbers[::2] = 29
    potential = inv.Potential(network.config, [14, 29]).double().eval()
    potential.network.load_state_dict(network.state_dict())
    graph = inv.graph(atoms, 5.0)
    design = DesignBuilder(potential.network.descriptor, list(potential.network.readouts))(graph, index_of(graph))
    solved = [w for readout in potential.network.readouts for w in readout.coefficients()]
    weights = torch.cat([w.reshape(-1) for w in solved])
    direction = torch.from_numpy(np.random.default_rng(3).normal(size=len(weights)))

    def labels(step):
        start = 0
        with torch.no_grad():
            for w in solved:
                w.copy_((weights + step * direction)[start : start + w.numel()].view_as(w))
                start += w.numel()
        p = potential(graph, stress=True)
        return p.energy.numpy(), p.forces.numpy().reshape(-1), (p.stress[0] * graph.volume[0]).numpy()

    up, down = labels(1e-4), labels(-1e-4)
    energy, forces, strain = ((a - b) / 2e-4 for a, b in zip(up, down, strict=True))
    along = direction.numpy()
    np.testing.assert_allclose(design.energy @ along, energy[0], rtol=1e-5)
    np.testing.assert_allclose(design.forces @ along, forces, atol=1e-5 * np.abs(forces).max())
    voigt = [strain[a, b] for a, b in ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))]
    np.testing.assert_allclose(design.strain @ along, voigt, atol=1e-5 * np.abs(voigt).max())


def test_gradient_terms_are_the_product_rule():
    basis = full_basis(inv.ace(5.0, n_radial=2, max_rank=2, max_degree=4), (29,))
    plan = compile_plan(basis.functions)
    terms = gradient_terms(plan, plan.dots[0])
    assert terms.function.max() == len(basis) - 1
    assert terms.column.max() < plan.n_values


def test_calibration_makes_the_leading_values_of_unit_size():
    config = inv.ace(5.0, n_radial=3, max_rank=2, max_degree=2)
    atoms = [bulk("Cu", cubic=True) * 2 for _ in range(3)]
    for seed, frame in enumerate(atoms):
        frame.rattle(0.1, seed=seed)
    network = AceNetwork(config, (29,)).double()
    graph = inv.graph(atoms, 5.0)
    index = torch.zeros(graph.n_atoms, dtype=torch.int64)
    network.calibrate(graph, index)
    values = network.descriptor.values(graph, index)
    spread = values.var(0, unbiased=False)
    radials = network.descriptor.plan.radials
    start = 0
    for n, rank in radials:
        part = spread[start : start + 2 * rank + 1] + (values.mean(0)[start : start + 2 * rank + 1] ** 2) * (rank > 0)
        if n == 1:
            assert float(part.sum()) == pytest.approx(1.0, rel=1e-6)
        start += 2 * rank + 1


def test_config_survives_json_and_refuses_nonsense():
    basis = ace_basis([14, 29], n_radial=2, max_rank=1, max_degree=2)
    config = inv.ace(5.0, elements={"Si": {"max_rank": 1}}, cutoffs={"Si-Cu": 4.0}, zbl=(0.8, 1.4))
    assert AceConfig.model_validate(config.model_dump(mode="json")) == config
    assert AceBasis.from_data(basis.to_data()) == basis
    for wrong in (
        {"max_rank": 9},
        {"n_radial": 0},
        {"n_radial": (4, 3)},
        {"max_degree": 5},
        {"radial": "ChebPow", "radial_parameter": 2.0},
        {"cutoffs": {"Si-Si": 6.0}},
        {"inner_cutoff": 0.1, "inner_width": 0.5},
        {"basis": "half"},
        {"unknown": 1},
    ):
        with pytest.raises(ValueError, match=r"\w"):
            inv.ace(5.0, **wrong)


def test_element_wise_limits_apply_to_that_element():
    config = inv.ace(5.0, n_radial=2, max_rank=2, basis="full", elements={"Si": {"max_rank": 0, "max_degree": 2}})
    basis = config.build_basis((14, 29))
    assert max(s.rank for f in basis.functions[0] for s in f.slots) == 0
    assert max(s.rank for f in basis.functions[1] for s in f.slots) == 2
    assert len(basis.functions[0]) < len(basis.functions[1])


def test_a_basis_for_other_elements_is_refused():
    basis = full_basis(inv.ace(5.0, n_radial=2, max_rank=1, max_degree=2), (29,))
    with pytest.raises(ConfigError, match="rebuild it"):
        AceNetwork(inv.ace(5.0, basis=basis), (14,))


def test_names_are_stable():
    basis = full_basis(inv.ace(5.0, n_radial=1, max_rank=1, max_degree=2), (14, 29))
    assert basis.names[0][:3] == ("Si: (Si n=1 l=0)", "Si: (Cu n=1 l=0)", "Si: (Si n=1 l=0)(Si n=1 l=0)")
    assert len({name for names in basis.names for name in names}) == len(basis)


def test_the_core_is_zero_from_its_outer_distance_on_and_repels_inside():
    core = inv.ace(5.0, zbl=(1.0, 1.6)).pairs((14, 29))
    for distance, repels in ((1.59, True), (1.61, False)):
        graph = inv.graph(Atoms("SiCu", [(0, 0, 0), (0, 0, distance)]), 5.0)
        energies = core(graph, index_of(graph))
        assert bool((energies != 0).all()) == repels
    with_two_derivatives = torch.tensor([1.56, 1.58], dtype=torch.float64)
    values = []
    for distance in with_two_derivatives.tolist():
        graph = inv.graph(Atoms("SiCu", [(0, 0, 0), (0, 0, distance)]), 5.0)
        values.append(float(core(graph, index_of(graph)).sum()))
    assert values[0] / values[1] == pytest.approx(8.0, rel=0.1)


def test_mixed_radial_functions_are_mostly_made_of_the_leading_ones():
    graph = inv.graph(cluster(30), 5.0)
    found = {}
    for n_principal in (None, 2):
        network = AceNetwork(inv.ace(5.0, n_radial=4, max_rank=2, n_principal=n_principal), (14, 29)).double()
        network.calibrate(graph, index_of(graph))
        found[n_principal] = network.descriptor.radial.coefficients
    radials = network.descriptor.radial.radials
    for place, (n, rank) in enumerate(radials):
        plain, mixed = (found[k][0, 0, place] for k in (None, 2))
        if n <= 2 or rank == 0:
            torch.testing.assert_close(mixed, plain)
            continue
        leading = torch.stack([found[None][0, 0, radials.index((k, rank))] for k in (1, 2)])
        rest = mixed - 0.2 * plain
        shares = torch.linalg.lstsq(leading.T, rest).solution
        torch.testing.assert_close(shares @ leading, rest)
        assert float(shares.norm()) == pytest.approx(1.0)


def test_mixtures_count_as_what_they_are_made_of():
    config = inv.ace(5.0, n_radial=4, n_principal=2)
    functions = [Coupled((slot,), slot.rank) for slot in (Slot(0, 2, 1), Slot(0, 4, 1), Slot(0, 4, 0))]
    assert config.oscillations(functions) == pytest.approx([2.0, 1.0 + 1 / 3, 3.0])
    with pytest.raises(ValueError, match="n_principal"):
        inv.ace(5.0, contraction="none", n_principal=2)
