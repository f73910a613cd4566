"""Configuration: the settings of a run as one frozen value, equal to a YAML file (`read_config`, `to_yaml`)."""

from invarion.configuration.draft import draft_config
from invarion.configuration.sections import OutputOptions, RunConfig
from invarion.configuration.text import override, parse_config, read_config, to_yaml, write_config
from invarion.data.options import DataOptions, DataSets, SplitOptions, read_sets

__all__ = [
    "DataOptions",
    "DataSets",
    "OutputOptions",
    "RunConfig",
    "SplitOptions",
    "draft_config",
    "override",
    "parse_config",
    "read_config",
    "read_sets",
    "to_yaml",
    "write_config",
]
