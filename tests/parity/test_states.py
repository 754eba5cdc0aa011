"""States of the integers and of the float graph, against Python's own numbers."""

from __future__ import annotations

import numpy as np
import pytest

from neurossm.compile import compile_model
from neurossm.graph.evaluate import GraphEvaluator, evaluate
from neurossm.parity.states import compare_states, states_steps


def _naive_ratio(program, graph, op, x):
    """Signal and error energies of the states of one SSM, by the definition of exponents."""
    from neurossm.program import reference

    values = evaluate(graph, x, [graph[op.name].inputs[0]])[graph[op.name].inputs[0]]
    names = [f"{op.name}:state_re", f"{op.name}:state_im"]
    fixed = reference.run(program, x, names).tensors
    drive = program[op.inputs[0]].out.exponent
    signal = noise = 0.0
    for b in range(len(x)):
        for h in range(op.a_re.shape[0]):
            for n in range(op.modes):
                state = 0j
                unit = 2.0 ** -(int(drive[h]) + int(op.input_shift[h, n]))
                for t in range(x.shape[1]):
                    state = graph[op.name].A_bar[h, n] * state + values[b, t, h]
                    got = complex(*(float(fixed[name][b, t, h, n]) * unit for name in names))
                    signal += abs(state) ** 2
                    noise += abs(got - state) ** 2
    return 10 * np.log10(signal / noise)


@pytest.mark.parametrize("mixer", ["binary", "gsu"])
def test_state_ratios_against_a_loop(networks, mixer):
    graph = networks.random_graph(4, channels=3, modes=2, mixer=mixer)
    x = networks.random_data(graph.input, 1, batch=2, steps=20)
    program = compile_model(graph, calibration=x)
    ssms = [op for op in program.ops if type(op).__name__ == "SSM"]
    rung = GraphEvaluator(graph, [graph[op.name].inputs[0] for op in ssms])
    pair = ("float", "fixed")
    edges = np.array([0, 5, 20])
    found = compare_states(program, x, "reference", {"float": rung}, [pair], edges)[pair]
    for op in ssms:
        wanted = _naive_ratio(program, graph, op, x)
        assert found[op.name].state_snr_db == pytest.approx(wanted, rel=1e-6)
        assert len(found[op.name].state_snr_db_over_time) == 2
        spread = list(found[op.name].state_snr_db_by_mode.values())
        assert spread == sorted(spread)
    # The first layer sees the same input on both rungs: its states are right to 16-bit poles.
    assert found["blocks.0.ssm"].state_snr_db > 40


def test_long_samples_are_cut_where_states_would_fill_memory(networks):
    program = networks.random_program(0, channels=4, modes=4)  # 16 states: 2^24 / 16 = 2^20 steps
    assert states_steps(program, 100) == 100
    assert states_steps(program, 1 << 21) == 1 << 20
