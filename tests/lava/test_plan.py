"""From programs and graphs to processes: grouping, pipeline depth, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest

from neurossm import program as p
from neurossm.compile.latency import latency_steps
from neurossm.errors import InputError, LimitError, UnsupportedError
from neurossm.graph import Graph, Sigmoid
from neurossm.lava import plan_graph, plan_program


@pytest.fixture(scope="module")
def program(networks):
    """Return a prenorm network of two blocks, 4 channels each."""
    return networks.random_program(3, blocks=2)


def with_op(program, name, **fields):
    """Replace fields of one operation."""
    return program.with_ops(replace(op, **fields) if op.name == name else op for op in program.ops)


def test_a_block_is_three_processes(program):
    plan = plan_program(program)
    assert [(stage.kind, stage.name, stage.depth) for stage in plan.stages] == [
        ("Player", "input", 0),
        ("Dense", "encoder.sum", 0),
        ("Affine", "encoder", 1),
        ("SSM", "blocks.0.ssm", 1),
        ("Dense", "blocks.0.value.sum+blocks.0.gate.sum", 1),
        ("GLU", "blocks.0.glu", 2),
        ("SSM", "blocks.1.ssm", 2),
        ("Dense", "blocks.1.value.sum+blocks.1.gate.sum", 2),
        ("GLU", "blocks.1.glu", 3),
        ("Readout", "decoder", 3),
    ]
    assert plan.latency_steps == 3
    assert plan.tag == "fixed_pt"


@pytest.mark.parametrize("kind", ["uint8", "tokens"])
@pytest.mark.parametrize("norm", ["pre", "post", "none"])
def test_the_compiler_knows_the_latency(networks, kind, norm):
    program = networks.random_program(3, blocks=3, kind=kind, norm=norm, inputs=2)
    assert plan_program(program).latency_steps == latency_steps(program)


def test_an_embedding_adds_no_latency(networks):
    plan = plan_program(networks.random_program(3, blocks=2, kind="tokens", inputs=5))
    assert plan.latency_steps == 2
    assert [stage.kind for stage in plan.stages[:3]] == ["Player", "Embedding", "Affine"]


def test_spikes_travel_as_single_bits_and_data_do_not(program):
    plan = plan_program(program)
    bits = [s.settings["weights"].message_bits for s in plan.stages if s.kind == "Dense"]
    assert bits == [program.input.out.bits, 0, 0]


def test_the_residual_goes_around_the_mixing(program):
    (glu,) = [stage for stage in plan_program(program).stages if stage.name == "blocks.0.glu"]
    assert glu.inputs["x_in"].stage == "encoder"
    assert glu.inputs["a_in"].stage == "blocks.0.value.sum+blocks.0.gate.sum"


@pytest.mark.parametrize("norm", ["pre", "post", "none"])
def test_every_tensor_of_a_program_can_be_recorded(networks, norm):
    program = networks.random_program(4, norm=norm, channels=3, modes=2)
    plan = plan_program(program)
    for name in p.recordable(program):
        stage = plan.recorder(name)
        wanted = (3, 2) if ".state_" in name else (1,) if name == "input" else (3,)
        assert stage.shapes[name] == wanted, name


def test_an_unknown_tensor_is_refused(program):
    with pytest.raises(InputError, match="no tensor 'blocks.9.ssm'"):
        plan_program(program).recorder("blocks.9.ssm")


@pytest.mark.parametrize("norm", ["pre", "post", "none"])
def test_graphs_and_programs_become_the_same_processes(networks, norm):
    graph = plan_graph(networks.random_graph(0, norm=norm))
    program = plan_program(networks.random_program(0, norm=norm))
    # the float graph's final norm is a process, the compiler folds it into the decoder
    kinds = [stage.kind for stage in graph.stages if stage.name != "norm"]
    assert kinds == [stage.kind for stage in program.stages]
    assert graph.latency_steps == program.latency_steps


def test_a_matrix_that_could_wrap_the_accumulator_is_refused(program):
    # channel 0 of the encoder: 2 * 127 * 2^23 < 2^31, 2 * 128 * 2^23 = 2^31
    edge = replace(program.input.out, bits=25, high=np.array([1 << 23]), low=np.array([0]))
    start = with_op(program, "input", out=edge)
    weight = np.zeros((4, 1), int)
    weight[0] = 127
    plan_program(with_op(start, "encoder.sum", weight=weight))
    weight[0] = -128
    with pytest.raises(LimitError, match="encoder.sum: sums can reach 2147483648, which wraps"):
        plan_program(with_op(start, "encoder.sum", weight=weight))


def test_a_wider_weight_than_dense_keeps_is_refused(program):
    weight = program["encoder.sum"].weight.copy()
    weight[0] = 128
    with pytest.raises(LimitError, match="encoder.sum: weight 128 does not fit the 8 bits"):
        plan_program(with_op(program, "encoder.sum", weight=weight))


def test_a_wider_message_than_lava_sends_is_refused(program):
    wide = replace(program["blocks.0.add"].out, bits=33)
    with pytest.raises(LimitError, match="blocks.0.add: 33 bits, but Lava's messages have 32"):
        plan_program(with_op(program, "blocks.0.add", out=wide))


def test_an_operation_without_a_process_is_refused_by_name(networks):
    gsu = networks.random_program(0, mixer="gsu")
    with pytest.raises(UnsupportedError, match=r"^blocks\.0\.\w+: "):
        plan_program(gsu)
    layer_norm = networks.random_graph(0, layer_norm=True)
    with pytest.raises(UnsupportedError, match=r"^blocks\.0\.norm: .* LayerNorm"):
        plan_graph(layer_norm)


def test_an_unknown_pattern_is_refused_by_name(networks):
    graph = networks.random_graph(0, blocks=1, norm="none")
    # a second reader of the gate: the gated unit is no longer one process's own business
    extra = Sigmoid("extra", ("blocks.0.gate",))
    nodes = [*graph.nodes[:-2], extra, *graph.nodes[-2:]]
    with pytest.raises(UnsupportedError, match=r"blocks\.0\.glu: not a gated linear unit"):
        plan_graph(Graph(tuple(nodes)))


def test_a_residual_from_another_depth_is_refused(networks):
    program = networks.random_program(0, blocks=2)
    (last,) = [op for op in program.ops if op.name == "blocks.1.add"]
    skipping = tuple("encoder" if name == "blocks.0.add" else name for name in last.inputs)
    with pytest.raises(UnsupportedError, match=r"blocks\.1\.glu: its residual is 2 steps ahead"):
        plan_program(with_op(program, "blocks.1.add", inputs=skipping))
