"""Heads: from the environment tensors of every neuron to features that rotations leave alone."""

import torch
from torch import Tensor, nn

from invarion.invariants import InvariantBasis
from invarion.models.invariant_layer import InvariantLayer
from invarion.models.normalization import Normalization, normalization


class ScalarHead(nn.Module):
    """HIP-NN: the rank-0 component itself."""

    def forward(self, tensors: Tensor) -> Tensor:
        """(N, M, C) in, (N, C) out."""
        return tensors[:, 0]


class NormHead(nn.Module):
    r"""HIP-NN-TS: the scalar plus a scaled norm of every higher rank.

    .. math:: y_c = A^0_c + \sum_{l \ge 1} a_{lc} \sqrt{\sum_m (A^{lm}_c)^2 + \epsilon}

    Args:
        n_features: C.
        max_rank: L, the highest rank, >= 1.
        cusp: epsilon, which rounds the norm's cusp at zero.

    References:
        Chigaev et al., J. Chem. Phys. 158, 184108 (2023).
    """

    def __init__(self, n_features: int, max_rank: int, cusp: float) -> None:
        super().__init__()
        self.cusp = cusp
        self.scales = nn.Parameter(torch.randn(max_rank, n_features))

    def forward(self, tensors: Tensor) -> Tensor:
        """(N, M, C) in, (N, C) out."""
        squares = tensors.square()
        features = tensors[:, 0]
        for rank, scale in enumerate(self.scales, start=1):
            norm = (squares[:, rank**2 : (rank + 1) ** 2].sum(dim=1) + self.cusp).sqrt()
            features = features + scale * norm
        return features


class BasisHead(nn.Module):
    r"""HIP-HOP-NN: the invariants of a basis in every neuron, normalised, then mixed across neurons.

    .. math:: y_{c'} = \sum_{bc} a_b \hat I_b(A_c) M_{b c c'}

    with a gain a_b per invariant that belongs to the normalisation.

    Args:
        n_features: C.
        basis: invariants of one tensor per rank 0..L.
        kind: normalisation, "scaled", "smooth", "group" or "none".

    References:
        arXiv:2503.23515 (HIP-HOP-NN).
    """

    gains: Tensor

    def __init__(self, n_features: int, basis: InvariantBasis, kind: Normalization) -> None:
        super().__init__()
        self.invariants = InvariantLayer(basis)
        self.norm, gains = normalization(kind, [each.degree for each in basis.invariants], n_features)
        self.register_buffer("gains", torch.tensor(gains), persistent=False)
        self.level = all(gain == 1.0 for gain in gains)
        mixing = torch.empty(n_features, len(basis), n_features)
        nn.init.xavier_normal_(mixing)
        self.mixing = nn.Parameter(mixing.transpose(0, 1).contiguous())

    def forward(self, tensors: Tensor) -> Tensor:
        """(N, M, C) in, (N, C) out."""
        normalised = self.norm(self.invariants(tensors))
        mixing = self.mixing if self.level else self.gains[:, None, None] * self.mixing
        return normalised.flatten(1) @ mixing.flatten(0, 1)
