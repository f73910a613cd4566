"""Which pairs of structures that share low-order information does each kind of basis tell apart?

For each pair, kind of basis, number of radial functions and cutoff: the largest relative difference of a feature over
the noise of rotations and of the coordinates' rounding. A plus marks more than 1000 times the noise.

    python benchmarks/degenerate.py ../shared/data/degenerate/pairs.extxyz --json results/degenerate.json
"""

import argparse
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
from ase.io import read

import invarion as inv
from invarion.evaluation.degenerate import PairResult, tell_pairs_apart
from measure import save

ONE_CHANNEL = {
    "published": partial(inv.published_basis, max_rank=3, max_degree=4),
    "optimal, odd too": partial(inv.optimal_basis, max_rank=3, max_degree=4, parity="both"),
    "flexible": partial(inv.flexible_basis, max_rank=3),
    "separating": partial(inv.separating_basis, max_rank=3, n_targets=4, n_starts=50),
}
KINDS = ("full, degree 2", "full, degree 3", "optimal", "channelwise", *ONE_CHANNEL)


def settings(kind: str) -> dict:
    """Arguments of the descriptor."""
    if kind.startswith("full"):
        return {"basis": "full", "max_degree": int(kind[-1])}
    return {"basis": kind if kind in ("optimal", "channelwise") else ONE_CHANNEL[kind]()}


Table = Mapping[tuple, list[PairResult]]


def table(structures: list, kinds: tuple, n_radial: list[int], cutoffs: list[float]) -> Table:
    """Results by (kind, radial functions, cutoff)."""
    found = {}
    for kind in kinds:
        options = settings(kind)
        for n in n_radial:
            for cutoff in cutoffs:
                describe = inv.InvariantDescriptor(cutoff=cutoff, n_radial=n, **options)
                by_species: list[PairResult] = []
                for first in range(0, len(structures), 2):  # pairs differ in their elements
                    pair = structures[first : first + 2]
                    by_species += tell_pairs_apart(pair, describe.fit(pair).transform)
                found[kind, n, cutoff] = by_species
    return found


def show(found: Table) -> None:
    """Print a row per pair and a column per setting: the difference in units of the noise."""
    settings = list(found)
    for number, (kind, n, cutoff) in enumerate(settings):
        told = sum(r.told_apart for r in found[kind, n, cutoff])
        print(f"({number}) {kind}; radial functions {n}; cutoff {cutoff} A: {told} of {len(found[kind, n, cutoff])}")
    print(f"\n{'pair':25s}" + "".join(f"{f'({number})':>10s}" for number in range(len(settings))))
    for results in zip(*found.values(), strict=True):
        cells = (f"{r.ratio:9.0e}{'+' if r.told_apart else ' '}" for r in results)
        print(f"{results[0].pair:25s}" + "".join(cells))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", type=Path)
    parser.add_argument("--radial", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--cutoff", type=float, nargs="+", default=[5.0, 10.0])
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--smoke", action="store_true", help="a size that takes seconds")
    options = parser.parse_args()
    if options.smoke:
        options.radial, options.cutoff, options.kinds = [1], [10.0], ("full, degree 2", "channelwise")
    structures = sorted(read(options.pairs, ":"), key=lambda atoms: atoms.info["pair"])
    found = table(structures, tuple(options.kinds), options.radial, options.cutoff)
    show(found)
    rows = [
        {"kind": kind, "n_radial": n, "cutoff": cutoff, "pair": r.pair, "difference": r.difference, "ratio": r.ratio}
        for (kind, n, cutoff), results in found.items()
        for r in results
    ]
    if options.json:
        save({"rows": rows}, options.json)


if __name__ == "__main__":
    np.seterr(all="raise", under="ignore")
    sys.exit(main())
