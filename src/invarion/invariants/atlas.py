"""The atlas: a static page to browse bases: graphs, polynomials, strata, certificates, code and JSON to copy."""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from string import ascii_lowercase

from invarion.exceptions import BasisError
from invarion.invariants.basis import InvariantBasis
from invarion.invariants.contractions import Contraction
from invarion.invariants.drawing import line_notation, svg, vertex_labels
from invarion.invariants.evaluation import plan_of
from invarion.invariants.flexible import flexible_basis
from invarion.invariants.necessity import needed_on
from invarion.invariants.optimal import optimal_basis
from invarion.invariants.polynomial import expand
from invarion.invariants.published import published_basis
from invarion.invariants.separating import separating_basis

_LONGEST = 400  # monomials that are written out
_EXPANDED_DEGREE = 4  # higher contractions have thousands of monomials
_TENSORS = 6  # strata are listed up to so many tensors that are not scalars

_STYLE = """
:root { color-scheme: light dark; --line: #d1d5db; --soft: #6b7280; --card: #f9fafb; }
@media (prefers-color-scheme: dark) { :root { --line: #374151; --card: #111827; } }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 72rem; padding: 1rem; }
h1 { margin-bottom: 0; } h2 { border-top: 1px solid var(--line); padding-top: 1.5rem; margin-top: 3rem; }
p.lead, .soft { color: var(--soft); } nav { display: flex; flex-wrap: wrap; gap: 0 1rem; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(13rem, 1fr)); gap: .75rem; }
.card { border: 1px solid var(--line); border-radius: .5rem; background: var(--card); padding: .5rem; }
.card { overflow: hidden; }
.card svg { display: block; margin: auto; background: white; border-radius: .5rem; }
.card code { overflow-wrap: anywhere; } .card line { stroke: #374151; }
table { border-collapse: collapse; } td, th { border: 1px solid var(--line); padding: .15rem .6rem; text-align: left; }
td.short { color: #b91c1c; font-weight: 600; }
pre { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: .5rem; overflow: auto;
  max-height: 16rem; } .card pre { white-space: pre-wrap; font-size: .75rem; }
button { font: inherit; cursor: pointer; } input { font: inherit; padding: .3rem .6rem; width: 20rem; }
"""

_SCRIPT = """
document.querySelectorAll('button.copy').forEach(button => button.addEventListener('click', () => {
  const text = button.nextElementSibling.textContent;
  const done = () => { button.textContent = 'copied'; setTimeout(() => { button.textContent = 'copy'; }, 1500); };
  if (navigator.clipboard) { navigator.clipboard.writeText(text).then(done); }
}));
document.getElementById('filter').addEventListener('input', event => {
  const wanted = event.target.value.toLowerCase();
  document.querySelectorAll('.card').forEach(card => {
    card.style.display = card.dataset.text.toLowerCase().includes(wanted) ? '' : 'none';
  });
});
"""


def shipped_bases() -> dict[str, InvariantBasis]:
    """The bases that the atlas shows unless told otherwise, by the Python that makes them."""
    found = {f"inv.optimal_basis(max_rank={rank})": optimal_basis(rank) for rank in (1, 2, 3, 4)}
    found |= {f"inv.published_basis(max_rank={rank}, max_degree=4)": published_basis(rank, 4) for rank in (2, 3)}
    found |= {f"inv.flexible_basis(max_rank={rank})": flexible_basis(rank) for rank in (2, 3, 4, 5, 6)}
    found["inv.separating_basis(max_rank=3)"] = separating_basis(3)
    found['inv.optimal_basis(max_rank=3, parity="both")'] = optimal_basis(3, parity="both")
    return found


def write_atlas(folder: str | Path, bases: Mapping[str, InvariantBasis] | None = None) -> Path:
    """Write the atlas: one page with everything in it, no network needed.

    Args:
        folder: where index.html goes; it is made if need be.
        bases: what to show, by the Python that makes it; None for `shipped_bases`.

    Returns:
        The page.

    Raises:
        BasisError: the folder cannot be written.
    """
    shown = shipped_bases() if bases is None else bases
    page = Path(folder) / "index.html"
    try:
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(render(shown), encoding="utf-8")
    except OSError as error:
        raise BasisError(f"the atlas cannot be written to {folder}: {error.strerror}; choose another folder") from error
    return page


def render(bases: Mapping[str, InvariantBasis]) -> str:
    """The page as text."""
    sections = [_section(number, code, basis) for number, (code, basis) in enumerate(bases.items())]
    links = "".join(f'<a href="#b{number}">{escape(_title(basis))}</a>' for number, basis in enumerate(bases.values()))
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Atlas of invariant bases</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head><body>'
        "<h1>Atlas of invariant bases</h1>"
        '<p class="lead">Every picture is an invariant: dots are tensors (s, v, Q, T of rank 0 to 3, then the rank in '
        "brackets; e is the Levi-Civita tensor), lines are index pairs that are summed over.</p>"
        f'<nav>{links}</nav><p><input id="filter" type="search" placeholder="filter: v-Q, degree 4, 2.2.2 ..." '
        f'aria-label="filter invariants"></p>{"".join(sections)}<script>{_SCRIPT}</script></body></html>\n'
    )


