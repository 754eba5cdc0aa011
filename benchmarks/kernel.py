"""How near the engine comes to the machine's limit: the SSM kernel alone, and a whole network.

Operations are those of the program's equations (`neurossm.program.work`): 6 multiplications and 5
additions per mode and step, roundings and saturations not counted; of a Dense that reads spikes,
the additions that the spikes of these very data cause.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
from measuring import timed

from neurossm.engine import cpu as fast
from neurossm.engine.cpu.batches import ROWS
from neurossm.engine.cpu.kernels import columns, kinds
from neurossm.engine.cpu.planner import lower
from neurossm.engine.cpu.workspace import Workspace
from neurossm.program import SSM, Dense, Program


def kernel_rate(program: Program, x: np.ndarray, threads: int, repeats: int) -> float:
    """Return mode updates per second of the SSM instructions alone, all threads together."""
    tape = lower(program)
    only = tape.instructions[tape.instructions[:, columns.KIND] == kinds.RECUR]
    tape = replace(tape, instructions=np.ascontiguousarray(only))
    length = x.shape[1]
    workers = [Workspace(tape, 1, min(ROWS, length)) for _ in range(threads)]
    samples = [program.encode(x[i : i + 1]) for i in range(threads)]
    digits_per_call = 8

    def repeat(i: int) -> None:
        for _ in range(digits_per_call):
            workers[i].advance(samples[i], 0, length, tape.counts())

    with ThreadPoolExecutor(threads) as pool:
        timing = timed(lambda: list(pool.map(repeat, range(threads))), repeats)
    return threads * digits_per_call * length * updates_per_step(program) / timing.median


def updates_per_step(program: Program) -> int:
    """Return the number of complex modes."""
    return sum(op.a_re.size for op in program.ops if isinstance(op, SSM))


def ssm_operations(program: Program) -> float:
    """Return operations per mode update, a channel's direct path shared out among its modes."""
    ssms = [op for op in program.ops if isinstance(op, SSM)]
    return sum(op.work().operations * op.out.channels for op in ssms) / updates_per_step(program)


def network_operations(program: Program, x: np.ndarray) -> float:
    """Return operations per sample; a zero input of a Dense costs nothing."""
    dense = [op for op in program.ops if isinstance(op, Dense)]
    run = fast.run(program, x, count={op.inputs[0] for op in dense})
    steps = x.shape[1]
    per_step = sum(op.work().operations * op.out.channels for op in program.ops)
    total = float(per_step * steps) + steps * program.readout.weight.shape[1]
    for op in dense:
        fan_out = np.count_nonzero(op.weight, axis=0)
        source = program[op.inputs[0]]
        spikes = source.out.high.max() <= 1 and source.out.low.min() >= -1
        each = 1 if spikes else 2  # a graded value costs a product too
        total += each * float((run.nonzeros[op.inputs[0]].mean(axis=0) * fan_out).sum())
    return total
