"""model.inv: a potential in one file, safetensors with a JSON header; no pickle, and loading executes nothing."""

import hashlib
import json
import os
import platform
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from ase.data import chemical_symbols
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as tensors_to_bytes
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from invarion.exceptions import ModelFileError
from invarion.files import to_json, write_atomically
from invarion.models import model_config
from invarion.placement import floating_type, usable_device
from invarion.potential import Potential

FORMAT = 2
"""Number of the file format that this version writes; it reads this one and all before it."""

HEADER_LIMIT = 32 * 2**20
"""Bytes; a longer header is refused before anything of it is read."""

UNITS: Mapping[str, str] = MappingProxyType(
    {"energy": "eV", "length": "Angstrom", "forces": "eV/Angstrom", "stress": "eV/Angstrom^3, +(1/V) dE/dstrain"}
)

_PACKAGES = ("invarion", "torch", "numpy", "ase", "vesin", "safetensors")


def save(potential: Potential, path: str | os.PathLike[str], provenance: Mapping[str, Any] | None = None) -> None:
    """Store a potential with its settings, basis, units and history; the file appears whole or not at all.

    Args:
        potential: any potential of this package.
        path: usually ends in `.inv`.
        provenance: what else to remember (training data, errors, seed, ...), anything that JSON can hold; the date and
            the versions of the packages are added.

    Raises:
        InvarionError: the file cannot be written; a file that stood there before is untouched.
    """
    tensors = {name: t.detach().cpu().contiguous().clone() for name, t in potential.state_dict().items()}
    text = to_json(describe(potential, provenance))
    metadata = {"invarion": text, "sha256": _checksum(text, tensors)}
    write_atomically(path, tensors_to_bytes(tensors, metadata))


def load(
    path: str | os.PathLike[str], device: torch.device | str | None = None, dtype: torch.dtype | str | None = None
) -> Potential:
    """Read a potential back; its predictions are those of the one that was saved, bit for bit.

    Args:
        path: a file that `save` has written.
        device: where to put it; the CPU if not given.
        dtype: floating type of the network, torch.float32 or torch.float64 (or their names); that of the file if not
            given.

    Returns:
        The potential in evaluation mode.

    Raises:
        ModelFileError: the file is missing, damaged, cut short, of a newer format or not a model.
        ConfigError: a device that this machine does not have, or another floating type.
    """
    content = _read_bytes(path)
    header, checksum, text = _parse(content, path)
    tensors = _tensors(content, path)
    if _checksum(text, tensors) != checksum:
        raise ModelFileError(f"{path} is damaged: its content does not match its checksum; copy the file again")
    potential = _rebuild(header, tensors, path)
    if dtype is not None:
        potential = potential.to(floating_type(dtype))
    return potential.to(usable_device(device or "cpu")).eval()


