"""The public names and how they are called: a change here is a change for every user."""

from __future__ import annotations

import importlib.util
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import neurossm
from neurossm import errors

HEAVY = ("torch", "lava", "numba", "numpy", "h5py", "matplotlib", "scipy", "jinja2", "click")

PARAMETERS = {
    "CompileOptions": "widths layers scaling headroom_bits max_steps table_step_log2 slope_digits "
    "pole_margin_log2 threshold_scale row_scale rounding",
    "ImportOptions": "input discretization real_transform dt_transform activation prenorm norm "
    "norm_eps residual mean std which neuron pool",
    "ReduceOptions": "modes max_error max_drop uniform polish_steps keep_dead",
    "TuneOptions": "max_drop min_agreement samples confirming only trim seed",
    "Widths": "weight decoder pole readout state drive residual mix graded gain",
    "check": "path target options data hw progress",
    "compile_model": "model target options calibration progress",
    "export": "source",
    "import_checkpoint": "path config options calibration",
    "inspect": "path",
    "load": "path",
    "profile": "program data hw limit engine progress lengths",
    "reduce": "model options data length progress",
    "report": "program data labels model path plots hw engines limit progress lengths",
    "targets": "others",
    "tune": "model data labels settings target options calibration progress limit engine lengths",
    "verify": "program data labels model engines min_agreement max_drop progress integers "
    "state_samples seed limit reproducers lengths",
    "Graph.load": "path",
    "Graph.save": "self path",
    "Program.emit": "self folder language style name data",
    "Program.load": "path",
    "Program.save": "self path",
    "Program.run": "self data engine record progress device threads count lengths",
    "Program.session": "self streams record engine",
    "Program.to_lava": "self data traces lengths output schedule name",
}
ERRORS = {
    "FormatError",
    "InputError",
    "LimitError",
    "MissingDependencyError",
    "NeuroSSMError",
    "RunError",
    "UnsupportedError",
}
NAMES = {name.partition(".")[0] for name in PARAMETERS} | ERRORS
DEFAULTS = {"target": "loihi2-sim", "engine": "fast", "engines": "fast"}
COMMANDS = {
    "import": "import_checkpoint",
    "compile": "compile_model",
    "run": "Program",
    "emit": "Program",
}
"""Functions of other names than the command's."""


def test_the_public_names_are_these() -> None:
    assert set(neurossm.__all__) == {*NAMES, "__version__"}
    assert set(dir(neurossm)) >= NAMES


@pytest.mark.parametrize("name", sorted(PARAMETERS))
def test_what_a_public_name_takes(name: str) -> None:
    value = neurossm
    for part in name.split("."):
        value = getattr(value, part)
    parameters = inspect.signature(value).parameters  # type: ignore[arg-type]
    assert list(parameters) == PARAMETERS[name].split()
    for parameter, default in DEFAULTS.items():
        if parameter in parameters and name != "check":  # a program has its own target
            assert parameters[parameter].default == default, parameter


@pytest.mark.parametrize("name", sorted(NAMES))
def test_every_public_name_says_what_it_is(name: str) -> None:
    text = inspect.getdoc(getattr(neurossm, name)) or ""
    assert text.splitlines()[0].endswith("."), "no docstring, or none of a line"
    if name in PARAMETERS and not name[0].isupper():
        for part in PARAMETERS[name].split():
            assert part in text, f"{part} is not described"
        assert "Raises" in text or name == "targets"


def test_errors_have_one_base_and_all_are_public() -> None:
    assert set(errors.__all__) == ERRORS
    for name in ERRORS:
        assert issubclass(getattr(neurossm, name), neurossm.NeuroSSMError)
        assert getattr(neurossm, name) is getattr(errors, name)


def test_every_command_has_a_function() -> None:
    from neurossm.cli import cli

    for command in set(cli.list_commands(None)) - {"train", "data", "doctor"}:  # type: ignore[arg-type]
        assert COMMANDS.get(command, command) in NAMES, command


@pytest.mark.parametrize("name", sorted(NAMES))
def test_no_module_hides_a_public_name(name: str) -> None:
    """Importing `neurossm.NAME` would put the module in the function's place."""
    assert importlib.util.find_spec(f"neurossm.{name}") is None


def run(code: str) -> str:
    source = str(Path(neurossm.__file__).parents[1])
    code = f"import sys; sys.path.insert(0, {source!r}); {code}"
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return child.stdout


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = f"import neurossm; dir(neurossm); print([m for m in {HEAVY!r} if m in sys.modules])"
    assert run(code) == "[]\n"


def test_what_needs_no_pytorch_does_without() -> None:
    trained = {"load", "export", "import_checkpoint", "ImportOptions", "reduce", "ReduceOptions"}
    light = sorted(NAMES - trained)
    code = f"import neurossm; [getattr(neurossm, n) for n in {light!r}]; "
    code += "print([m for m in ('torch', 'lava') if m in sys.modules])"
    assert run(code) == "[]\n"


def test_a_public_name_is_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(neurossm._HOMES, "isqrt", "math")
    assert neurossm.__getattr__("isqrt")(17) == 4  # type: ignore[operator]
    assert "isqrt" in vars(neurossm)  # the second access does not come here again
    monkeypatch.delitem(vars(neurossm), "isqrt")


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'neurossm' has no attribute 'sing'"):
        neurossm.sing  # noqa: B018
