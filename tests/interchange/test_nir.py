"""NIR: nodes against NumPy loops of NIR's own equations, graphs there and back, refusals."""

from __future__ import annotations

import numpy as np
import pytest
from click.testing import CliRunner

from neurossm.cli import cli
from neurossm.compile import compile_model
from neurossm.errors import FormatError, InputError, MissingDependencyError, UnsupportedError
from neurossm.graph import nodes as n
from neurossm.graph.evaluate import evaluate
from neurossm.interchange import export_nir, import_nir, nir_file
from neurossm.program import reference

nir = pytest.importorskip("nir")

DT = 0.25
RNG = np.random.default_rng(5)
X = RNG.integers(0, 2, (2, 60, 3))  # spikes (samples, steps, channels)


def vector(*values):
    return np.array(values, float)


TAU, TAU_S = vector(1.0, 2.5, 0.5), vector(0.5, 1.5, 2.0)
R, LEAK = vector(3.0, 4.0, 2.0), vector(0.1, -0.2, 0.0)
LEVEL, RESET, W = vector(0.9, 1.1, 0.7), vector(0.0, -0.25, 0.1), vector(1.5, 1.0, 2.0)


def saved(tmp_path, *nodes, edges=None):
    """Write nodes in a row, or with edges, and return the path."""
    path = tmp_path / "network.nir"
    if edges is None:
        graph = nir.NIRGraph.from_list(*nodes)
    else:
        graph = nir.NIRGraph(dict(nodes), edges, type_check=False)
    nir.write(str(path), graph)
    return path


def last_of(graph, x):
    """Return what the network makes of every step, before the mean over time."""
    (mean,) = (node for node in graph.nodes if isinstance(node, n.MeanNode))
    return evaluate(graph, x, record=[mean.inputs[0]])[mean.inputs[0]]


def fire(v):
    """Return spikes, and v after the reset."""
    return v > LEVEL, np.where(v > LEVEL, RESET, v)


def euler(kind, x):
    """Return the output (steps, 3) of a neuron whose equations Euler's method integrates."""
    resets = kind in ("LIF", "IF", "CubaLIF")
    v = RESET.copy() if resets else np.zeros(3)
    current, out = np.zeros(3), []
    for row in x:
        before = current
        current = current + DT / TAU_S * (-current + W * row)
        if kind.startswith("Cuba"):
            v = v + DT / TAU * (LEAK - v + R * before)
        elif kind == "IF":
            v = v + DT * R * row
        else:
            v = v + DT / TAU * (LEAK - v + R * row)
        spikes, after = fire(v)
        out.append(spikes if resets else v)
        v = after if resets else v
    return np.array(out, float)


def in_small_steps(kind, x, parts=4_000):
    """Return the same with each step cut into so many, inputs held: nearly exact."""
    resets = kind in ("LIF", "CubaLIF")
    v = RESET.copy() if resets else np.zeros(3)
    current, out, h = np.zeros(3), [], DT / parts
    for row in x:
        for _ in range(parts):
            if kind.startswith("Cuba"):
                v = v + h / TAU * (LEAK - v + R * current)
                current = current + h / TAU_S * (W * row - current)
            else:
                v = v + h / TAU * (LEAK - v + R * row)
        spikes, after = fire(v)
        out.append(spikes if resets else v.copy())
        v = after if resets else v
    return np.array(out, float)


def neuron(kind):
    fields = {
        "LIF": (TAU, R, LEAK, LEVEL, RESET),
        "IF": (R, LEVEL, RESET),
        "LI": (TAU, R, LEAK),
        "CubaLIF": (TAU_S, TAU, R, LEAK, LEVEL, RESET, W),
        "CubaLI": (TAU_S, TAU, R, LEAK, W),
    }
    return getattr(nir, kind)(*fields[kind])


@pytest.mark.parametrize("kind", ["LIF", "IF", "LI", "CubaLIF", "CubaLI"])
def test_neurons_are_nirs_equations_by_eulers_method(kind, tmp_path):
    path = saved(tmp_path, neuron(kind))
    graph = import_nir(path, dt=DT, input="counts:1")
    got = last_of(graph, X)
    expected = np.stack([euler(kind, x) for x in X])
    assert expected.std() > 0.1
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", ["LIF", "LI", "CubaLIF", "CubaLI"])
def test_exact_integration_is_what_ever_smaller_steps_approach(kind, tmp_path):
    path = saved(tmp_path, neuron(kind))
    graph = import_nir(path, dt=DT, input="counts:1", integration="exact")
    got = last_of(graph, X[:1, :12])[0]
    expected = in_small_steps(kind, X[0, :12])
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-3)
    assert not np.allclose(got, euler(kind, X[0, :12]), atol=1e-2) or kind.endswith("F")


