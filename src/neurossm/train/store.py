"""What a training leaves on disk: the network it keeps, and the last one, to go on from.

``model.pt`` is the checkpoint to use: the best or the last epoch so far. ``model.last.pt`` is the
checkpoint of the last state, with an entry ``resume`` besides. Both are replaced whole.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any

from neurossm.errors import FormatError, InputError
from neurossm.files import require_writable
from neurossm.models.checkpoint import read_pickled, save
from neurossm.models.network import Network
from neurossm.train.options import TABLES
from neurossm.train.tasks import Samples


class Store:
    """The files of one training.

    Parameters
    ----------
    path
        The checkpoint to write.
    settings
        Plain values: a training goes on with the ones that it began with.
    calibration
        Training samples that travel in the checkpoints.

    Raises
    ------
    InputError
        If the checkpoint cannot be written.
    """

    def __init__(
        self, path: str | os.PathLike[str], settings: Mapping[str, Any], calibration: Samples
    ) -> None:
        require_writable(path)
        self.path = Path(path)
        self.last = self.path.with_name(f"{self.path.stem}.last{self.path.suffix}")
        self.settings, self.calibration = dict(settings), calibration

    def found(self, resume: bool) -> dict[str, Any] | None:
        """Return the state to go on from; None: begin anew.

        Raises
        ------
        InputError
            If there is an unfinished training that is not to go on, or one with other settings.
        """
        if not self.last.exists():
            return None
        content = read_pickled(self.last)
        state = content.get("resume") if isinstance(content, dict) else None
        if (
            not isinstance(state, dict)
            or type(state.get("finished")) is not bool
            or not isinstance(state.get("settings"), dict)
        ):
            raise FormatError(f"{self.last}: holds no training to go on from; remove it")
        if not resume:
            if state["finished"]:
                return None
            raise InputError(
                f"{self.last}: an unfinished training; --resume goes on with it, removing the "
                "file begins anew"
            )
        different = _differences(_completed(state["settings"]), _completed(self.settings))
        if different:
            raise InputError(
                f"{self.last}: began with other settings: {', '.join(different)}; give the same "
                "ones, or another -o"
            )
        return state

    def save_last(
        self,
        network: Network,
        training: Mapping[str, Any],
        state: Mapping[str, Any],
        finished: bool,
    ) -> None:
        """Write the last network with the state to go on from."""
        resume = {**state, "settings": self.settings, "finished": finished}
        self._save(self.last, network, training, resume)

    def save_kept(self, network: Network, training: Mapping[str, Any]) -> None:
        """Write the checkpoint to use."""
        self._save(self.path, network, training)

    def _save(
        self,
        path: Path,
        network: Network,
        training: Mapping[str, Any],
        resume: Mapping[str, Any] | None = None,
    ) -> None:
        samples = self.calibration
        save(path, network, samples.x, training, resume, calibration_lengths=samples.lengths)


def _completed(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with the defaults of those that the version which wrote them did not know."""
    return {
        table: {**{f.name: _default(f) for f in fields(TABLES[table])}, **values}
        if table in TABLES
        else values
        for table, values in settings.items()
    }


def _default(field: Field[Any]) -> Any:
    if field.default is MISSING:
        return None
    return list(field.default) if isinstance(field.default, tuple) else field.default


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Name what differs between two nested mappings of plain values."""
    found = []
    for name in sorted({*before, *now}, key=str):
        old, new = before.get(name), now.get(name)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            found += _differences(old, new)
        elif not _is_plain(old) or old != new:
            shown = old if _is_plain(old) else type(old).__name__
            found.append(f"{name!s:.40} {shown} (now {new})")
    return found


def _is_plain(value: Any) -> bool:
    values = value if isinstance(value, list) else [value]
    return all(isinstance(one, (bool, int, float, str, type(None))) for one in values)
