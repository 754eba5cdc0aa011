"""The programs and data of the conformance tests: compiled, in a compiler's shape, loose, corners.

Everything follows from seeds. A *loose* program is a chain of operations that no compiler would
put together: any operation reads any tensor, and most widths are too narrow. *Corners* are made by
hand for branches that chance hardly meets.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import random_networks as networks

from neurossm import graph as g
from neurossm import program as p
from neurossm.compile import CompileOptions, compile_model
from neurossm.errors import LimitError
from neurossm.program.certificate import certify
from neurossm.program.softmax import power_table


class Case(NamedTuple):
    """A program and data to run it on."""

    name: str
    program: p.Program
    data: np.ndarray


def shaped(count: int = 70) -> Iterator[Case]:
    """Yield programs of random integers in a compiler's shape."""
    for seed in range(count):
        rng = np.random.default_rng([1, seed])
        program = networks.random_program(seed, **_sizes(rng), saturating=seed % 3 / 2)
        yield Case(f"shaped {seed}", program, _data(program, rng))


def compiled(count: int = 48) -> Iterator[Case]:
    """Yield compiled networks: proved, and calibrated on a part of the data so that they clip."""
    for seed in range(count):
        rng = np.random.default_rng([2, seed])
        sizes = _sizes(rng)
        sizes |= {
            "pole_kind": rng.choice(networks.POLES),
            "awkward": (networks.AWKWARD[seed % 11],),
        }
        sizes["layer_norm"] = sizes["norm"] != "none" and bool(rng.integers(2))
        graph = networks.random_graph(seed, **sizes)
        data = networks.random_data(graph.input, seed, batch=3, steps=int(rng.integers(2, 40)))
        options = CompileOptions(
            scaling=("proved", "calibrated")[seed % 2], headroom_bits=0, max_steps=1 << 10
        )
        try:
            program = compile_model(graph, options=options, calibration=data[:1, :1])
        except LimitError:
            continue
        yield Case(f"compiled {seed}", program, data)


def _sizes(rng: np.random.Generator) -> dict[str, Any]:
    """Return sizes on both sides of the widths of vectors, panels and tiles."""
    return {
        "channels": int(rng.choice([1, 2, 3, 5, 8, 9, 16, 17, 33])),
        "modes": int(rng.integers(1, 6)),
        "blocks": int(rng.integers(1, 3)),
        "classes": int(rng.integers(1, 5)),
        "inputs": int(rng.integers(1, 6)),
        "kind": str(rng.choice(networks.KINDS)),
        "norm": str(rng.choice(networks.NORMS)),
        "mixer": str(rng.choice(networks.MIXERS)),
    }


def _data(program: p.Program, rng: np.random.Generator) -> np.ndarray:
    """Return data for a program: for floats, halves of a step, ends and neighbours of halves."""
    steps = int(rng.choice([1, 2, 3, 8, 20, 30, 65]))
    data = networks.random_data(program.input, int(rng.integers(1 << 30)), 3, steps)
    if program.input.kind != "float":
        return data
    return networks.sharpened(program.input, data, rng)


