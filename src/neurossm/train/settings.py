"""The settings of a training: a preset, a TOML file and options, one laid over the other."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields
from importlib import resources
from typing import Any

from neurossm.errors import FormatError, InputError
from neurossm.files import as_path, read_text
from neurossm.models.config import ModelConfig
from neurossm.train.augment import Augmentation
from neurossm.train.config import TrainConfig
from neurossm.train.options import TABLES, TrainSource, options
from neurossm.train.start import described, model_fields

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Tables = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class TrainSettings:
    """Everything that decides what a training does.

    Attributes
    ----------
    source
        What to train on, and what to start from.
    model
        Fields of `ModelConfig`, but input and classes, which the task fixes.
    training
        How to train.
    """

    source: TrainSource
    model: Mapping[str, Any]
    training: TrainConfig

    def tables(self) -> Tables:
        """Return the settings as plain values, as they stand in a TOML file."""
        training = _values(self.training)
        augmentation = training.pop("augmentation", None)
        found = {"": _values(self.source), "model": dict(self.model), "training": training}
        if augmentation is not None:
            found["augmentation"] = _values(augmentation)
        return found

    def toml(self) -> str:
        """Return the settings as a TOML file, which ``--config`` reads again."""
        lines: list[str] = []
        for table, values in self.tables().items():
            lines += ["", f"[{table}]"] if table else []
            lines += [f"{name} = {_toml(value)}" for name, value in values.items()]
        return "\n".join(lines) + "\n"


def presets() -> tuple[str, ...]:
    """Return the names of the presets that come with the package, sorted."""
    files = (entry.name for entry in _folder().iterdir() if entry.name.endswith(".toml"))
    return tuple(sorted(name.removesuffix(".toml") for name in files))


def settings_of(
    preset: str | None = None,
    config: str | os.PathLike[str] | None = None,
    given: Mapping[tuple[str, str], Any] | None = None,
) -> TrainSettings:
    """Return the effective settings: a preset, then a file, then single values.

    Parameters
    ----------
    preset
        A name of `presets`; None: nothing to start from.
    config
        A TOML file.
    given
        Values by table and name, see `options`.

    Raises
    ------
    InputError
        If there is no such preset or file, a value is out of range, or one is missing.
    FormatError
        If the file holds anything else than settings, or the checkpoint to start from is none.
    """
    base = {} if preset is None else _read_preset(preset)
    over = {} if config is None else read_tables(config)
    for (table, name), value in (given or {}).items():
        over.setdefault(table, {})[name] = value
    init = over.get("", {}).get("init", base.get("", {}).get("init"))
    if init is not None:
        base["model"] = described(init)
    tables = {table: {**base.get(table, {}), **over.get(table, {})} for table in TABLES}
    model, below = tables["model"], base.get("model", {})
    if "layer" not in model:
        raise InputError("no model: give --preset, --model, --init or --layer")
    if model["layer"] != below.get("layer") and "activation" not in over.get("model", {}):
        model.pop("activation", None)  # another layer's
    if "epochs" not in tables["training"]:
        raise InputError("no epochs: give --epochs, a preset or a file that has it")
    augmentation = Augmentation(**tables["augmentation"]) if tables["augmentation"] else None
    return TrainSettings(
        TrainSource(**tables[""]),
        _filled(model),
        TrainConfig(**tables["training"], augmentation=augmentation),
    )


def read_tables(path: str | os.PathLike[str]) -> Tables:
    """Read the tables of a TOML file of settings.

    Raises
    ------
    InputError
        If there is no such file.
    FormatError
        If it is not TOML, or a key is unknown or of the wrong type.
    """
    path = as_path(path, "config")
    if not path.exists():
        raise InputError(f"{path}: no such file; --print-config shows what such a file holds")
    return _parse(read_text(path, "TOML"), str(path))


def _parse(text: str, where: str) -> Tables:
    try:
        content = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also numbers of too many digits
        raise FormatError(f"{where}: not TOML: {error}") from error
    known = {(option.table, option.name): option for option in options()}
    tables: Tables = {}
    for name, value in content.items():
        inner = value.items() if isinstance(value, dict) else [(name, value)]
        table = name if isinstance(value, dict) else ""
        for key, entry in inner:
            option = known.get((table, key))
            if option is None:
                names = ", ".join(n for t, n in known if t == table) or "none"
                place = f"[{table}] {key}" if table else key
                raise FormatError(f"{where}: {place} is unknown; known there are {names}")
            tables.setdefault(table, {})[key] = option.checked(entry, where)
    return tables


def _read_preset(name: str) -> Tables:
    if name not in presets():
        raise InputError(f"no preset {name!r}; known are {', '.join(presets())}")
    return _parse((_folder() / f"{name}.toml").read_text(encoding="utf-8"), f"preset {name}")


def _folder() -> Any:
    return resources.files(__package__) / "presets"


def _filled(model: Mapping[str, Any]) -> dict[str, Any]:
    """Return a model's fields in their order, with the defaults of those that are not given."""
    defaults = {field.name: field.default for field in fields(ModelConfig)}
    values = {name: model.get(name, defaults[name]) for name in model_fields()}
    return {name: value for name, value in values.items() if value is not None}


def _values(holder: Any) -> dict[str, Any]:
    pairs = ((field.name, getattr(holder, field.name)) for field in fields(holder))
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in pairs
        if value is not None
    }


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, list):
        return "[" + ", ".join(_toml(entry) for entry in value) + "]"
    return repr(value)
