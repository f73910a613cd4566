"""The pair potential under a network: it finds pairs in data, repels at any distance, and no step computes it."""

import csv

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

import invarion as inv
from invarion.data.dataset import samples
from invarion.models.environment import use_kernel
from invarion.models.pairs import PairPotential
from invarion.neighbors import graph
from springs import crystals, molecules

SIZES = {"n_features": 4, "n_interactions": 1, "n_atom_layers": 0, "pair_potential": True}
DEPTHS = {("H", "H"): (0.6, 1.4), ("H", "O"): (1.1, 1.2), ("O", "O"): (0.4, 1.7)}
CUTOFF = 4.0


def morse(atoms: Atoms, keep_forces: bool = True) -> Atoms:
    """Labels of Morse potentials between all pairs, above -2 eV for each H and -5 eV for each O."""
    energy, forces = -2.0 * (atoms.numbers == 1).sum() - 5.0 * (atoms.numbers == 8).sum(), np.zeros((len(atoms), 3))
    symbols = atoms.get_chemical_symbols()
    for i in range(len(atoms)):
        for j in range(i):
            depth, place = DEPTHS[tuple(sorted((symbols[i], symbols[j])))]
            vector = atoms.positions[j] - atoms.positions[i]
            r = np.linalg.norm(vector)
            x = np.exp(-2.0 * (r - place))
            energy += depth * (x * x - 2.0 * x)
            pull = -4.0 * depth * (x * x - x) * vector / r
            forces[i] += pull
            forces[j] -= pull
    results = {"energy": energy, "forces": forces} if keep_forces else {"energy": energy}
    atoms.calc = SinglePointCalculator(atoms, **results)
    return atoms


def clusters(n: int, seed: int = 0, keep_forces: bool = True) -> list[Atoms]:
    """Four to six atoms at distances of 0.9 Angstrom and more."""
    rng, found = np.random.default_rng(seed), []
    while len(found) < n:
        symbols = rng.choice(["H", "O"], rng.integers(4, 7))
        atoms = Atoms(symbols, rng.uniform(0.0, 2.4, (len(symbols), 3)))
        if atoms.get_all_distances()[np.triu_indices(len(atoms), 1)].min() > 0.9:
            found.append(morse(atoms, keep_forces))
    return found


def fitted(atoms, **settings) -> inv.Potential:
    return inv.Potential.from_data(inv.hip_hop_nn(cutoff=CUTOFF, **SIZES, **settings), atoms, dtype=torch.float64)


def share(potential: inv.Potential, atoms):
    return potential.pair_share(samples(atoms, CUTOFF))


def left_over(potential: inv.Potential, frames: list[Atoms]) -> tuple[float, float]:
    """Root mean squares of what the pair potential leaves over of energies and forces, as parts of these."""
    found, labels = share(potential, frames), np.concatenate([atoms.get_forces() for atoms in frames])
    counts = np.array([[(atoms.numbers == z).sum() for z in potential.species] for atoms in frames])
    energies = np.array([atoms.get_potential_energy() for atoms in frames]) - counts @ potential.references.numpy()
    pairs = ((energies, found.energy.numpy()), (labels, found.forces.numpy()))
    of_energies, of_forces = (float(np.sqrt(((a - b) ** 2).mean() / (a**2).mean())) for a, b in pairs)
    return of_energies, of_forces


def test_pairs_are_found_and_predict_other_structures():
    potential = fitted(clusters(150))
    assert max(left_over(potential, clusters(20, seed=1))) < 0.12
    assert potential.references.tolist() == pytest.approx([-2.0, -5.0], abs=0.2)


def test_large_reference_energies_lose_no_digits():
    near, far = clusters(60), clusters(60)
    for atoms in far:
        atoms.calc.results["energy"] -= 1e5 * len(atoms)
    shift = fitted(far).references - fitted(near).references
    assert shift.tolist() == pytest.approx([-1e5, -1e5], abs=1e-5)


def test_energies_alone_are_enough():
    potential = fitted(clusters(150, keep_forces=False))
    assert left_over(potential, clusters(20, seed=1))[0] < 0.25


def test_the_scale_is_the_size_of_what_is_left():
    frames = clusters(60)
    with_pairs, without = fitted(frames), inv.Potential.from_data(inv.hip_nn(cutoff=CUTOFF, n_features=4), frames)
    assert float(with_pairs.scale) < 0.1 * float(without.scale)


