"""The conversion ledger: what every float parameter became, by the program's integers alone.

A program carries the folded, approximated float graph that it was made from. An operation's
integers stand for real numbers; these are worked out here from exponents, shifts and gains, and
compared with the floats of the node. Nothing the compiler says of itself is used, so that the
ledger holds for any program, whoever made it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurossm.arrays import FloatArray, IntArray
from neurossm.graph import nodes as n
from neurossm.place.bytes import signed_bits
from neurossm.program import Affine, Op, Program
from neurossm.program import operations as p
from neurossm.program.layernorm import NORMAL_EXPONENT

Values = NDArray[Any]


@dataclass(frozen=True)
class LedgerRow:
    """What became of one parameter.

    Parameters
    ----------
    name
        The operation and the field: "blocks.0.mixer.ssm.C".
    count
        How many numbers it has; a complex one counts once.
    float_low, float_high
        Range of the floats; of real and imaginary parts together.
    integer_low, integer_high, bits
        Range of the integers, and the signed width that holds them.
    unit_low, unit_high
        What an integer of 1 stands for; the two differ where channels or modes have units of
        their own.
    exponent
        `unit = 2**-exponent`, least and greatest; None where units are no powers of two.
    max_error
        Largest difference between a float and what its integers stand for.
    relative_error
        Root of the sum of squared differences over that of squared floats; None for floats of 0.
    note
        Why differences are not those of mere rounding; empty where they are.
    """

    name: str
    count: int
    float_low: float
    float_high: float
    integer_low: int
    integer_high: int
    bits: int
    unit_low: float
    unit_high: float
    exponent: tuple[int, int] | None
    max_error: float
    relative_error: float | None
    note: str = ""


_Parts = tuple[Values, Values, Values, str]
"""Floats, integers (complex ones too), their units (broadcast against them), and a note."""
_Entries = Iterator[tuple[str, _Parts]]
_TABLE: dict[type[Op], Callable[[Any, Any, Program], _Entries]] = {}


def _compares(kind: type[Op]) -> Callable[[Callable[..., _Entries]], Callable[..., _Entries]]:
    def register(function: Callable[..., _Entries]) -> Callable[..., _Entries]:
        _TABLE[kind] = function
        return function

    return register


def ledger_of(program: Program) -> tuple[LedgerRow, ...]:
    """Compare every parameter of a program with the float it stands for."""
    nodes = {node.name: node for node in program.graph.nodes}
    rows = []
    for op in program.ops:
        node = nodes.get(op.name.removesuffix(":sum"))
        compare = next((_TABLE[kind] for kind in type(op).__mro__ if kind in _TABLE), None)
        if node is None or compare is None:
            continue
        for field, (floats, integers, unit, note) in compare(op, node, program):
            rows.append(_row(f"{node.name}.{field}", floats, integers, unit, note))
    return tuple(rows)


def _row(name: str, floats: Values, integers: Values, unit: Values, note: str) -> LedgerRow:
    unit = np.asarray(unit, np.float64)
    difference = np.abs(integers * unit - floats)
    norm = float(np.linalg.norm(floats))
    split, whole = _parts(floats), _parts(integers)
    exponent = -np.log2(unit)
    exact = bool((exponent == np.round(exponent)).all())
    return LedgerRow(
        name,
        int(floats.size),
        float(split.min()),
        float(split.max()),
        int(whole.min()),
        int(whole.max()),
        signed_bits(whole.astype(np.int64)),
        float(unit.min()),
        float(unit.max()),
        (int(exponent.min()), int(exponent.max())) if exact else None,
        float(difference.max()),
        float(np.linalg.norm(difference)) / norm if norm else None,
        note,
    )


def _parts(values: Values) -> Values:
    return np.stack([values.real, values.imag]) if np.iscomplexobj(values) else values


def _two(exponent: IntArray | int) -> FloatArray:
    """Return 2 to the power of minus an exponent."""
    power: FloatArray = np.exp2(-np.asarray(exponent, np.float64))
    return power


def _reader(program: Program, op: Op) -> Affine:
    """Return the Affine that undoes the units of a sum's rows."""
    (reader,) = (other for other in program.ops if op.name in other.inputs)
    assert isinstance(reader, Affine)
    return reader


def _gain_unit(op: Affine, program: Program) -> FloatArray:
    """Return what a gain of 1 stands for, (H)."""
    return _two(op.shift + op.out.exponent - program[op.inputs[0]].out.exponent)


@_compares(p.Dense)
def _dense(op: p.Dense, node: n.LinearNode, program: Program) -> _Entries:
    if op.name == node.name:  # sums that are read as they are
        yield "weight", (node.weight, op.weight, np.ones((1, 1)), "")
        return
    affine = _reader(program, op)
    unit = (affine.gain * _gain_unit(affine, program))[:, None]
    adjusted = program.provenance.get("rounding") == "adjusted"
    note = "rounded so that errors cancel on calibration data" if adjusted else ""
    yield "weight", (node.weight, op.weight, unit, note)
    note = "takes back the mean error of the weights" if adjusted else ""
    yield "bias", (node.bias, affine.offset, _two(affine.out.exponent), note)


