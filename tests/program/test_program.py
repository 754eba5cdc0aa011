"""Programs: what holds them together, their files, and the reference run."""

from __future__ import annotations

from dataclasses import replace

import h5py
import numpy as np
import pytest

from neurossm import graph as g
from neurossm import program as p
from neurossm.arrays import same
from neurossm.errors import FormatError, InputError, NeuroSSMError
from neurossm.program import Approximation, Program
from neurossm.program.certificate import derive
from neurossm.program.reference import run
from neurossm.storage import seal

SIZES = {"channels": 3, "modes": 2, "blocks": 1}


def parts(program: Program) -> dict[str, p.Op]:
    return {op.name: op for op in program.ops}


@pytest.mark.parametrize("mixer", ["binary", "gsu"])
@pytest.mark.parametrize("kind", ["uint8", "tokens", "float"])
def test_file_round_trip_of_every_operation(networks, tmp_path, kind, mixer):
    program = networks.random_program(4, kind=kind, mixer=mixer, inputs=2, saturating=0.3, **SIZES)
    program = replace(
        program,
        graph=networks.random_graph(4, kind=kind, mixer=mixer, inputs=2),
        approximations=(Approximation("sigmoid", "as a table", 0.25),),
        provenance={"source": "ü.pt", "long": "x" * 100_000, "nested": {"a": [1, 2.5, None]}},
    )
    path = tmp_path / "p.h5"
    program.save(path)
    loaded = Program.load(path)
    assert program.same_as(loaded)
    for op, again in zip(program.ops, loaded.ops, strict=True):
        assert type(op) is type(again)
        assert same(op, again), op.name
    x = networks.random_data(program.input, 1)
    assert np.array_equal(run(program, x).logits, run(loaded, x).logits)


def test_same_as_notices_every_field(networks):
    program = networks.random_program(0, **SIZES)
    assert program.same_as(replace(program))
    assert not program.same_as(replace(program, target="loihi2"))
    assert not program.same_as(replace(program, provenance={"a": 1}))
    assert not program.same_as(replace(program, approximations=(Approximation("a", "b", 0.0),)))
    for position, op in enumerate(program.ops):
        for field in ("weight", "gain", "a_im", "threshold", "slope", "shift"):
            value = getattr(op, field, None)
            if not isinstance(value, np.ndarray):
                continue
            changed = value.copy()
            changed.flat[-1] ^= 1
            ops = list(program.ops)
            ops[position] = replace(op, **{field: changed})
            assert not program.same_as(program.with_ops(derive(ops))), (op.name, field)


def add_without(program: Program, name: str) -> tuple[p.Op, ...]:
    return tuple(op for op in program.ops if op.name != name)


def broken(program: Program) -> dict[str, tuple[tuple[p.Op, ...], str]]:
    """Return sequences of operations that make no program, and what is said of them."""
    ops, named = program.ops, parts(program)
    add, dense = named["blocks.0.add"], named["blocks.0.value.sum"]
    wide = p.Dense("wide", ("encoder",), p.unchecked(31, 0, 5), np.ones((5, 3), int))
    narrow = replace(dense, weight=dense.weight[:, :2])
    other = replace(add, out=p.unchecked(add.out.bits, 1, 3))
    embedding = p.Embedding("e", ("input",), p.unchecked(8, 0, 3), np.ones((4, 3), int))
    return {
        "empty": ((), "first operation must be the Input"),
        "no input": (ops[1:], "first operation must be the Input"),
        "no readout": (ops[:-1], "last operation must be the Readout"),
        "two inputs": ((*ops[:2], replace(ops[0], name="i"), *ops[2:]), "more than one Input"),
        "twice": ((*ops[:2], *ops[1:]), "two operations are called 'encoder.sum'"),
        "missing": (add_without(program, "blocks.0.gate"), "reads 'blocks.0.gate', which does not"),
        "backwards": ((ops[0], *ops[-2:0:-1], ops[-1]), "does not come before it"),
        "channels": ((*ops[:3], wide, *_reading(ops[3:], "wide")), "reads 5 channels from 'wide'"),
        "dense": (_swap(ops, dense, narrow), "reads 3 channels from 'blocks.0.spike', expected 2"),
        "exponents": (_swap(ops, add, other), "has other exponents than the sum"),
        "tokens": ((ops[0], embedding, *ops[1:]), "reads an input of kind 'tokens' only"),
    }


def _swap(ops, old, new):
    return tuple(new if op is old else op for op in ops)


def _reading(ops, name):
    return tuple(replace(op, inputs=(name,)) if op.name == "blocks.0.norm" else op for op in ops)


