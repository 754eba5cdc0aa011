"""HDF5 files of this package: sealed with checksums, read with care, one group per record."""

from __future__ import annotations

from neurossm.storage.records import (
    read_json_object,
    read_named,
    read_record,
    read_text,
    subgroup,
    write_json,
    write_named,
    write_record,
    write_text,
)
from neurossm.storage.sealed import (
    is_hdf5,
    names_in,
    read_file,
    schema_of,
    seal,
    write_file,
)

__all__ = [
    "is_hdf5",
    "names_in",
    "read_file",
    "read_json_object",
    "read_named",
    "read_record",
    "read_text",
    "schema_of",
    "seal",
    "subgroup",
    "write_file",
    "write_json",
    "write_named",
    "write_record",
    "write_text",
]
