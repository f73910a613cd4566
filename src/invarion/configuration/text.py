"""Settings as YAML text: read with every mistake named, overridden, written so that they read back the same."""

from collections.abc import Mapping, Sequence
from inspect import Parameter, signature
from os import PathLike
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from invarion import models
from invarion.configuration.mistakes import in_words, unknown
from invarion.configuration.sections import RunConfig
from invarion.exceptions import ConfigError
from invarion.files import write_atomically

_LINE_ENDS = "\x85\u2028\u2029"


def read_config(path: str | PathLike[str], overrides: Sequence[str] = (), model: Any = None) -> RunConfig:
    """The settings in a YAML file, some of them replaced.

    Args:
        path: the file.
        overrides: texts "section.key=value", the value in YAML; later ones win.
        model: settings that stand in for the `model` section, which the file may then leave out.

    Raises:
        ConfigError: no file or no YAML, an unknown key (with the nearest valid one), a value out of range.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read ({error}); `invarion init DATA` writes a first config") from None
    try:
        settings = override(as_sections(parse_yaml(text)), overrides)
        return parse_config(settings if model is None else {**settings, "model": model})
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def as_sections(content: Any) -> Mapping[str, Any]:
    """What a YAML file holds, if that is sections of settings.

    Args:
        content: what `parse_yaml` returned.

    Raises:
        ConfigError: something else, or nothing at all.
    """
    if not isinstance(content, Mapping):
        known = ", ".join(RunConfig.model_fields)
        raise ConfigError(f"holds no settings; needed are the sections data and model, allowed {known}")
    return content


def parse_config(settings: Mapping[str, Any]) -> RunConfig:
    """The settings that nested mappings describe, as a YAML file does.

    Args:
        settings: sections `data` and `model`, perhaps `training` and `output`; keys are the Python arguments.

    Raises:
        ConfigError: one line per mistake.

    Example:
        >>> config = parse_config({"data": {"train": "a.extxyz"}, "model": {"kind": "hip_nn", "cutoff": 5.0}})
        >>> config.model.cutoff, config.output.folder
        (5.0, 'run')
    """
    known = RunConfig.model_fields
    for key in as_sections(settings):
        if key not in known:
            raise ConfigError(f"{key}: {unknown(str(key), list(known), 'section')}")
    sections = {key: section for key, section in settings.items() if section is not None}
    if "model" in sections:
        sections["model"] = build_model(sections["model"])
    try:
        return RunConfig.model_validate(sections)
    except ValidationError as error:
        raise in_words(error, RunConfig) from None


def build_model(section: Any) -> Any:
    """The model config of a `model` section: what the builder named by `kind` returns for the other keys.

    Args:
        section: mapping with `kind`, or a model config.

    Raises:
        ConfigError: no or an unknown kind, and whatever the builder refuses.
    """
    if isinstance(section, BaseModel):
        return section
    kinds = {cls.model_fields["kind"].default: cls for cls in get_args(get_args(models.ModelConfig)[0])}
    if not isinstance(section, Mapping) or "kind" not in section:
        raise ConfigError(f"model: has no kind; give one, for example `kind: hip_hop_nn`, of {', '.join(kinds)}")
    kind = section["kind"]
    if kind not in kinds:
        raise ConfigError(f"model.kind: {unknown(str(kind), list(kinds), 'kind')}")
    return _call(getattr(models, kind), {key: value for key, value in section.items() if key != "kind"}, kinds[kind])


def override(settings: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Nested mappings with some values replaced.

    Args:
        settings: sections with their keys.
        overrides: texts "section.key=value" with any number of dots, the value in YAML.

    Raises:
        ConfigError: an override without "=", or one that goes into a value that is no mapping.

    Example:
        >>> override({"training": {"seed": 0}}, ["training.seed=7", "training.loss={mae: 1}"])
        {'training': {'seed': 7, 'loss': {'mae': 1}}}
    """
    result = _copied(settings)
    for text in overrides:
        path, equals, value = text.partition("=")
        if not equals or not path.strip():
            raise ConfigError(f"override {text!r}: write section.key=value, for example training.max_epochs=100")
        *parents, last = [part.strip() for part in path.split(".")]
        here = result
        for parent in parents:
            here = here.setdefault(parent, {})
            if not isinstance(here, dict):
                raise ConfigError(f"override {text!r}: {parent} is {here!r}, which has no keys; give it as a whole")
        here[last] = parse_yaml(value, f"override {text!r}")
    return result


