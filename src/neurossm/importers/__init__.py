"""Checkpoints of other projects, turned into networks of `neurossm.models`."""

from __future__ import annotations

from neurossm.importers.importer import Imported, import_checkpoint
from neurossm.importers.settings import ImportOptions, Setting

__all__ = ["ImportOptions", "Imported", "Setting", "import_checkpoint"]
