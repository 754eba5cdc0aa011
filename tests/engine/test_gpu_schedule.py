"""Tasks of the GPU engine: every operation once, after its inputs, in long chains."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from neurossm import compile_model
from neurossm.engine.gpu.chain import is_pointwise
from neurossm.engine.gpu.schedule import schedule
from neurossm.program import Input, Readout

SMNIST = Path(__file__).parents[2] / "examples" / "smnist"


@pytest.mark.parametrize("seed", range(30))
def test_random_programs(networks: ModuleType, seed: int) -> None:
    program = networks.random_program(
        seed, mixer=("binary", "gsu")[seed % 2], norm=("pre", "post")[seed // 2 % 2]
    )
    everything = [op.name for op in program.ops if not isinstance(op, Input)]
    kept = frozenset(everything[seed % 3 :: 3])
    tasks = schedule(program, kept, is_pointwise)
    assert sorted(op.name for task in tasks for op in task.ops) == sorted(everything)
    at_hand = {program.input.name}
    for task in tasks:
        names = {op.name for op in task.ops}
        assert len(task.ops) == 1 or all(is_pointwise(op) for op in task.ops)
        assert len({op.out.channels for op in task.ops}) == 1
        assert set(task.inputs) == {name for op in task.ops for name in op.inputs} - names
        assert at_hand.issuperset(task.inputs)
        at_hand -= set(task.finished)
        at_hand |= set(task.needed)
        assert set(task.needed) <= set(task.outputs)
        assert names & kept <= set(task.outputs)
    assert at_hand == set()


def test_alone_everything_is_in_the_order_of_the_program(networks: ModuleType) -> None:
    program = networks.random_program(5)
    tasks = schedule(program, frozenset(), lambda op: False)
    assert [task.ops[0].name for task in tasks] == [op.name for op in program.ops[1:]]


def test_a_block_of_binary_s4d_is_five_tasks() -> None:
    """Recurrence, spikes, two matrix products, and everything from them to the next block."""
    tasks = schedule(compile_model(SMNIST / "binary_s4d.pt"), frozenset(), is_pointwise)
    kinds = [[type(op).__name__ for op in task.ops] for task in tasks]
    assert kinds[:2] == [["Dense"], ["Affine", "Affine"]]
    gated = ["Affine", "Affine", "Table", "Product", "Add"]
    block = [["SSM"], ["Spike"], ["Dense"], ["Dense"], [*gated, "Affine"]]
    assert kinds[2:7] == kinds[7:12] == kinds[12:17] == block
    assert kinds[17:] == [*block[:4], gated, ["Readout"]]
    assert isinstance(tasks[-1].ops[0], Readout)
