"""Networks in the formats that other projects exchange: NIR, and netx's."""

from __future__ import annotations

from neurossm.interchange.netx_export import export_netx
from neurossm.interchange.nir_export import export_nir
from neurossm.interchange.nir_import import import_nir

__all__ = ["export_netx", "export_nir", "import_nir"]