class Loose(networks.Builder):
    """Adds random operations on random tensors; most that saturate are too narrow."""

    def __init__(self, rng: np.random.Generator) -> None:
        super().__init__(rng, saturating=0.0)
        self.size = int(rng.choice([1, 4, 30, 999]))
        self.channels = int(rng.choice([1, 2, 3, 7, 16, 17, 35]))

    def narrowed(self, bits: int, most: int = 3) -> int:
        least = 2 if self.rng.uniform() < 0.5 else max(2, bits - most)
        return min(int(self.rng.integers(least, bits + 1)), 36)

    def numbers(self, *shape: int) -> np.ndarray:
        return self.integers(-self.size, self.size, *shape)

    def start(self) -> str:
        """Add an input and a sum of it."""
        rng, kind = self.rng, str(self.rng.choice(networks.KINDS))
        size = int(rng.integers(1, 5))
        exponent = rng.integers(-3, 6, size) if kind == "float" else 0
        low, high = (-float(rng.integers(1, 40)), float(rng.integers(0, 40)))
        if kind != "float":
            low, high = 0.0, 255.0
        wires = 1 if kind == "tokens" else size
        op = p.Input("input", (), p.unchecked(20, exponent, wires), kind, size, low, high)
        self.ops["input"] = op.certified()
        if kind == "tokens":
            rows = self.numbers(size, self.channels)
            return self.add(p.Embedding, "0", ("input",), channels=self.channels, weight=rows)
        return self.dense("0", "input", self.channels, limit=self.size)

    def grow(self, name: str) -> None:
        """Add one operation, or none where its integers would not fit."""
        rng = self.rng
        kinds = ["rescale", "recur", "spike", "ternary", "curve", "times", "plus", "mix", "norm"]
        names = [n for n in self.ops if n != "input"]
        recent = names[-4:] if rng.uniform() < 0.7 else names
        source = str(rng.choice(recent))
        try:
            getattr(self, f"_{rng.choice(kinds)}")(name, source)
        except LimitError:
            self.ops.pop(name, None)

    def _partner(self, source: str) -> str:
        channels = self.ops[source].out.channels
        same = [n for n, op in self.ops.items() if op.out.channels == channels and n != "input"]
        return str(self.rng.choice(same))

    def _rescale(self, name: str, source: str) -> None:
        H = self.ops[source].out.channels
        fields = {
            "gain": self.numbers(H),
            "shift": self.integers(-2, int(self.rng.choice([0, 3, 9])), H),
            "offset": self.numbers(H) * self.integers(0, 1, H),
        }
        self.add(p.Affine, name, (source,), channels=H, **fields)

    def _recur(self, name: str, source: str) -> None:
        self.ssm(name, source, int(self.rng.integers(1, 6)))

    def ssm(self, name: str, source: str, modes: int) -> str:
        rng, H = self.rng, self.ops[source].out.channels
        A = self.integers(1, int(rng.choice([2, 8, 20])), H, modes)
        radius = np.sqrt(rng.uniform(0, 1 - 2.0**-8, (H, modes)))
        angle = rng.choice([0, 0.1, 1, np.pi / 2, 2, np.pi], (H, modes))
        q = radius * np.exp(1j * angle) * 2.0**A
        lowest = -np.minimum(A, int(rng.integers(0, 6)))
        fields = {
            "a_re": np.trunc(q.real).astype(int),
            "a_im": np.trunc(q.imag).astype(int),
            "pole_shift": A,
            "input_shift": rng.integers(lowest, lowest + int(rng.integers(1, 6)), (H, modes)),
            "c_re": self.numbers(H, modes),
            "c_im": self.numbers(H, modes),
            "readout_shift": self.integers(0, int(rng.choice([0, 2, 6])), H),
            "d": self.numbers(H) * self.integers(0, 1, H),
            "d_shift": self.integers(-2, 5, H),
        }
        draft = p.SSM(name, (source,), p.unchecked(62, 0, H), **fields, state_bits=40)
        parts = draft.state_bounds(self.ops[source].out.interval).values()
        bits = max(networks.bits_of(end) for part in parts for end in (part.low, part.high))
        fields["state_bits"] = min(self.narrowed(bits), 30)
        return self.add(p.SSM, name, (source,), channels=H, **fields)

    def _thresholds(self, name: str) -> np.ndarray:
        """Return numbers that occur in a tensor, or small ones."""
        if self.rng.uniform() < 0.3:
            return self.integers(-2, 2, self.ops[name].out.channels)
        return self.middle(name)

    def _spike(self, name: str, source: str) -> None:
        H, threshold = self.ops[source].out.channels, self._thresholds(source)
        self.add(p.Spike, name, (source,), channels=H, threshold=threshold)

    def _ternary(self, name: str, source: str) -> None:
        H, threshold = self.ops[source].out.channels, np.abs(self._thresholds(source))
        self.add(p.Ternary, name, (source,), channels=H, threshold=threshold)

    def _curve(self, name: str, source: str) -> None:
        rng, out = self.rng, self.ops[source].out
        size = int(rng.integers(1, 7))
        span = max(1, int(out.high.max()) - int(out.low.min()))
        width = max(0, int(np.log2(span / size)) - int(rng.integers(0, 4)))
        fields = {
            "origin": int(out.low.min()) + int(rng.integers(-3, span // 2 + 1)),
            "width": width,
            "base": self.numbers(size),
            "slope": self.integers(-5, 5, size),
            "slope_shift": int(rng.integers(-2, 6)),
        }
        self.add(p.Table, name, (source,), channels=out.channels, **fields)

    def _times(self, name: str, source: str) -> None:
        H = self.ops[source].out.channels
        shift = self.integers(-2, int(self.rng.choice([1, 6])), H)
        self.add(p.Product, name, (source, self._partner(source)), channels=H, shift=shift)

    def _plus(self, name: str, source: str) -> None:
        H = self.ops[source].out.channels
        self.add(p.Add, name, (source, self._partner(source)), channels=H)

    def _mix(self, name: str, source: str) -> None:
        channels = int(self.rng.choice([1, self.channels]))
        self.dense(name, source, channels, limit=min(self.size, 127))

    def _norm(self, name: str, source: str) -> None:
        rng, H = self.rng, self.ops[source].out.channels
        fields = {
            "gain": self.numbers(H),
            "shift": self.integers(-1, 24, H),
            "offset": self.numbers(H),
            "eps": int(rng.choice([0, 1, 77, 1 << 22, 1 << 45])),
        }
        self.add(p.LayerNorm, name, (source,), channels=H, **fields)

    def finish(self, steps: int, readout: type[p.Readout] = p.Readout) -> p.Program:
        """Add a readout of the last tensor; half of the time a sample is as long as allowed."""
        rng, source = self.rng, self.ops["input"]
        assert isinstance(source, p.Input)
        last, classes = next(reversed(self.ops)), int(rng.integers(1, 5))
        fields = {
            "weight": self.numbers(classes, self.ops[last].out.channels),
            "bias": self.numbers(classes),
            "shift": int(rng.integers(0, 5)),
            "max_steps": steps if rng.integers(2) else 1 << 10,
        }
        self.add(readout, "decoder", (last,), channels=classes, **fields)
        nodes = (g.InputNode("input", (), source.kind, source.size, source.low, source.high, 1.0),)
        return p.Program(tuple(self.ops.values()), g.Graph(nodes), "none")


def loose(count: int = 90) -> Iterator[Case]:
    """Yield programs of random operations on random tensors."""
    for seed in range(count):
        yield _loose(seed, p.Readout, samples=3)


def pooled(count: int = 60) -> Iterator[Case]:
    """Yield such programs whose readouts keep something else than the sum, in turn."""
    kinds = [kind for kind in p.READOUTS.values() if kind is not p.Readout]
    for number, kind in enumerate(kinds):
        yield _narrow(kind, np.random.default_rng([5, number]))
    found = 0
    for seed in itertools.count(1000):
        if found == count:
            return
        with contextlib.suppress(LimitError):  # integers beyond 62 bits
            yield _loose(seed, kinds[found % len(kinds)], samples=24)
            found += 1


def _narrow(kind: type[p.Readout], rng: np.random.Generator, channels: int = 3) -> Case:
    """Return a program that reads out integers of -32 to 32 themselves, within -8 to 7."""
    source = p.Input("x", (), p.unchecked(7, 5, channels), "float", channels, -1.0, 1.0)
    same = _affine("same", "x", channels, 20)
    one, none = np.eye(channels, dtype=np.int64), np.zeros(channels, np.int64)
    decoder = kind("decoder", ("same",), p.unchecked(4, 0, channels), one, none, 0, 1 << 10)
    nodes = (g.InputNode("x", (), "float", channels, -1.0, 1.0, 1.0),)
    program = p.Program((source, same, decoder), g.Graph(nodes), "none")
    data = rng.integers(-12, 12, (200, 3, channels)) / 32
    return Case(f"narrow, {kind.pool}", certify(program), data)


def _loose(seed: int, readout: type[p.Readout], samples: int) -> Case:
    rng = np.random.default_rng([3, seed])
    builder = Loose(rng)
    builder.start()
    for number in range(1, int(rng.integers(5, 14))):
        builder.grow(str(number))
    steps = int(rng.choice([1, 2, 3, 8, 20, 30, 65]))
    program = builder.finish(steps, readout)
    data = networks.random_data(program.input, seed, samples, steps)
    if program.input.kind == "float":
        data = networks.sharpened(program.input, data, rng)
    return Case(f"loose {seed}, {readout.pool}", program, data)


def corners() -> Iterator[Case]:
    """Yield programs around one operation each, at the edges of its semantics or of 2^53."""
    for name, build in _CORNERS.items():
        rng = np.random.default_rng([4, len(name)])
        yield build(name, rng)


def around(
    name: str,
    rng: np.random.Generator,
    bits: int,
    channels: int,
    *ops: p.Op,
    steps: int = 9,
    shift: int = 40,
) -> Case:
    """Return a program that ends in `ops`, on integers of magnitude up to 2^bits from input `x`."""
    source = p.Input("x", (), p.unchecked(bits + 2, bits, channels), "float", channels, -1.0, 1.0)
    last = ops[-1]
    H = last.out.channels
    narrow = _affine("small", last.name, H, 20, gain=1, shift=min(shift, last.out.bits))
    decoder = p.Readout(
        "decoder",
        ("small",),
        p.unchecked(40, 0, 2),
        np.arange(2 * H).reshape(2, -1) - H,
        np.array([5, -5]),
        0,
        1 << 10,
    )
    nodes = (g.InputNode("x", (), "float", channels, -1.0, 1.0, 1.0),)
    program = p.Program((source, *ops, narrow, decoder), g.Graph(nodes), "none")
    return Case(name, certify(program), _extremes(rng, bits, channels, steps))


def _extremes(rng: np.random.Generator, bits: int, channels: int, steps: int) -> np.ndarray:
    """Return data (2, steps, channels) whose integers are random, small, or next to the ends."""
    one = 2.0**-bits
    special = np.array([-1, 1, -1 + one, 1 - one, one, -one, 0, 0.5, -0.5, min(0.5 + 2 * one, 1)])
    shape = (2, steps, channels)
    data = np.round(rng.uniform(-1, 1, shape) / one) * one
    data = np.where(rng.uniform(size=shape) < 0.4, rng.choice(special, shape), data)
    first = [-1, 1, 1 - one, -1 + one, min(0.5 + 2 * one, 1), min(0.5 + 4 * one, 1)]
    data[0, : len(first)] = np.array(first)[:, None]
    data[1, : steps // 2] = 1 - one  # constant inputs drive real poles to their bounds
    return data


def _affine(name: str, source: str, channels: int, bits: int, **fields: Any) -> p.Affine:
    default = {"gain": 1, "shift": 0, "offset": 0} | fields
    arrays = {key: np.broadcast_to(value, (channels,)) for key, value in default.items()}
    return p.Affine(name, (source,), p.unchecked(bits, 0, channels), **arrays)


def _ssm(channels: int, modes: int, **fields: Any) -> p.SSM:
    """Return an SSM of three kinds of poles: slow, fast and real."""
    shape = (channels, modes)
    poles = np.resize(np.array([[250, 30], [-40, 200], [255, 0], [-250, 0]]), (*shape, 2))
    default = {
        "a_re": poles[..., 0],
        "a_im": poles[..., 1],
        "pole_shift": 8,
        "input_shift": np.full(shape, -3),
        "c_re": np.resize([7, -5, 3], shape),
        "c_im": np.resize([-2, 9], shape),
        "readout_shift": np.resize([0, 2], channels),
        "d": np.resize([3, -5, 0], channels),
        "d_shift": np.resize([-1, 2], channels),
        "state_bits": 24,
    }
    return p.SSM("op", ("x",), p.unchecked(60, 0, channels), **(default | fields))


def _layernorm(channels: int, bits: int = 40, **fields: Any) -> p.LayerNorm:
    default = {"gain": 1, "shift": 0, "offset": 0} | fields
    eps = default.pop("eps", 0)
    arrays = {key: np.resize(value, channels) for key, value in default.items()}
    return p.LayerNorm("op", ("x",), p.unchecked(bits, 0, channels), eps=eps, **arrays)


def _relu(bits: int, *shift: int) -> p.Relu:
    return p.Relu("op", ("x",), p.unchecked(bits, 0, len(shift)), np.array(shift))


def _lif(bits: int, channels: int, **fields: Any) -> p.LIF:
    """Return neurons of several decays and thresholds."""
    default = {"decay": [1, 3, 0, 4], "decay_shift": [1, 2, 3, 2], "threshold": [9, 2, -3, 20]}
    arrays = {key: np.resize(value, channels) for key, value in (default | fields).items()}
    return p.LIF("op", ("x",), p.unchecked(2, 0, channels), **arrays, state_bits=bits)


def _peak(channels: int, factor: int, shift: int) -> p.PeakTernary:
    return p.PeakTernary("op", ("x",), p.unchecked(2, 0, channels), factor, shift)


def _dense_of(source: str, weight: np.ndarray) -> p.Dense:
    return p.Dense("op", (source,), p.unchecked(20, 0, len(weight)), weight)


def _adlif(bits: int, channels: int, **fields: Any) -> p.AdLIF:
    """Return neurons of several decays, resets and thresholds."""
    default = {
        "decay": [1, 3, 0, 4, 5],
        "decay_shift": [1, 2, 3, 2, 3],
        "adaptation_decay": [3, 7, 1, 2],
        "sensitivity": [1, -3, 2, 0],
        "adaptation_shift": [2, 3, 0, 2],
        "jump": [5, -3, 0, 2, 9],
        "threshold": [9, 2, -3, 5],
        "reset": [8, 3, -2, 12, 5],
    }
    arrays = {key: np.resize(value, channels) for key, value in (default | fields).items()}
    return p.AdLIF("op", ("x",), p.unchecked(2, 0, channels), **arrays, state_bits=bits)


def _resonate(bits: int, channels: int, **fields: Any) -> p.ResonateFire:
    """Return neurons that turn either way, fast and slowly, one of them outside the circle."""
    default = {
        "a_re": [3, -1, 7, 4, 5],
        "a_im": [2, 3, -3, 2, 0],
        "pole_shift": [2, 2, 3, 2, 3],
        "threshold": [9, 2, -3, 5],
        "reset_re": [8, 3, -2, 12, 5],
        "reset_im": [0, 5, -7, 3],
    }
    arrays = {key: np.resize(value, channels) for key, value in (default | fields).items()}
    return p.ResonateFire("op", ("x",), p.unchecked(2, 0, channels), **arrays, state_bits=bits)


def _softmax(bits: int, channels: int, scale: int = 6051102, shift: int = 16) -> p.Softmax:
    fields = (power_table(), scale, shift)
    return p.Softmax("op", ("x",), p.unchecked(bits, 20, channels), *fields)


def _shares(*powers: int, more: int = 0) -> _Maker:
    """Return a softmax whose powers e are 2^24, these, and 2^24 some times more."""
    table = np.resize([1 << 24, *powers, *[1] * 63], 64)
    numbers = [[0, *(-i for i in range(1, len(powers) + 1)), *[0] * more]]
    op = replace(_softmax(22, len(numbers[0]), 256, 0), table=table)
    return _listed(7, numbers, op)


def _dense(weight: Any) -> p.Dense:
    weight = np.array(weight)
    return p.Dense("op", ("x",), p.unchecked(63, 0, len(weight)), weight)


def _add(x: str, y: str, bits: int) -> p.Add:
    return p.Add("op", (x, y), p.unchecked(bits, 0, 1))


def _product(channels: int, shift: Any, y: str = "x", bits: int = 62) -> p.Product:
    return p.Product("op", ("x", y), p.unchecked(bits, 0, channels), np.resize(shift, channels))


def _table(bits: int = 62, **fields: Any) -> p.Table:
    default = {
        "origin": -8,
        "width": 2,
        "base": np.array([5, -3, 0, 7]),
        "slope": np.array([1, -3, 0, 5]),
        "slope_shift": 1,
    }
    return p.Table("op", ("x",), p.unchecked(bits, 0, 2), **(default | fields))


_Maker = Callable[[str, np.random.Generator], Case]


def _corner(bits: int, channels: int, *ops: p.Op, steps: int = 9, shift: int = 40) -> _Maker:
    return lambda name, rng: around(name, rng, bits, channels, *ops, steps=steps, shift=shift)


def _two_readers(name: str, rng: np.random.Generator) -> Case:
    """A sum that two operations read: it must not vanish into one of them."""
    ops = (
        _dense([[3, -5], [7, 2]]),
        _affine("y", "op", 2, 20, gain=3, shift=1),
        _affine("z", "op", 2, 20, gain=-1, offset=9),
        p.Add("sum", ("y", "z"), p.unchecked(30, 0, 2)),
    )
    return around(name, rng, 5, 2, *ops)


def _last_bit(bits: int, A: int, a: int, before: tuple[int, ...], last: int) -> _Maker:
    """Return a real pole and data by which one rounding of the recurrence hangs on one bit.

    The inputs `before` are followed by one that brings the state s to where `a s + 2^(A-1)` is one
    below a multiple of 2^A, and by `last`. Beyond 2^53, a float takes the multiple for it.
    """
    shape = (1, 1)
    op = _ssm(1, 1, a_re=np.full(shape, a), a_im=np.zeros(shape, int), pole_shift=A, state_bits=40)
    op = replace(op, input_shift=np.zeros(shape, int), readout_shift=np.zeros(1, int))
    state, limit, inputs = 0, (1 << 39) - 1, list(before)
    for u in inputs:
        state = min((a * state + (1 << (A - 1)) >> A) + u, limit)
    wanted = pow(a, -1, 1 << A) * ((1 << (A - 1)) - 1) % (1 << A)
    decayed = a * state + (1 << (A - 1)) >> A
    inputs += [(wanted - decayed) % (1 << A), last, 0, 0, 0, 0]

    def make(name: str, rng: np.random.Generator) -> Case:
        case = around(name, rng, bits, 1, op, steps=len(inputs))
        case.data[0, :, 0] = np.array(inputs) * 2.0**-bits
        return case

    return make


def _listed(bits: int, numbers: Sequence[Sequence[int]], *ops: p.Op, shift: int = 40) -> _Maker:
    """Return operations on given integers (steps, channels)."""
    values = np.array(numbers)

    def make(name: str, rng: np.random.Generator) -> Case:
        case = around(name, rng, bits, values.shape[1], *ops, shift=shift)
        return case._replace(data=values[None] * 2.0**-bits)

    return make


def _dense_affine_spike(gain: int, shift: int, offset: int, below: int) -> _Maker:
    """Return a sum, scaled to so large a number that its last bit decides on a spike."""
    x = (1 << 15) - 1
    value = (gain * x + (1 << shift >> 1) >> shift if shift > 0 else gain * x << -shift) + offset
    return _listed(
        *(15, [[x], [0], [-9]]),
        replace(_dense([[1]]), name="y"),
        _affine("z", "y", 1, 60, gain=gain, shift=shift, offset=offset),
        p.Spike("op", ("z",), p.unchecked(2, 0, 1), np.array([value - below])),
        shift=0,
    )


_CORNERS: dict[str, _Maker] = {
    "layernorm whose roots hang on one bit": _listed(
        21,
        [[d, 0] for d in (1048575, 529593, 524290, 524363, 685538, 576269, 741357)],
        _layernorm(2),
    ),
    "layernorm of a deviation of 2^20": _listed(21, [[-(1 << 19), 1, -1]], _layernorm(3)),
    "layernorm of squares one below a half": _listed(
        22, [[(1 << 20) + 2, 0]], _layernorm(2, eps=8396790)
    ),
    **{
        f"layernorm of {power}": _listed(14, [[5000, 0]], _layernorm(2, eps=power - 2 * 5000**2))
        for power in (
            *(139763712, 139763673, 131826688, 136209419, 71573504),
            4 * 100001253 - 2,
        )
    },
    "relu at every integer": _listed(
        4, [[x, -x, x, x, x] for x in range(-16, 17)], _relu(5, -1, 0, 1, 2, 3)
    ),
    "relu beyond floats": _corner(54, 2, _relu(60, 1, -1)),
    "relu of integers that saturates": _corner(54, 2, _relu(53, 1, 2)),
    "lif small": _corner(5, 9, _lif(6, 9), steps=60),
    "lif of no shift": _corner(
        5, 2, _lif(8, 2, decay=[1, 0], decay_shift=0, threshold=40), steps=30
    ),
    "lif beside what was there before": _corner(
        *(5, 2),
        replace(_lif(6, 2), name="y"),
        _dense_of("y", np.full((16, 2), 99)),
        steps=70,
        shift=0,
    ),
    "lif that never fires": _corner(4, 4, _lif(7, 4, threshold=63), steps=60),
    "lif beyond floats": _corner(
        39, 3, _lif(40, 3, decay=[(1 << 20) - 1, 3, 1], decay_shift=[20, 2, 1], threshold=1 << 38)
    ),
    "peak ternary at every integer": _listed(
        4, [[a, b, 3] for a in range(-16, 17) for b in (-16, -7, 0, 4, 13)], _peak(3, 5, 4)
    ),
    "peak ternary of a half": _listed(
        4, [[a, b] for a in range(-16, 17) for b in (-9, 0, 8)], _peak(2, 1, 1)
    ),
    "peak ternary of nothing": _listed(4, [[0, 5, -5], [0, 0, 0], [-16, 1, 2]], _peak(3, 0, 0)),
    "peak ternary of all": _listed(4, [[9, 5, -9], [0, 0, 0], [-16, 1, 2]], _peak(3, 1, 0)),
    "peak ternary of one": _listed(4, [[x] for x in range(-16, 17)], _peak(1, 5, 3)),
    "peak ternary beyond floats": _corner(37, 6, _peak(6, (1 << 24) - 1, 25)),
    "peak ternary that feeds weights": _corner(
        *(9, 5), replace(_peak(5, 19661, 17), name="y"), _dense_of("y", np.full((16, 5), 99))
    ),
    "adlif small": _corner(5, 20, _adlif(6, 20), steps=60),
    "adlif of no shift": _corner(
        *(4, 3, _adlif(8, 3, decay=[1, 0, 1], decay_shift=0, adaptation_decay=[1, 0, 1])),
        steps=30,
    ),
    "adlif beside what was there before": _corner(
        *(5, 2, replace(_adlif(7, 2), name="y")),
        p.Dense("op", ("y",), p.unchecked(20, 0, 16), np.full((16, 2), 99)),
        steps=70,
        shift=0,
    ),
    "adlif beyond floats": _corner(
        39,
        3,
        _adlif(
            *(40, 3),
            decay=[(1 << 20) - 1, 3, 1],
            decay_shift=[20, 2, 1],
            adaptation_decay=[(1 << 20) - 5, 1, 3],
            adaptation_shift=[20, 1, 2],
            threshold=1 << 37,
            reset=[1 << 37, 5, 1 << 36],
        ),
        steps=30,
    ),
    "adlif that always fires": _corner(
        5, 3, _adlif(6, 3, threshold=-31, reset=[31, 40, 20]), steps=40
    ),
    "resonate that always fires": _corner(
        5, 3, _resonate(6, 3, threshold=-31, reset_re=[31, 40, 20]), steps=40
    ),
    "resonate small": _corner(5, 20, _resonate(6, 20), steps=60),
    "resonate of no shift": _corner(
        4, 3, _resonate(8, 3, a_re=[1, 0, -1], a_im=[0, 1, 1], pole_shift=0), steps=30
    ),
    "resonate beside what was there before": _corner(
        *(5, 2, replace(_resonate(7, 2), name="y")),
        p.Dense("op", ("y",), p.unchecked(20, 0, 16), np.full((16, 2), 99)),
        steps=70,
        shift=0,
    ),
    "resonate beyond floats": _corner(
        *(38, 2, _resonate(40, 2, a_re=(1 << 19) - 3, a_im=[5, -(1 << 18)], pole_shift=19)),
        steps=30,
    ),
    **{
        f"softmax whose reciprocal hangs on one bit, {powers}": _shares(*powers)
        for powers in (
            *((437363,), (1102435,), (5592303,), (10066112,)),
            *((2, 5546462), (13537, 17497), ((1 << 23) + 16, (1 << 23) - 16)),
        )
    },
    "softmax of an odd sum": _shares(2049, more=15),
    "softmax of 512 equals": _listed(4, [[0] * 512, [3] * 512], _softmax(22, 512)),
    "softmax of numbers far apart": _listed(
        35, [[1 << 35, -(1 << 35), 0], [0, 1, -1]], _softmax(22, 3, 1 << 22, 40)
    ),
    "softmax of halves of a distance": _corner(17, 3, _softmax(22, 3, 1, 1), steps=40),
    "softmax of halves of a power": _listed(
        8, [[0, -65]], replace(_softmax(22, 2, 256, 0), table=np.resize([1 << 24, 15], 64))
    ),
    "softmax of a power one below a half": _listed(
        10, [[0, -257]], replace(_softmax(22, 2, 1, 0), table=np.resize([1 << 24, 207531], 64))
    ),
    "softmax that just fits": _listed(
        8, [[0, -1]], replace(_softmax(21, 2, 256, 0), table=np.resize([1 << 24, 24], 64))
    ),
    "softmax of nearby numbers": _corner(5, 3, _softmax(22, 3, 251, 0), steps=40),
    "softmax of scattered numbers": _corner(9, 4, _softmax(22, 4), steps=40),
    "softmax of far numbers": _corner(22, 4, _softmax(22, 4, 6051102, 14), steps=40),
    "softmax of a single channel": _corner(5, 1, _softmax(21, 1)),
    "softmax of many": _corner(12, 300, _softmax(22, 300, 6051102, 20), steps=6),
    "softmax that saturates": _corner(6, 2, _softmax(18, 2), steps=40),
    "table at every integer": _listed(4, [[x, -x] for x in range(-16, 17)], _table(9)),
    "affine small": _corner(4, 2, _affine("op", "x", 2, 4, gain=[3, -5], shift=[1, 3], offset=1)),
    "affine just beyond floats": _corner(50, 1, _affine("op", "x", 1, 60, gain=9, shift=1)),
    "affine of integers": _corner(
        50, 3, _affine("op", "x", 3, 60, gain=[9, -7, 5], shift=[1, 3, 0], offset=[0, 5, -6])
    ),
    "affine with an offset beyond floats": _corner(
        50, 1, _affine("op", "x", 1, 60, gain=1, shift=1, offset=1 << 52)
    ),
    "affine whose sum alone is beyond floats": _listed(
        52,
        [[(1 << 52) - 3], [1 - (1 << 52)], [0]],
        _affine("op", "x", 1, 60, gain=1, shift=2, offset=(1 << 51) - 1),
    ),
    "dense and affine whose sum is beyond floats": _dense_affine_spike(
        (1 << 37) - 1, 2, (1 << 51) - 1, below=0
    ),
    "dense and affine that is shifted beyond floats": _dense_affine_spike(
        (1 << 30) + 1, -10, 1, below=1
    ),
    "affine that loses its half": _corner(40, 1, _affine("op", "x", 1, 60, gain=1, shift=-12)),
    "affine of all shifts": _corner(
        20, 8, _affine("op", "x", 8, 62, gain=[1, 3, -7, 0, 9, 1, 1, -1], shift=range(-4, 4))
    ),
    "spike beyond floats": _corner(
        54, 1, p.Spike("op", ("x",), p.unchecked(2, 0, 1), np.array([(1 << 53) + 4]))
    ),
    "spike of a sum beyond floats": _corner(
        52,
        1,
        _affine("y", "x", 1, 60, gain=4, offset=3),
        p.Spike("op", ("y",), p.unchecked(2, 0, 1), np.array([(1 << 54) + 2])),
    ),
    "spike at small numbers": _corner(
        2, 9, p.Spike("op", ("x",), p.unchecked(2, 0, 9), np.arange(9) - 4)
    ),
    "ternary at small numbers": _corner(
        2, 9, p.Ternary("op", ("x",), p.unchecked(3, 0, 9), np.arange(9) // 2)
    ),
    "ternary of integers": _corner(
        53, 1, p.Ternary("op", ("x",), p.unchecked(3, 0, 1), np.array([(1 << 53) - 1]))
    ),
    "ternary beyond floats": _corner(
        52, 1, p.Ternary("op", ("x",), p.unchecked(3, 0, 1), np.array([1 << 60]))
    ),
    "table small": _corner(4, 2, _table(4)),
    "table of one segment": _corner(
        4, 2, _table(7, base=np.array([3]), slope=np.array([-5]), slope_shift=-1)
    ),
    "table beyond floats": _corner(50, 2, _table(slope=np.array([9, -9, 7, 9]))),
    "table with a base beyond floats": _corner(
        50, 2, _table(base=np.array([1 << 53, 1, 2, (1 << 53) + 4]))
    ),
    "product small": _corner(3, 2, _product(2, [1, 2], bits=4)),
    "product beyond floats": _corner(27, 2, _product(2, [1, 2])),
    "product that loses its half": _corner(
        26, 1, _affine("y", "x", 1, 60, offset=1), _product(1, -1, "y")
    ),
    "product of integers": _corner(28, 2, _product(2, [3, -1])),
    "add beyond floats": _corner(
        52, 1, _affine("y", "x", 1, 60, offset=1), _affine("z", "x", 1, 60), _add("y", "z", 60)
    ),
    "add of integers that saturates": _corner(
        52, 1, _affine("y", "x", 1, 60, offset=1), _affine("z", "x", 1, 60), _add("y", "z", 53)
    ),
    "add small": _corner(3, 1, _affine("y", "x", 1, 5), _add("y", "y", 4)),
    "dense of bytes": _corner(7, 3, _dense([[127, -128, 3], [-128, -128, -128], [1, 0, 0]])),
    "dense of bytes, weights of 9 bits": _corner(6, 3, _dense([[200, -200, 3], [-129, 1, 0]])),
    "dense that two read": _two_readers,
    "dense of offset bytes": _corner(6, 5, _dense(np.arange(-40, 45).reshape(17, 5))),
    "dense of shorts": _corner(14, 3, _dense([[32767, -32768, 3], [1, 2, -30000]])),
    "dense beyond shorts": _corner(15, 3, _dense([[32767, -32767, 32767], [1, 2, -30000]])),
    "dense of inputs just beyond shorts": _corner(15, 2, _dense([[32767, 3], [-5, 32766]])),
    "dense of shorts whose sums wrap": _corner(14, 5, _dense([[32767] * 5, [-32768] * 5])),
    "dense of wide weights": _corner(5, 2, _dense([[40000, -40000], [3, 5]])),
    "dense of singles": _corner(16, 2, _dense([[200, -55], [1, 1]])),
    "dense beyond singles": _corner(16, 2, _dense([[401, -55], [1, 1]])),
    "dense beyond floats": _corner(45, 2, _dense([[401, -56], [1, 1]])),
    "dense of one": _corner(9, 1, _dense([[-77]])),
    "ssm saturating": _corner(8, 3, _ssm(3, 4, state_bits=7), steps=30),
    "ssm saturating, turning back": _corner(
        8,
        3,
        _ssm(
            3,
            4,
            state_bits=7,
            a_im=np.resize([-30, -200, 60, -60], (3, 4)),
            a_re=np.resize([240, -40, 9, 200], (3, 4)),
        ),
        steps=30,
    ),
    "ssm saturating output": _corner(8, 3, replace(_ssm(3, 4), out=p.unchecked(9, 0, 3)), steps=30),
    "ssm of all shifts": _corner(
        8,
        2,
        _ssm(2, 3, pole_shift=[[8, 9, 12], [8, 10, 8]], input_shift=[[-8, -1, 0], [1, 2, 5]]),
    ),
    "ssm beyond floats": _corner(40, 2, _ssm(2, 3, state_bits=40, input_shift=np.full((2, 3), 5))),
    "ssm with products beyond floats": _corner(
        36,
        2,
        _ssm(
            2,
            3,
            state_bits=40,
            pole_shift=16,
            a_re=[[65000, -9, 7]] * 2,
            a_im=[[99, 65001, -65000]] * 2,
        ),
    ),
    "ssm with a readout beyond floats": _corner(
        12, 2, _ssm(2, 3, c_re=np.full((2, 3), (1 << 36) + 1), readout_shift=np.array([1, 3]))
    ),
    "ssm whose recurrence is beyond floats": _last_bit(35, 16, 64001, (1 << 35,) * 30, 0),
    "ssm whose input is beyond floats": _last_bit(34, 20, 999, (), (1 << 34) - 1),
    "ssm whose readout is beyond floats": _corner(
        12,
        2,
        _ssm(
            2,
            1,
            input_shift=np.full((2, 1), 6),
            c_re=np.full((2, 1), (1 << 33) + 1),
            readout_shift=np.array([2, 3]),
        ),
        steps=40,
    ),
    "ssm with a sum beyond floats": _corner(
        12,
        2,
        _ssm(
            2,
            8,
            a_re=np.full((2, 8), 240),
            a_im=np.zeros((2, 8), int),
            input_shift=np.full((2, 8), 7),
            c_re=np.full((2, 8), (1 << 28) + 1),
            readout_shift=np.array([0, 0]),
        ),
        steps=60,
    ),
    "ssm with a direct path beyond floats": _corner(
        12, 2, _ssm(2, 3, d=np.array([(1 << 45) + 1, 3]), d_shift=np.array([1, 1]))
    ),
    "layernorm of 3": _corner(
        4, 3, _layernorm(3, 3, gain=[1, -1, 2], shift=[18, 18, 18]), steps=40
    ),
    "layernorm of many": _corner(
        9,
        19,
        _layernorm(19, 22, gain=[999, -777, 5], shift=[3, -1, 0, 9], offset=[-9, 0, 77], eps=99),
    ),
    "layernorm of wide numbers": _corner(
        40, 6, _layernorm(6, 40, gain=[999, -5], shift=[-2, 3], offset=[1, -1], eps=12345)
    ),
    "layernorm beyond floats": _corner(
        51, 6, _layernorm(6, 40, gain=[999, -5], shift=[-2, 3], offset=[1, -1], eps=12345)
    ),
    "layernorm with a gain beyond floats": _corner(
        9, 3, _layernorm(3, 62, gain=[(1 << 34) + 1, 5, 7], shift=[1, 2, 1])
    ),
    "layernorm of wide numbers and eps": _corner(
        22, 6, _layernorm(6, 30, gain=[999, -5], shift=[3, 0], offset=[1, -1], eps=(1 << 50) + 77)
    ),
    "layernorm of integers and eps": _corner(
        1, 2, _layernorm(2, 62, gain=[(1 << 34) + 1, -5], shift=[1, 2], eps=3)
    ),
    "layernorm of nothing": _corner(1, 1, _layernorm(1, offset=[5])),
    "layernorm of eps": _corner(1, 2, _layernorm(2, gain=[9, 9], offset=[5], eps=(1 << 52) - 1)),
    "layernorm at the smallest root": _corner(
        1, 2, _layernorm(2, 12, gain=[9, -9], shift=[2, 3], eps=(1 << 30) - 9)
    ),
}
"""By name; chosen so that the two sides of each bound of `neurossm.derive.exactness` are met."""


__all__ = ["Case", "compiled", "corners", "loose", "shaped"]