@pytest.mark.parametrize("references", ["zero", {"H": -3.0, "O": -1.0}])
def test_references_that_are_not_fitted_stay_and_spoil_nothing(references):
    config = inv.hip_hop_nn(cutoff=CUTOFF, **SIZES)
    given = inv.Potential.from_data(config, clusters(150), references=references, dtype=torch.float64)
    assert given.references.tolist() == ([0.0, 0.0] if references == "zero" else [-3.0, -1.0])
    assert left_over(given, clusters(20, seed=1))[1] < 0.12


def test_atoms_are_pushed_apart_at_distances_that_no_structure_has():
    waters = molecules(30)
    potential = fitted(waters)
    for pair in ("H2", "OH", "O2"):  # no structure has two O
        pushes = [float(share(potential, [Atoms(pair, [(0, 0, 0), (0, 0, r)])]).forces[1, 2]) for r in (0.1, 0.3, 0.5)]
        assert pushes[0] > pushes[1] > pushes[2] > 1.0, pair


def test_a_few_broken_structures_do_not_decide():
    broken = clusters(2, seed=3)
    for atoms in broken:
        atoms.calc.results["forces"] = atoms.calc.results["forces"] + np.array([3e3, 0.0, 0.0])
        atoms.calc.results["energy"] = np.nan
    assert left_over(fitted(clusters(150) + broken), clusters(20, seed=1))[1] < 0.3


def test_where_it_would_explain_nothing_it_stays_nothing():
    """Forces of a few meV/A at distances where nuclei repel by eV/A: no damped fit makes up for the repulsion."""
    assert not fitted(crystals(12)).pairs.coefficients.any()


def test_rare_pairs_are_fitted_too():
    rng, rare = np.random.default_rng(0), []
    for _ in range(3):
        atoms = Atoms("O2", [(0, 0, 0), (0, 0, rng.uniform(1.2, 2.2))])
        rare.append(morse(atoms))
    common = [atoms for atoms in clusters(400) if (atoms.numbers == 8).sum() < 2]
    tested = [morse(Atoms("O2", [(0, 0, 0), (0, 0, r)])) for r in (1.4, 1.7, 2.0)]
    assert left_over(fitted(common + rare), tested)[1] < 0.7


def test_labels_of_few_structures_are_found(monkeypatch):
    """Where there are too many edges for all structures, those are taken that have labels."""
    monkeypatch.setattr("invarion.potential._EDGES_AT_ONCE", 1000)
    mixed = [each for pair in zip(clusters(80, seed=5), clusters(80), strict=True) for each in pair]
    for atoms in mixed[::2]:
        atoms.calc = None
    references = {"H": -2.0, "O": -5.0}
    config = inv.hip_hop_nn(cutoff=CUTOFF, **SIZES)
    potential = inv.Potential.from_data(config, mixed, references=references, dtype=torch.float64)
    assert left_over(potential, clusters(20, seed=1))[1] < 0.3


def test_it_is_nothing_before_it_is_fitted():
    potential = inv.Potential(inv.hip_hop_nn(cutoff=CUTOFF, **SIZES), [1, 8])
    assert not share(potential, clusters(3)).energy.any()


def test_without_pairs_or_labels_it_stays_nothing():
    apart = [Atoms("OH", [(0, 0, 0), (0, 0, 9.0)], info={"REF_energy": -7.0})]
    assert not fitted(apart).pairs.coefficients.any()
    unlabelled = [Atoms("OH", [(0, 0, 0), (0, 0, 1.0)])]
    config = inv.hip_hop_nn(cutoff=CUTOFF, **SIZES)
    assert not inv.Potential.from_data(config, unlabelled, references="zero").pairs.coefficients.any()


def test_sizes_have_it_and_published_layouts_do_not():
    assert inv.hip_hop_nn(cutoff=5.0).pair_potential
    assert not inv.hip_hop_nn(cutoff=5.0, n_features=8).pair_potential
    assert not inv.hip_nn(cutoff=5.0).pair_potential
    assert inv.hip_nn(cutoff=5.0, pair_potential=True).pair_potential


def test_training_learns_the_rest_and_validates_the_whole(tmp_path):
    frames = clusters(60)
    train, valid = frames[:48], frames[48:]
    potential = fitted(train)
    computed = []
    potential.pairs.register_forward_hook(lambda *_: computed.append(potential.training))
    options = inv.TrainOptions(max_epochs=3, batch_size=8, dtype="float64", progress=False)
    inv.train(potential, train, valid, options, folder=tmp_path)
    assert True not in computed[2:]  # once for each set, then in no step
    *_, last = csv.DictReader((tmp_path / "log.csv").read_text().splitlines())
    best = inv.load(tmp_path / "model.inv")
    predicted = np.concatenate([best.predict(atoms).forces for atoms in valid])
    mae = 1e3 * np.abs(predicted - np.concatenate([atoms.get_forces() for atoms in valid])).mean()
    assert mae == pytest.approx(float(last["valid_forces_mae_mev_per_angstrom"]), rel=1e-6)