def _section(number: int, code: str, basis: InvariantBasis) -> str:
    proof = basis.certificate
    facts = [
        f"{len(basis)} invariants of {proof.dimension} components",
        f"{proof.rank} independent of {proof.dimension - proof.orbit_dimension} that exist",
        "complete" if basis.complete else "not complete",
        f"{plan_of(basis.invariants, basis.ranks).n_multiplications} multiplications for all",
    ]
    listed = sum(rank > 0 for rank in basis.ranks) <= _TENSORS
    needs = needed_on(basis) if listed else [None] * len(basis)
    cards = "".join(
        _card(place, basis, contraction, cost, need, listed)
        for place, (contraction, cost, need) in enumerate(zip(basis.invariants, basis.costs, needs, strict=True), 1)
    )
    return (
        f'<section id="b{number}"><h2>{escape(_title(basis))}</h2><p>{" · ".join(facts)}</p>'
        f'<div class="cards">{cards}</div>{_strata(basis) if listed else ""}{_certificate(basis)}'
        f"<h3>Python</h3>{_copyable(f'import invarion as inv{chr(10)}basis = {code}')}"
        f"<details><summary>JSON</summary>{_copyable(basis.to_json())}</details></section>"
    )


def _card(
    place: int,
    basis: InvariantBasis,
    contraction: Contraction,
    cost: float,
    need: tuple[int, ...] | None,
    listed: bool,
) -> str:
    name = line_notation(contraction, basis.ranks)
    degree = f"degree {contraction.degree}, {contraction.degree + 1} bodies, cost {cost:g}"
    degree += ", odd" if contraction.epsilon else ""
    where = "always" if need == () else "nowhere alone" if need is None else f"for ranks {', '.join(map(str, need))}"
    text = f"{name} {contraction.name(basis.ranks)} {degree}"
    return (
        f'<div class="card" data-text="{escape(text)}">{svg(contraction, basis.ranks)}'
        f"<div><b>{place}.</b> <code>{escape(name)}</code></div><div>{_index_form(contraction, basis.ranks)}</div>"
        f'<div class="soft">{degree}</div>' + (f'<div class="soft">needed {where}</div>' if listed else "")
        + f"<details><summary>polynomial</summary>{_polynomial(contraction, basis.ranks)}</details></div>"
    )  # fmt: skip


def _index_form(contraction: Contraction, ranks: Sequence[int]) -> str:
    """Tensors with their index letters, as in v_a Q_ab v_b."""
    indices = contraction.einsum(ranks).removesuffix("->").split(",")
    labels = vertex_labels(contraction, ranks)
    names = dict(zip(dict.fromkeys("".join(indices)), ascii_lowercase[8:] + ascii_lowercase[:8], strict=False))
    parts = (
        f"<i>{escape(label)}</i><sub>{''.join(names.get(letter, letter) for letter in index)}</sub>"
        for label, index in zip(labels, indices, strict=True)
    )
    return " ".join(parts)


def _polynomial(contraction: Contraction, ranks: Sequence[int]) -> str:
    if contraction.degree > _EXPANDED_DEGREE:
        return f'<p class="soft">of degree {contraction.degree}: not written out here</p>'
    polynomial = expand(contraction, ranks)
    if len(polynomial) > _LONGEST:
        return f'<p class="soft">{len(polynomial)} monomials: not written out here</p>'
    return _copyable(polynomial.latex())


def _strata(basis: InvariantBasis) -> str:
    rows = "".join(
        f"<tr><td>{', '.join(map(str, ranks))}</td><td>{needed}</td>"
        f"<td{'' if have >= needed else ' class=short'}>{have}</td></tr>"
        for ranks, needed, have in basis.strata()
    )
    head = "<tr><th>non-zero tensors of rank</th><th>independent ones exist</th><th>this basis has</th></tr>"
    return f"<h3>Strata</h3><table>{head}{rows}</table>"


def _certificate(basis: InvariantBasis) -> str:
    proof = basis.certificate
    claims = "".join(f"<li><b>{escape(claim)}</b>: {escape(reason)}</li>" for claim, reason in proof.claims)
    minor = proof.strata[0]
    numbers = (
        f"prime {proof.prime}; point {', '.join(map(str, proof.point))}; rows {', '.join(map(str, minor.rows))}; "
        f"columns {', '.join(map(str, minor.columns))}; determinant {minor.determinant}"
    )
    return (
        f"<h3>Certificate</h3><ul>{claims}</ul><details><summary>the minor that proves it</summary>"
        f"<pre>{escape(numbers)}</pre></details>"
    )


def _copyable(text: str) -> str:
    return f'<button class="copy" type="button">copy</button><pre>{escape(text)}</pre>'


def _title(basis: InvariantBasis) -> str:
    odd = ", mirror images told apart" if basis.n_odd else ""
    return f"{basis.kind}, ranks up to {basis.max_rank}{odd}"