def test_equal_time_constants_integrate_exactly(tmp_path):
    same = vector(1.0, 1.0, 1.0)
    path = saved(tmp_path, nir.CubaLI(same, same, R, LEAK, W))
    near = nir.CubaLI(same, same * (1 + 1e-7), R, LEAK, W)
    got = last_of(import_nir(path, dt=DT, input="counts:1", integration="exact"), X)
    path = saved(tmp_path, near)
    close = last_of(import_nir(path, dt=DT, input="counts:1", integration="exact"), X)
    np.testing.assert_allclose(got, close, rtol=0, atol=1e-5)


def test_maps_thresholds_and_several_edges_into_one_node(tmp_path):
    weight = RNG.normal(size=(3, 3))
    nodes = {
        "in": nir.Input(np.array([3])),
        "a": nir.Linear(weight),
        "b": nir.Affine(weight[:, ::-1].copy(), vector(1, 2, 3)),
        "c": nir.Scale(vector(0.5, 2, -1)),
        "flat": nir.Flatten({"input": np.array([3])}, start_dim=0),
        "t": nir.Threshold(vector(0.3, 0.1, 0.2)),
        "out": nir.Output(np.array([3])),
    }
    edges = [("in", "a"), ("in", "b"), ("in", "c"), ("a", "flat"), ("b", "flat"), ("c", "flat")]
    path = saved(tmp_path, *nodes.items(), edges=[*edges, ("flat", "t"), ("t", "out")])
    graph = import_nir(path, input="float:0:1")
    total = X @ weight.T + X @ weight[:, ::-1].T + vector(1, 2, 3) + X * vector(0.5, 2, -1)
    assert np.array_equal(last_of(graph, X.astype(float)), total > vector(0.3, 0.1, 0.2))
    # the logits are the mean over time
    logits = evaluate(graph, X.astype(float))[graph.output.name]
    np.testing.assert_allclose(logits, (total > vector(0.3, 0.1, 0.2)).mean(axis=1))


def layered(tmp_path):
    """Two layers of neurons with synaptic currents, as NIR's benchmark of Braille letters has."""
    rng = np.random.default_rng(1)
    one = nir.CubaLIF(
        np.full(8, 0.5), np.full(8, 1.0), np.full(8, 2.0), np.zeros(8), np.ones(8), None, np.ones(8)
    )
    two = nir.CubaLIF(
        np.full(4, 0.75),
        np.full(4, 1.5),
        np.full(4, 2.0),
        np.zeros(4),
        np.ones(4),
        None,
        np.ones(4),
    )
    first, second = rng.normal(0.5, 1, (8, 3)), rng.normal(0.2, 1, (4, 8))
    return saved(tmp_path, nir.Affine(first, np.full(8, 0.1)), one, nir.Linear(second), two)


def test_an_imported_network_compiles_and_its_integers_spike_as_the_floats_do(tmp_path):
    graph = import_nir(layered(tmp_path), dt=DT, input="counts:1")
    program = compile_model(graph)
    spikes = [node.name for node in graph.nodes if node.emits == "spikes"]
    floats = evaluate(graph, X, record=spikes)
    integers = reference.run(program, X, record=spikes).tensors
    for name in spikes:
        assert 0.02 < floats[name].mean() < 0.98, name
        assert (integers[name] == floats[name]).mean() > 0.97, name


def test_a_subgraph_is_dissolved(tmp_path):
    inner = nir.NIRGraph.from_list(nir.Scale(vector(2, 2, 2)), nir.Threshold(vector(1, 1, 1)))
    nodes = {"in": nir.Input(np.array([3])), "sub": inner, "out": nir.Output(np.array([3]))}
    path = saved(tmp_path, *nodes.items(), edges=[("in", "sub"), ("sub", "out")])
    graph = import_nir(path, input="counts:1")
    assert np.array_equal(last_of(graph, X), X)


@pytest.mark.parametrize(
    ("nodes", "said"),
    [
        ([nir.I(R)], r"i \(I\): an integrator without leak or reset adds up without end"),
        ([nir.Delay(vector(1, 1, 1))], "delay: a Delay of 1; the float graph has no delays"),
        ([nir.LI(vector(0.1, 1, 1), R, LEAK)], r"li: time constant 0.1 is shorter than the step"),
        ([nir.CubaLI(TAU_S * 0 + DT, TAU, R, LEAK)], r"cubali: tau_syn 0.25 is dt"),
        (
            [nir.Conv1d(3, np.ones((1, 1, 1)), 1, 0, 1, 1, np.zeros(1))],
            r"conv1d \(Conv1d\): convolutions",
        ),
    ],
)
def test_what_cannot_be_run_is_refused_by_its_name(nodes, said, tmp_path):
    ends = {"in": nir.Input(np.array([3])), "out": nir.Output(np.array([3]))}
    name = type(nodes[0]).__name__.lower()
    named = {**ends, name: nodes[0]}
    path = saved(tmp_path, *named.items(), edges=[("in", name), (name, "out")])
    with pytest.raises(UnsupportedError, match=said):
        import_nir(path, dt=DT, input="counts:1")


