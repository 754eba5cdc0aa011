"""Time per step of a network on Lava, against as many processes that only pass messages on.

    OMP_NUM_THREADS=1 python benchmarks/lava_steps.py [MODEL ...]

Both networks are alive together and run in turn, so that what is compared shares the machine's
load; the fastest turns say most where it is high. Computing alone is what the models of our
network take per step without Lava around them. There are more processes than cores: threads inside
of them only get in the way.
"""

from __future__ import annotations

import argparse
import json
import logging
import statistics
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from measuring import DIGITS, ROOT, machine, seconds, summary

from neurossm import compile_model
from neurossm.lava import Gate, guarded, run_config
from neurossm.lava.stepping import initial_states, stepper
from neurossm.lava.unit import Unit
from neurossm.program import Program, Tally


def main() -> None:
    """Measure each model and print a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=["binary_s4d_small", "gsu_small"])
    parser.add_argument("--steps", type=int, default=40, help="of a turn")
    parser.add_argument("--turns", type=int, default=20)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.getLogger().setLevel(logging.ERROR)
    about = machine()
    for model in given.models:
        program = compile_model(ROOT / f"examples/smnist/{model}.pt")
        found = measure(program, given.steps, given.turns)
        print(json.dumps({"model": model, **found, "machine": about}))
        sys.stdout.flush()


def measure(program: Program, steps: int, turns: int) -> dict[str, Any]:
    """Return milliseconds per step: of our network, of trivial processes, of computing alone."""
    network = program.to_lava(np.load(DIGITS)["x"][: 1 + steps * turns // 784])
    processes = len(network.plan.stages)
    trivial = chain(processes, widths(network))
    ours, theirs = [], []
    with guarded(network.readout), guarded(trivial):
        network.readout.create_runtime(run_config(tag=network.tag))
        trivial.create_runtime(run_config(tag="floating_pt"))
        for _ in range(turns):
            ours.append(turn(network.readout, steps))
            theirs.append(turn(trivial, steps))
    mine, others = summary(ours[1:]), summary(theirs[1:])
    return {
        "processes": processes,
        "ours_ms": {"median": round(mine.median, 3), "fastest": round(mine.fastest, 3)},
        "trivial_ms": {"median": round(others.median, 3), "fastest": round(others.fastest, 3)},
        "ratio": {
            "of medians": round(mine.median / others.median, 2),
            "of fastest": round(mine.fastest / others.fastest, 2),
        },
        "computing_ms": round(computing(program, steps), 3),
    }


def turn(process: Any, steps: int) -> float:
    """Return milliseconds per step."""
    from lava.magma.core.run_conditions import RunSteps

    return seconds(lambda: process.run(RunSteps(steps))) / steps * 1e3


def widths(network: Any) -> list[int]:
    """Return the channels of what each process but the readout sends."""
    found = []
    for stage in network.plan.stages[:-1]:
        process = network.processes[stage.name]
        ports = [port for port in process.out_ports if port.out_connections]
        found.append(sum(port.size for port in ports) or 1)
    return found


def chain(processes: int, channels: list[int]) -> Any:
    """Return the last of so many processes in a row that pass on a message as wide as the mean.

    The first is Lava's own source.
    """
    from lava.proc.io.source import RingBuffer

    width = max(1, round(statistics.mean(channels)))
    port = RingBuffer(data=np.zeros((width, 1))).s_out
    for _ in range(processes - 1):
        gate = Gate(width)
        port.connect(gate.a_in)
        port = gate.s_out
    return gate


def computing(program: Program, steps: int) -> float:
    """Return milliseconds per step that all models compute, one after the other, without Lava."""
    from neurossm.lava import plan_program

    work: list[Any] = []
    for stage in plan_program(program).stages:
        unit: Unit | None = stage.unit
        if unit is not None:
            for member in unit.members:
                sizes = [unit.channels[name] for name in member.inputs]
                inputs = [np.ones(size, np.int64) for size in sizes]
                work.append((stepper(member), inputs, initial_states(member)))
        elif stage.kind == "Dense":
            weight = np.concatenate([member.weight for member in stage.members])  # type: ignore[union-attr]
            work.append((_product, [2 * weight, np.ones(weight.shape[1], np.int32)], {}))
    tally = Tally()
    started = time.perf_counter()
    for _ in range(steps):
        for compute, inputs, states in work:
            compute(inputs, states, tally)
    return (time.perf_counter() - started) / steps * 1e3


def _product(inputs: list[Any], states: Any, tally: Tally) -> Any:
    weight, x = inputs
    return weight[:, x.astype(bool)].sum(axis=1)


if __name__ == "__main__":
    if not Path(DIGITS).exists():
        sys.exit(f"{DIGITS} is missing")
    main()