def test_what_does_not_fit_together_is_refused(networks):
    program = networks.random_program(0, **SIZES)
    for label, (ops, message) in broken(program).items():
        with pytest.raises(FormatError, match=message) as caught:
            program.with_ops(ops)
        assert "\n" not in str(caught.value), label


def test_a_vocabulary_larger_than_the_embedding_is_refused(networks):
    program = networks.random_program(0, kind="tokens", inputs=4, **SIZES)
    source = replace(program.input, size=5)
    with pytest.raises(FormatError, match="4 rows for a vocabulary of 5 tokens"):
        program.with_ops((source, *program.ops[1:]))


def test_lookup(networks):
    program = networks.random_program(0, **SIZES)
    assert program["encoder"].name == "encoder"
    with pytest.raises(KeyError):
        program["nothing"]
    assert [op.name for op in program.readers("encoder")] == ["blocks.0.norm", "blocks.0.add"]
    assert program.max_steps == 1 << 10


# --- files that are not what they should be ---


@pytest.fixture(scope="module")
def saved(networks, tmp_path_factory):
    program = networks.random_program(2, **SIZES)
    path = tmp_path_factory.mktemp("programs") / "good.h5"
    program.save(path)
    return path


def _header(name, value):
    def change(file):
        if value is None:
            del file.attrs[name]
        else:
            file.attrs[name] = value

    return change


def _field(op, name, value):
    def change(file):
        group = file[f"ops/{op}"]
        where = group if name in group else group.attrs
        del where[name]
        if isinstance(value, np.ndarray):
            group[name] = value
        elif value is not None:
            group.attrs[name] = value

    return change


def _move(source, target):
    def change(file):
        file.move(source, target)

    return change


def _add(path, value):
    def change(file):
        file[path] = value

    return change


def _replace_text(path, text):
    def change(file):
        del file[path]
        file[path] = text

    return change


