"""Emitted networks run on bare processors in QEMU; their bytes are those of the linker's map."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest

from neurossm import compile_model
from neurossm.errors import LimitError

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def firmware() -> ModuleType:
    spec = importlib.util.spec_from_file_location("firmware_run", ROOT / "firmware/run.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["cortex-m", "rv32"])
def test_golden_programs_run_on_bare_processors(firmware, name, tmp_path):
    processor = firmware.PROCESSORS[name]
    for tool in (processor.compiler, processor.emulator[0]):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    for case in ("limits", "gsu-bytes"):
        folder = tmp_path / case
        folder.mkdir()
        line, right = firmware.run(name, ROOT / f"tests/golden/{case}.h5", folder, 1)
        assert right, line
    header = (folder / "samples.h").read_text()
    assert header.count("expected[]") == 1
    # another integer expected of the first sample: noticed
    begin = header.index("expected[]")
    first = header[header.index("{", begin) + 1 : header.index("LL", begin)]
    changed = header[begin:].replace("{" + first + "LL", "{" + str(int(first) + 1) + "LL", 1)
    (folder / "samples.h").write_text(header[:begin] + changed)
    assert firmware.execute(name, folder, [])["wrong"] == 1


def test_a_missing_tool_is_named(firmware, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["run.py", "rv32"])
    monkeypatch.setattr(firmware.shutil, "which", lambda tool: None)
    assert firmware.main() == 0
    assert capsys.readouterr().out.startswith("rv32: skipped: riscv64-unknown-elf-gcc is not")


@pytest.mark.parametrize(
    ("sizes", "what"),
    [
        ({"channels": 700, "modes": 4}, "the 1310720 of"),
        # 2 blocks of 300 channels of 80 complex states, 2 x 3 bytes each: 288,000 bytes at least
        ({"channels": 300, "modes": 80}, "state_memory_bytes = .* the 262144 of"),
    ],
)
def test_what_cannot_fit_a_microcontroller_is_refused(networks, sizes, what):
    graph = networks.random_graph(1, blocks=2, **sizes)
    with pytest.raises(LimitError, match=f"{what}.*would help"):
        compile_model(graph, target="cortex-m")
