"""What a model that was imported owes to options and assumptions, read from its provenance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def imported_line(training: object) -> str | None:
    """Say in one line where an imported model comes from, and what was assumed or given for it.

    Parameters
    ----------
    training
        How a model was made: of a checkpoint, or of the provenance of a graph.

    Returns
    -------
    str or None
        None if the model was not imported.
    """
    imported = training.get("imported") if isinstance(training, Mapping) else None
    if not isinstance(imported, Mapping):
        return None
    settings = imported.get("settings")
    parts = [f"imported from {imported.get('imported_from', 'another project')}"]
    for origin, verb in (("assumed", "assumed"), ("option", "given")):
        said = _of_origin(settings, origin)
        if said:
            parts.append(f"{verb}: {', '.join(said)}")
    return "; ".join(parts)


def imported_line_of(provenance: Mapping[str, Any]) -> str | None:
    """Return `imported_line` of a program's provenance."""
    model = provenance.get("model")
    return imported_line(model.get("training")) if isinstance(model, Mapping) else None


def _of_origin(settings: object, origin: str) -> list[str]:
    if not isinstance(settings, Mapping):
        return []
    return [
        f"{name} = {setting.get('value')}"
        for name, setting in settings.items()
        if isinstance(setting, Mapping) and setting.get("origin") == origin
    ]
