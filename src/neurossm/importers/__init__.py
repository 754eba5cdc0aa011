"""Checkpoints of other projects, turned into networks of `neurossm.models`."""

from __future__ import annotations

from neurossm.importers.check import CHECK_SAMPLES, Checked, Tried, check_checkpoint
from neurossm.importers.importer import Imported, import_checkpoint
from neurossm.importers.settings import ImportOptions, Setting

__all__ = [
    "CHECK_SAMPLES",
    "Checked",
    "ImportOptions",
    "Imported",
    "Setting",
    "Tried",
    "check_checkpoint",
    "import_checkpoint",
]