def test_recurrent_edges_are_refused_by_their_names(tmp_path):
    nodes = {
        "in": nir.Input(np.array([3])),
        "lif": neuron("LIF"),
        "w_rec": nir.Linear(np.eye(3)),
        "out": nir.Output(np.array([3])),
    }
    edges = [("in", "lif"), ("lif", "w_rec"), ("w_rec", "lif"), ("lif", "out")]
    path = saved(tmp_path, *nodes.items(), edges=edges)
    with pytest.raises(UnsupportedError, match=r"recurrent edge (lif -> w_rec|w_rec -> lif)"):
        import_nir(path, dt=DT, input="counts:1")


def test_what_nir_leaves_open_is_asked_for(tmp_path, monkeypatch):
    path = saved(tmp_path, neuron("LIF"))
    with pytest.raises(InputError, match=r"lif \(LIF\): give dt"):
        import_nir(path, input="counts:1")
    with pytest.raises(InputError, match="NIR does not say what the 3 inputs are"):
        import_nir(path, dt=DT)
    with pytest.raises(InputError, match="dt -1"):
        import_nir(path, dt=-1, input="counts:1")
    (tmp_path / "other.nir").write_bytes(b"nothing")
    with pytest.raises(FormatError, match="no NIR file"):
        import_nir(tmp_path / "other.nir", dt=DT)
    monkeypatch.setattr(nir_file.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'neurossm\[nir\]'"):
        import_nir(path)


def same(first, second):
    """Tell whether two graphs have the same nodes, bit for bit."""
    return first.with_nodes(first.nodes).same_as(second.__class__(second.nodes, first.provenance))


@pytest.mark.parametrize("mixer", ["binary", "gsu", "relu"])
@pytest.mark.parametrize("decompose", [True, False])
def test_graphs_come_back_as_they_were(mixer, decompose, networks, tmp_path):
    graph = compile_model(networks.random_graph(3, mixer=mixer, kind="float", inputs=2)).graph
    path = tmp_path / "g.nir"
    ours = export_nir(graph, path, decompose=decompose)
    assert ours
    assert same(graph, import_nir(path))


def plain_graph(networks):
    """A graph without gates: linear maps, SSMs, thresholds, a residual."""
    base = networks.random_graph(4, kind="float", inputs=2, blocks=1, norm="none")
    ssm = next(node for node in base.nodes if isinstance(node, n.SSMNode))
    H = len(ssm.D)
    rng = np.random.default_rng(0)
    nodes = [
        n.InputNode("input", (), "float", 2, -1.0, 1.0, 1.0),
        n.LinearNode("encoder", ("input",), rng.normal(size=(H, 2)), rng.normal(size=H)),
        n.AffineNode("norm", ("encoder",), rng.normal(1, 0.2, H), rng.normal(size=H)),
        n.SSMNode("ssm", ("norm",), ssm.A_bar, ssm.B_bar, ssm.C, ssm.D),
        n.SpikeNode("spike", ("ssm",), rng.normal(0, 0.1, H)),
        n.LinearNode("mix", ("spike",), rng.normal(size=(H, H)), np.zeros(H)),
        n.AddNode("add", ("mix", "encoder")),
        n.LIFNode("lif", ("add",), np.full(H, 0.9), np.full(H, 1.5)),
        n.MeanNode("mean", ("lif",)),
        n.LinearNode("decoder", ("mean",), rng.normal(size=(3, H)), rng.normal(size=3)),
    ]
    return base.with_nodes(nodes)


class Walk:
    """Runs a graph of NIR's, as its own reader opens it, step by step: from NIR's documentation."""

    def __init__(self, graph):
        self.graph = graph
        self.state, self.next, self.sent = {}, {}, {}

    def run(self, x):
        out = []
        for row in x:
            self.next, self.sent = {}, {}
            out.append(self.value(("output",), self.graph, row))
            self.state = self.next
        return np.array(out)

    def value(self, path, graph, given):
        """Return what the node at a path (the last name is its own) sends in this step."""
        if path not in self.sent:
            node = graph.nodes[path[-1]]
            if isinstance(node, nir.Delay):
                self.sent[path] = self.state.get(path, np.zeros(node.delay.shape))
            else:
                self.sent[path] = self.computed(path, node, self.total(path, graph, given))
        return self.sent[path]

    def total(self, path, graph, given):
        if isinstance(graph.nodes[path[-1]], nir.Input):
            return given
        before = [source for source, target in graph.edges if target == path[-1]]
        return sum(self.value((*path[:-1], name), graph, given) for name in before)

    def computed(self, path, node, x):
        if isinstance(node, nir.NIRGraph):
            y = self.value((*path, "output"), node, x)
            for name, part in node.nodes.items():
                if isinstance(part, nir.Delay):
                    self.next[(*path, name)] = self.total((*path, name), node, x)
            return y
        if isinstance(node, nir.Affine):
            return node.weight @ x + node.bias
        if isinstance(node, nir.Linear):
            return node.weight @ x
        if isinstance(node, nir.Scale):
            return node.scale * x
        if isinstance(node, nir.Threshold):
            return (x > node.threshold).astype(float)
        if isinstance(node, nir.LIF):
            v = self.state.get(path, np.zeros(node.tau.shape))
            v = v + (node.v_leak - v + node.r * x) / node.tau
            self.next[path] = np.where(v > node.v_threshold, node.v_reset, v)
            return (v > node.v_threshold).astype(float)
        return x


def test_a_graph_without_gates_is_one_that_nirs_own_reader_opens_and_means_the_same(
    networks, tmp_path
):
    graph = plain_graph(networks)
    path = tmp_path / "plain.nir"
    assert export_nir(graph, path) == []
    read = nir.read(str(path))
    x = np.random.default_rng(2).uniform(-1, 1, (40, 2))
    steps = Walk(read).run(x)
    expected = evaluate(graph, x[None])["decoder"][0]
    np.testing.assert_allclose(steps.mean(axis=0), expected, rtol=0, atol=1e-9)
    assert same(graph, import_nir(path))
    # and with the SSM as one node of ours, which NIR's reader refuses
    assert export_nir(graph, path, decompose=False) == ["ssm"]
    assert same(graph, import_nir(path))


def test_the_test_vector_of_the_documentation():
    """One channel, modes 0.5 + 0.5i and -0.25: u = 1, 0, 2; see docs/nir.md."""
    ssm = n.SSMNode(
        "ssm", ("u",), [[0.5 + 0.5j, -0.25]], [[1, 2]], [[1 - 1j, 0.5]], np.array([0.5])
    )
    # s = (1, 2), (0.5+0.5i, -0.5), (2+0.5i, 4.125)
    # 2 Re(C s) = 2+2, 2-0.5, 2(2+0.5)+4.125; + D u = 0.5, 0, 1
    y = ssm.apply(np.array([[[1.0], [0.0], [2.0]]]))[0, :, 0]
    assert y.tolist() == [4.5, 1.5, 10.125]


def test_a_changed_part_is_noticed(networks, tmp_path):
    import h5py

    path = tmp_path / "plain.nir"
    export_nir(plain_graph(networks), path)
    with h5py.File(path, "r+") as file:
        file["node/nodes/ssm/nodes/re_re/scale"][0] += 0.1
    with pytest.raises(FormatError, match="ssm: no node of ours .* re_re is not what"):
        import_nir(path)


def test_what_nir_cannot_say_behind_the_mean_is_refused(networks, tmp_path):
    graph = plain_graph(networks)
    nodes = [*graph.nodes, n.ReLUNode("relu", ("decoder",))]
    with pytest.raises(UnsupportedError, match="relu: ReLU behind the mean"):
        export_nir(graph.with_nodes(nodes), tmp_path / "g.nir")


def call(*words):
    return CliRunner().invoke(cli, [str(word) for word in words])


def test_the_command_line_goes_from_nir_to_a_program_and_back(tmp_path):
    path = layered(tmp_path)
    options = ("--dt", DT, "--input", "counts:1")
    done = call("import", path, "-o", tmp_path / "g.h5", *options, "--json", tmp_path / "g.json")
    assert done.exit_code == 0, done.output
    assert "cubalif.drive" in (tmp_path / "g.json").read_text()
    assert call("compile", tmp_path / "g.h5", "-o", tmp_path / "p.h5").exit_code == 0
    again = tmp_path / "again.nir"
    done = call("export", tmp_path / "g.h5", "-o", again, "--format", "nir")
    assert done.exit_code == 0, done.output
    assert same(import_nir(path, dt=DT, input="counts:1"), import_nir(again))
    nir.read(str(again))  # nothing in it is ours
    assert call("export", tmp_path / "p.h5", "-o", again, "--format", "nir").exit_code == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("import", "x.nir", "-o", "y.h5", "--norm", "batch"), "--norm says nothing of a NIR"),
        (("import", "x.pt", "-o", "y.pt", "--dt", "1"), "go with a NIR file"),
        (("export", "x.pt", "-o", "y.h5", "--ssm", "nodes"), "--ssm goes with --format nir"),
    ],
)
def test_options_that_say_nothing_are_refused(words, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("x.nir", "x.pt"):
        (tmp_path / name).write_bytes(b"")
    done = call(*words)
    assert done.exit_code == 2
    assert said in done.output
