"""Run emitted networks on bare processors in QEMU.

    python firmware/run.py cortex-m|rv32 [MODEL ...]

A model is a checkpoint or a program file; by default all golden programs and the small models of
examples/smnist. Each is emitted, compiled for the processor, linked, and run twice: once comparing
every tensor and state, once for the figures. Flash and RAM are read from the linker's map and must
equal what the emitter says. Exits 1 if an integer or a byte differs, and 0 where a tool is missing,
which it names.

Nothing here is a chip's: QEMU counts instructions, not cycles.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from neurossm import compile_model
from neurossm.c import emit
from neurossm.c.datafile import data_bytes
from neurossm.c.source import CSource
from neurossm.program import Program

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
FLAGS = [
    "-std=gnu99",
    "-O2",
    "-ffunction-sections",
    "-fdata-sections",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-nostartfiles",
    "-static",
]


@dataclass(frozen=True)
class Processor:
    """How to compile for a processor, and how to run what comes out."""

    compiler: str
    options: tuple[str, ...]
    emulator: tuple[str, ...]


PROCESSORS = {
    "cortex-m": Processor(
        "arm-none-eabi-gcc",
        ("-mcpu=cortex-m4", "-mthumb", "--specs=nosys.specs"),
        ("qemu-system-arm", "-machine", "mps2-an386"),
    ),
    "rv32": Processor(
        "riscv64-unknown-elf-gcc",
        ("-march=rv32imac", "-mabi=ilp32", "--specs=picolibc.specs"),
        ("qemu-system-riscv32", "-machine", "virt", "-bios", "none"),
    ),
}


def main() -> int:
    """Run every model, and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("processor", choices=PROCESSORS)
    parser.add_argument("models", nargs="*", type=Path)
    parser.add_argument("--digits", type=int, default=1, help="samples of a checkpoint's data")
    options = parser.parse_args()
    processor = PROCESSORS[options.processor]
    for tool in (processor.compiler, processor.emulator[0]):
        if shutil.which(tool) is None:
            print(f"{options.processor}: skipped: {tool} is not installed (Debian has it)")
            return 0
    small = [ROOT / f"examples/smnist/{name}_small.pt" for name in ("binary_s4d", "gsu")]
    models = options.models or [*sorted((ROOT / "tests/golden").glob("*.h5")), *small]
    failed = 0
    print("model              equal integers       flash    RAM   stack  instructions/step")
    for model in models:
        with tempfile.TemporaryDirectory() as folder:
            line, right = run(options.processor, model, Path(folder), options.digits)
        print(f"{model.stem:18} {line}", flush=True)
        failed += not right
    return int(failed > 0)


def run(name: str, model: Path, folder: Path, digits: int) -> tuple[str, bool]:
    """Emit, build and run one model; return what to print, and whether all is as it should be."""
    program, data = subject(model, digits)
    source = emit(program, folder)
    (folder / "samples.h").write_text(samples(program, source, data))
    watched = execute(name, folder, ["-DNETWORK_WATCH"])
    plain = execute(name, folder, [])
    flash, ram = mapped(folder)
    tables = flash == source.parameter_bytes and ram == source.state_bytes
    right = not any(ran["wrong"] or ran["refused"] for ran in (watched, plain)) and tables
    right &= watched["tensors_equal"] == watched["tensors"]
    equal = f"{watched['tensors_equal']}/{watched['tensors']} tensors, {plain['logits']} logits"
    note = "" if tables else f"  table says {source.parameter_bytes}, {source.state_bytes}"
    figures = f"{flash:8,} {ram:8,} {plain['stack_bytes']:6,} {plain['instructions_per_step']:12,}"
    return f"{equal:24} {figures}{note}{'' if right else '  FAILED'}", bool(right)


