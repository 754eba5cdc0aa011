"""Whatever the public functions are given, they take it or say in one line what they expected."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from neurossm.compile import CompileOptions, Widths, compile_model
from neurossm.cost import profile
from neurossm.errors import InputError
from neurossm.graph import Graph
from neurossm.graph.evaluate import evaluate
from neurossm.models import InputSpec, ModelConfig, Network
from neurossm.models.checkpoint import Checkpoint, load, save
from neurossm.models.export import export
from neurossm.parity import verify
from neurossm.program import Program
from neurossm.registry import run
from neurossm.trace import write_trace
from neurossm.tuning import TuneOptions, tune

NO_DATA = [None, 3, b"x", object(), {"x": [1]}, [[1, 2], [3]], [["a"]], [None], nn.Linear, [[300]]]
NO_LABELS = [3, "1, 0", [[0, 1]], [0.5, 1.0], [0], ["a", "b"], object(), [0, 99], [-1, 0]]
NO_PATH = [3, 1.5, b"x", ["x"], object(), "a\0b"]
NO_ENGINE = [3, "quick", "fast:", ["fast", 3], object(), "fast:cuda:1:2", "lava:cuda"]
DATA = np.random.default_rng(5).integers(0, 256, (2, 6), dtype=np.uint8)


def ids(value: object) -> str:
    return repr(value)[:20]


@pytest.fixture(scope="module")
def network() -> Network:
    config = ModelConfig(
        layer="binary-s4d", input=InputSpec.uint8(1), classes=3, n_layers=1, d_model=4, d_state=4
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        return Network(config).eval()


@pytest.fixture(scope="module")
def graph(network: Network) -> Graph:
    return export(network)


@pytest.fixture(scope="module")
def program(graph: Graph) -> Program:
    return compile_model(graph)


def refused(call: Any, *arguments: Any, **options: Any) -> str:
    with pytest.raises(InputError) as caught:
        call(*arguments, **options)
    text = str(caught.value)
    assert "\n" not in text
    return text


GIVEN = {
    "list": DATA.tolist(),
    "tuple": tuple(map(tuple, DATA.tolist())),
    "tensor": torch.tensor(DATA),
    "list of arrays": list(DATA),
    "list of tensors": list(torch.tensor(DATA)),
    "read-only": np.frombuffer(DATA.tobytes(), np.uint8).reshape(DATA.shape),
    "strided": torch.tensor(DATA.T.copy()).T,
}


@pytest.mark.parametrize("given", GIVEN.values(), ids=GIVEN)
def test_lists_and_tensors_are_taken_everywhere(
    program: Program, graph: Graph, given: Any, tmp_path: Any
) -> None:
    wanted = program.run(DATA, "reference").logits
    for engine in ("reference", "fast"):
        assert (program.run(given, engine).logits == wanted).all()
    assert (write_trace(tmp_path / "t.h5", program, given).logits == wanted).all()
    assert (evaluate(graph, given)["decoder"] == evaluate(graph, DATA)["decoder"]).all()
    labels = {"labels": torch.tensor([1, 2])} if torch.is_tensor(given) else {"labels": [1, 2]}
    found, same = (verify(program, x, **labels) for x in (given, DATA))
    assert found.to_json() == same.to_json()
    assert profile(program, given).to_json() == profile(program, DATA).to_json()


def test_steps_may_be_lists_and_tensors(program: Program) -> None:
    one, two, three = (program.session() for _ in range(3))
    for step in DATA[0]:
        wanted = one.step(np.array([step]))
        assert (two.step(torch.tensor([step])) == wanted).all()
        assert (three.step([int(step)]) == wanted).all()


def test_a_tensor_with_gradients_or_of_another_type(networks: ModuleType) -> None:
    """Floats: requires_grad and bfloat16, which NumPy lacks; 0.5 is exact in both."""
    graph = networks.random_graph(3, kind="float")
    data = np.full((1, 4, graph.input.size), 0.5)
    wanted = evaluate(graph, data)[graph.output.name]
    for given in (
        torch.tensor(data, requires_grad=True),
        torch.tensor(data, dtype=torch.bfloat16),
        torch.tensor(data, dtype=torch.float16),
        data.tolist(),
    ):
        assert (evaluate(graph, given)[graph.output.name] == wanted).all()


def test_integers_of_lists_become_floats_where_floats_are_wanted(networks: ModuleType) -> None:
    graph = networks.random_graph(3, kind="float")
    data = np.zeros((1, 4, graph.input.size))
    given = data.astype(int).tolist()
    name = graph.output.name
    assert (evaluate(graph, given)[name] == evaluate(graph, data)[name]).all()


@pytest.mark.gpu
def test_tensors_of_a_gpu_are_taken(program: Program) -> None:
    wanted = program.run(DATA).logits
    assert (program.run(torch.tensor(DATA, device="cuda")).logits == wanted).all()


@pytest.mark.parametrize("data", NO_DATA, ids=ids)
def test_what_is_no_data_is_refused(
    program: Program, graph: Graph, data: Any, tmp_path: Any
) -> None:
    for engine in ("reference", "fast"):
        assert "data" in refused(run, program, data, engine)
    refused(write_trace, tmp_path / "t.h5", program, data)
    refused(evaluate, graph, data)
    refused(verify, program, data)
    refused(profile, program, data)
    refused(tune, graph, data)
    if data != 3:  # one number is a step of one channel
        refused(program.session().step, data)
    if data is not None:
        assert "calibration" in refused(compile_model, graph, calibration=data)


@pytest.mark.parametrize("labels", NO_LABELS, ids=ids)
def test_what_is_no_label_is_refused(program: Program, graph: Graph, labels: Any) -> None:
    assert "labels" in refused(verify, program, DATA, labels)
    assert "labels" in refused(tune, graph, DATA, labels)


@pytest.mark.parametrize("path", NO_PATH, ids=ids)
def test_what_is_no_path_is_refused(
    program: Program, graph: Graph, network: Network, path: Any
) -> None:
    for call in (load, export, compile_model, Graph.load, Program.load, program.save, graph.save):
        refused(call, path)
    refused(save, path, network)
    refused(profile, path, DATA)
    refused(verify, path, DATA)
    refused(verify, program, DATA, model=path)
    refused(tune, path, DATA)
    refused(write_trace, path, program, DATA)
    refused(compile_model, graph, path)
    refused(profile, program, DATA, path)
    refused(verify, program, DATA, reproducers=path)


@pytest.mark.parametrize("engine", NO_ENGINE, ids=ids)
def test_what_is_no_engine_is_refused(program: Program, engine: Any) -> None:
    for call in (run, profile):
        assert "engine" in refused(call, program, DATA, engine=engine)
    assert "engine" in refused(verify, program, DATA, engines=engine)


def test_options_of_other_types_are_refused(program: Program, graph: Graph) -> None:
    for options in ({}, "proved", Widths(), 3):
        assert "CompileOptions" in refused(compile_model, graph, options=options)
        assert "CompileOptions" in refused(tune, graph, DATA, options=options)
    for fields in (
        {"widths": {"state": 16}},
        {"layers": [("encoder", {})]},
        {"layers": {"encoder": 3}},
        {"scaling": ["proved"]},
        {"max_steps": "100"},
        {"threshold_scale": "x"},
    ):
        refused(CompileOptions, **fields)
    for settings in ({}, 0.1, "x"):
        assert "TuneOptions" in refused(tune, graph, DATA, settings=settings)
    for fields in (
        {"max_drop": "x"},
        {"min_agreement": None},
        {"samples": 1.5},
        {"confirming": "all"},
        {"only": 3},
        {"seed": "x"},
    ):
        refused(TuneOptions, **fields)
    for options in (
        {"min_agreement": "x"},
        {"max_drop": [0.1], "labels": [0, 1]},
        {"integers": 3},
        {"state_samples": 1.5},
        {"seed": "x"},
        {"limit": "x"},
        {"limit": 3},
    ):
        refused(verify, program, DATA, **options)
    for limit in ("x", 0, 3, 1.5):
        assert "limit" in refused(profile, program, DATA, limit=limit)
    for threads in ("x", 0, 1.5):
        assert "threads" in refused(run, program, DATA, threads=threads)
    for names in (3, [3], "nothing", ["nothing"]):
        assert "record" in refused(run, program, DATA, record=names)
        assert "count" in refused(run, program, DATA, count=names)
    for streams in ("x", 0, 1.5):
        assert "streams" in refused(program.session, streams)


def test_one_name_is_a_name(program: Program) -> None:
    (spike,) = [op.name for op in program.ops if type(op).__name__ == "Spike"]
    assert list(program.run(DATA, record=spike).tensors) == [spike]


@pytest.mark.parametrize("model", [nn.Linear(1, 1), None, 3.5, {}, np.zeros(3)], ids=ids)
def test_a_model_that_is_none_is_refused(program: Program, model: Any) -> None:
    text = refused(compile_model, model)
    assert type(model).__name__ in text
    for accepted in ("Network", "neurossm.load", "Graph", "path"):
        assert accepted in text
    refused(export, model)
    if model is not None:
        refused(verify, program, DATA, model=model)


def test_a_loaded_checkpoint_compiles_to_the_program_of_its_file(
    network: Network, tmp_path: Any
) -> None:
    """With its calibration batch, which rounds weights, and its name."""
    calibration = np.random.default_rng(6).integers(0, 256, (4, 50), dtype=np.uint8)
    save(tmp_path / "m.pt", network, calibration)
    options = CompileOptions(scaling="calibrated")
    wanted = compile_model(tmp_path / "m.pt", options=options)
    checkpoint = load(tmp_path / "m.pt")
    assert compile_model(checkpoint, options=options).same_as(wanted)
    without = Checkpoint(checkpoint.model, None, checkpoint.training, checkpoint.sha256, "m.pt")
    assert wanted.provenance["rounding"] == "adjusted"
    assert compile_model(without).provenance["rounding"] == "nearest"
    assert export(checkpoint).same_as(export(tmp_path / "m.pt"))
