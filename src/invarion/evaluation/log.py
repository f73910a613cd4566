"""log.csv of a training run as columns."""

import csv
import math
import os
from pathlib import Path


def read_log(path: str | os.PathLike[str]) -> dict[str, list[float]]:
    """Columns of a training log by name; empty cells and words become NaN.

    Args:
        path: a log.csv; it may be missing, or end in a line that was cut off.

    Returns:
        Mapping from column name to values, all of one length; empty without a log.
    """
    if not Path(path).is_file():
        return {}
    with open(path, newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if None not in row.values()]
    return {name: [_number(row[name]) for row in rows] for name in rows[0]} if rows else {}


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return math.nan