def to_yaml(config: RunConfig) -> str:
    """The settings as YAML with every default spelled out; `parse_yaml` and `parse_config` give the same back.

    Args:
        config: the settings.
    """
    content = config.model_dump(mode="json")
    content["model"] = _concise(config.model, content["model"])
    sections = ([f"{name}:", *_lines(section)] for name, section in content.items())
    return "\n\n".join("\n".join(section) for section in sections) + "\n"


def one_line(value: Any) -> str:
    """A value as YAML on one line.

    Args:
        value: plain data.

    Example:
        >>> one_line({"parts": [0.9, 0.1], "name": "a: b"})
        "{parts: [0.9, 0.1], name: 'a: b'}"
    """
    style: dict[str, Any] = {"default_flow_style": True, "sort_keys": False, "width": 1_000_000}
    text = yaml.safe_dump(value, allow_unicode=True, **style)
    if any(end in text for end in _LINE_ENDS):  # written out, they would be read as blanks
        text = yaml.safe_dump(value, **style)
    return text.removesuffix("\n").removesuffix("\n...")


def write_config(config: RunConfig, path: str | PathLike[str]) -> None:
    """Write the resolved settings to a file, whole or not at all.

    Args:
        config: the settings.
        path: the file.
    """
    write_atomically(path, to_yaml(config))


class _UniqueKeys(yaml.SafeLoader):
    """YAML's safe loader, that refuses a key given twice instead of forgetting the first."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for number, key in enumerate(keys):
            if key in keys[:number]:
                raise ConfigError(f"line {node.value[number][0].start_mark.line + 1}: {key!r} is given twice; keep one")
        return super().construct_mapping(node, deep)


def parse_yaml(text: str, where: str = "the text") -> Any:
    """What a YAML text stands for; for a whole file, nested mappings.

    Args:
        text: YAML.
        where: how messages call it.

    Raises:
        ConfigError: text that is no YAML, or a key given twice.
    """
    try:
        return yaml.load(text, Loader=_UniqueKeys)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f"line {mark.line + 1}, column {mark.column + 1}" if mark else where
        problem = getattr(error, "problem", error)
        hint = '; a value with a colon needs quotes: "FILE@900:"' if "mapping values" in str(problem) else ""
        raise ConfigError(f"{line}: no valid YAML ({problem}{hint})") from None


def _call(builder: Any, arguments: dict[Any, Any], model: type[BaseModel]) -> Any:
    """What a builder returns, its complaints in words."""
    for name, parameter in signature(builder).parameters.items():
        needed = parameter.default is Parameter.empty and parameter.kind is Parameter.POSITIONAL_OR_KEYWORD
        if needed and name not in arguments:
            raise ConfigError(f"model.{name}: missing; it has no default")
    try:
        return builder(**{str(key): value for key, value in arguments.items()})
    except ValidationError as error:
        raise in_words(error, model, "model") from None


def _lines(section: Mapping[str, Any]) -> list[str]:
    return [f"  {key}: {one_line(value)}" for key, value in section.items()]


def _copied(value: Any) -> Any:
    return {key: _copied(inner) for key, inner in value.items()} if isinstance(value, Mapping) else value


def _concise(model: BaseModel, content: dict[str, Any]) -> dict[str, Any]:
    """The section with `kind` first, and a basis by its name where the name alone gives the same basis."""
    kind = getattr(getattr(model, "basis", None), "kind", None)
    if isinstance(content.get("basis"), dict) and isinstance(kind, str):
        by_name = {**content, "basis": kind}
        try:
            same = type(model).model_validate(by_name) == model
        except ValueError:
            same = False
        content = by_name if same else content
    return {"kind": content["kind"], **{key: value for key, value in content.items() if key != "kind"}}
