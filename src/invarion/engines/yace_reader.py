"""A reader of `.yace` files that evaluates them from the format's definition, apart from the code that writes them."""

import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import yaml
from torch import Tensor

from invarion.exceptions import ModelFileError
from invarion.geometry import harmonics
from invarion.geometry.couplings import complex_from_real
from invarion.graphs import Graph
from invarion.models.ace.radial import Family, inner_step, radial_values
from invarion.models.ace.readout import embed

_FAMILIES = ("SBessel", "ChebExpCos", "ChebPow", "ChebLinear")


_SafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the compiled one, where there is one


class _Loader(_SafeLoader):
    """Safe YAML with sequences as tuples, because the format uses them as keys."""


def _tuple(loader: Any, node: Any) -> tuple[Any, ...]:
    return tuple(loader.construct_object(child, deep=True) for child in node.value)


_Loader.add_constructor("tag:yaml.org,2002:seq", _tuple)


class Bond(NamedTuple):
    """Radial functions between a center and a neighbour of two elements; coefficients (n, l, k)."""

    family: Family
    parameter: float
    n_family: int
    cutoff: float
    inner: tuple[float, float]
    coefficients: Tensor


class Product(NamedTuple):
    """A product of A-basis values: elements, radial indices and ranks of its factors, (C, rank) m, (C, P) numbers."""

    elements: tuple[int, ...]
    radials: tuple[int, ...]
    ranks: tuple[int, ...]
    orders: np.ndarray
    coefficients: Tensor


class YaceFile(NamedTuple):
    """The content of a `.yace` file.

    Attributes:
        species: atomic numbers in the order of the file.
        references: eV per atom of each.
        powers: of each density's embedding, 1 or 0.5, for each element.
        bonds: by (element of center, element of neighbour).
        products: for each element.
    """

    species: tuple[int, ...]
    references: tuple[float, ...]
    powers: tuple[tuple[float, ...], ...]
    bonds: dict[tuple[int, int], Bond]
    products: tuple[tuple[Product, ...], ...]

    def energy_and_forces(self, graph: Graph) -> tuple[Tensor, Tensor]:
        """Energy (eV) and forces (N, 3) (eV/Angstrom) of one structure in float64."""
        vectors = graph.vectors.double().clone().requires_grad_()
        index = torch.tensor([self.species.index(int(z)) for z in graph.species])
        energy = torch.stack([self._atom(i, vectors, graph, index) for i in range(graph.n_atoms)]).sum()
        (g,) = torch.autograd.grad(energy, vectors, allow_unused=True)
        g = torch.zeros_like(vectors) if g is None else g
        forces = torch.zeros(graph.n_atoms, 3, dtype=torch.float64)
        return energy.detach(), forces.index_add(0, graph.centers, g).index_add(0, graph.neighbors, -g)

    def _atom(self, atom: int, vectors: Tensor, graph: Graph, index: Tensor) -> Tensor:
        element = int(index[atom])
        edges = torch.nonzero(graph.centers == atom).squeeze(1)
        near = {b: vectors[edges[index[graph.neighbors[edges]] == b]] for b in range(len(self.species))}
        basis = {b: _atomic_basis(self.bonds[element, b], part) for b, part in near.items()}
        density = torch.zeros(len(self.powers[element]), dtype=torch.float64)
        for term in self.products[element]:
            density = density + _evaluate(term, basis)
        shares = [rho if power == 1.0 else embed(rho) for rho, power in zip(density, self.powers[element], strict=True)]
        return self.references[element] + torch.stack(shares).sum() + 0.0 * vectors.sum()


def read_yace(path: str | os.PathLike[str]) -> YaceFile:
    """Read a `.yace` file.

    Raises:
        ModelFileError: not such a file, or something in it that this reader (or the format) does not know.
    """
    try:
        return _parse(yaml.load(Path(path).read_text(), Loader=_Loader))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise ModelFileError(f"{path} is no .yace file that can be read: {error}") from error


