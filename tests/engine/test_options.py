"""An engine is named in one way, with its device or without, wherever one is named."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from neurossm import registry
from neurossm.cli import cli
from neurossm.compile import compile_model
from neurossm.cost import profile
from neurossm.engine import gpu
from neurossm.errors import InputError
from neurossm.graph import Graph
from neurossm.parity import verify
from neurossm.program import Program
from neurossm.registry import check_options, engine_names
from neurossm.tuning import TuneOptions, tune


def test_names() -> None:
    assert engine_names() == ("fast", "reference", "lava", "c", "c-vector", "fast:cuda")


@pytest.mark.parametrize(
    ("engine", "device", "expected"),
    [
        ("fast", None, ("fast", "cpu")),
        ("fast", "cpu", ("fast", "cpu")),
        ("fast", "cuda", ("fast", "cuda")),
        ("fast:cuda", None, ("fast", "cuda")),
        ("fast:cuda", "cuda", ("fast", "cuda")),
        ("lava", None, ("lava", "cpu")),
    ],
)
def test_a_name_and_a_device(engine: str, device: str | None, expected: tuple[str, str]) -> None:
    chosen, place = check_options(engine, device)
    assert (chosen.name, place) == expected


@pytest.mark.parametrize(
    ("engine", "device", "threads", "message"),
    [
        ("fast:cuda", "cpu", None, "device 'cpu' contradicts it"),
        ("fast:cuda", None, 2, "the device 'cuda' has no number of threads"),
        ("fast", "tpu", None, "device 'tpu' is unknown"),
        ("lava:cuda", None, None, "engine 'lava:cuda' is unknown"),
        ("reference", "cuda", None, "'reference' runs on the CPU only"),
        ("reference", None, 2, "'reference' has no number of threads"),
    ],
)
def test_contradictions_are_refused(
    engine: str, device: str | None, threads: int | None, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        check_options(engine, device, threads)


class _Asked(list[str]):
    """Which devices were asked for, while the GPU engine's plain kernels run on the CPU."""

    def pretend(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        true = getattr(gpu, name)

        def on_cpu(*arguments: Any, device: str = "cuda", **options: Any) -> Any:
            self.append(device)
            return true(*arguments, device="cpu", **options)

        monkeypatch.setattr(gpu, name, on_cpu)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> _Asked:
    asked = _Asked()
    for name in ("run", "run_to"):
        asked.pretend(monkeypatch, name)
    monkeypatch.setattr(gpu, "warm_up", lambda program, device: asked.append(device))
    return asked


@pytest.fixture(scope="module")
def graph(networks: ModuleType) -> Graph:
    graph: Graph = networks.random_graph(5, channels=4, modes=2, blocks=1, classes=3)
    return graph


@pytest.fixture(scope="module")
def program(graph: Graph) -> Program:
    return compile_model(graph)


def test_python_takes_the_device_in_the_name(
    program: Program, graph: Graph, networks: ModuleType, asked: _Asked
) -> None:
    data = networks.random_data(graph.input, 1, batch=6, steps=5)
    wanted = program.run(data, "reference", count="encoder")
    for options in ({"engine": "fast:cuda"}, {"engine": "fast", "device": "cuda"}):
        found = program.run(data, count="encoder", **options)  # type: ignore[arg-type]
        assert (found.logits == wanted.logits).all()
        assert (found.nonzeros["encoder"] == wanted.nonzeros["encoder"]).all()
    assert (program.run(data, threads=1).logits == wanted.logits).all()
    assert asked == ["cuda", "cuda"]
    calls = (
        lambda: verify(program, data, engines="fast:cuda"),
        lambda: profile(program, data, engine="fast:cuda"),
        lambda: tune(
            graph, data, settings=TuneOptions(1.0, only="pole", trim=False), engine="fast:cuda"
        ),
        lambda: registry.warm_up(program, "fast:cuda"),
    )
    for call in calls:
        asked.clear()
        call()
        assert set(asked) == {"cuda"}


def test_commands_take_the_device_in_the_name(
    program: Program, graph: Graph, networks: ModuleType, asked: _Asked, tmp_path: Path
) -> None:
    program.save(tmp_path / "p.h5")
    graph.save(tmp_path / "g.h5")
    np.savez(tmp_path / "d.npz", x=networks.random_data(graph.input, 1, batch=6, steps=5))
    how = ["--data", str(tmp_path / "d.npz"), "--engine", "fast:cuda", "--json"]
    trace = ["--trace", str(tmp_path / "t.h5")]
    for number, words in enumerate(
        (
            ["run", "p.h5"],
            ["run", "p.h5", *trace],
            ["verify", "p.h5"],
            ["profile", "p.h5"],
            ["report", "p.h5", "-o", str(tmp_path / "r.html")],
            ["tune", "g.h5", "-o", str(tmp_path / "t.toml"), "--only", "pole", "--no-trim"],
        )
    ):
        asked.clear()
        results = tmp_path / f"{number}.json"
        command = [words[0], str(tmp_path / words[1]), *words[2:], *how, str(results)]
        done = CliRunner().invoke(cli, command)
        assert done.exit_code == 0, done.output
        assert set(asked) == {"cuda"}, words
        if words[0] == "run":
            found = json.loads(results.read_text())
            assert (found["engine"], found["device"]) == ("fast", "cuda")


def test_what_a_command_and_a_function_do_by_default_is_the_same(
    program: Program, graph: Graph, networks: ModuleType, tmp_path: Path
) -> None:
    """The engine fast, the target loihi2-sim."""
    data = networks.random_data(graph.input, 1)
    graph.save(tmp_path / "g.h5")
    assert Program.load(_compiled(tmp_path)).same_as(compile_model(tmp_path / "g.h5"))
    ran: list[str] = []
    true = registry.run

    def run(*arguments: Any, engine: str = "fast", **options: Any) -> Any:
        ran.append(arguments[2] if len(arguments) > 2 else engine)
        return true(*arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "run", run)
        verify(program, data)
    assert set(ran) == {"fast"}


def _compiled(folder: Path) -> Path:
    path = folder / "g.loihi2-sim.h5"
    done = CliRunner().invoke(cli, ["compile", str(folder / "g.h5"), "-o", str(path)])
    assert done.exit_code == 0, done.output
    return path
