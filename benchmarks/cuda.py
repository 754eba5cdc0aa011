"""Measure the GPU engine against what the CPU engine computed and how fast.

`python benchmarks/cuda.py --export FOLDER` compiles the shipped models, runs test digits on the CPU
engine, and writes programs, digits, logits and digests of every tensor to .npz files.
`python benchmarks/cuda.py FOLDER [--json FILE]` checks and measures on a machine with a GPU that
has no more than PyTorch, Triton, NumPy and SciPy.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "src"))
from bare import stand_in  # noqa: E402

stand_in()
from neurossm.engine import gpu  # noqa: E402
from neurossm.errors import NeuroSSMError  # noqa: E402
from neurossm.graph import Graph, InputNode  # noqa: E402
from neurossm.program import SSM, Op, Program, TensorSpec  # noqa: E402
from neurossm.program.operations import OP_TYPES  # noqa: E402

MODELS = ("binary_s4d", "binary_s4d_small", "gsu", "gsu_small")
TRACED = 4
"""Digits of which every tensor is compared."""
BATCHES = (64, 256, 1024, 4096, 10_000)


def to_arrays(program: Program) -> dict[str, np.ndarray]:
    """Return a program's operations as arrays by name, for `numpy.savez`."""
    arrays: dict[str, np.ndarray] = {}
    scalars = []
    for i, op in enumerate(program.ops):
        plain: dict[str, Any] = {"type": type(op).__name__}
        for prefix, record in (("", op), ("out.", op.out)):
            for field in dataclasses.fields(record):
                value = getattr(record, field.name)
                if isinstance(value, np.ndarray):
                    arrays[f"{i}.{prefix}{field.name}"] = value
                elif not isinstance(value, TensorSpec):
                    plain[prefix + field.name] = value
        scalars.append(plain)
    return arrays | {"scalars": np.array(json.dumps(scalars))}


def from_arrays(arrays: Any) -> Program:
    """Return the program that `to_arrays` took apart, with an empty graph."""
    ops: list[Op] = []
    for i, plain in enumerate(json.loads(str(arrays["scalars"]))):
        kind = OP_TYPES[plain.pop("type")]
        fields = plain | {
            name.partition(".")[2]: arrays[name] for name in arrays if name.startswith(f"{i}.")
        }
        out = {name[4:]: fields.pop(name) for name in list(fields) if name.startswith("out.")}
        ops.append(kind(**fields | {"inputs": tuple(fields["inputs"]), "out": TensorSpec(**out)}))
    source = ops[0]
    graph = Graph((InputNode("input", (), source.kind, source.size, source.low, source.high, 1.0),))
    return Program(tuple(ops), graph, "loihi2-sim")


def digest(values: np.ndarray) -> str:
    """Return a hash of 64-bit integers."""
    return hashlib.sha256(np.ascontiguousarray(values, "<i8").tobytes()).hexdigest()


def tensor_names(program: Program) -> list[str]:
    """Return every tensor but states, which the fused kernels keep to themselves."""
    return [name for name, one in program.recordings.items() if one.state is None]


def export(folder: Path, digits: int) -> None:
    """Write what the GPU is checked against, one file for each model."""
    from neurossm import compile_model
    from neurossm.engine import cpu as fast

    folder.mkdir(parents=True, exist_ok=True)
    with np.load(ROOT / "examples/smnist/mnist_test.npz") as data:
        x, y = data["x"][:digits], data["y"][:digits]
    for name in MODELS:
        program = compile_model(ROOT / f"examples/smnist/{name}.pt")
        fast.warm_up(program)
        started = time.perf_counter()
        run = fast.run(program, x)
        seconds = time.perf_counter() - started
        traced = fast.run(program, x[:TRACED], tensor_names(program)).tensors
        np.savez_compressed(
            folder / f"{name}.npz",
            x=x,
            y=y,
            logits=run.logits,
            cpu=np.array(json.dumps({"per_second": len(x) / seconds})),
            digests=np.array(json.dumps({tensor: digest(v) for tensor, v in traced.items()})),
            **to_arrays(program),
        )
        print(f"{name}: {len(x)} digits, {len(x) / seconds:.0f} per second on the CPU")