def test_a_run_of_another_pair_potential_is_not_taken_up(tmp_path):
    frames = clusters(30)
    options = inv.TrainOptions(max_epochs=1, progress=False)
    inv.train(fitted(frames), frames, frames[:4], options, folder=tmp_path)
    bare = fitted(frames)
    bare.pairs.coefficients.zero_()
    with pytest.raises(inv.InvarionError, match="pair potential"):
        inv.train(bare, frames, frames[:4], inv.TrainOptions(max_epochs=2), folder=tmp_path, resume=True)


def test_stress_is_learnt_of_what_is_left(tmp_path):
    frames = crystals(8)
    config = inv.hip_hop_nn(cutoff=3.0, **SIZES)
    potential = inv.Potential.from_data(config, frames, dtype=torch.float64)
    potential.pairs.coefficients.normal_(std=1e-3)
    options = inv.TrainOptions(max_epochs=2, dtype="float64", progress=False)
    errors = inv.train(potential, frames, frames[:4], options, folder=tmp_path).errors
    labels = np.stack([atoms.info["REF_stress"] for atoms in frames[:4]])
    found = potential.predict(frames[:4]).stress
    assert errors.stress_mae_mev_per_angstrom3 == pytest.approx(1e3 * np.abs(found - labels).mean(), rel=1e-6)


def test_a_file_holds_it(tmp_path):
    potential = fitted(clusters(40)).eval()
    inv.save(potential, tmp_path / "model.inv")
    again = inv.load(tmp_path / "model.inv")
    assert again.pairs.coefficients.equal(potential.pairs.coefficients)
    assert (again.predict(clusters(3, seed=5)).forces == potential.predict(clusters(3, seed=5)).forces).all()


def test_beside_a_repulsion_it_is_fitted_to_the_rest():
    far = fitted(clusters(150), zbl=(0.8, 2.0))
    assert left_over(far, clusters(20, seed=1))[1] < 0.3


def test_beside_a_repulsion_both_act():
    frames = clusters(40)
    both = fitted(frames, zbl=(0.5, 0.8))
    near = [Atoms("OH", [(0, 0, 0), (0, 0, 0.6)])]
    alone = fitted(frames)
    assert share(both, near).forces[1, 2] > share(alone, near).forces[1, 2] + 1.0
    assert isinstance(alone.pairs, PairPotential)


def test_a_committee_keeps_those_of_its_members(tmp_path):
    config = inv.hip_hop_nn(cutoff=CUTOFF, **SIZES)
    sets = [clusters(40, seed=seed) for seed in (0, 7)]
    each = [inv.Potential.from_data(config, s, seed=k, dtype=torch.float64).eval() for k, s in enumerate(sets)]
    joint = inv.committee(each)
    tested = clusters(4, seed=9)
    mean = np.mean([potential.predict(tested).forces for potential in each], axis=0)
    np.testing.assert_allclose(joint.predict(tested).forces, mean, atol=1e-10)
    inv.save(joint, tmp_path / "joint.inv")
    again = inv.load(tmp_path / "joint.inv")
    assert (again.predict(tested).forces == joint.predict(tested).forces).all()
    for member, potential in zip(inv.committees.members(again), each, strict=True):
        np.testing.assert_allclose(member.predict(tested).forces, potential.predict(tested).forces, atol=1e-10)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_kernel_gives_what_plain_operations_give(dtype):
    pairs = fitted(clusters(40)).pairs
    close = [
        Atoms("OHO", [(0, 0, 0), (0, 0, 0.2), (3.9, 0, 0)])
    ]  # nearly on top of each other, and nearly out of reach
    g = graph(clusters(5, seed=4) + close, CUTOFF, dtype)
    index = torch.searchsorted(torch.tensor([1, 8]), g.species)
    found = []
    for kernel in ("auto", "torch"):
        vectors = g.vectors.T.contiguous().T.clone().requires_grad_()  # with strides of its own
        with use_kernel(kernel):
            energies = pairs(g._replace(vectors=vectors), index)
            (slopes,) = torch.autograd.grad(energies.sum(), vectors, create_graph=True)
        (curvatures,) = torch.autograd.grad(slopes[:, 0].sum(), vectors)
        found.append((energies.detach(), slopes.detach(), curvatures))
    for fused, plain in zip(*found, strict=True):
        torch.testing.assert_close(fused, plain, rtol=1e-12 if dtype == torch.float64 else 2e-6, atol=1e-9)
