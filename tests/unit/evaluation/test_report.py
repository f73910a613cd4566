"""The report: one file that needs nothing else, with what it must show, and no trace left in matplotlib."""

import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from ase.build import molecule

import invarion as inv
from invarion.checkpoint import describe
from invarion.evaluation.dimers import scan_dimers
from invarion.evaluation.errors import compare
from invarion.evaluation.log import read_log
from invarion.evaluation.report import Report, render_report, write_report
from invarion.exceptions import InvarionError
from invarion.potential import Potential

LOG = """epoch,train_loss,valid_loss,valid_energy_mae_mev_per_atom,valid_forces_mae_mev_per_angstrom
1,2.0,3.0,20.0,300.0
2,1.0,,,
3,0.5,2.0,10.0,100.0
4,0.4,1.9,9.0,9"""


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> Report:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        config = inv.hip_nn(cutoff=3.5, n_features=6, n_interactions=1, n_atom_layers=1, n_sensitivities=5)
        potential = Potential(config, (1, 6, 8), [-13.0, -1000.0, -2000.0], scale=0.5).eval()
    structures, rng = [molecule(name) for name in ("CH4", "H2O", "CH3OH")] * 3, np.random.default_rng(0)
    for place, structure in enumerate(structures):
        structure.rattle(0.1, seed=place)
        structure.info |= {
            "REF_energy": potential.predict([structure]).energy[0] + 0.01 * rng.normal(),
            "group": f"<g{place % 2}>",
        }
        structure.arrays["REF_forces"] = rng.normal(size=structure.positions.shape)
    log = tmp_path_factory.mktemp("run") / "log.csv"
    log.write_text(LOG)
    training = {"files": ["train.xyz"], "n_train": 900, "n_valid": 50, "seed": 7, "seconds": 125.0, "epochs": 4}
    return Report(
        header=describe(potential, {"training": training}),
        comparison=compare(potential, structures),
        data="<script>alert(1)</script>.xyz",
        log=read_log(log),
        dimers=scan_dimers(potential, {"H-O": 0.95, "C-H": 1.05}),
        labels=[{"target": "energy", "key": "REF_energy", "found": 9, "used": 9, "unit": "eV"}],
    )


def test_page_loads_nothing_from_anywhere(report):
    page = render_report(report)
    assert not re.search(r"https?://|<script|<link|@import|url\(", page)
    sources = re.findall(r'src="([^"]{0,30})', page)
    assert len(sources) >= 6
    assert all(source.startswith("data:image/png;base64,") for source in sources)


def test_words_from_outside_are_escaped(report):
    page = render_report(report)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;.xyz" in page
    assert "&lt;g0&gt;" in page


def test_pictures_come_before_tables(report):
    page = render_report(report)
    sections = re.findall(r"<h2>([^<]*)", page)
    assert sections == [
        "How close are the predictions?",
        "Where are the errors?",
        "Did the training converge?",
        "What happens when atoms come too close?",
        "Model card",
        "Use it",
        "Tables",
    ]
    assert page.rindex("<img") < page.index("<table")


def test_card_and_tables_hold_what_is_known(report):
    page = render_report(report)
    for text in ("HIP-NN for H, C, O", "900", "2 min 5 s", "train.xyz", "REF_energy", "torch", "H-O", "O-O", "R²"):
        assert text in page


def test_parts_without_content_are_left_out(report):
    bare = Report(header=report.header, comparison=report.comparison, data="test.xyz")
    sections = re.findall(r"<h2>([^<]*)", render_report(bare))
    assert "Did the training converge?" not in sections
    assert "What happens when atoms come too close?" not in sections


def test_file_is_written_whole_or_not_at_all(report, tmp_path):
    write_report(report, tmp_path / "new" / "report.html")
    assert (tmp_path / "new" / "report.html").read_text().endswith("</html>\n")
    with pytest.raises(InvarionError, match="cannot write"):
        write_report(report, tmp_path / "new" / "report.html" / "report.html")


def test_log_with_a_torn_last_line_is_read(tmp_path):
    (tmp_path / "log.csv").write_text(LOG[:-12])
    log = read_log(tmp_path / "log.csv")
    assert log["epoch"] == [1.0, 2.0, 3.0]
    assert np.isnan(log["valid_loss"][1])
    assert read_log(tmp_path / "absent.csv") == {}


DRAW = """
import sys
import matplotlib
settings = lambda: {name: dict.get(matplotlib.rcParams, name) for name in matplotlib.rcParams}  # resolves no backend
before = settings()
from invarion.evaluation.plots import draw_curves, to_data_uri
to_data_uri(draw_curves({"epoch": [1, 2], "train_loss": [2.0, 1.0]}))
assert "matplotlib.pyplot" not in sys.modules, "pyplot was imported"
assert settings() == before, "rcParams were changed"
"""


def test_global_state_of_matplotlib_is_left_alone():
    subprocess.run([sys.executable, "-c", DRAW], check=True)
