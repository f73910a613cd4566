"""Weights of hippynn networks, taken over into potentials that give the same numbers."""

from collections.abc import Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from invarion.exceptions import ConfigError, DataError
from invarion.invariants import published_basis
from invarion.models.hip import HipNetwork, Interaction
from invarion.models.hip_config import HipConfig, HipHopNNConfig, HipNNConfig, HipNNTSConfig
from invarion.potential import Potential

_ACTIVATIONS = MappingProxyType({"Softplus": "softplus", "SiLU": "silu"})
_SENSITIVITIES = ("InverseSensitivityModule", "GaussianSensitivityModule")


def convert_hippynn(network: nn.Module, readout: nn.Module, species: Sequence[int]) -> Potential:
    """The potential that gives the same energies and forces as a hippynn network and its energy layer.

    Units are those of the hippynn model: energies in its energy unit, lengths in its length unit. Read the result as
    eV and Angstrom only if the model was trained in them. References are zero: hippynn keeps them in the first block.

    Args:
        network: a hippynn 0.1.3 `Hipnn`, `HipnnVec`, `HipnnQuad` or `HipHopNNModule`.
        readout: its `HEnergy` module with one target.
        species: atomic numbers in the order of the network's input features (its possible_species without the 0).

    Returns:
        Potential in float64 and eval mode.

    Raises:
        ConfigError: a network of another kind, or options that hippynn's published models do not use.

    References:
        hippynn 0.1.3 (BSD-3); arXiv:2503.23515.
    """
    _check(network, readout, species)
    potential = Potential(_config(network), species).double()
    target = potential.network
    if not isinstance(target, HipNetwork):
        raise ConfigError(f"the converted network is a {type(target).__name__}, not a HipNetwork")
    with torch.no_grad():
        for ours, theirs in zip(target.blocks, _children(network.blocks), strict=True):
            for layer, source in zip(_children(ours), _children(theirs), strict=True):
                _copy_layer(layer, source)
        _copy_readouts(target, readout)
    return potential.eval()


def convert_hippynn_folder(folder: str | Path, trust: bool = False) -> Potential:
    """The potential of a hippynn run folder, with the best weights of that run.

    hippynn stores runs as pickles, and a pickle can execute code when it is read.

    Args:
        folder: run folder with `experiment_structure.pt` and `best_model.pt`.
        trust: must be True: you know where the folder comes from.

    Raises:
        ConfigError: trust not given, or hippynn not installed.
        DataError: not a run folder of a network with one energy layer.
    """
    folder = Path(folder)
    if not trust:
        raise ConfigError(f"{folder} holds pickles, which can run code when read; pass trust (--trust) if you trust it")
    if not (folder / "experiment_structure.pt").is_file():
        raise DataError(f"{folder} has no experiment_structure.pt; give the folder of a hippynn run")
    try:
        from hippynn.experiment.serialization import load_model_from_cwd
    except ImportError as error:
        raise ConfigError("reading a hippynn run needs hippynn: pip install hippynn==0.1.3") from error
    from contextlib import chdir

    with chdir(folder):
        model = load_model_from_cwd(map_location="cpu")
    modules = list(model.modules())
    network = _only([m for m in modules if hasattr(m, "interaction_layers")], folder, "network")
    readout = _only([m for m in modules if type(m).__name__ == "HEnergy"], folder, "HEnergy layer")
    return convert_hippynn(network, readout, [int(z) for z in network.species_set if int(z) > 0])


def _only(found: list[Any], folder: Path, what: str) -> Any:
    if len(found) != 1:
        raise DataError(f"{folder} has {len(found)} modules that could be the {what}; exactly one is needed")
    return found[0]


