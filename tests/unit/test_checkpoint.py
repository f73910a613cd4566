"""model.inv: identity through the file, and one clear error for every file that is not what it should be."""

import json
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from ase.build import bulk, molecule
from safetensors.torch import save as tensors_to_bytes

import invarion as inv
from invarion.checkpoint import FORMAT, HEADER_LIMIT, read_header
from invarion.exceptions import ConfigError, InvarionError, ModelFileError
from invarion.potential import Potential

CONFIGS = {
    "hip_nn": lambda: inv.hip_nn(cutoff=4.0, n_features=6, n_interactions=2, n_atom_layers=1, n_sensitivities=5),
    "hip_nn_ts": lambda: inv.hip_nn_ts(cutoff=4.0, n_features=6, n_interactions=1, n_sensitivities=5, max_rank=2),
    "hip_hop_nn": lambda: inv.hip_hop_nn(cutoff=4.0, n_features=6, n_interactions=1, n_sensitivities=5),
    "hip_hop_nn_group": lambda: inv.hip_hop_nn(
        cutoff=4.0, n_features=(6, 4), n_sensitivities=5, max_rank=2, max_degree=3, normalization="group"
    ),
}


def make_potential(kind: str = "hip_nn", dtype: torch.dtype = torch.float32) -> Potential:
    with torch.random.fork_rng():
        torch.manual_seed(5)
        potential = Potential(CONFIGS[kind](), (1, 6, 8), [-13.6, -1028.3, -2041.7], scale=0.73)
    return potential.to(dtype).eval()


def structures() -> list:
    crystal = bulk("C", "diamond", a=3.6).repeat((2, 1, 1))
    crystal.rattle(0.05, seed=2)
    return [molecule("CH3CH2OH"), crystal, molecule("H2O")]


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    path = tmp_path / "model.inv"
    inv.save(make_potential(), path)
    return path


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", CONFIGS)
def test_predictions_are_bit_identical_after_save_and_load(kind, dtype, tmp_path):
    potential = make_potential(kind, dtype)
    inv.save(potential, tmp_path / "model.inv")
    again = inv.load(tmp_path / "model.inv")
    assert again.dtype == dtype
    assert again.config == potential.config
    for before, after in zip(potential.predict(structures()), again.predict(structures()), strict=True):
        assert np.array_equal(before, after, equal_nan=True)


def test_loaded_potential_evaluates_and_takes_another_dtype(stored):
    assert not inv.load(stored).training
    double = inv.load(stored, dtype="float64")
    assert double.dtype == torch.float64
    single = inv.load(stored).predict(structures())
    np.testing.assert_allclose(double.predict(structures()).forces, single.forces, atol=1e-4)
    with pytest.raises(ConfigError, match="float32 or float64"):
        inv.load(stored, dtype=torch.float16)


def test_header_says_what_the_model_is(tmp_path):
    potential = make_potential("hip_hop_nn")
    inv.save(potential, tmp_path / "model.inv", provenance={"training": {"n_train": 3}, "note": float("nan")})
    header = read_header(tmp_path / "model.inv")
    assert header["format"] == FORMAT
    assert header["symbols"] == ["H", "C", "O"]
    assert header["references"] == {"H": -13.6, "C": -1028.3, "O": -2041.7}
    assert header["scale"] == 0.73
    assert header["dtype"] == "float32"
    assert len(header["config"]["basis"]["invariants"]) == 13
    assert header["units"]["forces"] == "eV/Angstrom"
    assert header["provenance"]["training"] == {"n_train": 3}
    assert header["provenance"]["note"] is None
    assert header["provenance"]["versions"]["invarion"] == inv.__version__
    assert header["n_parameters"] == sum(p.numel() for p in potential.parameters())


def test_saving_and_loading_touch_no_global_state(tmp_path):
    potential = make_potential()
    torch.manual_seed(11)
    state = torch.random.get_rng_state()
    inv.save(potential, tmp_path / "model.inv")
    inv.load(tmp_path / "model.inv")
    assert torch.equal(state, torch.random.get_rng_state())
    assert torch.get_default_dtype() == torch.float32


def test_shared_and_strided_weights_are_stored(tmp_path):
    potential = make_potential()
    names = [name for name, p in potential.named_parameters() if p.dim() == 2 and p.shape[0] == p.shape[1]]
    matrices = [potential.get_parameter(name) for name in names]
    assert len(matrices) >= 2
    matrices[0].data = torch.randn(6, 6).T
    matrices[1].data = matrices[0].data
    inv.save(potential, tmp_path / "model.inv")
    again = inv.load(tmp_path / "model.inv")
    assert torch.equal(again.get_parameter(names[0]), matrices[0])
    assert torch.equal(again.get_parameter(names[1]), matrices[0])


