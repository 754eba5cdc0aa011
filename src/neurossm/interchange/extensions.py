"""Our nodes in files of NIR: what NIR's nodes say of them besides, and nodes of our own.

A node of ours that NIR has, too, is written as that, with what NIR leaves open in its metadata:
"neurossm" (the type in our graph), "layer", "order". One that NIR lacks is of a type that begins
with `nir_file.EXTENSION`, with the fields of our class and "inputs", the names it reads in order;
complex fields as two, `A_bar_re` and `A_bar_im`. docs/nir.md describes `DiagonalSSM`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np

from neurossm.arrays import FloatArray
from neurossm.errors import FormatError, NeuroSSMError
from neurossm.graph import nodes as n
from neurossm.graph.node import Node
from neurossm.interchange.nir_file import EXTENSION, IDENTITY

_CALLED = {"SSM": "DiagonalSSM"}
_OURS = {called: name for name, called in _CALLED.items()}
_OWN = ("name", "inputs", "layer")


def words(node: Node, order: int) -> dict[str, Any]:
    """Return what the metadata of a node of NIR say of a node of ours."""
    return {"neurossm": n.TYPE_NAMES[type(node)], "layer": node.layer, "order": order}


def extension(node: Node, order: int) -> dict[str, Any]:
    """Return a node of ours as one of our own in NIR."""
    kind = n.TYPE_NAMES[type(node)]
    return {
        "type": EXTENSION + _CALLED.get(kind, kind),
        "inputs": json.dumps(node.inputs),
        "layer": node.layer,
        "order": order,
        **numbers(node),
    }


def numbers(node: Node) -> dict[str, Any]:
    """Return the fields of a node, complex ones as two."""
    found: dict[str, Any] = {}
    for field in fields(node):
        value = getattr(node, field.name)
        if field.name in _OWN or value is None:
            continue
        if np.iscomplexobj(value):
            found |= {f"{field.name}_re": value.real.copy(), f"{field.name}_im": value.imag.copy()}
        else:
            found[field.name] = value
    return found


def order(node: Any) -> float:
    """Return the place of a node in the graph it was written from; after all others if unknown."""
    place = node.get("order") if isinstance(node, dict) else node.metadata.get("order")
    return float("inf") if place is None else float(place)


def restored(name: str, node: Any, sources: Sequence[str]) -> Node | None:
    """Return the node of ours that was written as this one, None for all others.

    Raises
    ------
    FormatError
        It is damaged, or was changed so that its metadata are no longer true.
    """
    try:
        if isinstance(node, dict):
            return None if node["type"] == IDENTITY else _own(name, node, sources)
        return _marked(name, node, sources) if "neurossm" in node.metadata else None
    except (KeyError, TypeError, ValueError, NeuroSSMError) as error:
        raise FormatError(f"{name}: no node of ours as export writes them ({error})") from None


def _own(name: str, node: dict[str, Any], sources: Sequence[str]) -> Node:
    called = node["type"].removeprefix(EXTENSION)
    kind = n.NODE_TYPES[_OURS.get(called, called)]
    inputs = tuple(json.loads(node["inputs"]))
    if sorted(inputs) != sorted(sources) and sorted(set(inputs)) != sorted(sources):
        raise FormatError(f"reads {', '.join(sources)}, and says {', '.join(inputs)}")
    _check_body(node)
    given: dict[str, Any] = {}
    for field in fields(kind):
        if field.name in _OWN:
            continue
        if f"{field.name}_re" in node:
            both = np.empty(node[f"{field.name}_re"].shape, np.complex128)
            both.real, both.imag = node[f"{field.name}_re"], node[f"{field.name}_im"]
            given[field.name] = both
        else:
            value = node.get(field.name)
            given[field.name] = value.item() if isinstance(value, np.generic) else value
    return kind(name=name, inputs=inputs, layer=str(node["layer"]), **given)


def _check_body(node: dict[str, Any]) -> None:
    """Refuse an SSM whose parts, where it was written as such, are others than it says."""
    body = node.get("body")
    if body is None:
        return
    for part, field in (("re_re", "A_bar_re"), ("re_im", "A_bar_im")):
        if not np.array_equal(body[part]["scale"], node[field].ravel()):
            raise FormatError(f"its node {part} is not what its metadata say of {field}")


def _marked(name: str, node: Any, sources: Sequence[str]) -> Node:
    kind, layer = str(node.metadata["neurossm"]), str(node.metadata["layer"])
    inputs = tuple(sources)
    if kind == "Linear":
        return n.LinearNode(name, inputs, node.weight, node.bias, layer=layer)
    if kind == "Affine":
        return n.AffineNode(name, inputs, np.diag(node.weight), node.bias, layer=layer)
    if kind == "Spike":
        return n.SpikeNode(name, inputs, node.threshold, layer=layer)
    if kind == "Add":
        return n.AddNode(name, tuple(json.loads(node.metadata["inputs"])), layer=layer)
    decay: FloatArray = node.metadata["decay"]
    leak = np.zeros(decay.size) if not hasattr(node, "tau") else 1 / node.tau
    if not np.allclose(1 - leak, decay, rtol=1e-12):
        raise FormatError("its tau is not what its metadata say of its decay")
    return n.LIFNode(name, inputs, decay, node.v_threshold, layer=layer)


def restored_input(name: str, node: Any) -> n.InputNode | None:
    """Return the input that was written as this one, None for all others."""
    said = node.metadata
    if "kind" not in said:
        return None
    numbers_of = (float(said[key]) for key in ("low", "high", "scale"))
    size = int(said["size"])
    return n.InputNode(name, (), str(said["kind"]), size, *numbers_of, layer=str(said["layer"]))


def restored_readout(node: Any, source: str, made: Sequence[Node]) -> list[Node] | None:
    """Return all nodes with the mean where it was, None where the Output is not ours.

    It was written as if the mean over time came last: the same function, as all behind it is
    affine.
    """
    said = node.metadata
    if "mean" not in said:
        return None
    name, layer, behind = str(said["mean"]), str(said["layer"]), json.loads(said["behind"])
    first = next((one for one in made if one.name in behind), None)
    reads = first.inputs[0] if first else source
    mean = n.MeanNode(name, (reads,), layer=layer)
    before = [one for one in made if one.name not in behind]
    after = [
        replace(one, inputs=tuple(name if tensor == reads else tensor for tensor in one.inputs))
        for one in made
        if one.name in behind
    ]
    return [*before, mean, *after]
