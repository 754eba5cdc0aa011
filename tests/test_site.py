"""The pages of the site: their blocks run, their lists are true, and each has its place."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shlex
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

import neurossm
from neurossm.cli import cli
from neurossm.compile.options import WIDTH_RANGES

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
CONTRACT = (DOCS / "contract.md").read_text("utf-8")
RUNNABLE = [*sorted((DOCS / "howto").glob("*.md")), DOCS / "check.md"]


@pytest.mark.slow
@pytest.mark.parametrize("page", RUNNABLE, ids=lambda page: page.stem)
def test_the_blocks_run_as_they_stand(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    found = re.findall(r"```(sh|python)\n(.*?)```", page.read_text("utf-8"), flags=re.S)
    assert found
    for language, block in found:
        if language == "python":
            exec(compile(block, str(page), "exec"), {})
            continue
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            assert words[0] == "neurossm"
            outcome = CliRunner().invoke(cli, words[1:])
            assert outcome.exit_code == 0, f"{line}: {outcome.output}"


def _table(title: str) -> dict[str, list[str]]:
    """Return the rows of a table of the contract: names in code by the command before them."""
    part = CONTRACT.partition(f"## {title}")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`[^|]+`) \| (.+) \|$", part, flags=re.M)
    return {
        command: re.findall(r"`([^`]+)`", names)
        for commands, names in rows
        for command in re.findall(r"`([a-z]+)`", commands)
    }


def _options(command: str) -> set[str]:
    found = cli.get_command(None, command)  # type: ignore[arg-type]
    assert found is not None
    return {option for parameter in found.params for option in parameter.opts}


def test_stable_options_exist() -> None:
    table = _table("Commands and options")
    assert set(table) >= {"compile", "check", "verify", "run", "doctor"}
    for command, options in table.items():
        wanted = {option for option in options if "NAME" not in option}
        assert wanted <= _options(command), command
    assert {f"--{name}-bits" for name in WIDTH_RANGES} <= _options("compile")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return what commands write as JSON, by command."""
    folder, kept = tmp_path_factory.mktemp("results"), ROOT / "tests" / "kept"
    model, data = str(kept / "checkpoint-1.pt"), str(kept / "DATA.npz")
    program = str(folder / "program.h5")
    calls = {
        "compile": [model, "-o", program],
        "check": [str(kept / "graph-2.h5"), "--data", data],
        "run": [program, "--data", data, "--engine", "reference"],
        "profile": [program, "--data", data],
        "verify": [program, "--data", data, "--model", model],
    }
    found = {}
    for command, words in calls.items():
        target = folder / f"{command}.json"
        outcome = CliRunner().invoke(cli, [command, *words, "--json", str(target)])
        assert target.exists(), outcome.output
        found[command] = json.loads(target.read_text())
    narrow = neurossm.CompileOptions(widths=neurossm.Widths(state=8))
    refused = neurossm.check(model, options=narrow).to_json()
    assert refused["problems"]
    found["check"] |= {"problems": refused["problems"]}
    found["check"]["findings"] += [{"category": "", "where": "", "what": ""}]
    return found


def test_stable_keys_exist(results: dict[str, Any]) -> None:
    table = _table("JSON")
    assert set(table) == set(results)
    for command, keys in table.items():
        for key in keys:
            name, _, inner = key.partition("[].")
            assert name in results[command], f"{command}: {key}"
            if inner:
                assert inner in results[command][name][0], f"{command}: {key}"


def _leaves(tree: Any) -> list[str]:
    if isinstance(tree, str):
        return [tree]
    parts = tree.values() if isinstance(tree, dict) else tree
    return [leaf for part in parts for leaf in _leaves(part)]


def test_every_page_has_one_place() -> None:
    listed = _leaves(yaml.safe_load((ROOT / "mkdocs.yml").read_text("utf-8"))["nav"])
    assert len(listed) == len(set(listed))
    pages = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
    assert set(listed) - {"reference/commands.md", "reference/api.md", "changes.md"} == pages


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    """Load the script that writes the reference."""
    path = ROOT / "scripts" / "site" / "reference.py"
    spec = importlib.util.spec_from_file_location("site_reference", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_reference_holds_every_option_and_name(reference: ModuleType) -> None:
    sections = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", reference.commands(), re.S | re.M))
    assert set(sections) == set(cli.list_commands(None))  # type: ignore[arg-type]
    for name, text in sections.items():
        for option in _options(name):
            assert not option.startswith("--") or option in text, f"{name} {option}"
    page = reference.api()
    names = set(re.findall(r"^## (\w+)$", page, flags=re.M))
    assert names == {name for name in neurossm.__all__ if not name.startswith("_")}
    assert "### Program.run" in page
    assert "`lengths`" in page


MKDOCS = ROOT / ".venv-docs" / "bin" / "mkdocs"


@pytest.mark.skipif(not MKDOCS.exists(), reason="no .venv-docs: run `make docs`")
def test_the_site_is_built_strictly(reference: ModuleType, tmp_path: Path) -> None:
    reference.main()
    command = [str(MKDOCS), "build", "--strict", "--site-dir", str(tmp_path / "site")]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    index = json.loads((tmp_path / "site" / "search" / "search_index.json").read_text("utf-8"))
    assert any(entry["location"] == "reference/commands.html#check" for entry in index["docs"])
