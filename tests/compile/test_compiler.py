"""The whole path: what it accepts, what it refuses, what it leaves in the program."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from importlib.resources import files

import h5py
import numpy as np
import pytest

from neurossm.compile import CompileOptions, Widths, compile_model
from neurossm.compile.compiler import load_graph
from neurossm.errors import FormatError, InputError, LimitError, NeuroSSMError
from neurossm.program import Program
from neurossm.program.reference import run


@pytest.fixture(scope="module")
def graph(networks):
    return networks.random_graph(0, channels=3, modes=2, blocks=1)


def test_a_graph_and_its_file_give_the_same_program(graph, tmp_path):
    graph.save(tmp_path / "g.h5")
    assert compile_model(tmp_path / "g.h5").same_as(compile_model(graph))
    assert compile_model(str(tmp_path / "g.h5")).same_as(compile_model(graph))


def test_compiling_is_deterministic_and_survives_the_file(graph, networks, tmp_path):
    program = compile_model(graph)
    assert program.same_as(compile_model(graph))
    program.save(tmp_path / "p.h5")
    loaded = Program.load(tmp_path / "p.h5")
    assert loaded.same_as(program)
    x = networks.random_data(program.input, 0)
    assert np.array_equal(run(loaded, x).logits, run(program, x).logits)


def test_the_program_says_what_it_was_made_from(graph):
    program = compile_model(graph, options=CompileOptions(max_steps=77))
    assert program.max_steps == 77
    assert program.target == "loihi2-sim"
    assert program.provenance["model"] == {"seed": 0}
    assert program.provenance["options"]["widths"]["state"] == 24
    json.dumps(program.provenance)  # plain values
    assert [item.name for item in program.approximations] == ["sigmoid"]
    assert "blocks.0.sigmoid" in program.graph.channels()


def test_names_follow_the_graph(graph):
    names = [op.name for op in compile_model(graph).ops]
    assert names == [
        *("input", "encoder:sum", "encoder", "blocks.0.norm", "blocks.0.ssm", "blocks.0.spike"),
        *("blocks.0.value:sum", "blocks.0.value", "blocks.0.gate:sum", "blocks.0.gate"),
        *("blocks.0.sigmoid", "blocks.0.glu", "blocks.0.add", "decoder"),
    ]


def test_calibrated_scaling_needs_suitable_data(graph):
    options = CompileOptions(scaling="calibrated")
    with pytest.raises(InputError, match="calibrated scaling needs data: give --calibration"):
        compile_model(graph, options=options)
    bad = [
        (np.zeros((2, 5, 1)), "expected uint8"),
        (np.zeros((2, 5, 3), np.uint8), "expects"),
        (np.zeros((0, 5, 1), np.uint8), "no samples"),
    ]
    for data, message in bad:
        with pytest.raises(InputError, match=f"calibration data: .*{message}"):
            compile_model(graph, options=options, calibration=data)
        with pytest.raises(InputError, match=f"calibration data: .*{message}"):
            compile_model(graph, calibration=data)  # also where it only guides the rounding


def test_a_dynamic_threshold_needs_data(networks):
    graph = networks.random_graph(0, mixer="gsu")
    nodes = [
        replace(node, threshold=None) if type(node).__name__ == "TernaryNode" else node
        for node in graph.nodes
    ]
    dynamic = graph.with_nodes(nodes)
    with pytest.raises(InputError, match="threshold follows the largest activation"):
        compile_model(dynamic)
    x = networks.random_data(graph.input, 0)
    program = compile_model(dynamic, calibration=x)
    assert [item.name for item in program.approximations][:3] == [
        "blocks.0.ternary:threshold",
        "blocks.1.norm:statistics",
        "blocks.1.ternary:threshold",
    ]


def test_calibrated_programs_saturate_where_data_exceed_what_was_seen(networks, graph):
    x = networks.random_data(graph.input, 0, batch=8, steps=40)
    options = CompileOptions(scaling="calibrated", headroom_bits=0)
    program = compile_model(graph, options=options, calibration=x // 16)
    assert any(not op.out.proved for op in program.ops)
    ran = run(program, x)
    unproved = {op.name for op in program.ops if not op.out.proved}
    assert ran.saturations
    assert {name.removesuffix(":state") for name in ran.saturations} <= unproved | {"blocks.0.ssm"}


@pytest.mark.parametrize(
    ("target", "message"),
    [("loihi9", "loihi2-sim"), ("loihi1", "cannot run programs"), ("cmos45", "cannot run")],
)
def test_targets_that_cannot_run_programs(graph, target, message):
    with pytest.raises(NeuroSSMError, match=message) as caught:
        compile_model(graph, target)
    assert "\n" not in str(caught.value)


def test_widths_that_the_target_lacks(graph, tmp_path):
    profile = tmp_path / "narrow.toml"
    text = (files("neurossm.hw_profiles") / "loihi2-sim.toml").read_text()
    profile.write_text(text.replace("weight_bits = 8", "weight_bits = 4"))
    with pytest.raises(LimitError, match="width of weight: 8 bits, but target .* has 4"):
        compile_model(graph, str(profile))
    compile_model(graph, str(profile), CompileOptions(widths=Widths(weight=4)))


def test_files_that_are_no_graph(graph, tmp_path):
    program = compile_model(graph)
    program.save(tmp_path / "p.h5")
    with pytest.raises(
        FormatError, match="holds a 'neurossm-program', expected a 'neurossm-graph'"
    ):
        compile_model(tmp_path / "p.h5")
    graph.save(tmp_path / "g.h5")
    content = (tmp_path / "g.h5").read_bytes()
    (tmp_path / "cut.h5").write_bytes(content[: len(content) // 2])
    with pytest.raises(FormatError, match="cut.h5: not a readable HDF5 file"):
        compile_model(tmp_path / "cut.h5")
    with h5py.File(tmp_path / "foreign.h5", "w") as file:
        file["layer"] = 1
    with pytest.raises(FormatError, match="foreign HDF5 file"):
        compile_model(tmp_path / "foreign.h5")


def test_a_graph_needs_no_data_of_its_own(graph):
    loaded, calibration = load_graph(graph)
    assert loaded is graph
    assert calibration is None


def test_compiling_a_graph_file_imports_neither_torch_nor_lava(graph, tmp_path):
    graph.save(tmp_path / "g.h5")
    script = (
        "import sys; from neurossm.compile import compile_model; "
        f"compile_model({str(tmp_path / 'g.h5')!r}).save({str(tmp_path / 'p.h5')!r}); "
        "print(sorted({'torch', 'lava'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_the_rooms_import_without_numba(tmp_path):
    script = (
        "import sys, neurossm.graph, neurossm.program, neurossm.compile; "
        "print(sorted({'torch', 'lava', 'numba'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
