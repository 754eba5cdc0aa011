"""Every problem at once: what compiling would say one after the other, and what is odd."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from click.testing import CliRunner

import neurossm
from neurossm import graph as g
from neurossm.cli import cli
from neurossm.compile import CompileOptions, Widths, compile_model
from neurossm.errors import InputError, LimitError, NeuroSSMError
from neurossm.hw_profiles import Profile, load_profile

SMALL = Path(__file__).parents[2] / "examples" / "smnist" / "gsu_small.pt"


@pytest.fixture
def file(tmp_path: Path, networks: ModuleType):
    """Write a random graph, changed node by node, and return its path."""

    def write(change=lambda node: node, **settings) -> Path:
        graph = networks.random_graph(3, blocks=3, **settings)
        path = tmp_path / "graph.h5"
        graph.with_nodes(change(node) for node in graph.nodes).save(path)
        return path

    return write


def _first_refusal(path: Path, **settings) -> str:
    with pytest.raises(NeuroSSMError) as caught:
        compile_model(path, **settings)
    return str(caught.value)


def _whole(problem) -> str:
    return f"{problem.where}: {problem.what}" + (f"; {problem.way_out}" if problem.way_out else "")


def test_a_sound_graph_has_no_problem(file) -> None:
    found = neurossm.check(file())
    assert found.ok
    assert (found.problems, found.not_checked) == ((), ())
    assert found.activity is None
    assert found.fit is not None
    assert found.fit.target == "loihi2-sim"


def test_every_layer_is_refused_and_the_first_as_the_compiler_refuses_it(file) -> None:
    path = file(pole_kind="undamped")
    options = CompileOptions(widths=Widths(state=8))
    found = neurossm.check(path, options=options)
    assert [problem.where for problem in found.problems] == [f"blocks.{i}.ssm" for i in range(3)]
    assert _whole(found.problems[0]) == _first_refusal(path, options=options)
    assert found.problems[0].way_out.startswith("use at least")
    assert found.problems[0].error == "LimitError"


def test_what_a_refusal_hides_is_found_too(file) -> None:
    """A message that is too wide, found only once a program exists."""
    path = file(pole_kind="undamped")
    narrow = CompileOptions(layers={"blocks.0": {"state": 8}})
    target = _target(axons_in_per_core=1)
    found = neurossm.check(path, target, narrow)
    wheres = {problem.where: problem for problem in found.problems}
    assert wheres["blocks.0.ssm"].remark == ""
    late = [problem for problem in found.problems if "axons_in_per_core" in problem.what]
    assert len(late) > 1  # each group of neurons by itself
    assert {problem.remark for problem in late} == {"with the widest pole and state in blocks.0"}
    assert all("would fit" in problem.way_out for problem in late)


def _target(**limits: int) -> Profile:
    profile = load_profile("loihi2-sim")
    return replace(profile, limits=replace(profile.compile_limits(), **limits))


def test_widths_names_and_states_are_refused_together(file) -> None:
    path = file(
        lambda node: (
            replace(node, name="en:coder")
            if node.name == "encoder"
            else replace(
                node, inputs=tuple("en:coder" if i == "encoder" else i for i in node.inputs)
            )
        ),
        pole_kind="undamped",
    )
    found = neurossm.check(path, _target(weight_bits=4), CompileOptions(widths=Widths(state=8)))
    where = [problem.where for problem in found.problems]
    assert where[0] == "en:coder"
    assert found.problems[0].way_out == "rename it"
    assert "width of weight" in where
    assert {f"blocks.{i}.ssm" for i in range(3)} <= set(where)


def test_every_dynamic_threshold_is_one_problem_and_hides_nothing(file) -> None:
    def dynamic(node: g.Node) -> g.Node:
        return replace(node, threshold=None) if isinstance(node, g.TernaryNode) else node

    options = CompileOptions(layers={"blocks.1": {"state": 8}})
    found = neurossm.check(file(dynamic, mixer="gsu", pole_kind="undamped"), options=options)
    assert [problem.where for problem in found.problems] == ["blocks.0.ternary", "blocks.1.ssm"]
    assert "channel maximum" in found.problems[0].way_out
    assert found.problems[1].remark == "with the thresholds of each step kept"
    assert found.ledger  # there is a program under these assumptions


def test_a_node_without_an_integer_form_and_an_odd_end(file) -> None:
    graph = g.Graph.load(file())
    nodes = [*graph.nodes, g.SpikeNode("end", ("decoder",), np.zeros(3))]
    path = file()
    graph.with_nodes(nodes).save(path)
    found = neurossm.check(path)
    said = {problem.where: problem.what for problem in found.problems}
    assert set(said) == {"end", "decoder"}
    assert "must end in a mean" in said["end"]
    assert "which only the decoder at the end may" in said["decoder"]
    assert found.not_checked == ("placement",)


def test_damaged_files_are_problems_and_missing_ones_bad_input(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(SMALL.read_bytes()[:-1000])
    found = neurossm.check(path)
    assert not found.ok
    assert found.not_checked
    with pytest.raises(InputError, match="no such file"):
        neurossm.check(tmp_path / "nowhere.pt")
    with pytest.raises(InputError, match="unknown"):
        neurossm.check(SMALL, target="loihi9")


def test_programs_are_placed_on_other_hardware(file, tmp_path: Path) -> None:
    path = tmp_path / "program.h5"
    program = compile_model(file())
    program.save(path)
    found = neurossm.check(path)
    assert found.ok
    assert found.target == "loihi2-sim"
    assert [row.name for row in found.tensors] == [
        row["name"] for row in neurossm.check(file()).to_json()["tensors"]
    ]
    small = neurossm.check(path, hw=_target(message_bits=8))
    assert {problem.where for problem in small.problems} >= {"encoder", "blocks.0.add"}
    with pytest.raises(LimitError):
        neurossm.compile_model(file(), _target(message_bits=8))


def _graph(threshold: float, kind: str = "float") -> g.Graph:
    """Return three channels that are the input times 1, 2, 3; spikes where they exceed it."""
    one = np.ones(3)
    return g.Graph(
        (
            g.InputNode("input", (), kind, 1, -1.0, 1.0, 1.0),
            g.LinearNode("encoder", ("input",), np.array([[1.0], [2.0], [3.0]]), np.zeros(3)),
            g.SpikeNode("spike", ("encoder",), threshold * one),
            g.MeanNode("mean", ("spike",)),
            g.LinearNode(
                "decoder", ("mean",), np.array([[1.0, 0.0, 1.0], [1.0, 0.0, 2.0]]), np.zeros(2)
            ),
        ),
        {},
    )


@pytest.mark.parametrize(
    ("threshold", "silent", "rate", "saturated"),
    [
        # x = 0.5 always: 0.5, 1.0, 1.5 against the threshold
        (2.0, 3, 0.0, 0),
        (0.75, 1, 2 / 3, 2),
        (0.25, 0, 1.0, 3),
    ],
)
def test_silent_and_saturated_channels(
    tmp_path: Path, threshold: float, silent: int, rate: float, saturated: int
) -> None:
    path = tmp_path / "graph.h5"
    _graph(threshold).save(path)
    found = neurossm.check(path, data=np.full((2, 5, 1), 0.5))
    assert found.activity is not None
    (layer,) = found.activity.layers
    assert (layer.tensor, layer.channels, layer.silent, layer.saturated) == (
        ("spike", 3, silent, saturated)
    )
    assert layer.rate == rate
    assert (found.activity.samples, found.activity.steps) == (2, 10)
    said = {finding.category: finding.what for finding in found.findings}
    assert ("silent" in said) == (silent > 0)
    assert ("dead" in said.get("silent", "")) == (silent == 3)
    assert ("saturated" in said) == (saturated > 0)


def test_unused_channels_are_unusual(tmp_path: Path) -> None:
    path = tmp_path / "graph.h5"
    _graph(0.5).save(path)
    # the decoder's weights of channel 1 are 0, but a mean stands between: it is the mean's channel
    found = [f for f in neurossm.check(path).findings if f.category == "unusual"]
    assert [(f.where, f.what.split(" ")[0]) for f in found] == [("mean", "1")]


def test_unusual_parameters(file) -> None:
    def odd(node: g.Node) -> g.Node:
        if node.name == "blocks.0.ssm":
            A_bar = node.A_bar.copy()
            A_bar[0, 0] = 1 - 2.0**-20
            return replace(node, A_bar=A_bar)
        if node.name == "blocks.1.norm":
            return replace(node, var=np.array([1e-9, 1, 1, 1]))
        if node.name == "blocks.1.value":
            return replace(node, weight=node.weight * np.array([[1e-5], [1], [1], [0]]))
        if node.name == "blocks.2.gate":
            return replace(node, weight=g.Graph.load(path)["blocks.2.value"].weight)
        return node

    path = file()
    found = neurossm.check(file(odd))
    said = [(finding.where, finding.what) for finding in found.findings]
    for where, begins in (
        ("blocks.0.ssm", "1 of 12 poles are nearer to the unit circle than 2^-16"),
        ("blocks.1.norm", "1 of 4 channels have a variance below eps"),
        ("blocks.1.value", "largest weight of a row: 1 of 4 lie a factor of 4096 below"),
        ("blocks.1.value", "1 of 4 channels are constant"),
        ("blocks.2.value", "the same weight (4x4) as blocks.2.gate"),
    ):
        assert any(w == where and what.startswith(begins) for w, what in said), (where, begins)
    assert not any(where == "blocks.0.value" for where, _ in said)


def test_calibrated_ranges_that_cut_values_off_are_told(file) -> None:
    rng = np.random.default_rng(0)
    path = file(kind="float")
    options = CompileOptions(scaling="calibrated", headroom_bits=0)
    found = neurossm.check(path, options=options, data=rng.uniform(-1, 1, (4, 20, 1)))
    assert any(not row.proved for row in found.tensors)
    with pytest.raises(InputError, match="expects|size"):
        neurossm.check(path, data=np.zeros((2, 5, 3)))


def test_the_command(tmp_path: Path, file) -> None:
    path, report = file(pole_kind="undamped"), tmp_path / "check.json"
    widths = tmp_path / "narrow.toml"
    widths.write_text('schema = "neurossm-precision"\nversion = 1\n[default]\nstate = 8\n')
    outcome = CliRunner().invoke(cli, ["check", str(path), "--json", str(report)])
    assert outcome.exit_code == 0, outcome.output
    assert "nothing would be refused for loihi2-sim" in outcome.output.splitlines()[0]
    assert len(outcome.output.splitlines()) <= 24
    assert json.loads(report.read_text())["ok"] is True
    command = ["check", str(path), "--precision", str(widths), "--json", "-"]
    outcome = CliRunner().invoke(cli, command)
    assert outcome.exit_code == 1
    content = json.loads(outcome.stdout)
    assert [problem["where"] for problem in content["problems"]] == (
        [f"blocks.{i}.ssm" for i in range(3)]
    )
    outcome = CliRunner().invoke(cli, ["check", str(path), "--ledger"])
    assert "blocks.2.ssm.A_bar" in outcome.output


def test_a_checkpoint_brings_its_samples_and_its_time_steps(tmp_path: Path) -> None:
    from neurossm.models.checkpoint import load, save

    checkpoint = load(SMALL)
    state = checkpoint.model.state_dict()
    name = next(name for name in state if name.endswith("log_dt"))
    state[name][0] = np.log(50.0)  # training began at 0.1 and below
    path = tmp_path / "model.pt"
    save(path, checkpoint.model, checkpoint.calibration[:2, :100])
    found = neurossm.check(path)
    assert found.kind == "neurossm-checkpoint file"
    assert found.activity is not None
    assert (found.activity.samples, found.activity.steps) == (2, 200)
    dt = [finding for finding in found.findings if "time steps dt" in finding.what]
    assert [finding.what.split(" are")[0] for finding in dt] == ["1 of 64 time steps dt"]
