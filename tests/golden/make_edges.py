"""Make the golden vectors of edges: python tests/golden/make_edges.py

Their programs are written by hand, to tell apart what other vectors cannot: readings of
docs/fixed-point.md that differ in a few integers of a million. What they lead to is computed by the
naive interpreter (tests/program/naive_interpreter.py), not by the package, which only writes the
files. Run this again only with a new version of the program file.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from neurossm import graph as g
from neurossm import program as p
from neurossm.program.certificate import derive

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "program"))

import naive_interpreter as naive  # noqa: E402

EPS = (1 << 52) - 1
LIMIT = 128
"""The tensors of `limits` have 8 bits."""


def main() -> None:
    """Write every case."""
    write("norm-edges", norm_edges(), np.array([list(norm_steps())]))
    calm = np.array([-129, -128, -127, 126, 127, 128, 0, -128, 300, -300, -64, 5.0])
    data = np.stack([calm, np.roll(calm, 5)])[:, :, None]
    write("limits", limits(data), data)
    rng = np.random.default_rng(30)
    write("slow-poles", slow_poles(rng), rng.integers(0, 256, (2, 40, 2)).astype(np.uint8))
    for case in ("gsu-bytes", "binary-tokens"):
        with np.load(HERE / f"{case}.npz") as vectors:
            data = np.concatenate([vectors["data"]] * 2)
        lengths = [7, 12, 1, 2]
        data[np.arange(12) >= np.array(lengths)[:, None]] = 99  # no token: nobody may look at it
        write_vectors(HERE / f"{case}.lengths.npz", HERE / f"{case}.h5", data, lengths)


def spec(bits: int, channels: int = 1) -> p.TensorSpec:
    """Return a tensor of exponent 0."""
    return p.unchecked(bits, 0, channels)


def program(source: p.Input, ops: list[p.Op]) -> p.Program:
    """Return a certified program without a float graph of its own."""
    node = g.InputNode("input", (), source.kind, source.size, source.low, source.high, 1.0)
    return p.Program(derive([source, *ops]), g.Graph((node,)), "loihi2-sim")


def norm_edges() -> p.Program:
    """Return two LayerNorms of the same two integers, without eps and with the largest."""
    source = p.Input("input", (), spec(54, 2), "float", 2, -(2.0**52), 2.0**52)
    gain, shift, offset = np.array([1, -1]), np.zeros(2, int), np.array([5, -7])
    norms = [
        p.LayerNorm(name, ("input",), spec(22, 2), gain, shift, offset, eps)
        for name, eps in (("zero", 0), ("eps", EPS))
    ]
    both = p.Add("both", ("zero", "eps"), spec(23, 2))
    weight = np.array([[3, -1], [1, 2]])
    return program(
        source,
        [*norms, both, p.Readout("out", ("both",), spec(40, 2), weight, np.zeros(2, int), 0, 1024)],
    )


def norm_steps() -> Iterator[list[float]]:
    """Yield steps (2) at which misreadings of LayerNorm give other integers.

    With x = (a, 0), d = (a, -a): V = 2 a^2 + eps.
    """
    yield [0.0, 0.0]  # V = 0 without eps: g is 0, and the offset stays
    yield [-77.0, -77.0]
    seeds = [a for a in range(1 << 19, 1 << 20, 3) if root(2 * a * a) != root(2 * a * a, seed=0)]
    cut = [a for a in range(1 << 19, 1 << 20) if root(2 * a * a) != root(2 * a * a, halves=0)]
    assert len(seeds) > 2
    assert len(cut) > 2
    for a in (*seeds[:3], *cut[:3]):
        yield [float(a), 0.0]
    rng = np.random.default_rng(52)
    for r in range(21):  # eps reaches V as floor(eps / 2^(2 r)), however little of it is left
        for _ in range(1 << 18):
            a = int(rng.integers(1 << 19, 1 << 20)) << r
            V = 2 * (a >> r) ** 2
            if root(V + (EPS >> (2 * r))) != root(V):
                yield [float(-a), 0.0]
                break
        else:
            raise AssertionError(f"no input found for r = {r}")
    for bits in (36, 45, 51):  # 2 r from 34 to 64: a word's shift knows 63 at most
        yield [float((1 << bits) + 12345), float(-(1 << bits) + 99)]


def root(V: int, seed: int = 1, halves: int = 1) -> int:
    """Return R for a sum of squares, as in LayerNorm; 0 rounds the estimate, or v, down."""
    p_ = (V.bit_length() + 1) // 2 - 14
    v = naive.rshift(V, 2 * p_) if halves or p_ <= 0 else V >> (2 * p_)
    R = 139592 - (naive.rshift(79299 * v, 28) if seed else 79299 * v >> 28)
    for _ in range(3):
        e = naive.rshift(v * naive.rshift(R * R, 16), 28)
        R = naive.rshift(R * (196608 - e), 17)
    return R


def limits(data: np.ndarray) -> p.Program:
    """Return a program whose every saturating operation passes its input on, in 8 bits."""
    one = np.ones(1, int)
    none, mode = 0 * one, np.zeros((1, 2), int)
    turn = np.array([[0, (1 << 30) - (1 << 21)]])  # -128 times it, shifted and rounded, is -128

    def ssm(name: str, bits: int, state_bits: int, c: int, d: int) -> p.SSM:
        poles = (mode, turn, mode + 30)
        fields: tuple[Any, ...] = (*poles, mode, mode + c, mode + c, none, d * one, none)
        return p.SSM(name, ("input",), spec(bits), *fields, state_bits)

    source = p.Input("input", (), spec(16), "float", 1, -300.0, 300.0)
    ops: list[p.Op] = [
        p.Affine("one", ("input",), spec(2), none, none, one),
        p.Affine("none", ("input",), spec(2), none, none, none),
        p.Affine("affine", ("input",), spec(8), one, none, none),
        p.Table("table", ("input",), spec(8), 0, 0, none, one, 0),
        p.Product("product", ("input", "one"), spec(8), none),
        p.Add("add", ("input", "none"), spec(8)),
        p.Relu("relu", ("input",), spec(8), none),
        ssm("ssm", 8, 16, 0, 1),
        ssm("states", 12, 8, 1, 0),
        p.LayerNorm("layernorm", ("input",), spec(8), one, none, -LIMIT * one, 0),
        p.LIF("lif", ("input",), spec(2), none, none, 126 * one, 8),
    ]
    total = "one"
    for op in ops[2:]:
        ops.append(p.Add(f"{op.name}.sum", (total, op.name), spec(20)))
        total = ops[-1].name
    shares = np.array([1, 1, 1, 1])
    mean = round(_last(program(source, [*ops, _readout(total, shares, 0 * shares, 40)]), data))
    edges = np.array([-LIMIT, -LIMIT - 1, LIMIT - 1, LIMIT])  # of the first sample
    return program(source, [*ops, _readout(total, shares, edges - mean, 8)])


def _readout(name: str, weight: np.ndarray, bias: np.ndarray, bits: int) -> p.Readout:
    return p.Readout("out", (name,), spec(bits, 4), weight[:, None], bias, 0, 1 << 20)


def _last(wide: p.Program, data: np.ndarray) -> float:
    """Return the first logit of the first sample."""
    path = HERE / "limits.h5"
    wide.save(path)
    return float(naive.Machine(naive.load(path)).run(data[0].tolist())[0][0])


def slow_poles(rng: np.random.Generator) -> p.Program:
    """Return an SSM whose poles lie on the finest grids, near and less near to 1."""
    shift = np.array([[30, 30, 29, 30], [28, 30, 27, 25]])
    damping = np.array([[2.0**-16, 3e-3, 1e-3, 0.2], [1e-4, 1e-2, 0.5, 1e-3]])
    angle = np.array([[1e-4, 0.3, 2.0, 3.0], [0.0, -1.2, np.pi / 2, 1e-2]])
    q = (1 - damping) * np.exp(1j * angle) * 2.0**shift
    source = p.Input("input", (), spec(9, 2), "uint8", 2, 0.0, 255.0)
    drive = p.Affine(
        "drive", ("input",), spec(9, 2), np.array([1, -1]), np.zeros(2, int), np.array([-128, 99])
    )
    ssm = p.SSM(
        "ssm",
        ("drive",),
        spec(40, 2),
        np.trunc(q.real).astype(int),
        np.trunc(q.imag).astype(int),
        shift,
        rng.integers(8, 18, shift.shape),
        rng.integers(-9999, 9999, shift.shape),
        rng.integers(-9999, 9999, shift.shape),
        np.array([3, 0]),
        np.array([999, -1]),
        np.array([-2, 5]),
        29,
    )
    weight = rng.integers(-99, 99, (3, 2))
    last = p.Readout("out", ("ssm",), spec(40, 3), weight, np.array([1, -2, 3]), 5, 1024)
    return program(source, [drive, ssm, last])


def write(name: str, made: p.Program, data: np.ndarray) -> None:
    """Write a program and its vectors."""
    made.save(HERE / f"{name}.h5")
    write_vectors(HERE / f"{name}.npz", HERE / f"{name}.h5", data, None)


def write_vectors(path: Path, file: Path, data: np.ndarray, lengths: list[int] | None) -> None:
    """Write what the naive interpreter makes of data; beyond the end of a sample stands 0."""
    machine = naive.Machine(naive.load(file))
    steps = lengths or [data.shape[1]] * len(data)
    ran = [machine.run(x[:n].tolist()) for x, n in zip(data, steps, strict=True)]
    arrays: dict[str, Any] = {} if lengths is None else {"lengths": np.array(lengths)}
    for name in ran[0][1]:
        parts = [np.array(tensors[name]) for _, tensors in ran]
        values = np.zeros((len(data), data.shape[1], *parts[0].shape[1:]), np.int64)
        for row, part in zip(values, parts, strict=True):
            row[: len(part)] = part
        arrays[f"tensors/{name}".replace(":state", ".state")] = values
    for name, count in machine.counts.items():
        arrays[f"saturations/{name}".replace(":state", ".state")] = np.int64(count)
    logits = np.array([logits for logits, _ in ran])
    np.savez_compressed(path, data=data, logits=logits, **arrays)


if __name__ == "__main__":
    main()
