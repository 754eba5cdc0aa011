"""A class name means one thing in the whole package."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

import neurossm

CONTRACT = {"Session"}
"""What the registry looks for under one name in every engine (see `neurossm.registry`)."""
CLASS = re.compile(r"^class (\w+)", re.MULTILINE)


def test_no_two_classes_have_one_name() -> None:
    root = Path(neurossm.__file__).parent
    homes = defaultdict(list)
    for path in sorted(root.rglob("*.py")):
        for name in CLASS.findall(path.read_text(encoding="utf-8")):
            homes[name].append(str(path.relative_to(root)))
    assert len(homes) > 200  # that there is something to compare
    several = {name: files for name, files in homes.items() if len(files) > 1}
    assert {name: files for name, files in several.items() if name not in CONTRACT} == {}
