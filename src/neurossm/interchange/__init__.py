"""Networks in the formats that other projects exchange: NIR."""

from __future__ import annotations

from neurossm.interchange.nir_export import export_nir
from neurossm.interchange.nir_import import import_nir

__all__ = ["export_nir", "import_nir"]
