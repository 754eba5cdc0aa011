"""Random float graphs, integer programs and data for tests: the fixture `networks` gives this file.

Everything follows from a seed and the sizes asked for. Programs are built operation by operation
from random integers, without the compiler, so that they also reach shifts, widths and saturations
that the compiler avoids.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

import numpy as np

from neurossm import graph as g
from neurossm import program as p
from neurossm.naming import layer_in_version_1

KINDS = ("uint8", "tokens", "float")
NORMS = ("pre", "post", "none")
POLES = ("lin", "inv", "undamped", "real")
MIXERS = ("binary", "gsu")
AWKWARD = (
    "zero_rows",
    "zero_c",
    "zero_all",
    "dominant_d",
    "zero_d",
    "tiny_gains",
    "huge_gains",
    "tiny_weights",
    "negative_gains",
    "thresholds",
    "zero_decoder",
)
"""What can be wrong with a network's parameters; see `random_graph`."""


def poles(rng: np.random.Generator, kind: str, channels: int, modes: int) -> tuple[Any, Any]:
    """Return `A_bar`, `B_bar` (H, N) of S4D-Lin with ZOH, S4D-Inv bilinear, or nearly undamped."""
    dt = np.exp(rng.uniform(np.log(1e-3), np.log(0.1), channels))[:, None]
    order = np.arange(modes)[None] * np.ones((channels, 1))
    if kind == "lin":
        A = -0.5 + 1j * np.pi * order
        A_bar = np.exp(dt * A)
        return A_bar, (A_bar - 1) / A
    if kind == "inv":
        size = 2 * modes
        A = -0.5 + 1j * size / np.pi * (size / (2 * order + 1) - 1)
        return (1 + dt * A / 2) / (1 - dt * A / 2), dt / (1 - dt * A / 2)
    damping = 10.0 ** -rng.uniform(0.3, 6.5, (channels, modes))
    if kind == "real":
        return (1 - damping) * rng.choice([-1.0, 1.0], (channels, modes)) + 0j, damping + 0j
    angle = rng.uniform(-np.pi, np.pi, (channels, modes))
    return (1 - damping) * np.exp(1j * angle), damping + 0j


