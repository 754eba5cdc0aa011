"""Find the parts of a network in a state dict and rename them to those of our `Network`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from neurossm.errors import FormatError, UnsupportedError
from neurossm.importers.kernels import (
    Dialect,
    KernelSettings,
    Sizes,
    check_channels,
    dialect_of,
    kernel_settings,
    read_kernel,
    sizes_of,
)
from neurossm.importers.settings import Settings
from neurossm.importers.state import StateDict
from neurossm.importers.tidy import Tidied
from neurossm.models.config import LayerKind, NormKind


@dataclass(frozen=True)
class Backbone:
    """Names of the parts of a network; ``{}`` is the number of the block."""

    name: Literal["sequence", "example", "spiking"]
    layers: str
    layer: str
    norm: str
    final_norm: str
    encoder: str
    decoder: str


SEQUENCE = Backbone(
    "sequence",
    "model.layers.",
    "model.layers.{}.layer.",
    "model.layers.{}.norm.norm.",
    "model.norm.norm.",
    "encoder.0.",
    "decoder.0.output_transform.",
)
"""`SequenceModel` within its Lightning module."""

EXAMPLE = Backbone(
    "example", "s4_layers.", "s4_layers.{}.", "norms.{}.", "", "encoder.", "decoder."
)
"""`S4Model` of ``example.py``."""

SPIKING = Backbone(
    "spiking",
    "model.s4_layers.",
    "model.s4_layers.{}.",
    "model.norms.{}.",
    "",
    "encoder.0.",
    "decoder.0.output_transform.",
)
"""`SpikingSSM` within the Lightning module of ``train.py``."""


SPARCH_LAYER = re.compile(r"(.*?\.)??snn\.(\d+)\.W\.weight")
"""The weights of a layer in a feed-forward network of SpArch and its relatives."""


@dataclass(frozen=True)
class Found:
    """What the names and shapes of a state dict say."""

    state: StateDict
    backbone: Backbone
    blocks: int
    layer: LayerKind
    dialect: Dialect
    sizes: Sizes
    norm: NormKind
    norm_affine: bool
    final_norm: bool
    tokens: bool
    input_size: int
    classes: int

    @property
    def first(self) -> str:
        """What the names of the first layer begin with."""
        return self.backbone.layer.format(0)


def look(weights: Tidied) -> Found:
    """Recognise a network by its names and shapes, without taking anything yet.

    Raises
    ------
    FormatError
        If it is none that is known, or its parts contradict each other.
    UnsupportedError
        If a kernel is bidirectional, not diagonal, or has several channels.
    """
    state, backbone = _backbone(weights)
    blocks = _count_blocks(state, backbone)
    kinds = [_layer_kind(state, backbone.layer.format(i)) for i in range(blocks)]
    layer, dialect = kinds[0]
    for index, kind in enumerate(kinds):
        if kind != kinds[0]:
            key = state.key(backbone.layer.format(index))[:-1]
            raise FormatError(
                f"{key}: a {_shown(kind)} layer, but block 0 has {_shown(kinds[0])}; "
                "all layers must be of one kind"
            )
    for index in range(blocks):
        check_channels(state, backbone.layer.format(index), dialect)
    sizes = sizes_of(state, backbone.layer.format(0), dialect)
    encoder = state.shape(f"{backbone.encoder}weight")
    if len(encoder) != 2:
        raise FormatError(
            f"{state.key(backbone.encoder + 'weight')}: shape {encoder}, expected two axes"
        )
    if state.has("model.layers.0.reverse_layer."):
        raise UnsupportedError(
            f"{state.key('model.layers.0.reverse_layer')}: a bidirectional network reads the "
            "future and cannot stream; train with bidirectional: false"
        )
    if f"{backbone.decoder}weight" not in state and state.has("decoder.0.retrieval."):
        where = state.key("decoder.0.retrieval")
        raise UnsupportedError(f"{where}: a decoder of pairs of texts; only sequence")
    tokens = f"{backbone.encoder}bias" not in state and encoder[1] == sizes.channels
    return Found(
        state,
        backbone,
        blocks,
        layer,
        dialect,
        sizes,
        _norm_kind(state, backbone.norm.format(0)),
        f"{backbone.norm.format(0)}weight" in state,
        bool(backbone.final_norm) and state.has(backbone.final_norm),
        tokens,
        encoder[0] if tokens else encoder[1],
        (*state.shape(f"{backbone.decoder}weight"), 0)[0],
    )


def _pattern(backbone: Backbone) -> re.Pattern[str]:
    return re.compile(rf"(.*?\.)??{re.escape(backbone.layers)}\d+\.")


def prefixes(names: Iterable[str]) -> list[str]:
    """Return what the names of each network among these begin with, such as ``module.``."""
    found: dict[str, None] = {}
    patterns = [*(_pattern(backbone) for backbone in (SEQUENCE, EXAMPLE)), SPARCH_LAYER]
    for name in names:
        for pattern in patterns:
            if match := pattern.match(name):
                found.setdefault(match[1] or "")
    return list(found)


def _backbone(weights: Tidied) -> tuple[StateDict, Backbone]:
    for backbone in (SEQUENCE, SPIKING, EXAMPLE):
        for name in weights.tensors:
            match = _pattern(backbone).match(name)
            # Behind a prefix model. the layers of example.py are called as SpikingSSM's.
            if match and (
                backbone is not SPIKING
                or f"{match[1] or ''}{SPIKING.encoder}weight" in weights.tensors
            ):
                return StateDict(weights, match[1] or ""), backbone
    raise FormatError(f"no key begins with {SEQUENCE.layers}0. or {EXAMPLE.layers}0.")


def _count_blocks(state: StateDict, backbone: Backbone) -> int:
    start = len(backbone.layers)
    found = {
        name[start:].partition(".")[0] for name in state.names if name.startswith(backbone.layers)
    }
    for index in range(len(found)):
        if str(index) not in found:
            where = state.key(f"{backbone.layers}{index}")
            raise FormatError(f"{where}: missing; there are {len(found)} blocks")
    return len(found)


def _layer_kind(state: StateDict, layer: str) -> tuple[LayerKind, Dialect]:
    dialect = dialect_of(state, layer)
    if dialect == "ss4d":
        return "spiking-ssm", dialect
    return ("gsu" if state.has(f"{layer}GSU") else "binary-s4d"), dialect


def _shown(kind: tuple[LayerKind, Dialect]) -> str:
    return f"{kind[0]} ({kind[1]} names)"


def _norm_kind(state: StateDict, norm: str) -> NormKind:
    for name, reason in (
        ("m", "the scalar LayerNorm of transposed: true divides its shift by the deviation"),
        ("ln.weight", "the LayerNorm of transposed: true with scalar: false has other names"),
    ):
        if norm + name in state:
            raise UnsupportedError(
                f"{state.key(norm + name)}: {reason}; train with transposed: false"
            )
    if f"{norm}running_mean" in state:
        return "batch"
    return "layer" if state.has(norm) else "none"  # none, or without weights: names cannot tell


def translate(found: Found, settings: Settings) -> tuple[dict[str, Tensor], KernelSettings]:
    """Return the weights under our names; every tensor of the file must be used.

    Raises
    ------
    FormatError
        If a key is missing or left over, or a shape contradicts the others.
    UnsupportedError
        If a kernel has no pole inside the unit circle for some mode.
    """
    kernel = kernel_settings(found.state, found.first, found.dialect, settings)
    ours: dict[str, Tensor] = {}
    for index in range(found.blocks):
        for name, value in _block(found, index, kernel):
            ours[f"blocks.{index}.{name}"] = value
    ours |= dict(_encoder(found))
    if found.final_norm:
        ours |= {f"norm.{name}": value for name, value in _norm(found, found.backbone.final_norm)}
    decoder, shape = found.backbone.decoder, (found.classes, found.sizes.channels)
    ours["decoder.weight"] = found.state.take(f"{decoder}weight", shape, found.sizes.source)
    ours["decoder.bias"] = found.state.take(f"{decoder}bias", shape[:1], f"{decoder}weight")
    found.state.finish()
    return _one_type(ours), kernel


def _block(found: Found, index: int, kernel: KernelSettings) -> Iterator[tuple[str, Tensor]]:
    state, layer = found.state, found.backbone.layer.format(index)
    for name, value in read_kernel(state, layer, found.dialect, found.sizes, kernel).items():
        yield f"mixer.ssm.{name}", value
    yield from _gsu(found, layer) if found.layer == "gsu" else _glu(found, layer)
    if found.layer == "spiking-ssm":
        yield from _soma(found, layer)
    for name, value in _norm(found, found.backbone.norm.format(index)):
        yield f"norm.{name}", value


def _glu(found: Found, layer: str) -> Iterator[tuple[str, Tensor]]:
    size, source, key = found.sizes.channels, found.sizes.source, f"{layer}output_linear.0."
    shape = (2 * size, size)
    if len(found.state.shape(f"{key}weight")) == 3:  # a convolution of width 1
        weight = found.state.take(f"{key}weight", (*shape, 1), f"a GLU with {source}")[..., 0]
    else:
        weight = found.state.take(f"{key}weight", shape, f"a GLU with {source}")
    yield "mixer.dense.weight", weight
    yield "mixer.dense.bias", found.state.take(f"{key}bias", shape[:1], f"{key}weight")


def _soma(found: Found, layer: str) -> Iterator[tuple[str, Tensor]]:
    """Yield the logarithm of the threshold (H), which channels may share or not have."""
    state, size, key = found.state, found.sizes.channels, f"{layer}ln_vth"
    for name in state.names:  # the approximate neuron that trained it
        if name.startswith(f"{layer}neuron."):
            state.take(name, state.shape(name), "itself")
    if key not in state:
        yield "mixer.log_threshold", torch.zeros(size)
        return
    shape = (1,) if state.shape(key) == (1,) else (size, 1)
    shared = state.take(key, shape, found.sizes.source).reshape(-1)
    yield "mixer.log_threshold", shared.expand(size).clone()


def discard_norms(found: Found) -> None:
    """Take the norms whose outputs SpikingSSM computes and discards with ``prenorm: false``."""
    for name in found.state.names:
        if name.startswith(found.backbone.norm.partition("{")[0]):
            found.state.take(name, found.state.shape(name), "itself")


def _gsu(found: Found, layer: str) -> Iterator[tuple[str, Tensor]]:
    size, source = found.sizes.channels, found.sizes.source
    yield "mixer.weight", found.state.take(f"{layer}GSU", (size, size), source)
    yield "mixer.bias", found.state.take(f"{layer}GSU_bias", (size,), source)
    for name in ("weight", "bias"):
        yield f"mixer.norm.{name}", found.state.take(f"{layer}norm.{name}", (size,), source)


def _norm(found: Found, norm: str) -> Iterator[tuple[str, Tensor]]:
    state, size, source = found.state, found.sizes.channels, found.sizes.source
    if found.norm == "none":
        return
    kind = _norm_kind(state, norm)
    if kind not in (found.norm, "none"):
        raise FormatError(
            f"{state.key(norm)[:-1]}: a {kind} norm, but block 0 has a {found.norm} norm"
        )
    affine = found.norm_affine or any(norm + name in state for name in ("weight", "bias"))
    for name, value in (("weight", 1.0), ("bias", 0.0)):
        key = f"{norm}{name}"
        yield name, state.take(key, (size,), source) if affine else torch.full((size,), value)
    if found.norm == "batch":
        for name in ("running_mean", "running_var"):
            yield name, state.take(f"{norm}{name}", (size,), source)
        counter = f"{norm}num_batches_tracked"
        counted = counter in state  # older files have none
        yield (
            "num_batches_tracked",
            state.take(counter, (), "a count") if counted else torch.zeros((), dtype=torch.int64),
        )


def _encoder(found: Found) -> Iterator[tuple[str, Tensor]]:
    state, key, size = found.state, found.backbone.encoder, found.sizes.channels
    shape = (found.input_size, size) if found.tokens else (size, found.input_size)
    weight = state.take(f"{key}weight", shape, found.sizes.source)
    yield "encoder.weight", weight
    if not found.tokens:
        has_bias = f"{key}bias" in state
        bias = (
            state.take(f"{key}bias", (size,), f"{key}weight")
            if has_bias
            else weight.new_zeros(size)
        )
        yield "encoder.bias", bias


def _one_type(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return float64 for all numbers if any is, since the network has one type."""
    floats = [value for value in state.values() if value.is_floating_point()]
    if all(value.dtype == torch.float32 for value in floats):
        return state
    return {
        name: value.double() if value.is_floating_point() else value
        for name, value in state.items()
    }
