"""Readouts: from the invariant functions of an atom to its energy, one module per element.

Each can say how its energy changes with its coefficients (`sensitivities`), so that one solver fits them all: exactly
in one step where the energy is linear in the coefficients, by Gauss-Newton steps where it is not. The weights of a
network are not among the coefficients; they are trained.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from invarion.geometry import two_slopes


class Linear(nn.Module):
    r"""Energy linear in the functions, :math:`E = \sum_k w_k B_k`; coefficients start at zero.

    Args:
        n_functions: B.
    """

    def __init__(self, n_functions: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(n_functions))

    def calibrate(self, invariants: Tensor) -> None:
        """Adapt to typical invariants (N, B) of this element; nothing to do here."""

    def coefficients(self) -> list[nn.Parameter]:
        """The parameters that a solver finds; P is their number."""
        return list(self.parameters())

    def features(self, invariants: Tensor) -> Tensor:
        """What the coefficients multiply: (N, B) in, (N, P) out."""
        return invariants

    def totals(self, numbers: Tensor) -> Tensor:
        """(P,) a number of each function (B,), summed over the functions that a coefficient multiplies."""
        return numbers

    def sensitivities(self, invariants: Tensor) -> tuple[Tensor, Tensor]:
        """Derivatives of each atom's energy with respect to the coefficients, and their slopes in the functions.

        Args:
            invariants: (N, B).

        Returns:
            (N, P) in the order of `coefficients`, and (N, S, B) derivatives of the last S of them with respect to the
            functions; S is P, or P - B where the first B are the functions themselves.
        """
        return invariants, invariants.new_zeros(len(invariants), 0, invariants.shape[1])

    def forward(self, invariants: Tensor) -> Tensor:
        """Energies (N,) of invariants (N, B)."""
        return self.features(invariants) @ self.weight


class Polynomial(Linear):
    r"""Energy polynomial in the functions, each divided by its root mean square: products up to a degree.

    .. math:: E = \sum_p w_p \prod_{k \in p} \frac{B_k}{s_k}, \qquad \sum_{k \in p} (o_k + 1) \le \text{budget}

    with :math:`o_k` how much a function oscillates; products of one factor are always all there. Products of a few
    functionally independent functions reach what the full list holds and more; without atoms around all vanish. The
    many products of functions that oscillate cost most and help least, hence the budget.

    Args:
        n_functions: B.
        degree: 2 to 4.
        sizes: (B,) o_k; zeros if not given.
        budget: limit on products of two or more factors; none if None.
    """

    scale: Tensor
    _factors: Tensor
    _lefts: Tensor
    _pairs: Tensor
    _ends: Tensor
    _second: Tensor
    _third: Tensor
    _fourth: Tensor

    def __init__(self, n_functions: int, degree: int, sizes: Tensor | None = None, budget: float | None = None) -> None:
        nn.Module.__init__(self)
        self.degree = degree
        costs = np.ones(n_functions) if sizes is None else 1.0 + sizes.double().numpy()
        products = _products(costs, degree, budget)
        padded = [[*product, *[n_functions] * (degree - len(product))] for product in products]
        self.weight = nn.Parameter(torch.zeros(len(products)))
        self.register_buffer("scale", torch.ones(n_functions))
        self.register_buffer("_factors", torch.tensor(padded).T.contiguous(), persistent=False)
        for name, value in _matrices(products, costs)._asdict().items():
            self.register_buffer(f"_{name}", value, persistent=False)

    def calibrate(self, invariants: Tensor) -> None:
        """Set the scale of each function to its root mean square."""
        self.scale = typical_size(invariants)

    def features(self, invariants: Tensor) -> Tensor:
        """All products (N, P) of scaled functions."""
        padded = torch.cat([invariants / self.scale, torch.ones_like(invariants[:, :1])], 1)
        return torch.stack([padded[:, row] for row in self._factors]).prod(0)

    def totals(self, numbers: Tensor) -> Tensor:
        """(P,) a number of each function (B,), summed over the factors of each product."""
        return torch.cat([numbers, numbers.new_zeros(1)])[self._factors].sum(0)

    def forward(self, invariants: Tensor) -> Tensor:
        r"""Energies (N,) of invariants (N, B), through matrices, which is many times faster than product by product.

        .. math:: E = w x + s M_2 x + y M_3 x + y M_4 z

        with s some of the functions x, and y, z products of two.
        """
        x = invariants / self.scale
        y = x[:, self._pairs[0]] * x[:, self._pairs[1]]
        z = x[:, self._ends[0]] * x[:, self._ends[1]]
        start = x.shape[1]
        energies = x @ self.weight[:start]
        sides = ((x[:, self._lefts], x, self._second), (y, x, self._third), (y, z, self._fourth))
        for left, right, entries in sides:
            stop = start + entries.shape[1]
            if stop > start:
                matrix = x.new_zeros(left.shape[1], right.shape[1])
                matrix = matrix.index_put((entries[0], entries[1]), self.weight[start:stop])
                energies = energies + ((left @ matrix) * right).sum(1)
            start = stop
        return energies

    def sensitivities(self, invariants: Tensor) -> tuple[Tensor, Tensor]:
        """The products, and their derivatives."""
        padded = torch.cat([invariants / self.scale, torch.ones_like(invariants[:, :1])], 1)
        columns = torch.arange(self._factors.shape[1], device=invariants.device)
        slopes = padded.new_zeros(len(padded), len(columns), padded.shape[1])
        for place, row in enumerate(self._factors):
            others = torch.cat([self._factors[:place], self._factors[place + 1 :]])
            slopes[:, columns, row] += padded[:, others].prod(1)
        return self.features(invariants), slopes[:, :, :-1] / self.scale


class _Matrices(NamedTuple):
    """How `Polynomial.forward` goes through the products: cheap factors to the left, of which there are few.

    lefts (S,) are the cheaper factors of products of two; pairs (2, Y) and ends (2, Z) the cheaper and the dearer pairs
    of factors of longer ones. second, third and fourth (2, P_d) say where products are in the matrices between lefts
    and functions, pairs and functions, pairs and ends.
    """

    lefts: Tensor
    pairs: Tensor
    ends: Tensor
    second: Tensor
    third: Tensor
    fourth: Tensor


def _matrices(products: list[tuple[int, ...]], costs: np.ndarray) -> _Matrices:
    """Of products ordered by their number of factors."""
    lists = [
        [sorted(product, key=lambda k: (costs[k], k)) for product in products if len(product) == d] for d in (2, 3, 4)
    ]
    twos, threes, fours = (
        torch.tensor(x, dtype=torch.int64, device="cpu").view(-1, d).T for d, x in zip((2, 3, 4), lists, strict=True)
    )
    lefts, first = torch.unique(twos[0], return_inverse=True)
    pairs, low = torch.unique(torch.cat([threes[:2], fours[:2]], 1), dim=1, return_inverse=True)
    ends, high = torch.unique(fours[2:], dim=1, return_inverse=True)
    low3, low4 = low.split([threes.shape[1], fours.shape[1]])
    entries = torch.stack([first, twos[1]]), torch.stack([low3, threes[2]]), torch.stack([low4, high])
    return _Matrices(lefts, pairs, ends, *entries)


def _products(costs: np.ndarray, degree: int, budget: float | None) -> list[tuple[int, ...]]:
    """Products by number of factors: of one factor all, of more those whose costs add up to the budget at most.

    >>> _products(np.array([1.0, 2.0]), 3, 3.0)
    [(0,), (1,), (0, 0), (0, 1), (0, 0, 0)]
    """
    limit = np.inf if budget is None else budget
    products: list[tuple[int, ...]] = [(k,) for k in range(len(costs))]
    last = products
    for _ in range(degree - 1):
        last = [
            (*product, k)
            for product in last
            for k in range(product[-1], len(costs))
            if costs[list(product)].sum() + costs[k] <= limit
        ]
        products = products + last
    return products


class Kernel(Linear):
    r"""Sparse Gaussian process: :math:`E = \sum_m w_m \big(k(b, x_m) - k(0, x_m)\big)` with stored environments x_m.

    k is the squared exponential of the distance between functions scaled by their root mean square, over
    :math:`\ell^2 = ` the median squared distance of the stored environments.

    Args:
        n_functions: B.
        n_centers: number of stored environments, chosen by `calibrate` as those farthest from each other.
    """

    scale: Tensor
    centers: Tensor
    inverse_square: Tensor

    def __init__(self, n_functions: int, n_centers: int) -> None:
        nn.Module.__init__(self)
        self.weight = nn.Parameter(torch.zeros(n_centers))
        self.register_buffer("scale", torch.ones(n_functions))
        self.register_buffer("centers", torch.zeros(n_centers, n_functions))
        self.register_buffer("inverse_square", torch.ones(()))

    def calibrate(self, invariants: Tensor) -> None:
        """Choose stored environments among these, farthest first, and the length scale."""
        if not len(invariants):
            return
        self.scale = typical_size(invariants)
        scaled = invariants / self.scale
        distance = (scaled - scaled.mean(0)).square().sum(1)
        chosen: list[int] = []
        for _ in range(len(self.centers)):
            chosen.append(int(distance.argmax()))
            distance = torch.minimum(distance, (scaled - scaled[chosen[-1]]).square().sum(1))
        self.centers = scaled[chosen].clone()
        apart = torch.cdist(self.centers, self.centers).square()
        median = apart[apart > 0].median() if bool((apart > 0).any()) else torch.ones(())
        self.inverse_square = (1.0 / median).to(invariants)

    def features(self, invariants: Tensor) -> Tensor:
        """Kernels (N, P) with the stored environments, less their values without atoms around."""
        return self._kernel(invariants / self.scale) - self._kernel(torch.zeros_like(invariants[:1]))

    def sensitivities(self, invariants: Tensor) -> tuple[Tensor, Tensor]:
        """The kernels, and their derivatives."""
        scaled = invariants / self.scale
        away = (scaled[:, None, :] - self.centers) / self.scale
        return self.features(invariants), -self.inverse_square * self._kernel(scaled)[:, :, None] * away

    def _kernel(self, scaled: Tensor) -> Tensor:
        # the square written out: one matrix product, and nothing of size atoms x centers x functions
        sizes = scaled.square().sum(1, keepdim=True) + self.centers.square().sum(1)
        return torch.exp(self.inverse_square * (scaled @ self.centers.T - 0.5 * sizes))


class Embedding(Linear):
    r"""Finnis-Sinclair embedding: a linear density plus the roots of further ones.

    .. math:: E = \rho_1 + \sum_{p \ge 2} F(\rho_p), \quad \rho_p = \sum_k W_{pk} B_k, \quad
        F(\rho) = \operatorname{sign}(\rho) \big( \sqrt{|\rho| + \tfrac14 e^{-|\rho|}} - \tfrac12 e^{-|\rho|} \big)

    Args:
        n_functions: B.
        n_densities: >= 2.

    References:
        Y. Lysogorskiy et al., npj Comput. Mater. 7, 97 (2021), eqs. (4)-(5).
    """

    def __init__(self, n_functions: int, n_densities: int) -> None:
        super().__init__(n_functions)
        self.densities = nn.Parameter(torch.zeros(n_densities - 1, n_functions))

    def calibrate(self, invariants: Tensor) -> None:
        """Start the further densities near 1 with the scalar functions, which measure how many atoms are around."""
        scale = typical_size(invariants)
        start = torch.zeros_like(self.densities)
        start[:, 0] = 1.0 / scale[0]
        self.densities.data = start

    def sensitivities(self, invariants: Tensor) -> tuple[Tensor, Tensor]:
        """The functions times the slope of each density's embedding, and the derivatives of that."""
        densities = invariants @ self.densities.T
        found = two_slopes(lambda density: embed(density)[:, None], densities.flatten())
        first, curve = (part.view_as(densities) for part in found[1:])
        n, b = invariants.shape
        eye = torch.eye(b, dtype=invariants.dtype, device=invariants.device)
        outer = curve[:, :, None, None] * invariants[:, None, :, None] * self.densities[None, :, None, :]
        further = first[:, :, None, None] * eye + outer
        values = torch.cat([invariants, (first[:, :, None] * invariants[:, None, :]).reshape(n, -1)], 1)
        return values, further.reshape(n, -1, b)

    def forward(self, invariants: Tensor) -> Tensor:
        """Energies (N,) of invariants (N, B)."""
        return super().forward(invariants) + embed(invariants @ self.densities.T).sum(1)


def embed(density: Tensor) -> Tensor:
    """F of `Embedding`, smooth through zero.

    >>> embed(torch.tensor([0.0, 100.0, -100.0]))
    tensor([  0.,  10., -10.])
    """
    size = density.abs()
    decay = torch.exp(-size)
    return torch.where(density < 0, -1.0, 1.0) * (torch.sqrt(size + 0.25 * decay) - 0.5 * decay)


def typical_size(invariants: Tensor) -> Tensor:
    """Root mean square (B,) of each function, 1 where there is nothing to measure."""
    if not len(invariants):
        return invariants.new_ones(invariants.shape[1])
    size = invariants.square().mean(0).sqrt()
    return torch.where(size > 0, size, 1.0)
