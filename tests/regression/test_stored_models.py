"""Models that older versions stored can be read, and give the numbers they gave then."""

import json
from pathlib import Path

import numpy as np
import pytest
from ase.build import molecule

import invarion as inv
from invarion.checkpoint import read_header

STORED = sorted(Path(__file__).parent.glob("*.inv"))


def test_there_is_a_model_of_every_kind():
    kinds = {read_header(path)["config"]["kind"] for path in STORED}
    assert kinds == {"hip_nn", "hip_nn_ts", "hip_hop_nn", "ace", "committee"}


@pytest.mark.parametrize("path", STORED, ids=lambda path: path.stem)
def test_stored_model_gives_its_old_numbers(path):
    expected = json.loads(path.with_suffix(".json").read_text())
    prediction = inv.load(path).predict([molecule("CH3CH2OH")])
    assert np.abs(expected["forces"]).max() > 1e-3
    assert prediction.energy[0] == pytest.approx(expected["energy"], abs=1e-9)
    np.testing.assert_allclose(prediction.forces, expected["forces"], rtol=0, atol=1e-9)
