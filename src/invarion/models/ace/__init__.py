"""ACE: the Atomic Cluster Expansion with all its descriptors, or only with those it needs."""

from invarion.models.ace.basis import AceBasis
from invarion.models.ace.config import AceConfig, ace, ace_basis, full_basis
from invarion.models.ace.reduction import reduce_basis

__all__ = ["AceBasis", "AceConfig", "ace", "ace_basis", "full_basis", "reduce_basis"]