N3 = np.zeros(3, np.int64)
DAMAGES = {
    "schema": (_header("schema", None), "foreign HDF5 file without a 'schema'"),
    "other schema": (_header("schema", "neurossm-graph"), "holds a 'neurossm-graph', expected"),
    "number as schema": (_header("schema", 3), "foreign HDF5 file"),
    "no version": (_header("version", None), "without a version number"),
    "text as version": (_header("version", "1"), "without a version number"),
    "newer": (_header("version", 3), "version 3 is newer than version 2, .* upgrade"),
    "version 0": (_header("version", 0), "version 0 is not one neurossm ever wrote"),
    "no target": (_header("target", None), "target"),
    "no ops": (_move("ops", "elsewhere"), "group 'ops' is missing"),
    "ops are numbers": (lambda f: (f.move("ops", "o"), _add("ops", N3)(f)), "'ops' is missing"),
    "no graph": (_move("graph", "elsewhere"), "group 'graph' is missing"),
    "no approximations": (_move("approximations", "x"), "'approximations' is missing"),
    "an op is numbers": (_add("ops/extra", N3), "group 'extra' is missing"),
    "renamed": (_move("ops/encoder", "ops/coder"), "'coder' says it is called 'encoder'"),
    "unknown type": (_field("encoder", "type", "Conv"), "unknown type 'Conv'; known: Input, Dense"),
    "no type": (_field("encoder", "type", None), "unknown type None"),
    "missing array": (_field("encoder", "gain", None), "ops/encoder: field 'gain' is missing"),
    "missing scalar": (_field("blocks.0.ssm", "state_bits", None), "'state_bits' is missing"),
    "unknown field": (_add("ops/encoder/colour", N3), "ops/encoder: unknown field 'colour'"),
    "wrong shape": (_field("encoder", "gain", np.zeros(4, int)), r"encoder.gain: shape \(4,\)"),
    "wrong rank": (_field("encoder", "gain", np.zeros((3, 1), int)), "encoder.gain: shape"),
    "empty": (_field("encoder", "gain", np.zeros(0, int)), "encoder.gain: shape"),
    "fractions": (_field("encoder", "gain", np.full(3, 0.5)), "not integers"),
    "NaN": (_field("encoder", "gain", np.full(3, np.nan)), "NaN"),
    "complex": (_field("encoder", "gain", np.full(3, 1j)), "complex128"),
    "text as array": (_field("encoder", "gain", "abc"), "'gain' is not a numeric array"),
    "array as scalar": (_field("blocks.0.ssm", "state_bits", N3), "'state_bits' is None"),
    "text as scalar": (_field("blocks.0.ssm", "state_bits", "8"), "expected one int"),
    "float as integer": (_field("blocks.0.ssm", "state_bits", 8.0), "expected one int"),
    "bool as integer": (_field("blocks.0.ssm", "state_bits", True), "expected one int"),
    "no inputs": (_field("encoder", "inputs", None), "'inputs' is missing"),
    "inputs no list": (_field("encoder", "inputs", '"x"'), "expected a list of names"),
    "inputs no JSON": (_field("encoder", "inputs", "[x"), "damaged"),
    "inputs numbers": (_field("encoder", "inputs", "[1]"), "expected a list of names"),
    "unstable": (_field("blocks.0.ssm", "a_re", np.full((3, 2), 2**20)), "unit circle"),
    "no spec": (lambda f: f["ops/encoder"].move("out", "x"), "unknown field 'x'"),
    "spec is numbers": (
        lambda f: (f.__delitem__("ops/encoder/out"), _add("ops/encoder/out", N3)(f)),
        "group 'out' is missing",
    ),
    "spec width": (lambda f: f["ops/encoder/out"].attrs.modify("bits", 99), "99 bits"),
    "spec proved": (_field("encoder/out", "proved", 1), "expected one bool"),
    "provenance": (_replace_text("provenance", "[1"), "damaged"),
    "provenance list": (_replace_text("provenance", "[1]"), "no JSON object"),
    "provenance gone": (_move("provenance", "p"), "text 'provenance' is missing"),
    "graph node": (_move("graph/nodes/input", "graph/nodes/in"), "'in' says it is called 'input'"),
    "graph type": (
        lambda f: f["graph/nodes/input"].attrs.modify("type", "Pool"),
        "node 'input' is of unknown type 'Pool'; known: Input, Linear",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_refused_in_one_line(saved, tmp_path, damage):
    change, message = DAMAGES[damage]
    path = tmp_path / "bad.h5"
    path.write_bytes(saved.read_bytes())
    with h5py.File(path, "r+") as file:
        change(file)
    seal(path)
    with pytest.raises(FormatError, match=message) as caught:
        Program.load(path)
    text = str(caught.value)
    assert "\n" not in text
    assert text.startswith(f"{path}: ")
    assert text.count(str(path)) == 1


@pytest.mark.parametrize("share", [0, 0.001, 0.01, 0.1, 0.5, 0.9, 0.99])
def test_a_truncated_file_is_refused(saved, tmp_path, share):
    content = saved.read_bytes()
    path = tmp_path / "cut.h5"
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(FormatError, match="cut.h5: not a readable HDF5 file"):
        Program.load(path)


def test_foreign_and_missing_files_are_refused(tmp_path):
    text = tmp_path / "text.h5"
    text.write_text("not HDF5 at all")
    with pytest.raises(FormatError, match="not a readable HDF5 file"):
        Program.load(text)
    foreign = tmp_path / "foreign.h5"
    with h5py.File(foreign, "w") as file:
        file["layer/0/weight"] = np.ones((2, 2))
    with pytest.raises(FormatError, match="foreign HDF5 file without a 'schema'"):
        Program.load(foreign)
    with pytest.raises(InputError, match="no such file"):
        Program.load(tmp_path / "nowhere.h5")
    with pytest.raises(InputError, match="is a folder"):
        Program.load(tmp_path)


def test_changed_bytes_never_lead_to_other_than_one_line(saved, tmp_path):
    """Flip bytes at random: the file loads, or one of our errors says why not."""
    rng = np.random.default_rng(0)
    content, path = saved.read_bytes(), tmp_path / "flipped.h5"
    messages = []
    for _ in range(60):
        data = bytearray(content)
        for position in rng.integers(0, len(data), 3):
            data[position] ^= int(rng.integers(1, 256))
        path.write_bytes(data)
        try:
            Program.load(path)
        except NeuroSSMError as error:
            messages.append(str(error))
    assert len(messages) > 2
    assert not any("\n" in message for message in messages)


# --- data and runs ---


def test_data_are_checked(networks):
    program = networks.random_program(0, **SIZES)
    x = np.zeros((2, 5, 1), np.uint8)
    assert run(program, x).logits.shape == (2, 3)
    assert run(program, x[:, :, 0]).logits.shape == (2, 3)  # one channel may be left out
    bad = [
        (x.astype(int), "dtype int64, but the model's input is 'uint8'"),
        (x.astype(float), "dtype float64"),
        (np.zeros((2, 5, 2), np.uint8), r"shape \(2, 5, 2\), the model expects"),
        (np.zeros((2, 0, 1), np.uint8), "no samples or no steps"),
        (np.zeros((0, 5, 1), np.uint8), "no samples or no steps"),
        (np.zeros(5, np.uint8), "shape"),
        (np.zeros((1, 1025, 1), np.uint8), "1025 steps are longer than max_steps = 1024"),
    ]
    for data, message in bad:
        with pytest.raises(InputError, match=message) as caught:
            run(program, data)
        assert "\n" not in str(caught.value)


def test_tokens_and_floats_are_checked(networks):
    tokens = networks.random_program(0, kind="tokens", inputs=4, **SIZES)
    for data in (np.array([[0, 4]]), np.array([[-1, 0]])):
        with pytest.raises(InputError, match=r"outside the declared range \[0, 3\]"):
            run(tokens, data)
    with pytest.raises(InputError, match="'tokens': expected integers"):
        run(tokens, np.array([[0.0, 1.0]]))
    floats = networks.random_program(0, kind="float", **SIZES)
    with pytest.raises(InputError, match=r"outside the declared range \[-1.5, 2.25\]"):
        run(floats, np.array([[0.0, 2.26]]))
    for value in (np.nan, np.inf):
        with pytest.raises(InputError, match="NaN or infinite"):
            run(floats, np.array([[0.0, value]]))


def test_the_longest_sample_runs(networks):
    program = networks.random_program(0, max_steps=7, **SIZES)
    run(program, np.zeros((1, 7, 1), np.uint8))
    with pytest.raises(InputError, match="8 steps are longer than max_steps = 7"):
        run(program, np.zeros((1, 8, 1), np.uint8))


def test_records_are_what_was_asked_for(networks):
    program = networks.random_program(3, channels=4, modes=3, blocks=2)
    x = networks.random_data(program.input, 0, batch=2, steps=6)
    names = tuple(program.recordings)
    assert "blocks.1.ssm:state_im" in names
    assert "decoder" not in names
    ran = run(program, x, record=[*names, "encoder"])
    assert list(ran.tensors) == list(names)
    for name, tensor in ran.tensors.items():
        assert tensor.dtype == np.int64
        assert tensor.shape[:2] == (2, 6)
        assert tensor.ndim == (4 if ":state_" in name else 3)
    assert np.array_equal(ran.tensors["input"], x)
    spike, source = ran.tensors["blocks.0.spike"], ran.tensors["blocks.0.ssm"]
    assert np.array_equal(spike, source > program["blocks.0.spike"].threshold)
    for name in ("nothing", "encoder:state_re", "decoder", "blocks.0.ssm:state"):
        with pytest.raises(InputError, match="the program has no tensor"):
            run(program, x, record=[name])


def test_samples_do_not_know_of_each_other(networks):
    program = networks.random_program(3, channels=4, modes=3, blocks=2)
    x = networks.random_data(program.input, 0, batch=4, steps=9)
    together = run(program, x).logits
    apart = [run(program, x[i : i + 1]).logits[0] for i in (3, 1, 0, 2)]
    assert np.array_equal(together[[3, 1, 0, 2]], apart)


def test_progress_counts_steps(networks):
    program = networks.random_program(0, **SIZES)
    seen: list[tuple[str, int, int]] = []
    run(program, np.zeros((2, 3, 1), np.uint8), progress=lambda *told: seen.append(told))
    assert seen == [("running", 2, 6), ("running", 4, 6), ("running", 6, 6)]


@pytest.mark.parametrize("seed", range(12))
def test_proved_tensors_keep_their_bounds_on_hostile_inputs(networks, seed):
    """No integer of a proved tensor leaves its interval; clipping keeps the others in theirs."""
    program = networks.random_program(
        seed,
        channels=3,
        modes=2,
        blocks=2,
        kind=networks.KINDS[seed % 3],
        norm=networks.NORMS[seed // 3 % 3],
        mixer=networks.MIXERS[seed % 2],
        inputs=2,
        saturating=0.4 * (seed % 2),
    )
    x = networks.random_data(program.input, seed, batch=6, steps=40)
    ran = run(program, x, record=tuple(program.recordings))
    for op in program.ops[:-1]:
        tensor = ran.tensors[op.name]
        assert (tensor >= op.out.low).all(), op.name
        assert (tensor <= op.out.high).all(), op.name
        if op.out.proved:
            assert op.name not in ran.saturations
    assert (ran.logits >= program.readout.out.low).all()
    assert (ran.logits <= program.readout.out.high).all()
    if seed % 2 == 0:
        assert ran.saturations == {}


def test_a_graph_is_part_of_the_program(networks):
    program = networks.random_program(0, **SIZES)
    assert isinstance(program.graph, g.Graph)
