"""Graphs in one line, as figures and as SVG; where members are needed; the atlas page."""

import re
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser

import numpy as np
import pytest

from invarion.exceptions import BasisError
from invarion.invariants import flexible_basis, optimal_basis, published_basis, separating_basis
from invarion.invariants.atlas import write_atlas
from invarion.invariants.contractions import Contraction
from invarion.invariants.drawing import draw, layout, line_notation, svg
from invarion.invariants.enumeration import enumerate_contractions
from invarion.invariants.necessity import needed_on

RANKS = (0, 1, 2, 3)


def parse(text, labels="svQT"):
    """Vertices' letters and edges of a line notation without tensor numbers."""
    letters, edges, open_rings, stack, last, bond = [], {}, {}, [], None, 1
    for token in re.findall(r"[svQTe]|[-=#$]|\{\d+\}|\(|\)|%\d+|\d", text):
        if token in "-=#$":
            bond = "-=#$".index(token) + 1
        elif token[0] == "{":
            bond = int(token[1:-1])
        elif token == "(":
            stack.append(last)
        elif token == ")":
            last = stack.pop()
        elif token[0] in "%0123456789":
            if token in open_rings:
                edges[frozenset((open_rings.pop(token), last))] = bond
            else:
                open_rings[token] = last
            bond = 1
        else:
            letters.append(token)
            if last is not None:
                edges[frozenset((last, len(letters) - 1))] = bond
            last, bond = len(letters) - 1, 1
    assert not open_rings
    assert not stack
    return letters, edges


@pytest.mark.parametrize("parity", ["even", "odd"])
def test_line_notation_says_the_whole_graph(parity):
    for degree in range(1, 6):
        for contraction in enumerate_contractions(RANKS, degree, parity):
            letters, edges = parse(line_notation(contraction, RANKS))
            matrix = np.zeros((len(letters),) * 2, dtype=int)
            for ends, multiplicity in edges.items():
                a, b = sorted(ends)
                matrix[a, b] = matrix[b, a] = multiplicity
            order = np.argsort(["svQTe".index(letter) for letter in letters], kind="stable")
            slots = tuple("svQT".index(letters[i]) for i in order if letters[i] != "e")
            upper = matrix[np.ix_(order, order)]
            n = len(slots)
            pairs = tuple((a, b, int(upper[a, b])) for a in range(n) for b in range(a + 1, n) if upper[a, b])
            epsilon = tuple(a for a in range(n) if upper[a, n]) if parity == "odd" else None
            assert Contraction(slots, pairs, epsilon).canonical() == contraction.canonical()


def test_line_notation_of_the_published_invariants():
    basis = published_basis(3, 4)
    assert [line_notation(c, basis.ranks) for c in basis.invariants] == [
        "s", "v-v", "Q=Q", "Q1-Q-Q-1", "T#T", "T1-T=T-T=1", "v-Q-v", "v-Q-Q-v", "v-T(-v)-v", "v-T=T-v", "Q1-T=T-1",
        "Q1-Q-T=T-1", "Q=T-T=Q",
    ]  # fmt: skip


def test_line_notation_of_channels_and_high_ranks():
    assert line_notation(Contraction((0, 1), ((0, 1, 5),)), (5, 5)) == "(5)[0]{5}(5)[1]"


@pytest.mark.parametrize("contraction", [c for d in range(2, 5) for c in enumerate_contractions(RANKS, d)], ids=str)
def test_vertices_are_kept_apart(contraction):
    place = layout(contraction)
    apart = np.linalg.norm(place[:, None] - place, axis=2)[np.triu_indices(len(place), 1)]
    assert apart.min() > 0.3
    assert np.linalg.norm(place, axis=1).max() <= 1 + 1e-9
    np.testing.assert_array_equal(layout(contraction), place)


def test_svg_has_a_dot_per_tensor_and_a_line_per_index_pair():
    for contraction in published_basis(3, 4).invariants:
        root = ElementTree.fromstring(svg(contraction, RANKS))
        tags = [element.tag.rpartition("}")[2] for element in root]
        assert tags.count("circle") == contraction.degree
        assert tags.count("line") == sum(m for *_, m in contraction.edges)


def test_figure_has_a_picture_per_member(tmp_path):
    basis = published_basis(2, 4)
    figure = basis.draw(columns=4)
    assert len(figure.axes) == len(basis) == 6
    assert figure.axes[3].get_title() == "4: Q1-Q-Q-1"
    figure.savefig(tmp_path / "basis.png")
    assert (tmp_path / "basis.png").stat().st_size > 5000
    assert len(draw(basis).axes) == 6


def test_needed_where_rank_falls_without_the_member():
    basis = flexible_basis(3)
    complete = {ranks: have for ranks, _, have in basis.strata()}
    for place, ranks in enumerate(needed_on(basis)):
        if ranks:
            others = [c for k, c in enumerate(basis.invariants) if k != place]
            from invarion.invariants.strata import rank_on_strata

            without = {stratum: have for stratum, _, have in rank_on_strata(basis.ranks, others)}
            assert without[ranks] < complete[ranks]
    assert None not in needed_on(basis)


class Page(HTMLParser):
    """Collects tags, and what a page would load from elsewhere."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.loads = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.loads += [v for k, v in attributes if k in ("src", "href") and not (v or "").startswith("#")]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    bases = {"inv.optimal_basis(max_rank=2)": optimal_basis(2), "inv.flexible_basis(max_rank=3)": flexible_basis(3)}
    return write_atlas(tmp_path_factory.mktemp("atlas") / "new", bases)


def test_atlas_is_one_page_that_loads_nothing(page):
    parsed = Page(page.read_text(encoding="utf-8"))
    assert page.name == "index.html"
    assert not parsed.loads
    assert parsed.tags.count("svg") == 6 + 15
    assert parsed.tags.count("section") == 2


def test_atlas_shows_polynomials_strata_certificate_code_and_json(page):
    text = page.read_text(encoding="utf-8")
    for wanted in ("w^{1}_{0}", "<h3>Strata</h3>", "determinant", "inv.flexible_basis(max_rank=3)", "v-Q-Q-v"):
        assert wanted in text
    assert "&quot;format&quot;: 1" in text


def test_atlas_explains_its_words_and_the_evidence_of_separating_bases(tmp_path):
    text = write_atlas(tmp_path, {"inv.separating_basis(max_rank=3)": separating_basis(3)}).read_text(encoding="utf-8")
    for word in ("SMILES", "degree, bodies", "strata, needed", "certificate", "40 random environments, 200 searches"):
        assert word in text
    assert "needed where only rank 2 is not zero" in text
    assert "orbit_dimension" not in text.partition("<pre>")[0]


def test_atlas_refuses_a_folder_that_cannot_be(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(BasisError, match="another folder"):
        write_atlas(tmp_path / "file", {})


def test_atlas_in_a_browser(page, tmp_path):
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium here")
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}"]
    done = subprocess.run([browser, *options, "--dump-dom", page.as_uri()], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0
    assert done.stdout.count('class="card"') == 21
    assert "Uncaught" not in done.stderr
