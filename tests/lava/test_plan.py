"""From programs and graphs to processes: grouping, pipeline depth, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest

from neurossm.errors import InputError, LimitError, UnsupportedError
from neurossm.graph import Graph, Sigmoid
from neurossm.lava import plan_graph, plan_program
from neurossm.place.latency import latency_steps


@pytest.fixture(scope="module")
def program(networks):
    """Return a prenorm network of two blocks, 4 channels each."""
    return networks.random_program(3, blocks=2)


def with_op(program, name, **fields):
    """Replace fields of one operation; bounds that would no longer hold are widened."""
    ops = {}
    for op in program.ops:
        op = replace(op, **fields) if op.name == name else op
        reached = op.proof(*(ops[source].out.interval for source in op.inputs))
        low, high = np.minimum(op.out.low, reached.low), np.maximum(op.out.high, reached.high)
        out = replace(op.out, low=low, high=high, proved=reached.proved)
        ops[op.name] = replace(op, out=out)
    return program.with_ops(ops.values())


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
@pytest.mark.parametrize("mixer", ["binary", "gsu"])
def test_the_compiler_knows_the_latency(networks, kind, norm, mixer):
    program = networks.random_program(3, blocks=3, kind=kind, norm=norm, inputs=2, mixer=mixer)
    assert plan_program(program).latency_steps == latency_steps(program)


def test_an_embedding_adds_no_latency(networks):
    plan = plan_program(networks.random_program(3, blocks=2, kind="tokens", inputs=5))
    assert plan.latency_steps == 2
    assert [stage.kind for stage in plan.stages[:3]] == ["Player", "Embedding", "Affine"]


def test_spikes_travel_as_single_bits_and_data_do_not(program):
    plan = plan_program(program)
    bits = [s.settings["weights"].message_bits for s in plan.stages if s.kind == "Dense"]
    assert bits == [program.input.out.bits, 0, 0]


def test_a_block_of_gsu_is_four_processes(networks):
    plan = plan_program(networks.random_program(3, blocks=2, mixer="gsu"))
    assert [(stage.kind, stage.name, stage.depth) for stage in plan.stages] == [
        ("Player", "input", 0),
        ("Dense", "encoder.sum", 0),
        ("Affine", "encoder", 1),
        ("TernarySSM", "blocks.0.ssm", 1),
        ("Dense", "blocks.0.first.sum", 1),
        ("Dense", "blocks.0.second", 1),
        ("GSU", "blocks.0.product", 2),
        ("TernarySSM", "blocks.1.ssm", 2),
        ("Dense", "blocks.1.first.sum", 2),
        ("Dense", "blocks.1.second", 2),
        ("GSU", "blocks.1.product", 3),
        ("Readout", "decoder", 3),
    ]
    unit = plan.stages[6]
    assert {port: (wire.stage, wire.port) for port, wire in unit.inputs.items()} == {
        "first_in": ("blocks.0.first.sum", "a_out"),
        "second_in": ("blocks.0.second", "a_out"),
        "x_in": ("encoder", "y_out"),
    }
    # nobody but the ternary weights reads the graded values
    assert plan.stages[4].inputs["s_in"].port == "s_out"
    assert plan.stages[5].inputs["s_in"].port == "y_out"


@pytest.mark.parametrize("bits", [14, 27])
def test_ternary_spikes_travel_as_two_bits_and_graded_values_in_their_width(networks, bits):
    program = networks.random_program(3, blocks=1, mixer="gsu")
    graded = replace(program["blocks.0.ssm.graded"].out, bits=bits)
    plan = plan_program(with_op(program, "blocks.0.ssm.graded", out=graded))
    widths = {s.name: s.settings["weights"].message_bits for s in plan.stages if s.kind == "Dense"}
    assert widths["blocks.0.first.sum"] == 2
    assert widths["blocks.0.second"] == bits
    graph = plan_graph(networks.random_graph(3, blocks=1, mixer="gsu"))
    widths = {s.name: s.settings["weights"].message_bits for s in graph.stages if s.kind == "Dense"}
    assert widths["blocks.0.first.product"] == 2


def test_graded_values_that_could_wrap_the_accumulator_are_refused(networks):
    program = networks.random_program(3, blocks=1, mixer="gsu", channels=4)
    out = program["blocks.0.ssm.graded"].out
    second = np.ones((4, 4), int)
    # 2 * 4 channels * magnitude must stay below 2^31: 2^28 is one too many
    for largest, fits in ((2**28 - 1, True), (2**28, False)):
        high = np.full(4, largest)
        wide = with_op(
            program, "blocks.0.ssm.graded", out=replace(out, bits=30, low=-high, high=high)
        )
        wide = with_op(wide, "blocks.0.second", weight=second)
        if fits:
            plan_program(wide)
            continue
        with pytest.raises(LimitError, match=r"second: sums can reach 2147483648, which wraps"):
            plan_program(wide)


def test_the_order_of_independent_nodes_does_not_matter(networks):
    graph = networks.random_graph(0, blocks=1, mixer="gsu", norm="none")
    names = [node.name for node in graph.nodes]
    ternary, second = names.index("blocks.0.ternary"), names.index("blocks.0.second")
    nodes = list(graph.nodes)
    nodes.insert(ternary, nodes.pop(second))  # the graded values' reader before the spikes
    stages = [stage.name for stage in plan_graph(Graph(tuple(nodes))).stages]
    assert stages.index("blocks.0.ssm") < stages.index("blocks.0.second.product")


def test_the_residual_goes_around_the_mixing(program):
    (glu,) = [stage for stage in plan_program(program).stages if stage.name == "blocks.0.glu"]
    assert glu.inputs["x_in"].stage == "encoder"
    assert glu.inputs["a_in"].stage == "blocks.0.value.sum+blocks.0.gate.sum"


@pytest.mark.parametrize("norm", ["pre", "post", "none"])
@pytest.mark.parametrize("mixer", ["binary", "gsu"])
def test_every_tensor_of_a_program_can_be_recorded(networks, norm, mixer):
    program = networks.random_program(4, norm=norm, channels=3, modes=2, mixer=mixer)
    plan = plan_program(program)
    for name in tuple(program.recordings):
        stage = plan.recorder(name)
        wanted = (3, 2) if ":state_" in name else (1,) if name == "input" else (3,)
        assert stage.shapes[name] == wanted, name


def test_an_unknown_tensor_is_refused(program):
    with pytest.raises(InputError, match="no tensor 'blocks.9.ssm'"):
        plan_program(program).recorder("blocks.9.ssm")


@pytest.mark.parametrize("norm", ["pre", "post", "none"])
@pytest.mark.parametrize("mixer", ["binary", "gsu"])
def test_graphs_and_programs_become_the_same_processes(networks, norm, mixer):
    graph = plan_graph(networks.random_graph(0, norm=norm, mixer=mixer))
    program = plan_program(networks.random_program(0, norm=norm, mixer=mixer))
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


def test_a_function_on_its_own_is_refused_by_name(networks):
    graph = networks.random_graph(0, blocks=1, norm="none")
    # a sigmoid on the residual stream, before the mean
    extra = Sigmoid("extra", ("blocks.0.add",))
    mean = replace(graph["mean"], inputs=("extra",))
    nodes = [*graph.nodes[:-2], extra, mean, graph.nodes[-1]]
    with pytest.raises(UnsupportedError, match=r"^extra: Logistic is in no pattern"):
        plan_graph(Graph(tuple(nodes)))


def test_an_unknown_pattern_is_refused_by_name(networks):
    graph = networks.random_graph(0, blocks=1, norm="none")
    # a second reader of the gate: the gated unit is no longer one process's own business
    extra = Sigmoid("extra", ("blocks.0.gate",))
    nodes = [*graph.nodes[:-2], extra, *graph.nodes[-2:]]
    with pytest.raises(UnsupportedError, match=r"blocks\.0\.glu: neither a gated linear unit nor"):
        plan_graph(Graph(tuple(nodes)))


def test_branches_from_different_depths_are_refused(networks):
    program = networks.random_program(0, blocks=2, mixer="gsu")
    early = with_op(program, "blocks.1.second", inputs=("blocks.0.ssm.graded",))
    message = r"blocks\.1\.product: blocks\.1\.second is 1 steps ahead of the rest of its input"
    with pytest.raises(UnsupportedError, match=message):
        plan_program(early)


def test_a_residual_from_another_depth_is_refused(networks):
    program = networks.random_program(0, blocks=2)
    (last,) = [op for op in program.ops if op.name == "blocks.1.add"]
    skipping = tuple("encoder" if name == "blocks.0.add" else name for name in last.inputs)
    with pytest.raises(UnsupportedError, match=r"blocks\.1\.glu: its residual is 2 steps ahead"):
        plan_program(with_op(program, "blocks.1.add", inputs=skipping))
