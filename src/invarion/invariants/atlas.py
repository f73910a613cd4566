"""The atlas: a static page to browse bases: graphs, polynomials, strata, certificates, code and JSON to copy."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from string import ascii_lowercase
from types import MappingProxyType

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

_LEAD = """
<p class="lead">An atom's surroundings are summed up in tensors: a number s (how many neighbours, by distance), a
vector v (where most of them are), and finer shapes Q (rank 2), T (rank 3) and so on. Turning the molecule turns the
tensors. The pictures below are products of tensors that do <em>not</em> change: <b>rotation invariants</b>, the
numbers to learn from.</p>
<details><summary>How to read this page</summary><dl>
<dt>picture</dt><dd>A dot is a tensor; the rank is the number of its lines (s, v, Q, T for 0 to 3, then the rank in
brackets). A line is an index pair that is summed over: v–v is the squared length v·v, v–Q–v is v·Q·v. e is the
Levi-Civita tensor, which changes sign in a mirror.</dd>
<dt>T1-Q-Q-T=1</dt><dd>The picture in one line, written like SMILES: - = # $ are one to four lines, digits close rings,
brackets are branches.</dd>
<dt>degree, bodies</dt><dd>Degree is the number of tensors multiplied. The central atom and one neighbour for each of
them are seen together: degree 2 sees angles (3 bodies), degree 3 dihedral angles (4 bodies).</dd>
<dt>independent, complete</dt><dd>Independent: no member is a function of the others. Complete: at generic points
every other invariant is fixed by these up to finitely many values, and there are as many members as can be.</dd>
<dt>strata, needed</dt><dd>In a symmetric environment some tensors vanish (v at an inversion centre, say). A stratum
is where only the tensors listed are not zero. A basis that has fewer members there than independent ones exist (red)
cannot tell all such environments apart; a flexible basis never falls short. "Needed" names the smallest stratum that
would fall short without the member.</dd>
<dt>certificate</dt><dd>What is proved, and by which numbers; <code>basis.certificate.check()</code> repeats the
proof.</dd>
</dl></details>
"""

_PURPOSES = MappingProxyType(
    {
        "optimal": "The fewest and cheapest invariants that are complete at generic points. The usual choice.",
        "published": "The table of HIP-HOP-NN, in its order.",
        "flexible": "Complete also wherever some of the tensors vanish, as they do in symmetric environments.",
        "separating": "Complete, and a search found no two different environments that share all values.",
    }
)

_STYLE = """
:root { color-scheme: light dark; --line: #d1d5db; --soft: #6b7280; --card: #f9fafb; }
@media (prefers-color-scheme: dark) { :root { --line: #374151; --card: #111827; } }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 72rem; padding: 1rem; }
h1 { margin-bottom: 0; } h2 { border-top: 1px solid var(--line); padding-top: 1.5rem; margin-top: 3rem; }
.soft { color: var(--soft); } dt { font-weight: 600; } dd { margin: 0 0 .5rem 1.5rem; }
.lead, dd { max-width: 50rem; } nav { margin: 1rem 0; }
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
    found |= {f"inv.separating_basis(max_rank={rank})": separating_basis(rank) for rank in (2, 3, 4)}
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
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Atlas of invariant bases</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head><body>'
        f"<h1>Atlas of invariant bases</h1>{_LEAD}{_overview(bases.values())}"
        '<p><input id="filter" type="search" placeholder="filter: v-Q, degree 4, 2.2.2 ..." '
        f'aria-label="filter invariants"></p>{"".join(sections)}<script>{_SCRIPT}</script></body></html>\n'
    )


def _overview(bases: Iterable[InvariantBasis]) -> str:
    """A table of contents: what each basis has."""
    rows = "".join(
        f'<tr><td><a href="#b{number}">{escape(_title(basis))}</a></td><td>{basis.dimension}</td><td>{len(basis)}</td>'
        f"<td>{max(basis.degrees)}</td><td>{'yes' if basis.complete else 'no'}</td></tr>"
        for number, basis in enumerate(bases)
    )
    head = "".join(f"<th>{word}</th>" for word in ("basis", "tensor components", "members", "degree up to", "complete"))
    return f"<nav><table><tr>{head}</tr>{rows}</table></nav>"


def _section(number: int, code: str, basis: InvariantBasis) -> str:
    proof = basis.certificate
    facts = [
        f"{len(basis)} invariants of {proof.dimension} components",
        f"{proof.rank} independent of {proof.dimension - proof.orbit_dimension} that exist",
        "complete" if basis.complete else "not complete",
        f"{plan_of(basis.invariants, basis.ranks).n_multiplications} multiplications for all",
    ]
    facts += _evidence(basis)
    listed = sum(rank > 0 for rank in basis.ranks) <= _TENSORS
    needs = needed_on(basis) if listed else [None] * len(basis)
    cards = "".join(
        _card(place, basis, contraction, cost, need, listed)
        for place, (contraction, cost, need) in enumerate(zip(basis.invariants, basis.costs, needs, strict=True), 1)
    )
    return (
        f'<section id="b{number}"><h2>{escape(_title(basis))}</h2><p>{_PURPOSES.get(basis.kind, "")}</p>'
        f'<p class="soft">{" · ".join(facts)}</p>'
        f'<div class="cards">{cards}</div>{_strata(basis) if listed else ""}{_certificate(basis)}'
        f"<h3>Python</h3>{_copyable(f'import invarion as inv{chr(10)}basis = {code}')}"
        f"<details><summary>JSON</summary>{_copyable(basis.to_json())}</details></section>"
    )


def _evidence(basis: InvariantBasis) -> list[str]:
    """How long partners of a separating basis were looked for."""
    search = basis.search
    if search is None or search.miss_bound is None:
        return []
    return [
        f"{search.n_targets} random environments, {search.n_starts} searches for look-alikes of each: none found",
        f"at most {search.miss_bound:.1%} of such searches would end at one (95 % limit)",
    ]


def _card(
    place: int,
    basis: InvariantBasis,
    contraction: Contraction,
    cost: float,
    need: tuple[int, ...] | None,
    listed: bool,
) -> str:
    name = line_notation(contraction, basis.ranks)
    degree = f"degree {contraction.degree}, {contraction.degree + 1} bodies"
    degree += "" if cost == contraction.degree else f", cost {cost:g}"
    degree += ", changes sign in a mirror" if contraction.epsilon else ""
    where = _where(need, contraction)
    text = f"{name} {contraction.name(basis.ranks)} {degree}"
    return (
        f'<div class="card" data-text="{escape(text)}">{svg(contraction, basis.ranks)}'
        f"<div><b>{place}.</b> <code>{escape(name)}</code></div><div>{_index_form(contraction, basis.ranks)}</div>"
        f'<div class="soft">{degree}</div>' + (f'<div class="soft">needed {where}</div>' if listed else "")
        + f"<details><summary>polynomial</summary>{_polynomial(contraction, basis.ranks)}</details></div>"
    )  # fmt: skip


def _where(need: tuple[int, ...] | None, contraction: Contraction) -> str:
    """The smallest stratum that needs a member, in words."""
    if contraction.epsilon:
        return "to tell mirror images apart"
    if need is None:
        return "on no stratum by itself"
    if len(need) < 2:
        return f"where only rank {need[0]} is not zero" if need else "everywhere"
    return f"where only ranks {', '.join(map(str, need))} are not zero"


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
    claims = "".join(
        f"<li><b>{escape(claim.replace('_', ' '))}</b>: {escape(reason)}</li>" for claim, reason in proof.claims
    )
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
