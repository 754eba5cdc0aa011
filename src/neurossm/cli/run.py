"""`neurossm run`: run a program on data."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from neurossm.cli.options import (
    data_option,
    engine_option,
    file_argument,
    limit_option,
    output_option,
)
from neurossm.cli.output import Output, json_option, open_output
from neurossm.errors import InputError
from neurossm.registry import check_options, device_names, engines

if TYPE_CHECKING:
    from neurossm.datafile import Data
    from neurossm.program import Program, Run


@click.command("run")
@file_argument("program")
@data_option()
@engine_option()
@click.option(
    "--device",
    type=click.Choice(device_names()),
    help="Where the engine 'fast' runs: --engine fast:cuda in two words. [default: cpu]",
)
@click.option(
    "--threads", type=int, help="Cores of the engines 'fast', 'c' and 'c-vector'. [default: all]"
)
@output_option(
    "-o", "--output", "logits_path", help="OUT.npz: logits, logits_exponent, prediction."
)
@limit_option()
@output_option("--trace", "trace_path", help="TRACE.h5: tensors at every step (engine fast).")
@click.option(
    "--record",
    multiple=True,
    metavar="NAME",
    help="A tensor of the trace, NAME:state_re and NAME:state_im of an SSM too; may be repeated. "
    "[default: spikes and residuals]",
)
@json_option
def command(
    program: Path,
    data: Path,
    engine: str,
    device: str | None,
    threads: int | None,
    logits_path: Path | None,
    limit: int | None,
    trace_path: Path | None,
    record: tuple[str, ...],
    json_path: str | None,
) -> None:
    """Run PROGRAM on data and write its logits; with labels, show the accuracy."""
    if record and trace_path is None:
        raise click.UsageError("--record names tensors of a trace: give --trace TRACE.h5 too")
    with open_output(json_path) as output:
        from neurossm.datafile import load_data, samples_of, save_logits
        from neurossm.program import Program

        chosen, place = check_options(engine, device, threads)
        how = _How(chosen.name, place, threads, trace_path, record)
        how.check()
        loaded = Program.load(program)
        given = load_data(data).limited(limit)
        each = loaded.readout.streams
        samples = samples_of(loaded.input, loaded.readout.out.channels, given, each=each)
        result, times = _run(output, loaded, samples, how)
        if logits_path is not None:
            save_logits(logits_path, loaded, result)
        _show(output, samples, result, how, times)
        for path in (logits_path, trace_path):
            if path is not None:
                output.line(f"wrote {path}")


@dataclass(frozen=True)
class _How:
    """How to run: what was asked for."""

    engine: str
    device: str
    threads: int | None
    trace_path: Path | None
    record: tuple[str, ...]

    def check(self) -> None:
        """Refuse options that do not go together."""
        if self.trace_path is not None and not engines()[self.engine].traces:
            raise InputError(
                f"--trace: the engine {self.engine!r} writes no traces; use --engine fast"
            )


@dataclass(frozen=True)
class _Times:
    """Seconds of the run, and of compiling kernels beforehand."""

    run: float
    compilation: float


def _run(output: Output, program: Program, samples: Data, how: _How) -> tuple[Run, _Times]:
    """Run once, whether or not a trace is written."""
    from neurossm.registry import run, warm_up
    from neurossm.trace import write_trace

    x = samples.x
    compilation = warm_up(program, how.engine, how.device)
    started = time.perf_counter()
    with output.progress() as progress:
        if how.trace_path is None:
            result = run(
                program,
                x,
                engine=how.engine,
                progress=progress,
                threads=how.threads,
                device=how.device,
                lengths=samples.lengths,
            )
        else:
            result = write_trace(
                how.trace_path,
                program,
                x,
                how.record or None,
                progress,
                threads=how.threads,
                device=how.device,
                lengths=samples.lengths,
            )
    return result, _Times(time.perf_counter() - started, compilation)


def _show(output: Output, samples: Data, result: Run, how: _How, times: _Times) -> None:
    prediction = result.logits.argmax(axis=-1)
    accuracy = None
    if samples.y is not None:
        right = prediction == samples.y
        valid = right if right.ndim == 1 else samples.sequences.joined(right)
        accuracy = float(valid.mean())
    if times.compilation > 0.0:
        output.line(
            f"kernels ready after {times.compilation:.2f} s (compiled once, then kept on disk)"
        )
    place = "" if how.device == "cpu" else f" on {how.device}"
    output.line(
        f"{len(prediction)} samples on engine {how.engine!r}{place} in {times.run:.2f} s "
        f"({len(prediction) / times.run:.4g} samples/s)"
    )
    if accuracy is not None:
        output.line(f"accuracy {accuracy:.2%}")
    for name, count in result.saturations.items():
        output.line(f"warning: {count} integers of {name} were clipped")
    output.json(
        {
            "samples": len(prediction),
            "engine": how.engine,
            "device": how.device,
            "seconds": times.run,
            "compile_seconds": times.compilation,
            "accuracy": accuracy,
            "saturations": result.saturations,
            "prediction": prediction,
        }
    )