def read_header(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What a model file says of itself, without building the model: format, config, species, units, provenance, ...

    Args:
        path: a file that `save` has written.

    Raises:
        ModelFileError: as for `load`, apart from damage to the weights, which are not read.
    """
    return _parse(_read_bytes(path, header_only=True), path)[0]


def describe(potential: Potential, provenance: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The header of a potential's model file.

    Args:
        potential: the potential.
        provenance: what else to remember.

    Returns:
        Mapping with format, config, species, symbols, cutoff, units, references, scale, dtype, n_parameters and
        provenance.
    """
    symbols = [chemical_symbols[z] for z in potential.species]
    return {
        "format": FORMAT,
        "config": spelled_out(potential),
        "species": list(potential.species),
        "symbols": symbols,
        "cutoff": potential.cutoff,
        "units": dict(UNITS),
        "references": dict(zip(symbols, potential.references.tolist(), strict=True)),
        "scale": float(potential.scale),
        "dtype": str(potential.dtype).removeprefix("torch."),
        "n_parameters": sum(p.numel() for p in potential.parameters()),
        "provenance": {"date": _now(), "versions": versions(), **(provenance or {})},
    }


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that a potential's numbers depend on."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "unknown"
    return found


def spelled_out(potential: Potential) -> Any:
    """The settings with the basis itself where they only name it: a stored model must not depend on a search."""
    config, basis = potential.config, getattr(potential.network, "basis", None)
    if basis is None or not isinstance(getattr(config, "basis", None), str):
        return config
    return config.model_copy(update={"basis": basis})  # type: ignore[attr-defined]  # every model's config is pydantic's


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _read_bytes(path: str | os.PathLike[str], header_only: bool = False) -> bytes:
    """The file, or its beginning; the header's length is checked before the header is read."""
    try:
        with open(path, "rb") as file:
            start = file.read(8)
            length = _header_length(start, os.fstat(file.fileno()).st_size, path)
            return start + file.read(length if header_only else -1)
    except IsADirectoryError as error:
        raise ModelFileError(f"{path} is a folder; give the model file in it, {Path(path) / 'model.inv'}") from error
    except OSError as error:
        raise ModelFileError(f"cannot read the model file {path}: {error.strerror or error}") from error


def _header_length(start: bytes, size: int, path: str | os.PathLike[str]) -> int:
    length = int.from_bytes(start, "little")
    if len(start) < 8 or (length <= HEADER_LIMIT and 8 + length > size):
        raise ModelFileError(f"{path} is cut short or not a model file ({size} bytes); copy the file again")
    if length <= HEADER_LIMIT:
        return length
    if start.startswith((b"PK\x03\x04", b"\x80")):  # as lengths of headers these are far too large
        raise ModelFileError(
            f"{path} is a PyTorch pickle, which can run code when it is loaded, and not a model file; "
            "a hippynn run folder becomes one by `invarion convert hippynn DIR --trust -o model.inv`"
        )
    raise ModelFileError(
        f"{path} is not a model file: its header claims {length} bytes, at most {HEADER_LIMIT} are allowed"
    )


def _parse(content: bytes, path: str | os.PathLike[str]) -> tuple[dict[str, Any], str, str]:
    """Our header, its checksum, and its text as it stands in the file."""
    length = int.from_bytes(content[:8], "little")
    try:
        metadata = json.loads(content[8 : 8 + length])["__metadata__"]
        text, checksum = metadata["invarion"], metadata["sha256"]
        header = json.loads(text)
        number = int(header["format"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ModelFileError(f"{path} is damaged or not a model file of invarion: its header is unreadable") from error
    if number > FORMAT:
        by = header.get("provenance", {}).get("versions", {}).get("invarion", "a later version")
        raise ModelFileError(
            f"{path} has format {number}, written by invarion {by}; this is invarion {versions()['invarion']}, which "
            f"reads up to format {FORMAT}: upgrade invarion"
        )
    return header, checksum, text


def _tensors(content: bytes, path: str | os.PathLike[str]) -> dict[str, Tensor]:
    try:
        return load_tensors(content)
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise ModelFileError(f"{path} is damaged or cut short ({error}); copy the file again") from error


def _rebuild(header: Mapping[str, Any], tensors: dict[str, Tensor], path: str | os.PathLike[str]) -> Potential:
    """The potential that a header describes, with these weights."""
    try:
        config, species, dtype = model_config(header["config"]), header["species"], floating_type(header["dtype"])
        # initial weights are drawn and thrown away: the caller's random state must not notice
        with torch.random.fork_rng(devices=[]):
            tensors = _as_written_now(tensors, header["format"])
            _check_shapes(config, species, tensors)
            potential = Potential(config, species).to(dtype)
        potential.load_state_dict(tensors)
    except (ValueError, KeyError, TypeError, IndexError, RuntimeError, OverflowError, MemoryError) as error:
        first = str(error).strip().splitlines()
        raise ModelFileError(f"{path} does not describe a model of this version: {' '.join(first[:3])}") from error
    return potential


def _as_written_now(tensors: dict[str, Tensor], number: int) -> dict[str, Tensor]:
    """Tensors of a file of an earlier format as this version would write them.

    Format 1 had the weights of an interaction as (sensitivities, features out, features in).
    """
    if number > 1:
        return tensors
    turned = re.compile(r"network\.blocks\.\d+\.0\.layer\.weights")
    return {name: t.permute(2, 0, 1).contiguous() if turned.fullmatch(name) else t for name, t in tensors.items()}


class _Unfilled(TorchFunctionMode):
    """Leaves new weights as they are: for those without memory, torch's fillers load its compiler, two seconds."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """The call, or for a filler what it would have filled."""
        if func in (Tensor.normal_, Tensor.uniform_):
            return args[0]
        named = kwargs or {}
        return named["tensor"] if func in (nn.init.normal_, nn.init.uniform_) else func(*args, **named)


def _check_shapes(config: Any, species: Sequence[int], tensors: Mapping[str, Tensor]) -> None:
    """Build the model without memory first: a header that asks for more weights than the file has allocates nothing."""
    with torch.device("meta"), _Unfilled():
        wanted = {name: tuple(t.shape) for name, t in Potential(config, species).state_dict().items()}
    found = {name: tuple(t.shape) for name, t in tensors.items()}
    if wanted != found:
        name = next(n for n in sorted({*wanted, *found}) if wanted.get(n) != found.get(n))
        raise ValueError(f"its settings want {name} of shape {wanted.get(name)}, it holds {found.get(name)}")


def _checksum(text: str, tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over the header's text and every tensor's name, type, shape and bytes."""
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"\n{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
