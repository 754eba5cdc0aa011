"""The tables of docs/performance.md, written by `benchmarks/engine.py --page`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

BEGIN, END = "<!-- results of benchmarks/engine.py: begin -->", "<!-- end -->"


def update(path: Path, results: dict[str, Any], command: str) -> None:
    """Replace what stands between the two marks of a page."""
    text = path.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    body = "\n".join(_lines(results, command))
    path.write_text(f"{before}{BEGIN}\n\n{body}\n\n{END}{after}")


def _lines(results: dict[str, Any], command: str) -> Iterator[str]:
    machine = results["machine"]
    versions = ", ".join(f"{name} {number}" for name, number in machine["versions"].items())
    load = " ".join(f"{value:.1f}" for value in machine["load_before"])
    yield f"`{command}`"
    yield ""
    yield (
        f"{machine['processor']}, {machine['cores']} cores, Python {machine['python']}, "
        f"{versions}; load average before the run: {load}. "
        f"Kernels compiled, or loaded from disk, in {results['warm_up_seconds']:.1f} s."
    )
    yield ""
    yield "| what | measured | wanted | |"
    yield "|---|---|---|---|"
    for check in results["checks"]:
        verdict = "yes" if check["ok"] else "**no**"
        yield f"| {check['name']} | {check['value']:.3g} | {check['low']:.3g} | {verdict} |"
    yield from _pytorch(results.get("pytorch"))
    yield from _digits(results.get("digits"))
    yield from _growth(results.get("growth"))
    for section in ("peak", "lava", "latency", "counting", "memory"):
        part = results.get(section)
        if part:
            yield ""
            yield f"{section}: " + ", ".join(f"`{name}` {_shown(part[name])}" for name in part)


def _pytorch(part: dict[str, Any] | None) -> Iterator[str]:
    if part is None:
        return
    yield ""
    yield "| batch | float PyTorch, samples/s | fast engine, samples/s | ratio |"
    yield "|---|---|---|---|"
    for row in part["batches"]:
        theirs, ours = row["pytorch_per_second"], row["fast_per_second"]
        yield f"| {row['batch']} | {theirs:.0f} | {ours:.0f} | {ours / theirs:.2f} |"


def _digits(part: dict[str, Any] | None) -> Iterator[str]:
    if part is None:
        return
    yield ""
    yield "| model | digits | seconds | digits/s | accuracy, integers |"
    yield "|---|---|---|---|---|"
    for name, row in part.items():
        rate = row["digits"] / row["seconds"]
        yield (
            f"| {name} | {row['digits']:,} | {row['seconds']:.1f} | {rate:.0f} | "
            f"{row['accuracy']:.2%} |"
        )


def _growth(part: dict[str, Any] | None) -> Iterator[str]:
    if part is None:
        return
    yield ""
    yield "| against | from | to | slope of time per step | slope of work |"
    yield "|---|---|---|---|---|"
    for name, row in part.items():
        low, high = row["values"][0], row["values"][-1]
        yield f"| {name} | {low:,} | {high:,} | {row['slope']:.2f} | {row['slope_of_work']:.2f} |"


def _shown(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
