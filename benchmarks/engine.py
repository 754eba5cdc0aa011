"""Measure the fast engine: `python benchmarks/engine.py`.

Everything is measured in one run on one machine, which is named; ratios are of medians taken
within it. Results go to a table, and with --json to a file; --plot draws how time grows.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import growth
import kernel
import numpy as np
import page
import peak
import torch
import versus
from measuring import ROOT, SHIPPED, digits, machine, seconds, summary
from rich.console import Console
from rich.table import Table

from neurossm import compile_model
from neurossm.engine import cpu as fast
from neurossm.program import Dense, Program
from neurossm.threads import usable_cores

MODEL = "binary_s4d"
SECTIONS = (
    "peak",
    "pytorch",
    "lava",
    "latency",
    "counting",
    "memory",
    "digits",
    "growth",
    "cuda",
)


@click.command()
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="Write the results.")
@click.option("--plot", "plot_path", type=click.Path(path_type=Path), help="Draw the growth.")
@click.option("--page", "page_path", type=click.Path(path_type=Path), help="Update this page.")
@click.option("--repeats", default=5, show_default=True, help="Calls of which to take the median.")
@click.option("--limit", default=10_000, show_default=True, help="Digits of the accuracy runs.")
@click.option("--only", type=click.Choice(SECTIONS), multiple=True, help="Leave out the others.")
def main(
    json_path: Path | None,
    plot_path: Path | None,
    page_path: Path | None,
    repeats: int,
    limit: int,
    only: tuple[str, ...],
) -> None:
    """Measure the fast engine on the shipped models."""
    chosen = only or SECTIONS
    if not torch.cuda.is_available():
        chosen = tuple(name for name in chosen if name != "cuda")
    program = compile_model(ROOT / f"examples/smnist/{MODEL}.pt")
    results: dict[str, Any] = {
        "machine": machine(),
        "threads": usable_cores(),
        "warm_up_seconds": fast.warm_up(program),
    }
    if "peak" in chosen:
        results["peak"] = _peak(program, results["threads"], repeats)
    if "pytorch" in chosen:
        results["pytorch"] = _pytorch(program, results["threads"], repeats)
    if "lava" in chosen:
        results["lava"] = versus.against_lava(program, digits(64)[0], max(1, repeats // 2))
    if "latency" in chosen:
        results["latency"] = _latency(program)
    if "counting" in chosen:
        results["counting"] = _counting(program, repeats)
    if "memory" in chosen:
        results["memory"] = growth.memory(program)
    if "digits" in chosen:
        results["digits"] = {name: _digits(name, limit) for name in SHIPPED}
    if "growth" in chosen:
        results["growth"] = {name: growth.measure(name, repeats) for name in growth.RANGES}
        if plot_path is not None:
            growth.plot(results["growth"], plot_path)
    if "cuda" in chosen:
        results["cuda"] = _cuda(repeats)
    results["checks"] = checks(results)
    if json_path is not None:
        json_path.write_text(json.dumps(results, indent=1) + "\n")
    if page_path is not None:
        page.update(page_path, results, " ".join(["python", *sys.argv]))
    show(results)
    if not all(check["ok"] for check in results["checks"]):
        sys.exit(1)


def _peak(program: Program, threads: int, repeats: int) -> dict[str, Any]:
    x, _ = digits(32)
    limit = peak.measure(threads, repeats)
    updates = kernel.kernel_rate(program, x, threads, repeats)
    per_second = (
        len(x)
        / summary([seconds(lambda: fast.run(program, x)) for _ in range(repeats + 1)][1:]).median
    )
    operations = kernel.network_operations(program, x)
    return limit | {
        "mode_updates_per_second": updates,
        "operations_per_update": kernel.ssm_operations(program),
        "kernel_share_of_peak": updates * kernel.ssm_operations(program) / limit["loop_flops"],
        "operations_per_sample": operations,
        "samples_per_second": per_second,
        "network_share_of_peak": per_second * operations / limit["loop_flops"],
    }


def _pytorch(program: Program, threads: int, repeats: int) -> dict[str, Any]:
    x, _ = digits(256)
    checkpoint = ROOT / f"examples/smnist/{MODEL}.pt"
    batches = [1 << i for i in range(9)]
    rows = versus.against_pytorch(program, checkpoint, x, batches, repeats, threads)
    best = {key: max(row[key] for row in rows) for key in rows[0] if key != "batch"}
    return {
        "batches": rows,
        "best_pytorch_per_second": best["pytorch_per_second"],
        "best_fast_per_second": best["fast_per_second"],
        "ratio_of_best": best["fast_per_second"] / best["pytorch_per_second"],
        "same_decisions": versus.agreement_with_pytorch(program, checkpoint, x),
    }


def _latency(program: Program) -> dict[str, float]:
    """Return microseconds of one step of a live stream: the median, and the 99th percentile."""
    session = program.session()
    x, _ = digits(3)
    times = [seconds(lambda step=step: session.step(step)) for step in x.reshape(-1, 1)]
    return {
        "step_microseconds": float(np.median(times) * 1e6),
        "step_microseconds_99": float(np.quantile(times, 0.99) * 1e6),
        "one_digit_seconds": summary(
            [seconds(lambda i=i: fast.run(program, x[i : i + 1])) for i in (0, 1, 2)]
        ).median,
    }


def _digits(name: str, limit: int) -> dict[str, float]:
    """Run many test digits through a shipped model."""
    program = compile_model(ROOT / f"examples/smnist/{name}.pt")
    x, y = digits(limit)
    fast.warm_up(program)
    logits: list[np.ndarray] = []
    elapsed = seconds(lambda: logits.append(fast.run(program, x).logits))
    accuracy = float(np.mean(logits[0].argmax(axis=1) == y))
    return {"digits": len(x), "seconds": elapsed, "accuracy": accuracy}


def _counting(program: Program, repeats: int) -> dict[str, float]:
    """Return what counting the spikes costs on top of a run, as `neurossm profile` does it."""
    x, _ = digits(64)
    names = [op.inputs[0] for op in program.ops if isinstance(op, Dense)]
    pairs = [
        (
            seconds(lambda: fast.run(program, x)),
            seconds(lambda: fast.run(program, x, count=names)),
        )
        for _ in range(repeats + 1)
    ][1:]
    plain, counting = (summary([pair[i] for pair in pairs]).median for i in (0, 1))
    return {"seconds": plain, "seconds_counting": counting, "overhead": counting / plain - 1}


def _cuda(repeats: int) -> dict[str, Any]:
    import cuda

    with TemporaryDirectory() as folder:
        cuda.export(Path(folder), 256)
        return cuda.measure(Path(folder) / f"{MODEL}.npz", "cuda", repeats, cuda.BATCHES)


def checks(results: dict[str, Any]) -> list[dict[str, Any]]:
    """Compare what was measured with what the project promises."""
    found: list[dict[str, Any]] = []

    def check(name: str, value: float, low: float, high: float = float("inf")) -> None:
        found.append({"name": name, "value": value, "low": low, "ok": low <= value <= high})

    if "peak" in results:
        part = results["peak"]
        check("peak loop / half a float32 matmul", part["share_of_half_matmul"], 0.9)
        check("SSM kernel / peak", part["kernel_share_of_peak"], 0.6, 1.0)
        check("network / peak", part["network_share_of_peak"], 0.4, 1.0)
    if "pytorch" in results:
        check("best fast / best PyTorch", results["pytorch"]["ratio_of_best"], 1.0)
        check("decisions as PyTorch's", results["pytorch"]["same_decisions"], 0.99)
    if results.get("lava"):
        check("fast / Lava", results["lava"]["ratio"], 300.0)
        check("logits as Lava's", float(results["lava"]["same_logits"]), 1.0)
    if "memory" in results:
        check("memory of 1,000 / of 100,000 steps", results["memory"]["ratio"], 0.95)
    for name, part in results.get("digits", {}).items():
        scaled = part["seconds"] * 10_000 / part["digits"]
        check(f"90 s / time of 10,000 digits, {name}", 90.0 / scaled, 1.0)
    for name, part in results.get("growth", {}).items():
        excess = part["slope_of_work"] + growth.TOLERANCE - part["slope"]
        check(f"work's slope + {growth.TOLERANCE} - time's, {name}", excess, 0.0)
    if "cuda" in results:
        check("CUDA / CPU", results["cuda"]["ratio"], 100.0)
        check("logits as the CPU's", float(results["cuda"]["same_logits"]), 1.0)
    return found


def show(results: dict[str, Any]) -> None:
    """Print tables."""
    console = Console()
    console.print(f"[bold]{results['machine']['processor']}[/], {results['threads']} threads")
    console.print(f"kernels compiled or loaded in {results['warm_up_seconds']:.1f} s")
    if "pytorch" in results:
        table = Table("batch", "PyTorch, samples/s", "fast, samples/s", "ratio")
        for row in results["pytorch"]["batches"]:
            theirs, ours = row["pytorch_per_second"], row["fast_per_second"]
            cells = (f"{theirs:.0f}", f"{ours:.0f}", f"{ours / theirs:.1f}")
            table.add_row(str(row["batch"]), *cells)
        console.print(table)
    for section in ("peak", "lava", "latency", "counting", "memory", "cuda"):
        for name, value in (results.get(section) or {}).items():
            shown = f"{value:.4g}" if isinstance(value, float) else str(value)
            console.print(f"{section}: {name} {shown}", highlight=False)
    for name, part in results.get("digits", {}).items():
        console.print(
            f"{name}: {part['digits']} digits in {part['seconds']:.1f} s, "
            f"accuracy {part['accuracy']:.2%}"
        )
    table = Table("check", "value", "at least", "")
    for check in results["checks"]:
        verdict = "[green]ok[/]" if check["ok"] else "[red]missed[/]"
        table.add_row(check["name"], f"{check['value']:.3g}", f"{check['low']:.3g}", verdict)
    console.print(table)
    if not torch.cuda.is_available():
        console.print("no CUDA device: the GPU was not measured")


if __name__ == "__main__":
    main()
