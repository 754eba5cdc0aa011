"""Recognise files that are no checkpoints of PyTorch, and say what each is and what to do."""

from __future__ import annotations

import zipfile
from pathlib import Path

from neurossm.errors import FormatError
from neurossm.files import require_regular
from neurossm.storage import names_in, schema_of

SAVE_ANEW = "where it was made, write the weights alone: torch.save(model.state_dict(), 'state.pt')"

_LEGACY = bytes.fromhex("80028a0a6cfc9c46f9206aa85019")  # the number that PyTorch before 1.6 wrote
_BEGINNINGS: tuple[tuple[bytes, str], ...] = (
    (b"\x1f\x8b", "compressed by gzip; unpack it first (gunzip, or tar -xzf)"),
    (b"\xfd7zXZ", "compressed by xz; unpack it first"),
    (b"BZh", "compressed by bzip2; unpack it first"),
    (b"7z\xbc\xaf", "a 7z archive; unpack it first"),
    (b"version https://git-lfs", "a pointer of Git LFS, not the file; get it with git lfs pull"),
    (b"<", "a web page or XML, not the file; download the raw file"),
    (b"\x93NUMPY", "a NumPy array; samples belong into --calibration or --check as DATA.npz"),
    (b"\x89PNG", "a picture; samples belong into a DATA.npz with x and y"),
    (_LEGACY, f"an archive of PyTorch before 1.6, which is a pickle throughout; {SAVE_ANEW}"),
    (b"\x80", f"a bare pickle, no archive written by torch.save; {SAVE_ANEW}"),
)
_OURS = {
    "neurossm-program": "a NeuroSSM program already; `neurossm run` and `verify` take it",
    "neurossm-graph": "a NeuroSSM float graph already; `neurossm compile` takes it",
    "neurossm-trace": "a NeuroSSM trace: what a program computed; it holds no weights to import",
}


def refuse_other_kinds(path: Path) -> None:
    """Raise if a file is of a kind that is known and is no checkpoint.

    Raises
    ------
    FormatError
        What the file is, and what to do with it.
    """
    if path.is_dir():
        raise FormatError(f"{path}: a folder; {_folder(path)}")
    require_regular(path)
    with open(path, "rb") as file:
        start = file.read(512)
    kind = _kind(path, start)
    if kind is not None:
        raise FormatError(f"{path}: {kind}")


def _folder(path: Path) -> str:
    files = sorted(
        found.name
        for found in path.iterdir()
        if found.suffix in (".pt", ".pth", ".ckpt", ".bin", ".safetensors")
    )
    if files:
        more = f" and {len(files) - 3} more" if len(files) > 3 else ""
        return f"name one file in it: {', '.join(files[:3])}{more}"
    if (path / "data.pkl").exists():
        return "an unpacked archive of torch.save; give the archive itself"
    return "name the checkpoint in it"


def _kind(path: Path, start: bytes) -> str | None:
    if not start:
        return f"empty; {SAVE_ANEW}"
    if start[:4] == b"RIFF":
        what = "a WAV recording" if start[8:12] == b"WAVE" else "a RIFF file"
        return f"{what}, no checkpoint; samples belong into a DATA.npz with x and y"
    if start[:8] == b"\x89HDF\r\n\x1a\n":
        return _hdf5(path)
    if start[257:262] == b"ustar":
        return f"a tar archive; unpack it, or {SAVE_ANEW}"
    if zipfile.is_zipfile(path):
        return _zip(path)
    for beginning, kind in _BEGINNINGS:
        if start.startswith(beginning):
            return kind
    return None


def _hdf5(path: Path) -> str:
    schema = schema_of(path)
    if schema is not None:
        return _OURS.get(schema, f"an HDF5 file of schema {schema}, no checkpoint")
    names = set(names_in(path) or ())
    if not names:
        return "an HDF5 file that is damaged, truncated or empty"
    if "node" in names:
        return (
            "a NIR graph, which describes neurons without the state-space layers of this package; "
            "import the PyTorch checkpoint that it was made from"
        )
    if "layer" in names:
        return (
            "a network of lava-dl (netx), already quantised for Loihi; import the PyTorch "
            "checkpoint that it was made from"
        )
    if names & {"model_weights", "layer_names", "_layer_checkpoint_dependencies"}:
        return "the weights of a Keras model; only PyTorch checkpoints can be imported"
    return "an HDF5 file of another kind; only PyTorch checkpoints can be imported"


def _zip(path: Path) -> str | None:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return None
    if any(name.endswith("/constants.pkl") for name in names):
        return f"a TorchScript program, which is code; {SAVE_ANEW}"
    if any(name.endswith("data.pkl") for name in names):
        return None
    if names and all(name.endswith(".npy") for name in names):
        return "a NumPy archive; samples belong into --calibration or --check"
    if names:
        return f"a zip archive of other files ({names[0]}, ...); unpack it, or {SAVE_ANEW}"
    return None
