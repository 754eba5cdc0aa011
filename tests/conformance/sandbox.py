"""Copies of parts of the package, with some text of their sources replaced.

A sandbox imports its modules anew, from the same files, and puts the old ones back: both live side
by side in one process, and an altered engine never meets the cache of compiled kernels.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, NamedTuple

import neurossm

SOURCES = Path(neurossm.__file__).parent
_code: dict[Path, CodeType] = {}


class Edit(NamedTuple):
    """Replace `old` by `new` in a file of the package, or in one of a folder's files.

    `old` must occur there exactly once.
    """

    file: str
    old: str
    new: str

    def apply(self, texts: dict[Path, str]) -> None:
        """Put the changed text of the file among those already changed."""
        place = SOURCES / self.file
        files = [place] if place.is_file() else sorted(place.glob("*.py"))
        current = {path: texts.get(path) or path.read_text() for path in files}
        count = sum(text.count(self.old) for text in current.values())
        if count != 1:
            raise LookupError(f"{self.file}: {self.old!r} occurs {count} times")
        (path,) = (path for path, text in current.items() if self.old in text)
        texts[path] = current[path].replace(self.old, self.new)


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the modules of some packages, altered, or replaced by names that are given."""

    def __init__(
        self,
        packages: tuple[str, ...],
        edits: tuple[Edit, ...],
        replaced: Mapping[str, Mapping[str, Any]],
    ) -> None:
        self.packages, self.replaced = packages, replaced
        self.texts: dict[Path, str] = {}
        for edit in edits:
            edit.apply(self.texts)

    def covers(self, name: str) -> bool:
        return any(name == package or name.startswith(f"{package}.") for package in self.packages)

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if not self.covers(name):
            return None
        if name in self.replaced:
            return importlib.machinery.ModuleSpec(name, self)
        place = SOURCES.joinpath(*name.split(".")[1:])
        is_package = place.is_dir()
        file = place / "__init__.py" if is_package else place.with_suffix(".py")
        spec = importlib.util.spec_from_file_location(
            name, file, loader=self, submodule_search_locations=[str(place)] if is_package else None
        )
        return spec if file.exists() else None

    def exec_module(self, module: ModuleType) -> None:
        if module.__name__ in self.replaced:
            vars(module).update(self.replaced[module.__name__])
            return
        assert module.__spec__ is not None
        file = Path(str(module.__spec__.origin))
        if file in self.texts:
            code = compile(self.texts[file], str(file), "exec")
        else:
            code = _code.setdefault(
                file, _code.get(file) or compile(file.read_text(), file, "exec")
            )
        exec(code, vars(module))


@contextmanager
def sandbox(
    packages: tuple[str, ...],
    edits: tuple[Edit, ...] = (),
    replaced: Mapping[str, Mapping[str, Any]] | None = None,
) -> Iterator[None]:
    """Import these packages anew, altered, while the block runs; then put the old ones back."""
    finder = _Finder(packages, edits, replaced or {})
    kept = {name: module for name, module in sys.modules.items() if finder.covers(name)}
    parents = {name: getattr(neurossm, name.split(".")[1], None) for name in packages}
    for name in kept:
        del sys.modules[name]
    sys.meta_path.insert(0, finder)
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in [name for name in sys.modules if finder.covers(name)]:
            del sys.modules[name]
        sys.modules.update(kept)
        for name, module in parents.items():
            if module is not None:
                setattr(neurossm, name.split(".")[1], module)
