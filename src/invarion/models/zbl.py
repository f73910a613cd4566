"""The Ziegler-Biersack-Littmark repulsion: what keeps atoms apart where no training structure reaches."""

from collections.abc import Mapping

import torch
from ase.data import atomic_numbers, covalent_radii
from ase.units import Bohr, Hartree
from torch import Tensor

from invarion.exceptions import ConfigError
from invarion.graphs import Graph
from invarion.potential import DoubleBuffers

Range = tuple[float, float]
"""Inner and outer distance in Angstrom."""

COULOMB = Hartree * Bohr
"""e^2 / (4 pi epsilon_0) in eV Angstrom."""

STRENGTHS = (0.18175, 0.50986, 0.28022, 0.02817)
DECAYS = (3.19980, 0.94229, 0.40290, 0.20162)
_LENGTH = 0.46850  # Angstrom
_INNER, _OUTER = 0.5, 0.75  # of the sum of covalent radii, for pairs that nothing is known of
_BEGIN, _END = 0.7, 0.9  # of the smallest distance, where structures say it


class ZblCore(DoubleBuffers):
    r"""Half of every pair's screened nuclear repulsion, switched off between an inner and an outer distance.

    .. math:: V(r) = \frac{k Z_i Z_j}{r} \sum_n s_n e^{-d_n r / a} + S(r), \quad
        a = \frac{0.4685}{Z_i^{0.23} + Z_j^{0.23}}

    S is the polynomial of LAMMPS' `pair_style zbl`, which makes value, slope and curvature vanish at the outer
    distance, so that the core can be exported as that style.

    Args:
        species: atomic numbers.
        inner: where the switch begins, Angstrom; one for all pairs, or (S, S).
        outer: from where on the core is zero, Angstrom; one for all pairs, or (S, S).

    References:
        J. F. Ziegler, J. P. Biersack, U. Littmark, The Stopping and Range of Ions in Matter (1985).
    """

    numbers: Tensor
    inner: Tensor
    outer: Tensor
    switch: Tensor

    def __init__(self, species: tuple[int, ...], inner: float | Tensor, outer: float | Tensor) -> None:
        super().__init__()
        # numbers that decide nothing about shapes are made where they can be computed, whatever the default device
        every = torch.zeros(len(species), len(species), dtype=torch.float64, device="cpu")
        self.register_buffer("inner", every + inner, persistent=False)
        self.register_buffer("outer", every + outer, persistent=False)
        numbers = torch.tensor(species, dtype=torch.float64, device="cpu")
        self.register_buffer("numbers", numbers, persistent=False)
        z1, z2 = numbers[:, None].expand(-1, len(species)), numbers.expand(len(species), -1)
        self.register_buffer("switch", _switch(z1, z2, self.inner, self.outer), persistent=False)

    def forward(self, graph: Graph, index: Tensor) -> Tensor:
        """Repulsion energies (N,) in eV of a batch whose atoms have species indices index (N,)."""
        distances = graph.vectors.norm(dim=1)
        near = torch.nonzero(distances < self.outer.max()).squeeze(1)
        r, a, b = distances[near], index[graph.centers[near]], index[graph.neighbors[near]]
        cubic, quartic, constant = self.switch[:, a, b]
        past = (r - self.inner[a, b]).clamp_min(0.0)
        pair = zbl_energy(r, self.numbers[a], self.numbers[b]) + past**3 * (cubic + quartic * past) + constant
        pair = torch.where(r < self.outer[a, b], pair, 0.0)
        return distances.new_zeros(graph.n_atoms).index_add(0, graph.centers[near], (0.5 * pair).to(distances.dtype))


def zbl_energy(distances: Tensor, z1: Tensor, z2: Tensor) -> Tensor:
    """Screened repulsion in eV of nuclei z1 and z2 at distances in Angstrom (equal shapes).

    >>> silicon = torch.tensor([14.0])
    >>> zbl_energy(torch.tensor([1.0]), silicon, silicon).round()
    tensor([51.])
    """
    screening = torch.zeros_like(distances)
    for strength, decay in _screening(z1, z2):
        screening = screening + strength * torch.exp(-decay * distances)
    return COULOMB * z1 * z2 / distances * screening


def _screening(z1: Tensor, z2: Tensor) -> list[tuple[float, Tensor]]:
    """Strength and decay in 1/Angstrom of each exponential."""
    scale = inverse_length(z1, z2)
    return [(strength, decay * scale) for strength, decay in zip(STRENGTHS, DECAYS, strict=True)]


def inverse_length(z1: Tensor, z2: Tensor) -> Tensor:
    """1/a in 1/Angstrom, the inverse of the length over which nuclei z1 and z2 are screened."""
    return (z1**0.23 + z2**0.23) / _LENGTH


def core_ranges(known: Mapping[str, Range], species: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Inner and outer distances (S, S) of every pair: as known, else well inside the sum of covalent radii.

    Args:
        known: inner and outer distance in Angstrom by pair, for instance {"C-H": (0.7, 1.0)}.
        species: atomic numbers.

    >>> [r.round(decimals=2).tolist() for r in core_ranges({"O-H": (0.6, 0.9)}, (1, 8))]
    [[[0.31, 0.6], [0.6, 0.66]], [[0.46, 0.9], [0.9, 0.99]]]
    """
    radii = torch.tensor([float(covalent_radii[z]) for z in species], dtype=torch.float64, device="cpu")
    touching = radii[:, None] + radii
    inner, outer = _INNER * touching, _OUTER * touching
    for pair, (begin, end) in known.items():
        places = [species.index(z) for z in _numbers(pair) if z in species]
        if len(places) == 2:
            a, b = places
            inner[a, b] = inner[b, a] = begin
            outer[a, b] = outer[b, a] = end
    return inner, outer


def out_of_reach(nearest: Mapping[str, float]) -> dict[str, Range]:
    """Ranges of a core that structures do not feel, nor others that come a little closer than they do.

    Args:
        nearest: smallest distance of every pair of elements in the structures in Angstrom.

    >>> out_of_reach({"H-O": 0.9})
    {'H-O': (0.63, 0.81)}
    """
    return {pair: (round(_BEGIN * distance, 6), round(_END * distance, 6)) for pair, distance in nearest.items()}


def _numbers(pair: str) -> list[int]:
    symbols = pair.split("-")
    if len(symbols) != 2 or not all(symbol in atomic_numbers for symbol in symbols):
        raise ConfigError(f"zbl: {pair!r} is no pair of elements; write for example 'C-H'")
    return [atomic_numbers[symbol] for symbol in symbols]


def _switch(z1: Tensor, z2: Tensor, inner: Tensor, outer: Tensor) -> Tensor:
    """(3, S, S): coefficients of (r - inner)^3 and ^4 and the constant that end the repulsion smoothly at `outer`.

    In closed form: automatic second derivatives load torch's compiler, two seconds of a program's start.
    """
    r, e, d, c = outer, *torch.zeros(3, *outer.shape, dtype=outer.dtype, device=outer.device)
    for strength, decay in _screening(z1, z2):
        term = COULOMB * z1 * z2 * strength * torch.exp(-decay * r) / r
        e, d = e + term, d - term * (decay + 1.0 / r)
        c = c + term * (decay**2 + 2.0 * decay / r + 2.0 / r**2)
    width = outer - inner
    cubic = (-3.0 * d + width * c) / width**2 / 3.0
    quartic = (2.0 * d - width * c) / width**3 / 4.0
    return torch.stack([cubic, quartic, -e + 0.5 * width * d - width**2 * c / 12.0])
