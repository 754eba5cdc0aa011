"""Certificates: recomputed from integers alone, refused where something could wrap."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from neurossm import program as p
from neurossm.errors import FormatError, LimitError
from neurossm.graph import Graph
from neurossm.graph import nodes as graph_room
from neurossm.program.certificate import certificates, certify, derive


@pytest.mark.parametrize("seed", range(4))
def test_bounds_are_computed_anew_whatever_the_program_claims(networks, seed):
    program = networks.random_program(seed, mixer=networks.MIXERS[seed % 2], saturating=0.3)
    claims = [
        replace(op, out=p.unchecked(op.out.bits, op.out.exponent, op.out.channels))
        for op in program.ops
    ]
    again = certify(program.with_ops(claims))
    assert again.same_as(program)
    # Claims that are too good make no program, but operations are certified all the same.
    nothing = np.zeros(program["encoder"].out.channels, int)
    ops = [
        replace(op, out=replace(op.out, low=nothing, high=nothing, proved=True))
        if op.name == "encoder"
        else op
        for op in program.ops
    ]
    with pytest.raises(FormatError, match=r"^encoder: claims \[0, 0\] for channel 0, but .* prove"):
        program.with_ops(ops)
    assert program.with_ops(derive(ops)).same_as(program)


def test_a_dense_that_could_wrap_is_refused(networks):
    program = networks.random_program(1)
    dense = program["blocks.0.gate.sum"]
    reach = int(dense.bounds(program["blocks.0.spike"].out.interval).largest().max())
    bits = reach.bit_length()  # one too few: the sign needs another
    narrow = replace(dense, out=p.unchecked(bits, 0, dense.out.channels))
    ops = [narrow if op.name == dense.name else op for op in program.ops]
    with pytest.raises(LimitError, match=f"gate.sum: .* wrap .* more than {bits} bits"):
        certify(program.with_ops(ops))
    wide = replace(dense, out=p.unchecked(bits + 1, 0, dense.out.channels))
    certify(program.with_ops([wide if op.name == dense.name else op for op in program.ops]))


@pytest.mark.parametrize(
    ("name", "kind", "bits"),
    [("input", "uint8", 8), ("input", "tokens", 3), ("encoder.sum", "tokens", 4)],
)
def test_whatever_does_not_saturate_must_fit(networks, name, kind, bits):
    program = networks.random_program(1, kind=kind, inputs=5 if kind == "tokens" else 1)
    op = program[name]
    narrow = replace(op, out=p.unchecked(bits, op.out.exponent, op.out.channels))
    with pytest.raises(LimitError, match=f"{name}: its integers may need more than the {bits}"):
        certify(program.with_ops([narrow if one is op else one for one in program.ops]))


def test_certificates_list_every_tensor_and_state(networks):
    program = networks.random_program(3, blocks=1, channels=2, modes=2)
    rows = {row.name: row for row in certificates(program)}
    assert set(rows) == {op.name for op in program.ops} | {"blocks.0.ssm:state"}
    for op in program.ops:
        row = rows[op.name]
        assert (row.bits, row.proved) == (op.out.bits, op.out.proved)
        reached = max(int(-op.out.low.min()), int(op.out.high.max()))
        assert row.bound >= reached
        if op.out.proved:
            assert row.bound == reached


def test_state_exponents_count_the_drive_and_the_shift():
    spec = p.unchecked(24, np.array([3, 5]), 2)
    program_input = p.Input("input", (), p.unchecked(9, 0, 2), "uint8", 2, 0.0, 255.0)
    drive = p.Affine("drive", ("input",), spec, [1, 1], [0, 0], [0, 0])
    fields = {name: np.zeros((2, 1), int) for name in ("a_re", "a_im", "c_re", "c_im")}
    ssm = p.SSM(
        "ssm", ("drive",), p.unchecked(32, 0, 2), pole_shift=4, input_shift=[[2], [-1]],
        readout_shift=[0, 0], d=[0, 0], d_shift=[0, 0], state_bits=16, **fields,
    )  # fmt: skip
    out = p.unchecked(32, 0, 1)
    readout = p.Readout("decoder", ("ssm",), out, [[1, 1]], [0], 0, 100)
    graph = Graph((graph_room.InputNode("input", (), "uint8", 2, 0.0, 1.0, 1.0),))
    program = certify(p.Program((program_input, drive, ssm, readout), graph, "loihi2-sim"))
    state = next(row for row in certificates(program) if row.name == "ssm:state")
    assert state.exponent == (4, 5)  # 3 + 2 and 5 - 1
    # poles 0: the state is u 2^k alone, at most 255 * 4, and half a unit of rounding in each part
    assert 1020 <= state.bound <= 1022
    assert state.proved