def _parse(content: dict[str, Any]) -> YaceFile:
    from ase.data import atomic_numbers

    species = tuple(atomic_numbers[symbol] for symbol in content["elements"])
    powers = tuple(_powers(content["embeddings"][s]) for s in range(len(species)))
    bonds = {tuple(key): _bond(value) for key, value in content["bonds"].items()}
    products = tuple(tuple(map(_product, content["functions"].get(s, ()))) for s in range(len(species)))
    return YaceFile(species, tuple(map(float, content["E0"])), powers, bonds, products)


def _powers(embedding: dict[str, Any]) -> tuple[float, ...]:
    """Powers of all densities; the evaluator takes unknown names without a word, so that they are refused here."""
    numbers = [float(x) for x in embedding["FS_parameters"]]
    powers = tuple(numbers[1::2])
    name = embedding["npoti"]
    if name != "FinnisSinclairShiftedScaled" or set(numbers[::2]) != {1.0} or not set(powers) <= {1.0, 0.5}:
        raise ModelFileError(f"embedding {name} with parameters {numbers} is not known; powers 1 and 0.5 are")
    if len(powers) != int(embedding["ndensity"]):
        raise ModelFileError(f"{embedding['ndensity']} densities with {len(powers)} powers")
    return powers


def _bond(data: dict[str, Any]) -> Bond:
    if data["radbasename"] not in _FAMILIES:
        raise ModelFileError(f"radial functions {data['radbasename']!r}; allowed are {', '.join(_FAMILIES)}")
    shape = (int(data["nradmax"]), int(data["lmax"]) + 1, int(data["nradbasemax"]))
    coefficients = torch.tensor(data["radcoefficients"], dtype=torch.float64).reshape(shape)
    inner = float(data.get("rcut_in", 0.0)), float(data.get("dcut_in", 0.0))
    parameter = float(data["radparameters"][0])
    return Bond(data["radbasename"], parameter, shape[2], float(data["rcut"]), inner, coefficients)


def _product(data: dict[str, Any]) -> Product:
    rank = int(data["rank"])
    orders = np.array(data["ms_combs"], dtype=int).reshape(-1, rank)
    coefficients = torch.tensor(data["ctildes"], dtype=torch.float64).reshape(len(orders), -1)
    return Product(tuple(data["mus"]), tuple(data["ns"]), tuple(data["ls"]), orders, coefficients)


def _atomic_basis(bond: Bond, vectors: Tensor) -> tuple[Tensor, Tensor]:
    """Sums over neighbours: family functions (K,), and radial x complex harmonics (n, (L+1)^2)."""
    distances = vectors.norm(dim=1)
    family = radial_values(bond.family, distances, bond.cutoff, bond.n_family, bond.parameter)
    family = family * inner_step(distances, *bond.inner)[:, None]
    max_rank = bond.coefficients.shape[1] - 1
    real = harmonics(vectors / distances[:, None], max_rank)
    columns = []
    for rank in range(max_rank + 1):
        # complex harmonics x sqrt(4 pi) have squared norm 2l+1, ours l!/(2l-1)!!
        size = float(np.sqrt((2 * rank + 1) / np.prod([k / (2 * k - 1) for k in range(1, rank + 1)])))
        matrix = torch.from_numpy(size * complex_from_real(rank))
        angular = real[:, rank**2 : (rank + 1) ** 2].to(torch.complex128) @ matrix.T
        radial = family @ bond.coefficients[:, rank].T
        columns.append(radial.to(torch.complex128).T @ angular)
    return family.sum(0), torch.cat(columns, 1)


def _evaluate(term: Product, basis: dict[int, tuple[Tensor, Tensor]]) -> Tensor:
    """What a product adds to every density (P,)."""
    if len(term.ranks) == 1:
        return basis[term.elements[0]][0][term.radials[0] - 1] * term.coefficients[0]
    value = torch.ones(len(term.orders), dtype=torch.complex128)
    for place, (element, n, rank) in enumerate(zip(term.elements, term.radials, term.ranks, strict=True)):
        columns = torch.from_numpy(rank**2 + rank + term.orders[:, place])
        value = value * basis[element][1][n - 1, columns]
    return value.real @ term.coefficients
