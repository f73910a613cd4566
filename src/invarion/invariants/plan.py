"""Plan: contractions compiled to straight-line code over packed components, with exact first and second derivatives.

The plan says what is computed; `execution` (numpy), `models.invariant_layer` (torch) and the fused kernel say how.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from invarion.exceptions import BasisError
from invarion.invariants.contractions import Contraction
from invarion.invariants.joining import Writer
from invarion.invariants.order import plan_steps
from invarion.invariants.straightline import Program, adjoint, finish, insert_inputs, join, tangent
from invarion.invariants.subgraphs import ContractionGraph


@dataclass(frozen=True)
class Plan:
    """How to evaluate invariants of symmetric traceless tensors, and their derivatives.

    Attributes:
        ranks: rank of each tensor; their packed components laid end to end are the M inputs.
        values: program x (M) -> y (B).
    """

    ranks: tuple[int, ...]
    values: Program

    @property
    def n_inputs(self) -> int:
        """Number M of packed tensor components."""
        return self.values.n_inputs

    @property
    def n_outputs(self) -> int:
        """Number B of invariants."""
        return len(self.values.outputs)

    @property
    def n_multiplications(self) -> int:
        """Multiplications of one evaluation of all invariants, those by constants other than 1 and -1 included."""
        return self.values.n_multiplications

    @cached_property
    def gradient(self) -> Program:
        """Program (x, g) -> sum_b g_b dy_b/dx: M + B inputs, M outputs."""
        return adjoint(self.values)

    @cached_property
    def curvature(self) -> Program:
        """Program (x, g, w) -> (sum_b g_b d2y_b/dx2 w, dy/dx w): 2 M + B inputs, M + B outputs.

        The derivatives of w . gradient(x, g) with respect to x and to g.
        """
        n = self.n_inputs
        second = tangent(self.gradient, n)
        first = insert_inputs(tangent(self.values, n), n, self.n_outputs)
        return join(second, first)


def compile_plan(contractions: Sequence[Contraction], ranks: Sequence[int]) -> Plan:
    """The plan of these contractions; pieces that occur in several of them are computed once.

    Args:
        contractions: what to evaluate, in order; each connected.
        ranks: rank of each tensor slot.

    Returns:
        The plan.

    Raises:
        BasisError: a contraction does not fit the ranks, is not connected or has too many vertices.

    >>> compile_plan([Contraction((0, 0), ((0, 1, 1),))], [1]).n_multiplications
    3
    """
    for contraction in contractions:
        contraction.check(ranks)
    graphs = [ContractionGraph(c, ranks, label) for label, c in enumerate(contractions)]
    apart = [graph.label for graph in graphs if not graph.is_connected(graph.whole)]
    if apart:
        raise BasisError(f"contraction {apart[0]} is not connected; it is a product, evaluate its factors")
    writer = Writer(tuple(ranks), plan_steps(graphs))
    outputs = [writer.scalar(graph) for graph in graphs]
    return Plan(tuple(ranks), finish(writer.builder, outputs))
