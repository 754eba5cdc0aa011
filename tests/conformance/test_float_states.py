"""The states of recurrences in floats, which no run can record, are those of the reference.

Recording states makes the fast engine compute them in integers. So this looks into its memory
after every step: (blocks of 8 channels, modes, two parts, 8) floats for each SSM.
"""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest

from neurossm.engine.cpu.kernels import columns, kinds
from neurossm.engine.cpu.session import Session
from neurossm.program import SSM, Program, reference

LANES = 8


def states(session: Session, program: Program) -> dict[str, np.ndarray]:
    """Return the states (H, N) by name, of the SSMs that are computed in floats."""
    memory = session._workspace._states
    rows = [row for row in session._tape.instructions if row[columns.KIND] == kinds.RECUR]
    ops = [op for op in program.ops if isinstance(op, SSM)]
    assert len(rows) == len(ops)
    found = {}
    for row, op in zip(rows, ops, strict=True):
        blocks, modes = -(-op.out.channels // LANES), int(row[columns.MODES])
        begin, size = row[columns.STATE], blocks * modes * 2 * LANES
        block = memory[begin : begin + size].reshape(blocks, modes, 2, LANES)
        parts = block.transpose(2, 0, 3, 1).reshape(2, -1, modes)[:, : len(op.a_re), : op.modes]
        found |= {f"{op.name}:state_{s}": part for s, part in zip(("re", "im"), parts, strict=True)}
    return found


@pytest.mark.parametrize("saturating", [0.0, 1.0])
@pytest.mark.parametrize("channels", [1, 8, 19])
def test_states_after_every_step(programs: ModuleType, channels: int, saturating: float) -> None:
    networks = programs.networks
    fields = {"channels": channels, "modes": 5, "saturating": saturating, "blocks": 2}
    program = networks.random_program(channels, **fields)
    data = networks.random_data(program.input, 1, 1, 40)
    names = [name for op in program.ops if isinstance(op, SSM) for name in _parts(op)]
    expected = reference.run(program, data, record=names).tensors
    session = program.session()
    for t in range(data.shape[1]):
        session.step(data[0, t])
        found = states(session, program)
        assert set(found) == set(names)
        for name, values in found.items():
            np.testing.assert_array_equal(values, expected[name][0, t], f"{name}, step {t}")
    assert any(np.abs(expected[name]).max() > 99 for name in names)


def _parts(op: SSM) -> tuple[str, str]:
    return f"{op.name}:state_re", f"{op.name}:state_im"
