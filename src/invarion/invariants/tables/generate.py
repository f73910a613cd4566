"""Make the shipped tables again: `python -m invarion.invariants.tables.generate --max-rank 6`.

Searches for flexible bases are deterministic, so the files come out the same on every machine. Those for separating
bases (`--separating 4`) solve equations in floating point: the members come out the same, their evidence nearly so.
"""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

from invarion.invariants.basis import InvariantBasis
from invarion.invariants.flexible import find_flexible
from invarion.invariants.separating import find_separating

_EVIDENCE = (40, 200, 0)  # environments, searches for partners of each, seed


def write_table(basis: InvariantBasis, folder: Path) -> Path:
    """Write a basis where `stored_basis` finds it."""
    path = folder / f"{basis.kind}_{basis.max_rank}.json"
    path.write_text(basis.to_json() + "\n", "utf-8")
    return path


def main(arguments: Sequence[str] | None = None) -> None:
    """Search the flexible bases of ranks 0..L for L from 3 to max_rank and write them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--max-rank", type=int, default=6, help="largest rank; 6 takes about a minute")
    parser.add_argument("--folder", type=Path, default=Path(__file__).parent, help="where the tables go")
    parser.add_argument("--resume", type=Path, help="folder of journals, so that a stopped search goes on")
    parser.add_argument("--separating", type=int, default=0, help="largest rank of separating bases, from 2 on")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    for max_rank in range(3, options.max_rank + 1):
        journal = None if options.resume is None else options.resume / f"flexible_{max_rank}.journal"
        basis = find_flexible(tuple(range(max_rank + 1)), progress=logging.info, resume=journal)
        basis.certificate.check()
        logging.info("%s: %d members", write_table(basis, options.folder), len(basis))
    for max_rank in range(2, options.separating + 1):
        basis = find_separating(max_rank, None, 1, None, "even", *_EVIDENCE, progress=logging.info)
        logging.info("%s: %d members", write_table(basis, options.folder), len(basis))


if __name__ == "__main__":
    main()
