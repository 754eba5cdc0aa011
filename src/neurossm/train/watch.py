"""Watching a training: lines on a terminal, a CSV file, TensorBoard."""

from __future__ import annotations

import csv
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, TextIO

from neurossm.errors import MissingDependencyError
from neurossm.files import atomic_path, require_writable


@dataclass(frozen=True)
class EpochReport:
    """What one epoch did.

    Attributes
    ----------
    epoch, step
        Epochs and steps of the optimizer so far.
    loss
        Mean over the epoch's steps.
    held_out_accuracy
        Accuracy on the held-out samples; None if there are none.
    lr
        Share of the peak learning rate in the last step.
    seconds, samples_per_second
        Time of training, without evaluation, in the run that ended the epoch; and its rate.
    spike_rates
        Share of spikes of each layer in the last step; empty where no rate is asked for.
    """

    epoch: int
    step: int
    loss: float
    held_out_accuracy: float | None
    lr: float
    seconds: float
    samples_per_second: float
    spike_rates: tuple[float, ...] = ()


class Watch:
    """Told about a training, its steps and its epochs; does nothing itself."""

    def begin(self, settings: str) -> None:
        """Be told the effective settings, as TOML, before the first step."""

    def step(self, done: int, total: int) -> None:
        """Be told that so many steps of the optimizer are done, of so many."""

    def epoch(self, reports: Sequence[EpochReport], total: int) -> None:
        """Be told that an epoch ended: all reports so far, and the number of steps in all."""


class Lines(Watch):
    """The settings, and one line per epoch; on a terminal, a line that changes while an epoch runs.

    Parameters
    ----------
    stream
        Where to write.
    batch_size
        To show samples per second.
    """

    def __init__(self, stream: TextIO, batch_size: int) -> None:
        self.stream, self.batch_size = stream, batch_size
        self.live = stream.isatty()
        self.first: int | None = None
        self.began = self.shown = time.monotonic()

    def begin(self, settings: str) -> None:
        """Write the settings."""
        self.stream.write(settings)
        self.stream.flush()

    def step(self, done: int, total: int) -> None:
        """Show rate and time left twice a second."""
        now = time.monotonic()
        if self.first is None:
            self.first, self.began = done, now
        if not self.live or now - self.shown < 0.5 or done == self.first:
            return
        self.shown = now
        rate = (done - self.first) / (now - self.began)
        left = _clock((total - done) / rate)
        text = f"step {done} of {total}  {rate * self.batch_size:,.0f} samples/s  {left} left"
        self.stream.write(f"\r\x1b[K{text}")
        self.stream.flush()

    def epoch(self, reports: Sequence[EpochReport], total: int) -> None:
        """Write the line of an epoch."""
        report = reports[-1]
        accuracy = report.held_out_accuracy
        shown = "" if accuracy is None else f"  held out {100 * accuracy:.2f} %"
        left = _clock((total - report.step) / report.step * sum(r.seconds for r in reports))
        self.stream.write(
            ("\r\x1b[K" if self.live else "")
            + f"epoch {report.epoch:3d}  loss {report.loss:.4f}{shown}  {report.seconds:.1f} s  "
            f"{report.samples_per_second:,.0f} samples/s  {left} left{_rates(report)}\n"
        )
        self.stream.flush()


class CsvLog(Watch):
    """A CSV file with one row per epoch, written anew after each: a kill never leaves half a row.

    Parameters
    ----------
    path
        The file.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        require_writable(path)
        self.path = path

    def epoch(self, reports: Sequence[EpochReport], total: int) -> None:
        """Write all rows."""
        with atomic_path(self.path) as temporary, open(temporary, "w", newline="") as file:
            writer = csv.DictWriter(file, [field.name for field in fields(EpochReport)])
            writer.writeheader()
            writer.writerows(_row(report) for report in reports)


class TensorBoardLog(Watch):
    """A folder of TensorBoard's; a resumed training goes on where it was.

    Parameters
    ----------
    folder
        Made if it is not there.

    Raises
    ------
    MissingDependencyError
        If TensorBoard is not installed.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        try:
            from torch.utils import tensorboard
        except ImportError as error:
            raise MissingDependencyError(
                f"TensorBoard is not installed, so nothing can be written to {folder}: "
                "pip install tensorboard, or log to a CSV file (--log)"
            ) from error
        self._folder = os.fspath(folder)
        self._library: Any = tensorboard
        self._writer: Any = None

    def epoch(self, reports: Sequence[EpochReport], total: int) -> None:
        """Write the numbers of an epoch."""
        report = reports[-1]
        if self._writer is None:
            self._writer = self._library.SummaryWriter(self._folder, purge_step=report.step)
        for name, value in asdict(report).items():
            if name not in ("epoch", "step", "spike_rates") and value is not None:
                self._writer.add_scalar(name, value, report.step)
        for layer, rate in enumerate(report.spike_rates):
            self._writer.add_scalar(f"spike_rate/blocks.{layer}", rate, report.step)
        self._writer.flush()


def _row(report: EpochReport) -> dict[str, object]:
    """Return losses and accuracies as exact as they are, times and rates as people read them."""
    row: dict[str, object] = asdict(report)
    row["seconds"] = f"{report.seconds:.2f}"
    row["samples_per_second"] = f"{report.samples_per_second:.0f}"
    row["spike_rates"] = " ".join(f"{rate:.4f}" for rate in report.spike_rates)
    return row


def _rates(report: EpochReport) -> str:
    if not report.spike_rates:
        return ""
    return "  spikes " + " / ".join(f"{100 * rate:.1f}" for rate in report.spike_rates) + " %"


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