def measure(path: Path, device: str, repeats: int, batches: tuple[int, ...]) -> dict[str, Any]:
    """Check and measure one model."""
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    program = from_arrays(arrays)
    x = arrays["x"]
    compilation = gpu.warm_up(program, device)
    names = tensor_names(program)
    traced = gpu.run(program, x[:TRACED], names, device=device).tensors
    expected = json.loads(str(arrays["digests"]))
    different = [name for name in names if digest(traced[name]) != expected[name]]
    logits = gpu.run(program, x, device=device).logits
    rows = []
    for batch in batches:
        some = np.resize(x, (batch, *x.shape[1:]))  # digits again from the first where too few
        gpu.run(program, some, device=device)
        times = []
        for _ in range(repeats):
            started = time.perf_counter()
            gpu.run(program, some, device=device)  # the logits come back: nothing is left running
            times.append(time.perf_counter() - started)
        rows.append({"batch": batch, "per_second": batch / statistics.median(times)})
    best = max(row["per_second"] for row in rows)
    cpu = json.loads(str(arrays["cpu"]))["per_second"]
    return {
        "compile_seconds": compilation,
        "integers_compared": sum(traced[name].size for name in names) + logits.size,
        "different_tensors": different,
        "same_logits": bool((logits == arrays["logits"]).all()),
        "batches": rows,
        "best_per_second": best,
        "cpu_per_second": cpu,
        "ratio": best / cpu,
        "accuracy": float(np.mean(logits.argmax(axis=1) == arrays["y"])),
    }


def profile(path: Path, device: str, batch: int) -> dict[str, Any]:
    """Return milliseconds of the GPU by kernel for one batch, largest first, and the updates."""
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as recorded

    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    program = from_arrays(arrays)
    x = np.resize(arrays["x"], (batch, *arrays["x"].shape[1:]))
    gpu.run(program, x, device=device)
    with recorded(activities=[ProfilerActivity.CUDA]) as watched:
        gpu.run(program, x, device=device)
    times = {
        row.key: row.self_device_time_total / 1e3
        for row in watched.key_averages()
        if row.self_device_time_total > 0
    }
    modes = sum(op.a_re.size for op in program.ops if isinstance(op, SSM))
    updates = modes * x.shape[1] * batch
    return {
        "batch": batch,
        "kernel_ms": dict(sorted(times.items(), key=lambda item: -item[1])),
        "mode_updates": updates,
        "mode_updates_per_second": updates / times["recur"] * 1e3,
    }


def machine(device: str) -> dict[str, object]:
    """Name the device and the versions that matter."""
    import torch

    versions = {"torch": torch.__version__, "numpy": np.__version__, "cuda": torch.version.cuda}
    name = torch.cuda.get_device_name(device) if device != "cpu" else "CPU (for a test)"
    return {"device": name, "versions": versions}


def main() -> None:
    """Export, or check and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, help="what --export wrote")
    parser.add_argument("--export", type=Path, metavar="FOLDER", help="write programs and results")
    parser.add_argument("--digits", type=int, default=256, help="digits to export")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--batches", type=int, nargs="*", default=BATCHES)
    parser.add_argument("--profile", type=int, metavar="BATCH", help="time kernels at this batch")
    parser.add_argument("--json", type=Path, help="write the results")
    options = parser.parse_args()
    if options.export is not None:
        export(options.export, options.digits)
        return
    if options.folder is None:
        parser.error("give the folder that --export wrote")
    try:
        gpu.find_device(options.device)
    except NeuroSSMError as error:
        sys.exit(f"cuda.py: {error}")
    results: dict[str, Any] = {"machine": machine(options.device)}
    print(results["machine"])
    for path in sorted(options.folder.glob("*.npz")):
        result = measure(path, options.device, options.repeats, tuple(options.batches))
        results[path.stem] = result
        same = result["same_logits"] and not result["different_tensors"]
        print(f"{path.stem}: {result['integers_compared']:,} integers", end=" ")
        print("equal to the CPU's" if same else f"DIFFER: {result['different_tensors']}")
        for row in result["batches"]:
            print(f"  batch {row['batch']:6d}: {row['per_second']:10.0f} samples/s")
        print(f"  {result['ratio']:.1f} times the CPU engine where it was exported")
        if options.profile:
            result["profile"] = profile(path, options.device, options.profile)
            for name, ms in list(result["profile"]["kernel_ms"].items())[:6]:
                print(f"  {ms:8.1f} ms {name[:60]}")
            print(f"  {result['profile']['mode_updates_per_second']:.3g} mode updates per second")
    if options.json is not None:
        options.json.write_text(json.dumps(results, indent=1) + "\n")
    checked = [result for name, result in results.items() if name != "machine"]
    if not all(one["same_logits"] and not one["different_tensors"] for one in checked):
        sys.exit(1)


if __name__ == "__main__":
    main()
