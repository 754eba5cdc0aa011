"""What `neurossm train` and ``python -m neurossm.train`` share: options, then a training."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from neurossm.errors import InputError
from neurossm.train.loop import TrainLimits
from neurossm.train.options import options
from neurossm.train.processes import join, leave
from neurossm.train.run import Outcome, train
from neurossm.train.settings import TrainSettings, presets, settings_of
from neurossm.train.watch import CsvLog, Lines, TensorBoardLog, Watch


@dataclass(frozen=True)
class RunOption:
    """An option of the command line that decides where and how far, not what is learned.

    Attributes
    ----------
    flag, kind, help
        As on the command line; a bool is a switch.
    """

    flag: str
    kind: type
    help: str

    @property
    def name(self) -> str:
        """The option as a variable."""
        return self.flag.lstrip("-").replace("-", "_")


ARGUMENTS = (
    RunOption("--preset", str, "Settings of the package to start from: {presets}."),
    RunOption("--model", str, "Short for the preset of that name: binary-s4d, gsu, s4d-gelu, …."),
    RunOption("--size", str, "full or small: --model gsu --size small is --preset gsu-small."),
    RunOption("--config", str, "TOML file of settings, laid over the preset; options win."),
    RunOption("--print-config", bool, "Print the effective settings as such a file, and stop."),
    RunOption("--output", str, "Checkpoint to write; NAME.last.pt beside it is to resume."),
    RunOption("--resume", bool, "Go on exactly where a killed training was; else begin."),
    RunOption("--log", str, "CSV file: a row per epoch."),
    RunOption("--tensorboard", str, "Folder for TensorBoard, which must be installed."),
    RunOption("--device", str, "cuda or cpu; default: cuda if there is one."),
    RunOption("--max-steps", int, "Stop after so many steps: a trial, which leaves out the test."),
    RunOption("--max-minutes", float, "Begin no epoch that would end later; --resume goes on."),
)


def chosen_settings(values: Mapping[str, Any]) -> TrainSettings:
    """Return the settings that the options of a command line ask for.

    Parameters
    ----------
    values
        By name, dashes as underscores; None: not given.

    Raises
    ------
    InputError, FormatError
        See `settings_of`.
    """
    given = {
        (option.table, option.name): tuple(value) if option.many else value
        for option in options()
        if (value := values.get(option.name)) not in (None, (), [])
    }
    return settings_of(_preset(values), values.get("config"), given)


def run_training(values: Mapping[str, Any]) -> Outcome | None:
    """Train as a command line asks; processes that are not the first get None.

    Parameters
    ----------
    values
        As for `chosen_settings`, and those of `ARGUMENTS`.

    Raises
    ------
    NeuroSSMError
        Whatever does not suit, see `train`.
    """
    settings = chosen_settings(values)
    if values.get("output") is None:
        raise InputError("no -o: name the checkpoint to write")
    try:
        processes, device = join(values.get("device"))
        watches: list[Watch] = []
        if processes.first:
            watches.append(Lines(sys.stderr, settings.training.batch_size))
            if values.get("log") is not None:
                watches.append(CsvLog(values["log"]))
            if values.get("tensorboard") is not None:
                watches.append(TensorBoardLog(values["tensorboard"]))
        outcome = train(
            settings,
            values["output"],
            resume=bool(values.get("resume")),
            device=device,
            processes=processes,
            watches=watches,
            limits=TrainLimits(values.get("max_steps"), values.get("max_minutes")),
        )
    finally:
        leave()
    return outcome if processes.first else None


def _preset(values: Mapping[str, Any]) -> str | None:
    preset, model, size = (values.get(name) for name in ("preset", "model", "size"))
    if model is None and size is None:
        return preset
    if preset is not None:
        raise InputError("--preset and --model: give one of them")
    if size not in (None, "full", "small"):
        raise InputError(f"size {size!r} is unknown; known are full, small")
    name = f"{model}-small" if size == "small" else str(model)
    if model is None or name not in presets():
        raise InputError(f"no preset for model {model}; known are {', '.join(presets())}")
    return name
