"""A run of many commands: it tells what answered from what did not, goes on, and leaves nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

COMMANDS = {
    "says": ("sh", "-c", "echo first; echo the logits"),
    "fails": ("sh", "-c", "echo 'gsu: TypeError: no number'"),
    "silent": ("sh", "-c", "exit 0"),
    "broken": ("sh", "-c", "echo text; echo 'LookupError: occurs 0 times' >&2; exit 1"),
    "crash": ("sh", "-c", "kill -SEGV $$"),
    "killed": ("sh", "-c", "kill -KILL $$"),
    "endless": ("sh", "-c", "sleep 600; echo late"),
}
KINDS = {
    "says": ("integer", "the logits"),
    "fails": ("error", "gsu: TypeError: no number"),
    "silent": ("nothing", ""),
    "broken": ("none", "status 1: LookupError: occurs 0 times"),
    "crash": ("crash", "it ended with SIGSEGV"),
    "killed": ("none", "status -9: nothing printed"),
    "endless": ("none", "not within 1 s"),
}


@pytest.mark.parametrize("processes", [1, 4])
def test_each_answer_is_told_from_silence(campaign: ModuleType, processes: int) -> None:
    """A fault of its own is an answer; being killed, failing and taking too long are none."""
    found = {a.name: (a.by, a.text) for a in campaign.answers(COMMANDS, processes, 1.0)}
    assert found == KINDS


def test_a_log_goes_on_but_asks_again_what_had_no_answer(
    campaign: ModuleType, tmp_path: Path
) -> None:
    path = tmp_path / "log.jsonl"
    log = campaign.Log(path, {"sources": "a"})
    for answer in (
        campaign.Answer("one", "the logits", "integer", 1.5),
        campaign.Answer("two", "not within 1 s", "none", 1.0),
    ):
        log.add(answer)
    with path.open("a") as file:
        file.write('{"name": "three", "te')  # it was cut off here
    again = campaign.Log(path, {"sources": "a"})
    assert list(again.answers) == ["one"]
    again.add(campaign.Answer("four", "", "nothing", 2.0))
    assert list(campaign.Log(path, {"sources": "a"}).answers) == ["one", "four"]


def test_a_log_of_other_sources_is_refused(campaign: ModuleType, tmp_path: Path) -> None:
    campaign.Log(tmp_path / "log.jsonl", {"sources": "a"})
    with pytest.raises(ValueError, match="has answers for {'sources': 'a'}, not for .*'b'"):
        campaign.Log(tmp_path / "log.jsonl", {"sources": "b"})


def test_what_is_closed_early_leaves_no_process(campaign: ModuleType, tmp_path: Path) -> None:
    note = tmp_path / "pids"
    commands = {f"{n}": ("sh", "-c", f"echo $$ >> {note}; sleep 600") for n in range(9)}
    answers = campaign.answers(commands | {"quick": ("sh", "-c", "sleep 0.3")}, 10, 60.0)
    assert next(answers).name == "quick"
    answers.close()
    _wait_for_end([int(line) for line in note.read_text().splitlines()])


def test_a_run_that_is_told_to_end_leaves_no_process(tmp_path: Path) -> None:
    note = tmp_path / "pids"
    run = (
        "import signal, sys, contextlib, campaign\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))\n"
        f"commands = {{str(n): ('sh', '-c', 'echo $$ >> {note}; sleep 600') for n in range(5)}}\n"
        "with contextlib.closing(campaign.answers(commands, 2, 60.0)) as answers:\n"
        "    list(answers)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", run], cwd=Path(__file__).parent)
    while not note.exists() or len(note.read_text().splitlines()) < 2:
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 143
    pids = [int(line) for line in note.read_text().splitlines()]
    assert len(pids) == 2  # those that waited for their turn never began
    _wait_for_end(pids)


def _wait_for_end(pids: list[int]) -> None:
    assert pids
    until = time.monotonic() + 10
    for pid in pids:
        while time.monotonic() < until and _is_there(pid):
            time.sleep(0.02)
        assert not _is_there(pid)


def _is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
