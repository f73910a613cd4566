"""Random structures for the laws, as hypothesis strategies, and how closely numbers must agree."""

import numpy as np
import torch
from ase import Atoms
from hypothesis import strategies as st

SYMBOLS = ("H", "C", "O")


def scattered(rng: np.random.Generator, n_atoms: int, box: float, smallest: float = 0.8) -> np.ndarray:
    """(n_atoms, 3) random positions in a cube, no two closer than `smallest` Angstrom."""
    positions: list[np.ndarray] = []
    while len(positions) < n_atoms:
        trial = rng.uniform(0, box, 3)
        if all(np.linalg.norm(trial - other) > smallest for other in positions):
            positions.append(trial)
    return np.array(positions).reshape(-1, 3)


@st.composite
def clusters(draw, smallest: int = 2, largest: int = 7) -> Atoms:
    """A molecule-like cluster of H, C and O."""
    symbols = draw(st.lists(st.sampled_from(SYMBOLS), min_size=smallest, max_size=largest))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return Atoms(symbols, scattered(rng, len(symbols), box=3.0))


@st.composite
def crystals(draw) -> Atoms:
    """A small periodic structure in a skewed cell that may be smaller than the cutoff, with unwrapped atoms."""
    symbols = draw(st.lists(st.sampled_from(SYMBOLS), min_size=1, max_size=4))
    pbc = draw(st.sampled_from([(True, True, True), (True, True, False), (False, True, True), (True, False, False)]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    cell = np.diag(rng.uniform(3.0, 4.5, 3)) + rng.uniform(-0.4, 0.4, (3, 3))
    fractional = scattered(rng, len(symbols), box=1.0, smallest=0.35)
    atoms = Atoms(symbols, cell=cell, pbc=pbc)
    atoms.set_scaled_positions(fractional)
    atoms.positions += (rng.integers(-2, 3, (len(symbols), 3)) * np.asarray(pbc)) @ cell
    return atoms


def structures() -> st.SearchStrategy[Atoms]:
    """Clusters and crystals."""
    return st.one_of(clusters(), crystals())


def rotations() -> st.SearchStrategy[np.ndarray]:
    """Proper rotation matrices."""
    from scipy.spatial.transform import Rotation

    return st.integers(0, 2**32 - 1).map(lambda seed: Rotation.random(rng=np.random.default_rng(seed)).as_matrix())


def close(got: np.ndarray, expected: np.ndarray, dtype: torch.dtype, scale: float | None = None) -> None:
    """Equal up to the rounding of a network in this dtype, relative to the size of what is compared (at least 1)."""
    tolerance = 3e-4 if dtype == torch.float32 else 1e-9
    size = max(1.0, float(np.abs(expected).max(initial=0.0))) if scale is None else scale
    np.testing.assert_allclose(got, expected, rtol=0, atol=tolerance * size)