def _check(network: Any, readout: Any, species: Sequence[int]) -> None:
    if not hasattr(network, "interaction_layers") or not hasattr(network, "dist_hard_max"):
        raise ConfigError(
            f"network is a {type(network).__name__}; give a hippynn Hipnn, HipnnVec, HipnnQuad or HipHopNN"
        )
    if type(readout).__name__ != "HEnergy" or any(layer.out_features != 1 for layer in readout.layers):
        raise ConfigError(f"readout is a {type(readout).__name__}; give the HEnergy module with one target")
    if network.nf_in != len(species):
        raise ConfigError(
            f"species has {len(species)} entries, the network {network.nf_in} input features; give one each"
        )
    known = None if network.species_set is None else [int(z) for z in network.species_set if int(z) > 0]
    if known is not None and known != [int(z) for z in species]:
        raise ConfigError(f"species is {list(species)}, the network was made for {known}, in this order")
    for layer in network.sensitivity_layers:
        if type(layer).__name__ not in _SENSITIVITIES or type(layer.cutoff).__name__ != "CosCutoff":
            raise ConfigError(
                f"sensitivities are {type(layer).__name__} with {type(getattr(layer, 'cutoff', None)).__name__}; "
                "only the inverse-distance Gaussians with the cosine cutoff can be converted"
            )
    if type(network.activation).__name__ not in _ACTIVATIONS:
        raise ConfigError(f"activation is {type(network.activation).__name__}; only Softplus and SiLU can be converted")


def _config(network: Any) -> HipConfig:
    residual = network.resnet is not False
    common = {
        "cutoff": float(network.dist_hard_max),
        "n_features": tuple(network.feature_sizes[1:]),
        "n_atom_layers": network.n_layers_per_block,
        "n_sensitivities": network.n_sensitivities,
        "sensitivity_width": 0.5 / network.n_sensitivities,
        "soft_min": float(network.dist_soft_min),
        "soft_max": float(network.dist_soft_max),
        "cutoff_function": "cosine_squared",
        "resnet": tuple(network.nf_middle) if residual else False,
        "activation": _ACTIVATIONS[type(network.activation).__name__],
    }
    layer = network.interaction_layers[0]
    if hasattr(layer, "mixing_weights"):
        norm = "none" if layer.group_norm is None else "group"
        basis = published_basis(max_rank=network.l_max, max_degree=network.n_max)
        return HipHopNNConfig.model_validate({**common, "basis": basis, "normalization": norm})
    if hasattr(layer, "vecscales"):
        max_rank = 2 if hasattr(layer, "quadscales") else 1
        return HipNNTSConfig.model_validate({**common, "max_rank": max_rank, "cusp": layer.cusp_reg})
    return HipNNConfig.model_validate(common)


def _children(modules: Any) -> list[Any]:
    return list(modules)


def _copy_layer(ours: Any, theirs: Any) -> None:
    """A block's layer: residual or plain, interaction or atom layer."""
    if hasattr(theirs, "res_layer"):
        _copy_linear(ours.out, theirs.res_layer)
        if theirs.needs_size_adjust:
            _copy_linear(ours.adjust, theirs.adjust_layer)
        theirs = theirs.base_layer
    if isinstance(ours.layer, Interaction):
        _copy_interaction(ours.layer, theirs)
    else:
        _copy_linear(ours.layer, theirs)


def _copy_interaction(ours: Interaction, theirs: Any) -> None:
    ours.weights.copy_(theirs.int_weights.permute(2, 0, 1))
    ours.sensitivities.mu.copy_(theirs.sensitivity.mu[0])
    ours.sensitivities.sigma.copy_(theirs.sensitivity.sigma[0])
    _copy_linear(ours.self_interaction, theirs.selfint)
    head: Any = ours.head
    if hasattr(theirs, "vecscales"):
        head.scales[0] = theirs.vecscales
    if hasattr(theirs, "quadscales"):
        head.scales[1] = theirs.quadscales
    if hasattr(theirs, "mixing_weights"):
        head.mixing.copy_(theirs.mixing_weights.transpose(0, 1))
        if theirs.group_norm is not None:
            _copy_linear(head.norm, theirs.group_norm)


def _copy_linear(ours: Any, theirs: Any) -> None:
    ours.weight.copy_(theirs.weight)
    if theirs.bias is not None:
        ours.bias.copy_(theirs.bias)


def _copy_readouts(target: HipNetwork, readout: Any) -> None:
    blocks = list(target.readouts)
    if readout.first_is_interacting:
        blocks = blocks[1:]
    for ours, theirs in zip(blocks, readout.layers, strict=True):
        _copy_linear(ours, theirs)
