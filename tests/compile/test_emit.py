"""From float graphs to integers: any network compiles or is refused in one line, and is right."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from neurossm import graph as g
from neurossm import program as p
from neurossm.compile import CompileOptions, Widths, compile_model
from neurossm.compile.options import WIDTH_RANGES
from neurossm.errors import InputError, LimitError, UnsupportedError
from neurossm.graph.evaluate import evaluate
from neurossm.program.certificate import certificates
from neurossm.program.reference import run

PROVED = CompileOptions()
CALIBRATED = CompileOptions(scaling="calibrated")
FINE = Widths(decoder=16, pole=24, readout=24, state=32, drive=24, mix=24, graded=24, gain=24)


def compiled(networks, graph, options=PROVED, steps=60):
    """Compile, run and compare: return the program, spike agreement and error of the logits."""
    x = networks.random_data(graph.input, 1, batch=4, steps=steps)
    calibration = x if options.scaling == "calibrated" else None
    program = compile_model(graph, options=options, calibration=calibration)
    names = [op.name for op in program.ops if isinstance(op, (p.Spike, p.Ternary))]
    ran = run(program, x, record=names)
    wanted = evaluate(program.graph, x, names)
    agreement = [float((ran.tensors[name] == wanted[name]).mean()) for name in names]
    logits = program.readout.out.to_float(ran.logits)
    scale = max(np.abs(wanted["decoder"]).max(), 1e-300)
    if options.scaling == "proved":
        assert ran.saturations == {}
        assert [row.name for row in certificates(program) if not row.proved] == []
    return program, min(agreement, default=1.0), np.abs(logits - wanted["decoder"]).max() / scale


@pytest.mark.parametrize("options", [PROVED, CALIBRATED], ids=lambda o: o.scaling)
@pytest.mark.parametrize("pole_kind", ["lin", "inv", "undamped", "real"])
@pytest.mark.parametrize("norm", ["pre", "post", "none"])
def test_networks_of_every_shape_agree(networks, norm, pole_kind, options):
    graph = networks.random_graph(0, norm=norm, pole_kind=pole_kind)
    _, agreement, error = compiled(networks, graph, options)
    assert agreement > 0.97
    assert error < 0.1


AWKWARD_SIZES = [
    {"channels": 1, "modes": 1, "classes": 1},
    {"channels": 1, "modes": 1, "norm": "post"},
    {"channels": 7, "modes": 5, "inputs": 3, "blocks": 3},
    {"channels": 3, "modes": 32, "pole_kind": "inv"},  # |A_bar| up to 0.99999
    {"kind": "tokens", "inputs": 7},
    {"kind": "tokens", "inputs": 1},
    {"kind": "float", "inputs": 3},
    {"tied": True},
    {"mixer": "gsu"},
    {"mixer": "gsu", "norm": "post", "layer_norm": True},
    {"mixer": "gsu", "channels": 1, "modes": 1},
]


@pytest.mark.parametrize("options", [PROVED, CALIBRATED], ids=lambda o: o.scaling)
@pytest.mark.parametrize("sizes", AWKWARD_SIZES, ids=str)
def test_awkward_sizes_agree(networks, sizes, options):
    _, agreement, error = compiled(networks, networks.random_graph(0, **sizes), options)
    assert agreement > 0.97
    assert error < 0.1


@pytest.mark.parametrize("options", [PROVED, CALIBRATED], ids=lambda o: o.scaling)
@pytest.mark.parametrize("norm", ["pre", "post"])
def test_awkward_parameters_agree(networks, norm, options):
    for awkward in networks.AWKWARD:
        graph = networks.random_graph(0, norm=norm, awkward=(awkward,))
        _, agreement, error = compiled(networks, graph, options)
        assert agreement > 0.97, awkward
        assert error < 0.1, awkward


@pytest.mark.parametrize("seed", range(4))
def test_wide_integers_are_nearly_the_float_network(networks, seed):
    graph = networks.random_graph(seed, norm=networks.NORMS[seed % 3], channels=5)
    x = networks.random_data(graph.input, 1, batch=4, steps=60)
    program = compile_model(graph, options=CompileOptions(widths=FINE, row_scale="full"))
    names = ["blocks.0.ssm", "blocks.0.spike"]
    ran, wanted = run(program, x, record=names), evaluate(program.graph, x, names)
    y, exact = program["blocks.0.ssm"].out.to_float(ran.tensors[names[0]]), wanted[names[0]]
    # 8-bit encoder weights are the coarsest numbers before the first spikes
    assert np.abs(y - exact).max() < 0.02 * np.abs(exact).max()
    assert (ran.tensors[names[1]] == wanted[names[1]]).mean() > 0.98


def test_integers_of_a_network_without_blocks_are_exact(networks):
    """Weights and biases that are integers over powers of two: only the last rounding is left."""
    source = g.InputNode("input", (), "uint8", 1, 0.0, 1.0, 1.0)
    nodes = (
        source,
        g.LinearNode("encoder", ("input",), [[0.5], [-0.25]], [1.5, 0.0]),
        g.MeanNode("mean", ("encoder",)),
        g.LinearNode("decoder", ("mean",), [[1.0, 2.0], [-0.5, 0.25]], [0.125, -3.0]),
    )
    program = compile_model(g.Graph(nodes), options=CompileOptions(row_scale="power-of-two"))
    x = np.array([[[3], [200], [255]]], np.uint8)
    logits = program.readout.out.to_float(run(program, x).logits)[0]
    mean = (3 + 200 + 255) / 3
    first, second = 0.5 * mean + 1.5, -0.25 * mean
    wanted = [first + 2 * second + 0.125, -0.5 * first + 0.25 * second - 3]
    np.testing.assert_allclose(logits, wanted, atol=2.0 ** -(1 + program.readout.out.exponent[0]))


def test_exponents_mean_what_they_say(networks):
    """Every tensor before the first spikes stands for the float tensor of its name."""
    graph = networks.random_graph(5, norm="pre", channels=6)
    x = networks.random_data(graph.input, 0, batch=3, steps=40)
    program = compile_model(graph, options=CompileOptions(widths=FINE))
    names = ["encoder", "blocks.0.norm", "blocks.0.ssm"]
    ran, wanted = run(program, x, record=names), evaluate(program.graph, x, names)
    for name in names:
        value = program[name].out.to_float(ran.tensors[name])
        assert np.abs(value - wanted[name]).max() < 0.02 * np.abs(wanted[name]).max(), name


@pytest.mark.parametrize("options", [PROVED, CALIBRATED], ids=lambda o: o.scaling)
@pytest.mark.parametrize("end", [0, 1])
@pytest.mark.parametrize("name", list(WIDTH_RANGES))
def test_every_width_works_at_its_ends_or_is_refused_in_one_line(networks, name, end, options):
    widths = Widths(**{name: WIDTH_RANGES[name][end]})
    graph = networks.random_graph(0, mixer="gsu" if name == "graded" else "binary")
    try:
        _, agreement, _ = compiled(networks, graph, replace(options, widths=widths))
    except LimitError as error:
        message = str(error)
    else:
        assert agreement > 0.85
        return
    assert "\n" not in message
    assert end == 0


@pytest.mark.parametrize("options", [PROVED, CALIBRATED], ids=lambda o: o.scaling)
def test_low_widths_together(networks, options):
    low = replace(options, widths=Widths(weight=4, pole=8, readout=8, state=16))
    _, agreement, error = compiled(networks, networks.random_graph(0), low)
    assert agreement > 0.9
    assert error < 0.3


@pytest.mark.parametrize("end", [0, 1])
def test_all_widths_at_their_ends(networks, end):
    widths = Widths(**{entry.name: WIDTH_RANGES[entry.name][end] for entry in fields(Widths)})
    options = replace(CALIBRATED, widths=widths)
    program, agreement, _ = compiled(networks, networks.random_graph(0), options)
    assert agreement > (0.7, 0.97)[end]
    assert np.abs(program["blocks.0.gate:sum"].weight).max() <= 2 ** (widths.weight - 1) - 1
    ssm = program["blocks.0.ssm"]
    assert max(np.abs(ssm.c_re).max(), np.abs(ssm.d).max()) < 2 ** (widths.readout - 1)
    assert max(np.abs(part).max() for part in ssm.stored_poles()) < 2 ** (widths.pole - 1)
    assert ssm.state_bits == widths.state
    assert program["blocks.0.add"].out.bits == widths.residual
    assert program["blocks.0.norm"].out.bits == widths.drive
    assert np.abs(program["blocks.0.norm"].gain).max() < 2 ** (widths.gain - 1)


def test_states_that_rounding_could_fill_are_refused(networks):
    graph = networks.random_graph(0, pole_kind="undamped", modes=6)
    narrow = CompileOptions(widths=Widths(state=12))
    with pytest.raises(
        LimitError, match="states of 12 bits cannot be proved: in channel"
    ) as caught:
        compile_model(graph, options=narrow)
    assert "calibrated scaling" in str(caught.value)
    compiled(networks, graph, replace(narrow, scaling="calibrated"))
    compiled(networks, graph, replace(narrow, pole_margin_log2=8))  # more damping: works


def test_the_sign_of_the_smallest_outputs_is_kept(networks):
    graph = networks.random_graph(0)
    nodes = [
        replace(node, C=node.C * 1e-30, D=node.D * 1e-30) if isinstance(node, g.SSMNode) else node
        for node in graph.nodes
    ]
    _, agreement, _ = compiled(networks, graph.with_nodes(nodes))
    assert agreement > 0.97


@pytest.mark.parametrize("factor", [1e3, 1e6])
def test_gates_that_reach_far_beyond_the_table_still_work(networks, factor):
    _, agreement, error = compiled(networks, _scaled_gates(networks, factor))
    assert agreement > 0.97
    assert error < 0.1


def test_gates_that_no_accumulator_could_hold_are_refused(networks):
    with pytest.raises(LimitError, match="blocks.0.gate: reaches .* the accumulator has 32"):
        compile_model(_scaled_gates(networks, 1e10))


def _scaled_gates(networks, factor):
    graph = networks.random_graph(0)
    return graph.with_nodes(
        replace(node, weight=node.weight * factor, bias=node.bias * factor)
        if node.name.endswith("gate")
        else node
        for node in graph.nodes
    )


def test_tiny_products_before_a_layer_norm_keep_its_eps(networks):
    graph = networks.random_graph(0, mixer="gsu")
    small = graph.with_nodes(
        replace(node, weight=node.weight * 1e-6, bias=node.bias * 1e-6)
        if node.name.endswith("first")
        else node
        for node in graph.nodes
    )
    _, agreement, error = compiled(networks, small)
    assert agreement > 0.97
    assert error < 0.1


@pytest.mark.parametrize("value", [1e200, 1e300])
def test_parameters_beyond_all_reason_are_refused_in_one_line(networks, value):
    graph, messages = networks.random_graph(0), []
    for name in ("encoder", "blocks.0.value", "blocks.0.gate", "decoder"):
        nodes = [
            replace(node, weight=node.weight * value) if node.name == name else node
            for node in graph.nodes
        ]
        try:
            compiled(networks, graph.with_nodes(nodes))
        except LimitError as error:
            messages.append(str(error))
    assert messages
    assert not any("\n" in message for message in messages)


def test_integer_weights_without_bias_enter_the_stream_at_its_exponent(networks):
    graph = networks.random_graph(0, channels=3, kind="float", inputs=3)
    one_hot = replace(graph["encoder"], weight=np.eye(3), bias=np.zeros(3))
    nodes = [one_hot if node.name == "encoder" else node for node in graph.nodes]
    _, agreement, error = compiled(networks, graph.with_nodes(nodes))
    assert agreement > 0.97
    assert error < 0.1


def test_a_dense_that_could_wrap_is_refused():
    rng = np.random.default_rng(0)
    source = g.InputNode("input", (), "float", 2000, -1.0, 1.0, 1.0)
    weight = np.sign(rng.normal(size=(2, 2000)))  # 2000 * 127 * 2^15 > 2^30
    nodes = (
        source,
        g.LinearNode("encoder", ("input",), weight, [0.0, 0.0]),
        g.MeanNode("mean", ("encoder",)),
        g.LinearNode("decoder", ("mean",), np.eye(2), [0.0, 0.0]),
    )
    with pytest.raises(LimitError, match="encoder:sum: the weighted sum could wrap"):
        compile_model(g.Graph((*nodes[:1], replace(nodes[1], bias=np.ones(2)), *nodes[2:])))


def block(*nodes: g.Node) -> g.Graph:
    """Return a graph of one-channel nodes between an encoder and a decoder that reads "end"."""
    return g.Graph(
        (
            g.InputNode("input", (), "uint8", 1, 0.0, 1.0, 1.0),
            g.LinearNode("encoder", ("input",), [[1.0]], [0.0]),
            *nodes,
            g.MeanNode("mean", ("end",)),
            g.LinearNode("decoder", ("mean",), [[1.0]], [0.0]),
        )
    )


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (
            g.Graph(block(g.SigmoidNode("end", ("encoder",))).nodes[:-1]),
            "must end in a mean over time",
        ),
        (
            g.Graph(block(g.SigmoidNode("end", ("encoder",))).nodes[:-2]),
            "must end in a mean over time",
        ),
    ],
)
def test_graphs_without_integer_form_are_refused(graph, message):
    with pytest.raises(UnsupportedError, match=message) as caught:
        compile_model(graph)
    assert "\n" not in str(caught.value)


def test_every_encoder_channel_may_be_dead(networks):
    graph = networks.random_graph(0)
    nodes = [
        replace(node, weight=0 * node.weight, bias=0 * node.bias)
        if node.name == "encoder"
        else node
        for node in graph.nodes
    ]
    _, agreement, error = compiled(networks, graph.with_nodes(nodes))
    assert agreement == 1.0
    assert error < 0.1


@pytest.mark.parametrize("norm", ["pre", "post", "none"])
def test_worst_case_drives_never_saturate_a_proved_ssm(networks, norm):
    """Inputs after the signs of Re q^j reach for each state's bound inside compiled programs."""
    graph = networks.random_graph(3, norm=norm, channels=2, modes=3, pole_kind="undamped")
    program = compile_model(graph, options=CompileOptions(pole_margin_log2=7))
    for op in program.ops:
        if not isinstance(op, p.SSM):
            continue
        u = program[op.inputs[0]].out.interval
        reached = 0.0
        for h in range(2):
            for n in range(op.modes):
                q = complex(op.a_re[h, n], op.a_im[h, n]) / 2 ** int(op.pole_shift[h, n])
                powers = q ** np.arange(700)[::-1]
                for part in (powers.real, -powers.real, powers.imag):
                    drive = np.where(part[:, None] > 0, u.high, u.low)
                    tally = p.Tally()
                    state = op.start(1)
                    for now in drive:
                        state, _ = op.step(state, now[None], tally=tally)
                    assert tally == {}
                    reached = max(reached, abs(int(state["state_re"][0, h, n])))
        assert reached > 0.3 * 2 ** (op.state_bits - 1)  # the states' bits are used


def test_options_are_checked():
    bad = [
        ({"scaling": "guessed"}, "scaling 'guessed', expected one of proved, calibrated"),
        ({"max_steps": 0}, "max_steps = 0"),
        ({"max_steps": 2**40}, "max_steps"),
        ({"headroom_bits": 1.5}, "headroom_bits = 1.5, must be an integer"),
        ({"slope_digits": True}, "slope_digits = True, must be an integer"),
        ({"pole_margin_log2": 30}, "pole_margin_log2 = 30"),
        ({"threshold_scale": 0.0}, "threshold_scale = 0.0, must be positive"),
        ({"threshold_scale": np.nan}, "threshold_scale = nan"),
        ({"row_scale": "half"}, "row_scale 'half'"),
    ]
    for options, message in bad:
        with pytest.raises(InputError, match=message):
            CompileOptions(**options)
    for width in (1, 9, 7.5, "8", True):
        with pytest.raises(InputError, match="width of weight: .* must be an integer from 2 to 8"):
            Widths(weight=width)
