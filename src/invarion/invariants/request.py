"""What was asked for: the tensors, the degree, the parity; checked once, at the public edge."""

from collections.abc import Mapping, Sequence

from invarion.exceptions import BasisError


def tensor_ranks(max_rank: int | None, channels: int, ranks: Sequence[int] | None) -> tuple[int, ...]:
    """Rank of every tensor, from either form of the request.

    Args:
        max_rank: L, for ranks 0..L in every channel.
        channels: number of channels N >= 1.
        ranks: any list of ranks instead, each >= 0.

    Raises:
        BasisError: both forms, none, or a number out of range.

    Example:
        >>> tensor_ranks(1, 2, None), tensor_ranks(None, 1, [1, 3, 3])
        ((0, 1, 0, 1), (1, 3, 3))
    """
    if (max_rank is None) == (ranks is None):
        raise BasisError(
            "give either max_rank (one tensor of each rank 0..max_rank) or ranks (any list of tensors), not both"
        )
    _whole("channels", channels, 1)
    if ranks is None:
        return tuple(range(_whole("max_rank", max_rank, 0) + 1)) * channels
    if channels != 1:
        raise BasisError(f"channels is {channels} and ranks is given; list the tensors of all channels in ranks")
    if not len(ranks):
        raise BasisError("ranks is empty; list at least one tensor rank, such as ranks=[1, 2]")
    return tuple(_whole("each of ranks", rank, 0) for rank in ranks)


def check_degree(max_degree: int | None) -> None:
    """Raises BasisError unless the degree is a whole number >= 1 or None."""
    if max_degree is not None:
        _whole("max_degree", max_degree, 1)


def check_least(least: Mapping[int, int] | None, max_degree: int | None) -> dict[int, int]:
    """Least number of members per degree, without zeros; BasisError where a degree or number is out of range."""
    found = {_whole("each degree of min_per_degree", d, 1): n for d, n in (least or {}).items()}
    for degree, number in found.items():
        _whole(f"min_per_degree[{degree}]", number, 0)
        if max_degree is not None and degree > max_degree:
            raise BasisError(f"min_per_degree names degree {degree}, but max_degree is {max_degree}; raise max_degree")
    return {degree: number for degree, number in sorted(found.items()) if number}


def check_parity(parity: str) -> None:
    """Raises BasisError unless the parity is known."""
    if parity not in ("even", "both"):
        raise BasisError(f"parity is {parity!r}; allowed are 'even' and 'both' (even first, then odd invariants)")


def _whole(what: str, value: object, least: int) -> int:
    """The value as int, if it is a whole number that is large enough."""
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise BasisError(f"{what} is {value!r}; it must be a whole number >= {least}")
    number = value.__index__()  # type: ignore[attr-defined]
    if number < least:
        raise BasisError(f"{what} is {number}; it must be {least} or larger")
    return number
