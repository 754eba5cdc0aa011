"""Widths layer by layer: which layer takes which, and the file that holds them.

A precision file is TOML::

    schema = "neurossm-precision"
    version = 1
    scaling = "proved"            # optional: the scaling these widths were chosen for

    [default]                     # widths left out keep the compiler's defaults
    weight = 6

    [layers."blocks.0"]           # single layers, by the names of the graph
    weight = 8
    state = 20
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from neurossm.compile.formats import feeds_weights
from neurossm.compile.options import (
    SCALINGS,
    WIDTH_RANGES,
    CompileOptions,
    Widths,
)
from neurossm.compile.rules import Need, rule_of
from neurossm.errors import FormatError, InputError
from neurossm.files import atomic_path, read_text
from neurossm.graph import Graph
from neurossm.graph import nodes as n

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SCHEMA = "neurossm-precision"
VERSION = 1
_GRADED_NEEDS = {Need.UNIFORM, Need.SUMMED, Need.TABULATED}
_KEYS = ("schema", "version", "scaling", "default", "layers")


@dataclass(frozen=True)
class Precision:
    """Widths of a whole network.

    Parameters
    ----------
    default
        Widths where no layer says otherwise.
    layers
        Widths of single layers: by the layer's name and the width's.
    scaling
        The scaling the widths were chosen for; None if they are meant for any.
    """

    default: Widths = field(default_factory=Widths)
    layers: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    scaling: str | None = None

    def __post_init__(self) -> None:
        """Refuse unknown widths, and widths out of range."""
        self.applied(CompileOptions())

    def applied(self, options: CompileOptions) -> CompileOptions:
        """Return the options with these widths, and with this scaling if there is one."""
        return replace(
            options,
            widths=self.default,
            layers=self.layers,
            scaling=self.scaling or options.scaling,
        )


def layer_widths(graph: Graph) -> dict[str, tuple[str, ...]]:
    """Return the widths that each layer of a graph uses, those of the residual stream left out."""
    used: dict[str, set[str]] = {}
    for node in graph.nodes:
        used.setdefault(node.layer, set()).update(_widths_of(node, graph))
    return {
        layer: tuple(name for name in WIDTH_RANGES if name in names)
        for layer, names in used.items()
        if names
    }


def _widths_of(node: n.Node, graph: Graph) -> set[str]:
    used = set(rule_of(node).uses)
    if isinstance(node, n.SSMNode):
        needs = {rule_of(reader).needs for reader in graph.readers(node.name)}
        return used | ({"graded"} if needs & _GRADED_NEEDS else set())
    if feeds_weights(graph, node):
        return {"graded"}
    if isinstance(node, n.LinearNode):
        before = graph[node.inputs[0]]
        if isinstance(before, n.PoolNode):
            return {"decoder"}
        return used | (set() if isinstance(before, n.InputNode) else {"mix"})
    return used


def check_layers(graph: Graph, layers: Mapping[str, Mapping[str, int]], where: str = "") -> None:
    """Refuse widths for layers that a graph has not, or that have nothing of that kind.

    `where` heads the message: the file they come from.

    Raises
    ------
    InputError
        With the layer, the width, and what there is.
    """
    known = layer_widths(graph)
    for layer, own in layers.items():
        if layer not in known:
            raise InputError(f"{where}the model has no layer {layer!r}; it has {', '.join(known)}")
        for name in own:
            if name not in known[layer]:
                raise InputError(
                    f"{where}layer {layer}: {name} = {own[name]}, but nothing there has that "
                    f"width; its widths are {', '.join(known[layer])}"
                )


def load_precision(path: str | Path) -> Precision:
    """Read a precision file.

    Raises
    ------
    InputError
        No such file; unknown keys, widths out of range.
    FormatError
        Not TOML, or another schema or version.
    """
    path = Path(path)
    text = read_text(path, "TOML")
    try:
        content = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # also numbers of too many digits
        raise FormatError(f"{path}: not a readable TOML file: {error}") from None
    try:
        return _parsed(content)
    except (InputError, FormatError) as error:
        raise type(error)(f"{path}: {error}") from None


def _parsed(content: Mapping[str, Any]) -> Precision:
    if content.get("schema") != SCHEMA or content.get("version") != VERSION:
        raise FormatError(
            f"schema {content.get('schema')!r}, version {content.get('version')!r}; expected "
            f'schema = "{SCHEMA}", version = {VERSION}'
        )
    for key in content:
        if key not in _KEYS:
            raise InputError(f"unknown key {key!r}, expected one of {', '.join(_KEYS)}")
    scaling = content.get("scaling")
    if scaling is not None and scaling not in SCALINGS:
        raise InputError(f"scaling = {scaling!r}, expected one of {', '.join(SCALINGS)}")
    default = _table(content.get("default", {}), "default")
    for name in default:
        if name not in WIDTH_RANGES:
            raise InputError(
                f"default: unknown width {name!r}, expected one of {', '.join(WIDTH_RANGES)}"
            )
    layers = _table(content.get("layers", {}), "layers")
    return Precision(
        Widths(**default),
        {name: dict(_table(own, f'layers."{name}"')) for name, own in layers.items()},
        scaling,
    )


def _table(value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InputError(f"{where} = {value!r}, must be a table")
    return value


def save_precision(path: str | Path, precision: Precision, remarks: tuple[str, ...] = ()) -> None:
    """Write a precision file; remarks become comments at its head."""
    lines = [*(f"# {line}" for line in remarks), f'schema = "{SCHEMA}"', f"version = {VERSION}"]
    if precision.scaling is not None:
        lines.append(f'scaling = "{precision.scaling}"')
    lines += ["", "[default]", *_entries(asdict(precision.default))]
    for layer, own in precision.layers.items():
        lines += ["", f"[layers.{_quoted(layer)}]", *_entries(own)]
    with atomic_path(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _entries(widths: Mapping[str, int]) -> list[str]:
    return [f"{name} = {bits}" for name, bits in widths.items()]


def _quoted(name: str) -> str:
    """Return a TOML key in quotes: layers have dots in their names."""
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