@_compares(p.Embedding)
def _embedding(op: p.Embedding, node: n.EmbeddingNode, program: Program) -> _Entries:
    affine = _reader(program, op)
    yield "weight", (node.weight, op.weight, affine.gain * _gain_unit(affine, program), "")


@_compares(p.Affine)
def _affine(op: p.Affine, node: n.Node, program: Program) -> _Entries:
    if isinstance(node, n.AffineNode):
        yield "scale", (node.scale, op.gain, _gain_unit(op, program), "")
        yield "shift", (node.shift, op.offset, _two(op.out.exponent), "")


@_compares(p.SSM)
def _ssm(op: p.SSM, node: n.SSMNode, program: Program) -> _Entries:
    moved = "moved inside the margin where they lie beyond it" if _moved(op, node) else ""
    yield "A_bar", (node.A_bar, op.a_re + 1j * op.a_im, _two(op.pole_shift), moved)
    step = (op.out.exponent - program[op.inputs[0]].out.exponent)[:, None]
    unit = _two(op.readout_shift[:, None] - op.input_shift + step)
    refit = "refitted to the rounded poles"
    yield "C", (2 * node.C * node.B_bar, op.c_re + 1j * op.c_im, unit, refit)
    yield "D", (node.D, op.d, _two(op.d_shift + step[:, 0]), "")


def _moved(op: p.SSM, node: n.SSMNode) -> bool:
    """Tell whether a pole is off by more than the grid it was put on."""
    off = np.abs((op.a_re + 1j * op.a_im) * _two(op.pole_shift) - node.A_bar)
    return bool((off > 3 * _two(op.pole_shift)).any())


def _thresholds(op: Any, node: Any, program: Program) -> _Entries:
    if node.threshold is not None:
        spec = program[op.inputs[0]].out
        unit = _two(spec.exponent)
        beyond = (np.abs(op.threshold * unit - node.threshold) >= unit).any()
        note = "beyond what its input can reach: cut off there" if beyond else "rounded down"
        yield "threshold", (node.threshold, op.threshold, unit, note)


_compares(p.Spike)(_thresholds)
_compares(p.Ternary)(_thresholds)


@_compares(p.PeakTernary)
def _peak(op: p.PeakTernary, node: n.TernaryNode, program: Program) -> _Entries:
    yield "factor", (np.array([node.factor]), np.array([op.factor]), _two(op.shift), "")


@_compares(p.Table)
def _table(op: p.Table, node: n.PiecewiseLinearNode, program: Program) -> _Entries:
    step = op.out.exponent[:1] - program[op.inputs[0]].out.exponent[:1]
    yield "base", (node.base, op.base, _two(op.out.exponent[:1]), "")
    yield "slope", (node.slope, op.slope, _two(op.slope_shift + step), "")


@_compares(p.LayerNorm)
def _layer_norm(op: p.LayerNorm, node: n.LayerNormNode, program: Program) -> _Entries:
    # The integers' unit of a normalised value is 2^-NORMAL_EXPONENT of sqrt(H) deviations.
    unit = _two(op.shift + op.out.exponent - NORMAL_EXPONENT) / np.sqrt(node.gain.size)
    yield "gain", (node.gain, op.gain, unit, "")
    yield "bias", (node.bias, op.offset, _two(op.out.exponent), "")


@_compares(p.Readout)
def _readout(op: p.Readout, node: n.LinearNode, program: Program) -> _Entries:
    exponent = int(op.out.exponent[0]) + op.shift
    source = int(program[op.inputs[0]].out.exponent[0])
    yield "weight", (node.weight, op.weight, _two(exponent - source), "")
    yield "bias", (node.bias, op.bias, _two(exponent), "")


@_compares(p.LIF)
def _lif(op: p.LIF, node: n.LIFNode, program: Program) -> _Entries:
    yield "decay", (node.decay, op.decay, _two(op.decay_shift), "")
    yield from _thresholds(op, node, program)


@_compares(p.AdLIF)
def _adlif(op: p.AdLIF, node: n.AdLIFNode, program: Program) -> _Entries:
    unit, slow = _two(program[op.inputs[0]].out.exponent), _two(op.adaptation_shift)
    yield "decay", (node.decay, op.decay, _two(op.decay_shift), "")
    yield "adaptation_decay", (node.adaptation_decay, op.adaptation_decay, slow, "")
    yield "sensitivity", (node.sensitivity, op.sensitivity, slow, "")
    yield "jump", (node.jump, op.jump, unit, "")
    yield "reset", (node.reset, op.reset, unit, "")
    yield from _thresholds(op, node, program)


@_compares(p.ResonateFire)
def _resonate_fire(op: p.ResonateFire, node: n.ResonateFireNode, program: Program) -> _Entries:
    unit = _two(program[op.inputs[0]].out.exponent)
    yield "pole", (node.pole, op.a_re + 1j * op.a_im, _two(op.pole_shift), "")
    yield "reset", (node.reset, op.reset_re + 1j * op.reset_im, unit, "")
    yield from _thresholds(op, node, program)