def random_graph(
    seed: int,
    *,
    channels: int = 4,
    modes: int = 3,
    blocks: int = 2,
    classes: int = 3,
    inputs: int = 1,
    kind: str = "uint8",
    norm: str = "pre",
    pole_kind: str = "lin",
    mixer: str = "binary",
    layer_norm: bool = False,
    tied: bool = False,
    pool: str = "mean",
    awkward: Collection[str] = (),
) -> g.Graph:
    """Return a network as an export would give it, with random weights.

    `mixer` is one of `MIXERS`, or "gelu" or "relu" for graded S4D.
    """
    rng = np.random.default_rng(seed)
    H, N = channels, modes

    def weights(*shape: int) -> np.ndarray:
        w = rng.normal(size=shape) / np.sqrt(shape[-1])
        if "zero_rows" in awkward:
            w[:: 2 if len(w) > 1 else 1] = 0
        return w * 1e-9 if "tiny_weights" in awkward else w

    def normalise(name: str, source: str) -> g.Node:
        gain = rng.normal(1, 0.2, H)
        if "negative_gains" in awkward:
            gain = -gain
        if "tiny_gains" in awkward:
            gain *= 1e-8
        if "huge_gains" in awkward:
            gain *= 1e5
        bias = rng.normal(0, 0.3, H)
        if layer_norm:
            return g.LayerNormNode(name, (source,), gain, bias, 1e-5)
        var = rng.uniform(0.1, 2, H)
        if "zero_all" in awkward:
            gain, bias = 0 * gain, 0 * bias
        return g.BatchNormNode(name, (source,), rng.normal(0, 0.3, H), var, gain, bias, 1e-5)

    def ssm(name: str, source: str) -> g.SSMNode:
        A_bar, B_bar = poles(rng, pole_kind, 1 if tied else H, N)
        A_bar, B_bar = (np.broadcast_to(part, (H, N)) for part in (A_bar, B_bar))
        C = (rng.normal(size=(H, N)) + 1j * rng.normal(size=(H, N))) * 0.5**0.5
        D = rng.normal(size=H)
        if "zero_c" in awkward:
            C[0] = 0
        if "zero_all" in awkward:
            C, D = 0 * C, 0 * D
        if "dominant_d" in awkward:
            D *= 1e6
        if "zero_d" in awkward:
            D[:] = 0
        return g.SSMNode(name, (source,), A_bar, B_bar, C, D)

    def threshold() -> np.ndarray:
        return rng.normal(0, 0.5, H) if "thresholds" in awkward else np.zeros(H)

    def gated(b: str) -> list[g.Node]:
        first: g.Node = (
            g.SpikeNode(f"{b}.spike", (f"{b}.ssm",), threshold())
            if mixer == "binary"
            else {"gelu": g.GELUNode, "relu": g.ReLUNode}[mixer](f"{b}.{mixer}", (f"{b}.ssm",))
        )
        return [
            first,
            g.LinearNode(f"{b}.value", (first.name,), weights(H, H), rng.normal(0, 0.3, H)),
            g.LinearNode(f"{b}.gate", (first.name,), 3 * weights(H, H), rng.normal(0, 0.5, H)),
            g.SigmoidNode(f"{b}.sigmoid", (f"{b}.gate",)),
            g.ProductNode(f"{b}.glu", (f"{b}.value", f"{b}.sigmoid")),
        ]

    def gsu(b: str) -> list[g.Node]:
        ternary = rng.integers(-1, 2, (H, H)).astype(float)
        limit = np.full(H, rng.uniform(0.05, 0.5))
        gain, bias = rng.normal(1, 0.2, H), rng.normal(0, 0.3, H)
        return [
            g.TernaryNode(f"{b}.ternary", (f"{b}.ssm",), limit, 0.15),
            g.LinearNode(f"{b}.first", (f"{b}.ternary",), weights(H, H), rng.normal(0, 0.3, H)),
            g.LinearNode(f"{b}.second", (f"{b}.ssm",), ternary, np.zeros(H)),
            g.ProductNode(f"{b}.product", (f"{b}.first", f"{b}.second")),
            g.LayerNormNode(f"{b}.layernorm", (f"{b}.product",), gain, bias, 1e-5),
            g.GELUNode(f"{b}.gelu", (f"{b}.layernorm",)),
        ]

    low, high = {"float": (-1.5, 2.25)}.get(kind, (0.0, 1.0))
    scale = 1 / 255 if kind == "uint8" else 1.0
    nodes: list[g.Node] = [g.InputNode("input", (), kind, inputs, low, high, scale)]
    if kind == "tokens":
        nodes.append(g.EmbeddingNode("encoder", ("input",), weights(inputs, H)))
    else:
        nodes.append(g.LinearNode("encoder", ("input",), weights(H, inputs), rng.normal(0, 0.3, H)))
    stream = "encoder"
    for i in range(blocks):
        b, start = f"blocks.{i}", stream
        if norm == "pre":
            nodes.append(normalise(f"{b}.norm", stream))
            stream = f"{b}.norm"
        nodes.append(ssm(f"{b}.ssm", stream))
        nodes += gsu(b) if mixer == "gsu" else gated(b)
        nodes.append(g.AddNode(f"{b}.add", (nodes[-1].name, start)))
        stream = f"{b}.add"
        if norm == "post":
            nodes.append(normalise(f"{b}.norm", stream))
            stream = f"{b}.norm"
    if norm == "pre":
        nodes.append(normalise("norm", stream))
        stream = "norm"
    nodes.append(g.POOLS[pool](pool, (stream,)))
    decoder = weights(classes, H) * (0 if "zero_decoder" in awkward else 1)
    nodes.append(g.LinearNode("decoder", (pool,), decoder, rng.normal(0, 0.3, classes)))
    return g.Graph(tuple(map(_in_its_layer, nodes)), {"seed": seed})


def _in_its_layer(node: g.Node) -> g.Node:
    block, _, rest = node.name.rpartition(".")
    return replace(node, layer=block) if rest else node


