"""Every option of a training, read off the dataclasses that hold them and their docstrings.

An option of the command line and a key of a TOML file have the same name (``--batch-size`` and
``batch_size``), type and description, all stated once: where the value is kept.
"""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass, fields
from functools import cache
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from neurossm.errors import FormatError
from neurossm.models.config import ModelConfig
from neurossm.train.augment import Augmentation
from neurossm.train.config import TrainConfig
from neurossm.train.start import model_fields


@dataclass(frozen=True)
class TrainSource:
    """What to train on, and what to start from.

    Attributes
    ----------
    task
        One of `neurossm data`, or ``arrays`` of your own.
    data
        Folder with the task's original files, or what `neurossm data` made of them; for arrays
        DATA.npz with x, y and, where samples end early, lengths, their numbers of steps.
    eval
        DATA.npz to test on, once, at the end.
    input
        What x of your own is: ``float:LOW:HIGH``, ``counts:HIGH``, ``tokens`` or ``tokens:SIZE``;
        bytes need no telling.
    init
        Checkpoint to start from, instead of random weights; its sizes replace the preset's. With
        ``--layer binary-s4d`` a graded S4D becomes a spiking one.
    freeze
        Pattern of parameters that are not trained, such as ``encoder.*`` or ``*.ssm.A_*``; may be
        repeated.
    qat
        Quantisation-aware: weights, poles, C and D stand on the compiler's grids in every forward
        pass, and what is saved stands on them.
    precision
        Widths for ``--qat``, a TOML file as ``neurossm compile --precision`` takes it; without one
        the compiler's own.
    """

    task: str = "arrays"
    data: str | None = None
    eval: str | None = None
    input: str | None = None
    init: str | None = None
    freeze: tuple[str, ...] = ()
    qat: bool = False
    precision: str | None = None


TABLES: dict[str, type] = {
    "": TrainSource,
    "model": ModelConfig,
    "training": TrainConfig,
    "augmentation": Augmentation,
}
"""Which dataclass holds the keys of a table of the TOML file; "" is what stands before any."""


@dataclass(frozen=True)
class Option:
    """One option.

    Attributes
    ----------
    table, name
        Where it stands in a TOML file.
    kind
        int, float, str or bool.
    choices
        The possible texts; empty: any.
    many
        Whether it is a list.
    help
        What it is.
    """

    table: str
    name: str
    kind: type
    choices: tuple[str, ...]
    many: bool
    help: str

    @property
    def flag(self) -> str:
        """The option on the command line."""
        return "--" + self.name.replace("_", "-")

    def checked(self, value: object, where: str) -> Any:
        """Return a value from a file in the option's type.

        Raises
        ------
        FormatError
            If it is of another type.
        """
        if self.many:
            if not isinstance(value, list):
                raise FormatError(f"{where}: {self.name}: expected a list, found {value!r}")
            return tuple(self._one(entry, where) for entry in value)
        return self._one(value, where)

    def _one(self, value: object, where: str) -> Any:
        if self.kind is float and type(value) is int:
            return float(value)
        if type(value) is not self.kind:
            expected = {int: "an integer", float: "a number", bool: "true or false"}
            what = expected.get(self.kind, "text")
            raise FormatError(f"{where}: {self.name}: expected {what}, found {value!r}")
        return value


@cache
def options() -> tuple[Option, ...]:
    """Return all options, in the order of the tables and of their fields."""
    found: list[Option] = []
    for table, holder in TABLES.items():
        hints, texts = get_type_hints(holder), _descriptions(holder)
        for field in fields(holder):
            if field.name == "augmentation" or (
                holder is ModelConfig and field.name not in model_fields()
            ):
                continue
            kind, choices, many = _kind(hints[field.name])
            found.append(Option(table, field.name, kind, choices, many, texts[field.name]))
    return tuple(found)


def _kind(hint: Any) -> tuple[type, tuple[str, ...], bool]:
    if get_origin(hint) in (Union, UnionType):
        (hint,) = (part for part in get_args(hint) if part is not NoneType)
    if get_origin(hint) is Literal:
        return str, get_args(hint), False
    if get_origin(hint) is tuple:
        return get_args(hint)[0], (), True
    return hint, (), False


def _descriptions(holder: type) -> dict[str, str]:
    """Return the text of each field from the class's docstring (NumPy style)."""
    text = inspect.getdoc(holder) or ""
    body = re.split(r"\n(?:Attributes|Parameters)\n-+\n", text)[1]
    entries = re.findall(r"^(\w[\w, ]*)\n((?:    .*\n?|\n)+)", body, flags=re.MULTILINE)
    return {
        name: " ".join(text.replace("``", "").split())
        for names, text in entries
        for name in names.split(", ")
    }
