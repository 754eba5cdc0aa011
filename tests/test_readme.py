"""The commands and code of README and first page run as they stand; all links lead somewhere."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from neurossm.cli import cli
from neurossm.program import Program

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
PAGES = sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md")])
START = (ROOT / "docs" / "index.md").read_text("utf-8")
TASKS = (ROOT / "docs" / "python.md").read_text("utf-8")


def blocks(language: str, page: str = README) -> list[str]:
    """Return the code blocks of a language."""
    return re.findall(rf"```{language}\n(.*?)```", page, flags=re.S)


def commands(text: str) -> list[list[str]]:
    """Return the words of each command of a block of shell."""
    lines = text.replace("\\\n", " ").splitlines()
    return [shlex.split(line, comments=True)[1:] for line in lines]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files(page: Path) -> None:
    text = page.read_text("utf-8")
    targets = re.findall(r"\]\(([^)#\s]+)(#[^)]*)?\)", text)
    local = [target for target, _ in targets if "://" not in target]
    missing = [target for target in local if not (page.parent / target).exists()]
    assert missing == []


def test_every_command_of_the_table_exists_and_none_is_left_out() -> None:
    named = set(re.findall(r"^\| `neurossm ([a-z]+)", START, flags=re.M))
    named |= {"targets", "doctor"} if "`targets`, `doctor`" in START else set()
    assert named == set(cli.list_commands(None))  # type: ignore[arg-type]


def test_the_readme_is_one_screen() -> None:
    assert len(README.splitlines()) <= 45
    assert len(blocks("sh")) == 1
    assert len(README) < 4_000


def test_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in set(
        re.findall(r"make ([a-z]+)", "\n".join([*blocks("sh"), *blocks("sh", START)]))
    ):
        assert re.search(rf"^{target}:", makefile, flags=re.M), target


@pytest.mark.slow
@pytest.mark.lava
def test_the_steps_in_the_shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (steps,) = [block for block in blocks("sh", START) if "neurossm compile" in block]
    lines = commands(steps)
    assert [words[0] for words in lines] == ["compile", "run", "verify", "profile", "report"]
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    for words in lines:
        fewer = re.sub(r"--limit \d+", "--limit 2", shlex.join(words))
        if words[0] == "report":
            fewer += " --limit 2"
        outcome = CliRunner().invoke(cli, shlex.split(fewer))
        assert outcome.exit_code == 0, outcome.output
    assert (tmp_path / "report.html").stat().st_size > 10_000


def test_every_task_is_shown_in_the_shell_and_in_python() -> None:
    sections = re.split(r"^## ", TASKS, flags=re.M)[1:]
    titles = [section.splitlines()[0].lower() for section in sections]
    assert set(titles) == set(cli.list_commands(None)) - {"doctor", "targets"} | {"errors"}  # type: ignore[arg-type]
    for title, section in zip(titles, sections, strict=True):
        assert len(blocks("python", section)) == 1, title
        if title != "errors":
            (shell,) = blocks("sh", section)
            assert title in {words[0] for words in commands(shell)}


@pytest.mark.slow
def test_the_tasks_run_as_they_stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And give the same program in the shell and in Python."""
    for way in ("shell", "python"):
        (tmp_path / way).mkdir()
        (tmp_path / way / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path / "shell")
    for block in blocks("sh", TASKS):
        for words in commands(block):
            outcome = CliRunner().invoke(cli, words)
            assert outcome.exit_code == 0, outcome.output
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    child = subprocess.run(
        [sys.executable, "-c", "\n".join(blocks("python", TASKS))],
        cwd=tmp_path / "python",
        env=environment,
        capture_output=True,
        text=True,
    )
    assert child.returncode == 0, child.stderr
    assert child.stdout.endswith("nowhere.pt: no such file\n")
    one, two = (Program.load(tmp_path / way / "small.loihi2-sim.h5") for way in ("shell", "python"))
    assert one.same_as(two)


@pytest.mark.slow
def test_the_lines_of_python(tmp_path: Path) -> None:
    (code,) = blocks("python", START)
    code = code.replace("[:100]", "[:4]")
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    child = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert child.returncode == 0, child.stderr
    assert child.stdout == "1.0 1.0\n"
