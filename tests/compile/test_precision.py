"""Widths by layer: what each layer gets, what the file may hold, and what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from neurossm import program as p
from neurossm.arrays import same
from neurossm.compile import CompileOptions, Widths, compile_model, prepare
from neurossm.compile.precision import Precision, layer_widths, load_precision, save_precision
from neurossm.errors import FormatError, InputError, LimitError, NeuroSSMError
from neurossm.place.bytes import signed_bits

HEAD = 'schema = "neurossm-precision"\nversion = 1\n'


@pytest.fixture(scope="module")
def graph(networks):
    return networks.random_graph(0, channels=4, modes=3, blocks=2)


def test_a_layer_gets_its_widths_and_the_others_keep_theirs(graph):
    own = {"weight": 4, "pole": 10, "readout": 9, "state": 20, "drive": 11, "mix": 13, "gain": 7}
    options = CompileOptions(layers={"blocks.1": own, "decoder": {"decoder": 5}})
    program, plain = compile_model(graph, options=options), compile_model(graph)
    ssm, drive = program["blocks.1.ssm"], program["blocks.1.norm"]
    assert isinstance(ssm, p.SSM)
    assert isinstance(drive, p.Affine)
    assert ssm.state_bits == 20
    assert drive.out.bits == 11
    assert max(signed_bits(part) for part in ssm.stored_poles()) <= 10
    assert signed_bits(np.stack([ssm.c_re, ssm.c_im])) == 9  # the largest fills its width
    assert signed_bits(drive.gain) <= 7
    assert signed_bits(program["blocks.1.value:sum"].weight) == 4
    assert program["blocks.1.value"].out.bits == 13
    assert program["blocks.1.sigmoid"].out.bits == 13
    assert signed_bits(program.readout.weight) == 5
    for name in ("blocks.0.ssm", "blocks.0.norm", "blocks.0.value:sum", "encoder:sum"):
        assert same(program[name], plain[name]), name
    assert program["blocks.1.add"].out.bits == 24
    assert program.provenance["options"]["layers"]["blocks.1"] == own


def test_one_width_everywhere_is_the_same_by_layer_or_by_default(graph):
    widths = replace(Widths(), weight=5, state=22, drive=12)
    names = ("blocks.0", "blocks.1")
    layers = {name: {"weight": 5, "state": 22, "drive": 12} for name in names}
    layers["encoder"] = {"weight": 5}
    by_default = compile_model(graph, options=CompileOptions(widths=widths))
    by_layer = compile_model(graph, options=CompileOptions(layers=layers))
    assert same(by_default.ops, by_layer.ops)


def test_preparing_once_gives_the_programs_of_compiling_anew(graph, networks):
    data = networks.random_data(graph.input, 3)
    prepared = prepare(graph, calibration=data)
    for widths in (Widths(), Widths(pole=10, weight=4), Widths(state=20), Widths()):
        layers = {"blocks.0": {"weight": 6}}
        options = CompileOptions(widths=widths, layers=layers)
        once = prepared.compile(widths, layers)
        assert once.same_as(compile_model(graph, options=options, calibration=data))


@pytest.mark.parametrize("mixer", ["binary", "gsu"])
def test_every_width_a_layer_is_said_to_use_changes_it_and_no_other_does(networks, mixer):
    graph = networks.random_graph(2, channels=5, modes=3, blocks=1, mixer=mixer)
    data = networks.random_data(graph.input, 1)
    prepared = prepare(graph, calibration=data)
    plain = prepared.compile()
    narrow = Widths(4, 4, 8, 6, 20, 8, 24, 10, 10, 6)
    for layer, names in layer_widths(prepared.graph).items():
        for name in names:
            program = prepared.compile(layers={layer: {name: getattr(narrow, name)}})
            changed = [op.layer for op in program.ops if not same(op, plain[op.name])]
            assert layer in changed, (layer, name)
        for name in {"weight", "pole", "decoder", "graded", "mix"} - set(names):
            with pytest.raises(InputError, match="nothing there has that width"):
                prepared.compile(layers={layer: {name: 10 if name != "weight" else 8}})


def test_the_file_brings_back_what_was_saved(tmp_path):
    layers = {"blocks.0": {"weight": 4}, 'od"d\\name': {"gain": 12}}
    precision = Precision(Widths(state=20), layers, "calibrated")
    save_precision(tmp_path / "p.toml", precision, ("a remark",))
    assert load_precision(tmp_path / "p.toml") == precision
    assert (tmp_path / "p.toml").read_text().startswith("# a remark\nschema")


def test_the_smallest_file_means_the_defaults(tmp_path):
    (tmp_path / "p.toml").write_text(HEAD)
    assert load_precision(tmp_path / "p.toml") == Precision()
    options = CompileOptions(scaling="calibrated", slope_digits=2)
    assert Precision().applied(options) == options
    assert Precision(scaling="proved").applied(options).scaling == "proved"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "schema None, version None; expected"),
        ("schema = 'other'\nversion = 1", "schema 'other'"),
        ("schema = 'neurossm-precision'\nversion = 2", "version 2; expected"),
        ("not toml", "not a readable TOML file"),
        (HEAD + "colour = 3", "unknown key 'colour'"),
        (HEAD + "scaling = 'guessed'", "scaling = 'guessed'"),
        (HEAD + "default = 3", "default = 3, must be a table"),
        (HEAD + "[layers]\n'blocks.0' = 3", 'layers."blocks.0" = 3, must be a table'),
        (HEAD + "[default]\nwheight = 8", "default: unknown width 'wheight'"),
        (HEAD + "[default]\nweight = 9", "weight: 9 bits, must be an integer from 2 to 8"),
        (HEAD + "[default]\nweight = true", "weight: True bits"),
        (HEAD + "[layers.'blocks.0']\nstate = 7", "layer blocks.0: width of state: 7 bits"),
        (HEAD + "[layers.'blocks.0']\nstate = 20.5", "layer blocks.0: width of state: 20.5 bits"),
        (HEAD + "[layers.'blocks.0']\nstates = 9", "layer blocks.0: unknown width 'states'"),
        (HEAD + "[layers.'blocks.0']\nresidual = 9", "one width for all layers"),
    ],
)
def test_bad_files_are_refused_in_one_line(tmp_path, text, message):
    path = tmp_path / "p.toml"
    path.write_text(text)
    with pytest.raises((InputError, FormatError)) as error:
        load_precision(path)
    assert message in str(error.value)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)


def test_a_missing_file_is_bad_input(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        load_precision(tmp_path / "none.toml")
    with pytest.raises(NeuroSSMError):
        load_precision(tmp_path)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ({"blocks.7": {"weight": 4}}, "no layer 'blocks.7'; it has encoder, blocks.0, blocks.1"),
        ({"encoder": {"state": 20}}, "layer encoder: state = 20, but nothing there"),
        ({"decoder": {"weight": 4}}, "its widths are decoder"),
    ],
)
def test_layers_the_model_has_not_are_refused(graph, layers, message):
    with pytest.raises(InputError, match=message):
        compile_model(graph, options=CompileOptions(layers=layers))


def test_states_too_narrow_in_one_layer_name_that_layer(graph):
    with pytest.raises(LimitError, match=r"blocks\.1\.ssm: states of 8 bits"):
        compile_model(graph, options=CompileOptions(layers={"blocks.1": {"state": 8}}))