def subject(model: Path, digits: int) -> tuple[Program, np.ndarray]:
    """Return a program, and data for it."""
    vectors = model.with_suffix(".npz")
    if model.suffix == ".h5" and vectors.exists():
        return Program.load(model), np.load(vectors)["data"]
    program = Program.load(model) if model.suffix == ".h5" else compile_model(model)
    return program, np.load(ROOT / "examples/smnist/mnist_test.npz")["x"][:digits]


def samples(program: Program, source: CSource, data: np.ndarray) -> str:
    """Return data, logits and sums over tensors as C (see `neurossm.c.datafile`)."""
    raw = data_bytes(program, source, data)
    kind = {"b": "i1", "h": "i2", "i": "i4", "q": "i8", "B": "u1", "H": "u2"}[chr(raw[12])]
    count, channels, classes = np.frombuffer(raw, "<u4", 3, 16).tolist()
    steps = data.shape[1]
    first = 32 + 4 * count
    x = np.frombuffer(raw, f"<{kind}", count * steps * channels, first)
    logits = np.frombuffer(raw, "<i8", count * classes, first + x.nbytes)
    sums = np.frombuffer(raw, "<u8", offset=first + x.nbytes + logits.nbytes)
    arrays = {
        "network_input samples": x,
        "int64_t expected": logits,
        "uint64_t expected_sums": sums,
    }
    lines = [f"enum {{ SAMPLES = {count}, STEPS = {steps} }};"]
    for name, values in arrays.items():
        suffix = "ULL" if values.dtype.kind == "u" else "LL"
        text = ",".join(f"{value}{suffix}" for value in values.tolist())
        lines.append(f"static const {name}[] __attribute__((unused)) = {{{text}}};")
    return "\n".join([*lines, ""])


def execute(name: str, folder: Path, extra: list[str]) -> dict[str, int]:
    """Compile, link and run; return what the firmware printed."""
    processor, port = PROCESSORS[name], HERE / name
    command = [processor.compiler, *processor.options, *FLAGS, *extra, f"-I{folder}", f"-I{port}"]
    objects = []
    for file in (folder / "network.c", HERE / "firmware.c", port / "start.c"):
        objects.append(folder / f"{file.stem}.o")
        # Constants stay what they are, and are not folded into the code: their bytes are compared.
        keep = ["-fno-toplevel-reorder"] if file.stem == "network" else []
        checked([*command, *keep, "-c", str(file), "-o", str(objects[-1])])
    link = [f"-Wl,-Map={folder / 'firmware.map'}", "-T", str(port / "link.ld")]
    image = folder / "firmware.elf"
    checked([*command, *map(str, objects), *link, "-o", str(image)])
    machine = [*processor.emulator, "-nographic", "-icount", "shift=0"]
    semihosting = ["-semihosting-config", "enable=on,target=native"]
    ran = checked([*machine, *semihosting, "-kernel", str(image)], timeout=600)
    return json.loads(ran[ran.index("{") : ran.index("}") + 1])


def checked(command: list[str], timeout: int = 120) -> str:
    """Run a command; return all it printed, or stop with it."""
    ran = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    printed = ran.stdout + ran.stderr
    if "{" not in printed and ran.returncode:
        sys.exit(f"{' '.join(command[:4])} ... failed:\n{printed}")
    return printed


def mapped(folder: Path) -> tuple[int, int]:
    """Return the bytes of the network's parameters and of its state in the linker's map."""
    text = (folder / "firmware.map").read_text().partition("Linker script and memory map")[2]
    sizes = re.findall(r"^ \.(?:s?rodata|s?bss)\.(\w+)\s+0x\w+\s+0x(\w+) \S", text, re.MULTILINE)
    placed = {name: int(size, 16) for name, size in sizes}
    header = (folder / "network_parameters.h").read_text()
    arrays = re.findall(r"^static const \w+ (\w+)\[", header, re.MULTILINE)
    return sum(placed.get(array, 0) for array in arrays), placed.get("state", 0)


if __name__ == "__main__":
    sys.exit(main())