def random_data(source: Any, seed: int, batch: int = 3, steps: int = 20) -> np.ndarray:
    """Return data (B, L, channels) for an input of a graph or a program, the extremes included."""
    rng = np.random.default_rng(seed)
    if source.kind == "tokens":
        return rng.integers(0, source.size, (batch, steps, 1))
    shape = (batch, steps, source.size)
    fast, slow = rng.uniform(size=shape), np.repeat(rng.uniform(size=shape), 5, axis=1)[:, :steps]
    share = np.where(rng.uniform(size=(batch, 1, 1)) < 0.5, fast, slow)
    share = np.where(rng.uniform(size=shape) < 0.1, rng.integers(0, 2, shape), share)
    if source.kind == "uint8":
        return np.floor(share * 255.999).astype(np.uint8)
    if source.kind == "counts":
        return np.floor(share * (source.high + 0.999)).astype(np.int64)
    return source.low + share * (source.high - source.low)


def sharpened(source: p.Input, data: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Put numbers where rounding is decided among the data (B, L, size) of a float input."""
    one = np.exp2(-source.out.exponent.astype(float))  # (size)
    halves = np.round(data / one * 2) / 2
    below = np.nextafter(np.abs(halves), 0) * np.sign(halves)
    picks = rng.integers(0, 8, data.shape)
    sharp = np.select(
        [picks == 0, picks == 1, picks == 2, picks == 3, picks == 4],
        [halves * one, below * one, 0.49999999999999994 * one + 0 * data, source.low, source.high],
        data,
    )
    sharp = np.clip(sharp, source.low, source.high)
    return sharp.astype(np.float32) if rng.integers(4) == 0 and _single(source) else sharp


def _single(source: p.Input) -> bool:
    """Tell whether 32-bit floats hold the ends of the range, so that none is beyond them."""
    return all(float(np.float32(end)) == end for end in (source.low, source.high))


class Builder:
    """Adds operations to a program, each as wide as its bounds need, or narrower at random."""

    def __init__(self, rng: np.random.Generator, saturating: float) -> None:
        self.rng = rng
        self.saturating = saturating
        self.ops: dict[str, p.Op] = {}

    def integers(self, low: int, high: int, *shape: int) -> np.ndarray:
        return self.rng.integers(low, high + 1, shape)

    def narrowed(self, bits: int, most: int = 3) -> int:
        if self.rng.uniform() < self.saturating:
            bits -= int(self.rng.integers(1, most + 1))
        return max(bits, 3)

    def add(
        self, kind: Callable[..., p.Op], name: str, inputs: tuple[str, ...], **fields: Any
    ) -> str:
        channels = fields.pop("channels")
        draft = kind(name, inputs, p.unchecked(62, 0, channels), **fields)
        sources = [self.ops[source].out.interval for source in inputs]
        bits = max(bits_of(draft.bounds(*sources).low), bits_of(draft.bounds(*sources).high), 2)
        if draft.saturates:
            bits = self.narrowed(bits, most=5 if kind in p.READOUTS.values() else 3)
        out, layer = p.unchecked(bits, 0, channels), layer_in_version_1(name)
        self.ops[name] = replace(draft, out=out, layer=layer).certified(*sources)
        return name

    def affine(self, name: str, source: str, bits: int, offset: int = 99) -> str:
        """Bring a tensor to about so many bits, by a shift that may be negative."""
        channels = self.ops[source].out.channels
        gain = self.integers(-999, 999, channels)
        gain[self.rng.uniform(size=channels) < 0.1] = 1
        reach = np.abs(gain) * self.ops[source].out.interval.largest().astype(float)
        shift = np.ceil(np.log2(np.maximum(reach, 1))).astype(int) - (bits - 1)
        shift += self.integers(-1, 1, channels)
        fields = {"gain": gain, "shift": shift, "offset": self.integers(-offset, offset, channels)}
        return self.add(p.Affine, name, (source,), channels=channels, **fields)

    def dense(self, name: str, source: str, channels: int, limit: int = 127) -> str:
        size = self.ops[source].out.channels
        weight = self.integers(-limit, limit, channels, size)
        weight *= self.rng.uniform(size=weight.shape) < self.rng.choice([0.3, 1.0])
        return self.add(p.Dense, name, (source,), channels=channels, weight=weight)

    def ssm(self, name: str, source: str, modes: int) -> str:
        rng, channels = self.rng, self.ops[source].out.channels
        A = self.integers(4, 15, channels, modes)
        radius = np.sqrt(rng.uniform(0, 1 - 2.0**-10, (channels, modes)))
        angle = rng.uniform(-np.pi, np.pi, (channels, modes))
        angle[rng.uniform(size=angle.shape) < 0.2] = rng.choice([0, np.pi])
        q = radius * np.exp(1j * angle) * 2.0**A
        c = rng.choice([3, 200, 20000])
        fields = {
            "a_re": np.trunc(q.real).astype(int),
            "a_im": np.trunc(q.imag).astype(int),
            "pole_shift": A,
            "input_shift": self.integers(-4, 5, channels, modes),
            "c_re": self.integers(-c, c, channels, modes),
            "c_im": self.integers(-c, c, channels, modes),
            "readout_shift": self.integers(0, 3, channels),
            "d": self.integers(-999, 999, channels) * self.integers(0, 1, channels),
            "d_shift": self.integers(-3, 3, channels),
        }
        draft = p.SSM(name, (source,), p.unchecked(62, 0, channels), **fields, state_bits=40)
        parts = draft.state_bounds(self.ops[source].out.interval).values()
        bits = max(bits_of(end) for part in parts for end in (part.low, part.high))
        fields["state_bits"] = min(self.narrowed(bits, most=6), 40)
        return self.add(p.SSM, name, (source,), channels=channels, **fields)

    def table(self, name: str, source: str) -> str:
        rng, out = self.rng, self.ops[source].out
        size = int(rng.integers(1, 9))
        span = max(1, int(out.high.max()) - int(out.low.min()))
        width = max(0, int(np.log2(span / size)) - int(rng.integers(0, 2)))
        slope_shift = int(rng.integers(-2, 12))
        fields = {
            "origin": int(out.low.min()) + int(rng.integers(-9, span // 4 + 1)),
            "width": width,
            "base": self.integers(-999, 999, size),
            "slope": self.integers(-99, 99, size),
            "slope_shift": slope_shift,
        }
        return self.add(p.Table, name, (source,), channels=out.channels, **fields)

    def product(self, name: str, x: str, y: str, bits: int = 14) -> str:
        reach = self.ops[x].out.interval.largest() * self.ops[y].out.interval.largest().astype(
            float
        )
        shift = np.ceil(np.log2(np.maximum(reach, 1))).astype(int) - (bits - 1)
        shift += self.integers(-1, 1, len(shift))
        return self.add(p.Product, name, (x, y), channels=len(shift), shift=shift)

    def layer_norm(self, name: str, source: str, shift: tuple[int, int] = (14, 18)) -> str:
        rng, channels = self.rng, self.ops[source].out.channels
        fields = {
            "gain": self.integers(-999, 999, channels),
            "shift": self.integers(*shift, channels),
            "offset": self.integers(-999, 999, channels),
            "eps": int(rng.integers(0, 1 << 20)),
        }
        return self.add(p.LayerNorm, name, (source,), channels=channels, **fields)

    def middle(self, name: str) -> np.ndarray:
        """Return, per channel, a value that the tensor exceeds about as often as not."""
        ops = tuple(self.ops.values())
        source, channels = ops[0], self.ops[name].out.channels
        assert isinstance(source, p.Input)
        weight, bias = np.zeros((1, ops[-1].out.channels), np.int64), np.zeros(1, np.int64)
        last = p.Readout("last", (ops[-1].name,), p.unchecked(62, 0, 1), weight, bias, 0, 1 << 10)
        graph = g.Graph((g.InputNode("input", (), source.kind, source.size, 0.0, 1.0, 1.0),))
        data = random_data(source, int(self.rng.integers(1 << 30)), batch=2, steps=30)
        seen = p.Program((*ops, last), graph, "loihi2-sim").run(data, record=[name]).tensors[name]
        share = self.rng.uniform(0.2, 0.8)
        return np.quantile(seen.reshape(-1, channels), share, axis=0, method="lower").astype(int)


def bits_of(values: np.ndarray) -> int:
    """Return the width of the narrowest signed integer that holds all values."""
    return (
        max((int(value) if value >= 0 else ~int(value)).bit_length() for value in values.flat) + 1
    )


def random_program(
    seed: int,
    *,
    channels: int = 4,
    modes: int = 3,
    blocks: int = 2,
    classes: int = 3,
    inputs: int = 1,
    kind: str = "uint8",
    norm: str = "pre",
    mixer: str = "binary",
    saturating: float = 0.0,
    stream_bits: int = 14,
    max_steps: int = 1 << 10,
    pool: str = "mean",
) -> p.Program:
    """Return an integer program of random numbers, in the shape the compiler gives its programs.

    `norm` is one of `NORMS`, or "layer" for a LayerNorm before each SSM.

    Thresholds are set where about half of a calibration batch lies above them. With probability
    `saturating` a tensor or state is given fewer bits than it needs; with 0 none can saturate.
    """
    rng = np.random.default_rng(seed)
    b = Builder(rng, saturating)
    exponent = int(rng.integers(3, 10)) if kind == "float" else 0
    wires = 1 if kind == "tokens" else inputs
    low, high = (-1.5, 2.25) if kind == "float" else (0.0, 255.0)
    source = p.Input("input", (), p.unchecked(20, exponent, wires), kind, inputs, low, high)
    bits = max(bits_of(source.bounds().low), bits_of(source.bounds().high), 2)
    b.ops["input"] = replace(source, out=p.unchecked(bits, exponent, wires)).certified()
    if kind == "tokens":
        rows = b.integers(-127, 127, inputs, channels)
        b.add(p.Embedding, "encoder.sum", ("input",), channels=channels, weight=rows)
    else:
        b.dense("encoder.sum", "input", channels)
    stream = b.affine("encoder", "encoder.sum", stream_bits)
    for i in range(blocks):
        stream = _block(b, f"blocks.{i}", stream, channels, modes, norm, mixer)
    b.add(
        p.READOUTS[pool],
        "decoder",
        (stream,),
        channels=classes,
        weight=b.integers(-127, 127, classes, channels),
        bias=b.integers(-999, 999, classes),
        shift=int(rng.integers(0, 6)),
        max_steps=max_steps,
    )
    nodes = (g.InputNode("input", (), kind, inputs, low, high, 1.0),)
    return p.Program(tuple(b.ops.values()), g.Graph(nodes, {"seed": seed}), "loihi2-sim")


def _block(
    b: Builder, name: str, stream: str, channels: int, modes: int, norm: str, mixer: str
) -> str:
    if norm == "layer":
        drive = b.layer_norm(f"{name}.norm", stream, (11, 13))
    else:
        drive = b.affine(f"{name}.norm" if norm == "pre" else f"{name}.ssm.drive", stream, 12)
    ssm = b.ssm(f"{name}.ssm", drive, modes)
    if mixer == "gsu":
        graded = b.affine(f"{ssm}.graded", ssm, 12)
        threshold = np.abs(b.middle(graded))
        spikes = b.add(
            p.Ternary, f"{name}.ternary", (graded,), channels=channels, threshold=threshold
        )
        b.dense(f"{name}.first.sum", spikes, channels)
        first = b.affine(f"{name}.first", f"{name}.first.sum", 14)
        second = b.dense(f"{name}.second", graded, channels, limit=1)
        product = b.product(f"{name}.product", first, second, bits=18)
        normal = b.layer_norm(f"{name}.layernorm", product)
        mixed = b.table(f"{name}.gelu", normal)
    else:
        threshold = b.middle(ssm)
        spikes = b.add(p.Spike, f"{name}.spike", (ssm,), channels=channels, threshold=threshold)
        for half in ("value", "gate"):
            b.dense(f"{name}.{half}.sum", spikes, channels)
            b.affine(f"{name}.{half}", f"{name}.{half}.sum", 14)
        sigmoid = b.table(f"{name}.sigmoid", f"{name}.gate")
        mixed = b.product(f"{name}.glu", f"{name}.value", sigmoid)
    stream = b.add(p.Add, f"{name}.add", (mixed, stream), channels=channels)
    return b.affine(f"{name}.norm", stream, 14) if norm == "post" else stream