def test_nothing_is_unpickled(stored, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a pickle was read")

    for target in (pickle, torch):
        monkeypatch.setattr(target, "load", refuse)
    monkeypatch.setattr(pickle, "loads", refuse)
    monkeypatch.setattr(pickle, "Unpickler", refuse)
    assert inv.load(stored).species == (1, 6, 8)


@pytest.mark.parametrize("extra", range(0, 256, 8))
def test_header_of_any_length_is_read(extra, stored):
    """The file begins with the length, so that its first byte may be that of anything else, a pickle for instance."""
    inv.save(make_potential(), stored, {"note": "x" * extra})
    assert inv.load(stored).species == (1, 6, 8)


def test_every_truncation_is_refused(stored):
    content = stored.read_bytes()
    for length in [0, 1, 7, 8, 9, 100, len(content) // 2, len(content) - 1]:
        stored.write_bytes(content[:length])
        with pytest.raises(ModelFileError, match=r"cut short|damaged"):
            inv.load(stored)


def test_every_flipped_bit_is_noticed(stored):
    content = bytearray(stored.read_bytes())
    for place in np.random.default_rng(0).integers(0, len(content), 150):
        content[place] ^= 1 << (place % 8)
        stored.write_bytes(content)
        with pytest.raises(ModelFileError):
            inv.load(stored)
        content[place] ^= 1 << (place % 8)


@pytest.mark.parametrize("length", [HEADER_LIMIT + 1, 2**40, 2**64 - 1])
def test_huge_header_is_refused_before_it_is_read(length, tmp_path):
    path = tmp_path / "hostile.inv"
    path.write_bytes(length.to_bytes(8, "little") + b"{" * 64)
    with pytest.raises(ModelFileError, match=r"header claims|cut short"):
        inv.load(path)


def test_deeply_nested_header_is_refused(tmp_path):
    text = b'{"__metadata__":' + b"[" * 200_000
    (tmp_path / "deep.inv").write_bytes(len(text).to_bytes(8, "little") + text)
    with pytest.raises(ModelFileError, match="unreadable"):
        inv.load(tmp_path / "deep.inv")


def rewritten(path: Path, change) -> Path:
    """The file with another header, its checksum made right again, as somebody hostile would."""
    from invarion.checkpoint import _checksum, _parse, _read_bytes, _tensors

    content = _read_bytes(path)
    header = _parse(content, path)[0]
    change(header)
    text, tensors = json.dumps(header), _tensors(content, path)
    path.write_bytes(tensors_to_bytes(tensors, {"invarion": text, "sha256": _checksum(text, tensors)}))
    return path


def test_newer_format_says_upgrade(stored):
    rewritten(stored, lambda h: h.update(format=FORMAT + 1))
    with pytest.raises(ModelFileError, match=f"format {FORMAT + 1}.*upgrade invarion"):
        inv.load(stored)


@pytest.mark.parametrize(
    "change",
    [
        lambda h: h["config"].update(kind="os.system"),
        lambda h: h["config"].update(n_features=100_000),
        lambda h: h["config"].update(cutoff=-1.0),
        lambda h: h["config"].update(surprise=1),
        lambda h: h.update(species=[1, 6]),
        lambda h: h.update(species=[1, 6, 10**6]),
        lambda h: h.update(species="HCO"),
        lambda h: h.update(dtype="float16"),
        lambda h: h.pop("config"),
        lambda h: h.update(config=None),
    ],
)
def test_header_that_does_not_fit_its_weights_is_refused(change, stored):
    rewritten(stored, change)
    with pytest.raises(ModelFileError, match="does not describe a model"):
        inv.load(stored)


@pytest.mark.parametrize("where", ["format", "metadata"])
def test_foreign_safetensors_file_is_refused(where, tmp_path):
    path = tmp_path / "foreign.safetensors"
    metadata = {"invarion": "{}", "sha256": ""} if where == "format" else None
    path.write_bytes(tensors_to_bytes({"a": torch.zeros(2)}, metadata))
    with pytest.raises(ModelFileError, match="not a model file"):
        inv.load(path)


def test_pickle_folder_and_absent_file_say_what_to_do(tmp_path):
    torch.save({"weights": torch.zeros(1)}, tmp_path / "old.pt")
    with pytest.raises(ModelFileError, match="convert hippynn"):
        inv.load(tmp_path / "old.pt")
    with pytest.raises(ModelFileError, match=r"is a folder; give the model file in it.*model\.inv"):
        inv.load(tmp_path)
    with pytest.raises(ModelFileError, match="No such file"):
        inv.load(tmp_path / "absent.inv")


def test_unwritable_target_leaves_the_old_file(stored, tmp_path):
    with pytest.raises(InvarionError, match="cannot write"):
        inv.save(make_potential(), stored / "inside_a_file.inv")
    assert inv.load(stored).species == (1, 6, 8)
    with pytest.raises(InvarionError, match="not a regular file"):
        inv.save(make_potential(), tmp_path)


FULL_DISK = """
import resource, signal, sys
import invarion as inv
potential = inv.load(sys.argv[1])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    inv.save(potential, sys.argv[1])
except inv.InvarionError as error:
    sys.exit(f"refused: {error}")
"""


def test_full_disk_leaves_the_old_file_and_no_other(stored):
    before = stored.read_bytes()
    ran = subprocess.run([sys.executable, "-c", FULL_DISK, str(stored)], capture_output=True, text=True, check=False)
    assert "refused: cannot write" in ran.stderr
    assert stored.read_bytes() == before
    assert list(stored.parent.iterdir()) == [stored]


def test_file_has_the_mode_that_the_umask_asks_for(stored):
    plain = stored.with_name("plain")
    plain.touch()
    assert stored.stat().st_mode == plain.stat().st_mode


def test_symbolic_link_is_followed(stored):
    link = stored.with_name("link.inv")
    link.symlink_to(stored)
    inv.save(make_potential("hip_nn_ts"), link)
    assert link.is_symlink()
    assert inv.load(stored).config.kind == "hip_nn_ts"


@pytest.mark.parametrize("readout", ["linear", "polynomial", "embedding", "mlp"])
@pytest.mark.parametrize("basis", ["reduced", "full"])
def test_every_readout_of_ace_comes_back(readout, basis, tmp_path):
    potential = Potential(inv.ace(4.0, n_radial=3, max_rank=2, max_degree=2, readout=readout, basis=basis), (1, 6, 8))
    inv.save(potential, tmp_path / "model.inv")
    before, after = (each.predict(structures()) for each in (potential, inv.load(tmp_path / "model.inv")))
    assert before.energy.tobytes() == after.energy.tobytes()
    assert before.forces.tobytes() == after.forces.tobytes()
