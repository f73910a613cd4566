"""A saved and loaded potential is the same function, to the last bit."""

import pytest
from ase import Atoms

import invarion as inv


@pytest.mark.parametrize("pbc", [False, True])
def test_save_then_load_changes_nothing(potential, tmp_path, pbc):
    atoms = Atoms("CHOH", [(0, 0, 0), (1.1, 0, 0), (0, 1.3, 0), (0, 0, 1.2)], cell=[4, 4.2, 4.4], pbc=pbc)
    inv.save(potential, tmp_path / "model.inv")
    loaded = inv.load(tmp_path / "model.inv")
    config = potential.config
    if isinstance(getattr(config, "basis", None), str):  # the file spells the basis out
        config = config.model_copy(update={"basis": potential.network.basis})
    assert loaded.config == config
    assert loaded.species == potential.species
    before, after = potential.predict(atoms), loaded.predict(atoms)
    assert before.energy.tobytes() == after.energy.tobytes()
    assert before.forces.tobytes() == after.forces.tobytes()
