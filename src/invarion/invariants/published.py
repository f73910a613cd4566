"""The table of invariants that HIP-HOP-NN was published with, in its own order."""

from invarion.exceptions import BasisError
from invarion.invariants.basis import InvariantBasis
from invarion.invariants.contractions import Contraction
from invarion.invariants.costs import cost_function
from invarion.invariants.optimal import assemble
from invarion.invariants.request import check_degree, tensor_ranks

HIP_HOP_NN = (
    Contraction((0,)),
    Contraction((1, 1), ((0, 1, 1),)),
    Contraction((2, 2), ((0, 1, 2),)),
    Contraction((2, 2, 2), ((0, 1, 1), (0, 2, 1), (1, 2, 1))),
    Contraction((3, 3), ((0, 1, 3),)),
    Contraction((3, 3, 3, 3), ((0, 1, 1), (0, 2, 2), (1, 3, 2), (2, 3, 1))),
    Contraction((1, 1, 2), ((0, 2, 1), (1, 2, 1))),
    Contraction((1, 1, 2, 2), ((0, 2, 1), (1, 3, 1), (2, 3, 1))),
    Contraction((1, 1, 1, 3), ((0, 3, 1), (1, 3, 1), (2, 3, 1))),
    Contraction((1, 1, 3, 3), ((0, 2, 1), (1, 3, 1), (2, 3, 2))),
    Contraction((2, 3, 3), ((0, 1, 1), (0, 2, 1), (1, 2, 2))),
    Contraction((2, 2, 3, 3), ((0, 1, 1), (0, 2, 1), (1, 3, 1), (2, 3, 2))),
    Contraction((2, 2, 3, 3), ((0, 2, 2), (1, 3, 2), (2, 3, 1))),
)
"""s, v.v, Q:Q, tr Q^3, T:T, (TT):(TT), v.Q.v, |Q.v|^2, T:vvv, v.(TT).v, (TT):Q, (TT):(QQ), |T:Q|^2."""

_MAX_RANK = 3
_MAX_DEGREE = 4


def published_basis(max_rank: int, max_degree: int = _MAX_DEGREE) -> InvariantBasis:
    """The invariants of HIP-HOP-NN's table up to a rank and degree, in the order of its public code.

    Not the optimal sets: at (3 ranks, degree 3) it has 7 members where 8 are independent.

    Args:
        max_rank: 0 to 3.
        max_degree: 1 to 4; body order is one more.

    Returns:
        The basis with its certificate.

    Raises:
        BasisError: beyond the table.

    References:
        Allen, Shinkle, Bujack, Lubbers, arXiv:2503.23515; hippynn 0.1.3.

    Example:
        >>> [len(published_basis(l, n)) for n, l in ((4, 3), (4, 2), (3, 3), (2, 1))]
        [13, 6, 7, 2]
    """
    ranks = tensor_ranks(max_rank, 1, None)
    check_degree(max_degree)
    if max_rank > _MAX_RANK or max_degree > _MAX_DEGREE:
        raise BasisError(
            f"max_rank is {max_rank} and max_degree {max_degree}, but the published table holds ranks up to "
            f"{_MAX_RANK} and degrees up to {_MAX_DEGREE}; use optimal_basis({max_rank}, {max_degree}) instead"
        )
    members = tuple(c for c in HIP_HOP_NN if c.degree <= max_degree and max(c.vertices) <= max_rank)
    price = cost_function("degree", ranks)[1]
    return assemble(ranks, 1, "published", "even", max_degree, members, price, None)
