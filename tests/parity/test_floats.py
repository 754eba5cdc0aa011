"""The fast float rung against the plain evaluation, and states against Python's own numbers."""

from __future__ import annotations

import numpy as np
import pytest

from neurossm.compile import compile_model
from neurossm.graph.evaluate import evaluate, ssm_states
from neurossm.graph.nodes import SSM, PiecewiseLinear
from neurossm.parity.floats import FloatRung, piecewise_linear, product
from neurossm.parity.recurrence import Recurrence
from neurossm.parity.states import compare_states, states_steps


@pytest.mark.parametrize(
    ("mixer", "norm", "pole_kind"),
    [("binary", "pre", "lin"), ("binary", "post", "undamped"), ("gsu", "pre", "inv")],
)
@pytest.mark.parametrize("seed", range(2))
def test_the_same_values_as_the_plain_evaluation(networks, mixer, norm, pole_kind, seed):
    graph = networks.random_graph(seed, mixer=mixer, norm=norm, pole_kind=pole_kind)
    program = compile_model(graph, calibration=networks.random_data(graph.input, 9))
    for one in (graph, program.graph):
        data = networks.random_data(one.input, seed, batch=3, steps=50)
        names = [node.name for node in one.nodes if "ssm" in node.name or "add" in node.name]
        names += [node.name for node in one.nodes if "spike" in node.name or "tern" in node.name]
        found = FloatRung(one, names).evaluate(data)
        wanted = evaluate(one, data, names)
        assert set(found) == set(wanted)
        for name in wanted:
            scale = max(1e-300, np.abs(wanted[name]).max())
            np.testing.assert_allclose(found[name], wanted[name], rtol=0, atol=1e-11 * scale)


@pytest.mark.parametrize("rows", [1, 15, 16, 17, 50])
def test_products_of_any_number_of_rows(rows):
    rng = np.random.default_rng(rows)
    x, columns = rng.integers(-9, 9, (rows, 3)) * 1.0, rng.integers(-9, 9, (3, 4)) * 1.0
    assert np.array_equal(product(x, columns), x @ columns)
    assert product(x[None], columns).shape == (1, rows, 4)


def test_tables_by_hand():
    # Segments of 1/2 from -1 on: [-1, -.5) with value 2 + 3 (x + 1), [-.5, 0) with 1 - (x + .5);
    # both ends extend.
    base, slope = np.array([2.0, 1.0]), np.array([3.0, -1.0])
    node = PiecewiseLinear("t", ("x",), "sigmoid", -1.0, 1, base, slope, max_error=0.0)
    x = np.array([-2.0, -1.0, -0.75, -0.5, -0.25, 4.0])
    assert piecewise_linear(node, x).tolist() == [-1.0, 2.0, 2.75, 1.0, 0.75, -3.5]


def _node():
    # One channel, one mode: a quarter turn and half the length each step.
    pole = np.array([[0.5j]])
    B, C = np.array([[2.0 + 0j]]), np.array([[1.0 + 1.0j]])
    return SSM("s", ("x",), A_bar=pole, B_bar=B, C=C, D=np.array([3.0]))


def test_the_recurrence_by_hand():
    # u = 1, 0, 0: s = 1, i/2, -1/4; y = Re((4 + 4i) s) + 3 u = 7, -2, -1.
    u = np.array([[[1.0], [0.0], [0.0]]])
    run = Recurrence(_node())
    assert run(u)[0, :, 0].tolist() == [7.0, -2.0, -1.0]
    assert run.states(u[0])[:, 0, 0].tolist() == [1, 0.5j, -0.25]
    # With B_bar the states are those of the graph.
    assert np.array_equal(run.states(u[0]) * 2.0, ssm_states(_node(), u)[0])


def _naive_ratio(program, graph, op, x):
    """Signal and error energies of the states of one SSM, by the definition of exponents."""
    from neurossm.program import reference

    values = evaluate(graph, x, [graph[op.name].inputs[0]])[graph[op.name].inputs[0]]
    names = [f"{op.name}.state_re", f"{op.name}.state_im"]
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
    rung = FloatRung(graph, [graph[op.name].inputs[0] for op in ssms])
    pair = ("float", "fixed")
    edges = np.array([0, 5, 20])
    found = compare_states(program, x, "reference", {"float": rung}, [pair], edges)[pair]
    for op in ssms:
        wanted = _naive_ratio(program, graph, op, x)
        assert found[op.name]["state_snr_db"] == pytest.approx(wanted, rel=1e-6)
        assert len(found[op.name]["state_snr_db_over_time"]) == 2
        spread = list(found[op.name]["state_snr_db_by_mode"].values())
        assert spread == sorted(spread)
    # The first layer sees the same input on both rungs: its states are right to 16-bit poles.
    assert found["blocks.0.ssm"]["state_snr_db"] > 40


def test_long_samples_are_cut_where_states_would_fill_memory(networks):
    program = networks.random_program(0, channels=4, modes=4)  # 16 states: 2^24 / 16 = 2^20 steps
    assert states_steps(program, 100) == 100
    assert states_steps(program, 1 << 21) == 1 << 20
