"""Covariant messages: atoms hand their neighbours the tensors of their own environment, besides their features."""

import torch
from torch import Tensor, nn

from invarion.models.parts import Factors

_SHARE = 0.5  # of what arrives by messages at the start, to what the features bring
_NOTHING = 1e-3  # of what arrives of the ranks that bring most
_RANGE = 10.0  # within which the sizes of ranks differ from what is usual


class TensorMessages(nn.Module):
    r"""What an atom tells its neighbours of the directions that it has seen, and how far the word carries.

    .. math:: B_{jmc} = a_l \sum_b U^{l}_{bc} \Big(1 + \sum_d G_{bd} z_{jd} + g_b\Big) A_{jmb}, \qquad
              A'_{imc} = A^{own}_{imc} + \sum_{e: i(e)=i} w(r_e) \, B_{j(e) m c}, \qquad
              w(r) = \sum_k w_k s_k(r)

    with the environment tensors A of the interaction before (component m of rank l), the features z that came of them,
    and the interaction's own sensitivities. Tensors of a rank are mixed over neurons and weighted by scalars only, so
    that messages turn with the atoms. The sizes a_l are set by the data (`calibrate`).

    Args:
        n_before: C_b, neurons of the interaction before.
        n_in: features that came of it.
        n_out: C, neurons of the interaction that hears.
        n_sensitivities: K of that interaction.
        rank: the highest rank that travels, >= 1.

    References:
        Covariants are named as future work in arXiv:2503.23515; tensors as messages: Batzner et al., NequIP,
        arXiv:2101.03164.
    """

    sizes: Tensor
    ranks: Tensor

    def __init__(self, n_before: int, n_in: int, n_out: int, n_sensitivities: int, rank: int) -> None:
        super().__init__()
        self.rank = rank
        self.radial = nn.Parameter(torch.empty(n_sensitivities, 1))
        nn.init.xavier_normal_(self.radial)
        self.gate = nn.Linear(n_in, n_before)
        nn.init.xavier_normal_(self.gate.weight)
        nn.init.ones_(self.gate.bias)
        self.mixing = nn.ParameterList(nn.Parameter(torch.empty(n_before, n_out)) for _ in range(rank + 1))
        for mixing in self.mixing:
            nn.init.normal_(mixing, std=n_before**-0.5)
        self.register_buffer("sizes", torch.ones(rank + 1))
        ranks = [each for each in range(rank + 1) for _ in range(2 * each + 1)]
        self.register_buffer("ranks", torch.tensor(ranks), persistent=False)  # of components
        self.calibrating = False

    def forward(self, features: Tensor, tensors: Tensor) -> Tensor:
        """Messages (N, m C) of atoms with features (N, F) and environment tensors (N, M, C_b)."""
        travelling = tensors if tensors.shape[1] == len(self.ranks) else tensors[:, : len(self.ranks)]
        gated = self.gate(features)[:, None] * travelling
        weights = torch.stack([size * mixing for size, mixing in zip(self.sizes, self.mixing, strict=True)])
        return torch.bmm(gated.transpose(0, 1), weights[self.ranks]).transpose(0, 1).flatten(1)

    def factors(self, own: Factors) -> Factors:
        """What the sum over neighbours takes of edges, of what the interaction's own sum takes."""
        return Factors(own.sensitivities @ self.radial, torch.ones_like(own.tensors[:, :1]), None)

    def heard(self, tensors: Tensor, arrived: Tensor) -> Tensor:
        """The interaction's own tensors (N, M, C) with what has arrived (N, 1, m C) added."""
        arrived = arrived.view(len(tensors), len(self.ranks), tensors.shape[2])
        if self.calibrating:
            arrived = self._calibrated(tensors, arrived)
        missing = tensors.shape[1] - arrived.shape[1]
        return tensors + (nn.functional.pad(arrived, (0, 0, 0, missing)) if missing else arrived)

    def _calibrated(self, tensors: Tensor, arrived: Tensor) -> Tensor:
        """What arrives with new sizes: in every rank the same part of what is there already."""
        parts = [slice(rank**2, (rank + 1) ** 2) for rank in range(self.rank + 1)]
        own, sent = (torch.stack([x[:, part].square().mean().sqrt() for part in parts]) for x in (tensors, arrived))
        if not sent.max() > 0:
            return arrived
        # where symmetry leaves nothing of a rank but rounding, its ratio means nothing: others say what is usual
        usual = own.max() / sent.max()
        ratios = torch.where(sent > _NOTHING * sent.max(), own / sent, usual)
        factors = _SHARE * ratios.clamp(usual / _RANGE, usual * _RANGE)
        self.sizes *= factors
        return torch.cat([arrived[:, part] * factor for part, factor in zip(parts, factors, strict=True)], dim=1)
