"""No program exists whose claims are false: made by hand, from a file, or from an altered file."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from neurossm import program as p
from neurossm import registry
from neurossm.errors import FormatError, LimitError, NeuroSSMError
from neurossm.files import cache_folder
from neurossm.inspection import inspect
from neurossm.program import Program, certificate, certificate_cache, pole_series
from neurossm.storage import seal

FOLDER = Path(__file__).parents[1] / "golden"
CASES = sorted(path.stem for path in FOLDER.glob("*.h5"))
CLAIMS_EACH, INTEGERS_EACH = 50, 25
"""Single bits changed in each golden file: of claims, and of the other integers."""


@pytest.fixture
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    monkeypatch.setenv("NEUROSSM_CACHE", str(folder))
    return folder


def edited(case: str, path: Path, where: str, change: Any) -> Path:
    """Copy a golden file with `change` applied to a dataset or attribute `op:part` of its ops."""
    shutil.copy(FOLDER / f"{case}.h5", path)
    group, _, name = where.rpartition(":")  # names hold colons, too
    with h5py.File(path, "r+") as file:
        at = file["ops"][group]
        if name in at:
            at[name][...] = change(at[name][()])
        else:
            kind = at.attrs.get_id(name).dtype
            at.attrs.modify(name, np.asarray(change(at.attrs[name])).astype(kind))
    seal(path)
    return path


def places(case: str) -> tuple[list[tuple[str, int]], list[tuple[str, int]]]:
    """List (place, bits) of the claims (`bits` and `proved` too), and of all other integers."""
    claims, others = [], []
    with h5py.File(FOLDER / f"{case}.h5", "r") as file:
        for name, op in file["ops"].items():
            claims += [(f"{name}/out:proved", 1), (f"{name}/out:bits", 64)]
            for part, data in op["out"].items():
                kept = others if part == "exponent" else claims
                kept.append((f"{name}/out:{part}", 64 * data.size))
            others += [(f"{name}:{k}", 64 * v.size) for k, v in op.items() if k != "out"]
            for key, value in op.attrs.items():
                if isinstance(value, np.integer):
                    others.append((f"{name}:{key}", 64))
    return claims, others


def flipped(value: Any, bit: int) -> Any:
    if isinstance(value, np.bool_ | bool):
        return not value
    changed = np.array(value, np.int64)
    view = changed.reshape(-1).view(np.uint64)
    view[bit // 64] ^= np.uint64(1) << np.uint64(bit % 64)
    return changed


def chosen(case: str) -> list[tuple[str, int]]:
    rng = np.random.default_rng(CASES.index(case))
    found = []
    for every, count in zip(places(case), (CLAIMS_EACH, INTEGERS_EACH), strict=True):
        for i in rng.integers(len(every), size=count):
            where, bits = every[i]
            # Low bits, too: among 64, most give a number that no width allows.
            word, bit = int(rng.integers(max(1, bits // 64))), int(rng.integers(64))
            found.append((where, 64 * word + (bit if rng.random() < 0.5 else bit % 16)))
    return found


def outcome(path: Path, data: Any, logits: Any) -> str:
    try:
        program = Program.load(path)
    except NeuroSSMError as error:
        one_line = "\n" not in str(error) and str(error).startswith(str(path))
        return "refused" if one_line else f"refused badly: {error}"
    for row in certificate.certificates(program):
        assert row.headroom_bits > -0.01 or not row.proved, row
    try:
        exact = registry.run(program, data, "reference", record=program.recordings)
    except NeuroSSMError:  # data that are now out of the input's range
        return "other program, other data"
    fast = registry.run(program, data, "fast", record=program.recordings)
    for name, values in exact.tensors.items():
        assert np.array_equal(values, fast.tensors[name]), name
    assert np.array_equal(exact.logits, fast.logits)
    assert exact.saturations == fast.saturations
    for op in program.ops:
        assert not (op.out.proved and op.name in exact.saturations), op.name
        if op.name in exact.tensors:
            seen = exact.tensors[op.name]
            assert ((seen >= op.out.low) & (seen <= op.out.high)).all(), op.name
    return "same logits" if np.array_equal(exact.logits, logits) else "other program"


@pytest.mark.parametrize("case", CASES)
def test_a_changed_bit_is_refused_or_every_engine_and_claim_still_holds(case, tmp_path):
    with np.load(FOLDER / f"{case}.npz") as file:
        data, logits = file["data"], file["logits"]
    counts: Counter[str] = Counter()
    for where, bit in chosen(case):
        path = edited(case, tmp_path / "p.h5", where, lambda value, b=bit: flipped(value, b))
        group = (
            "claims" if where.rpartition(":")[2] in ("low", "high", "proved", "bits") else "rest"
        )
        counts[f"{group}: {outcome(path, data, logits)}"] += 1
    print(case, dict(sorted(counts.items())))  # noqa: T201
    assert not [name for name in counts if "badly" in name]
    assert counts.total() == CLAIMS_EACH + INTEGERS_EACH
    assert counts["claims: refused"] > 10
    assert counts["claims: other program, other data"] == 0


@pytest.mark.parametrize("case", CASES)
def test_every_false_proof_and_every_bound_that_is_too_narrow_is_refused(case, tmp_path):
    program = Program.load(FOLDER / f"{case}.h5")
    claimed = 0
    for op in certificate.derive(
        program.ops
    ):  # what the file claims may be wider than what is proved today
        if not op.out.proved:
            claimed += 1
            path = edited(case, tmp_path / "p.h5", f"{op.name}/out:proved", lambda value: True)
            with pytest.raises(FormatError, match=f"{op.name}: claims a proof .* altered"):
                Program.load(path)
        for name, inwards in (("low", 1), ("high", -1)):
            # An SSM's bounds may differ by the rounding of floats: 1 and a 2^30th of their value.
            reach = int(op.out.interval.largest().max())
            rounded = op.float_bounds and op.emits != "spikes"
            step = inwards * (2 + (reach >> 29) if rounded else 1)

            bound = int(getattr(op.out, name)[-1]) + step

            def narrower(value, bound=bound):
                value[-1] = bound
                return value

            if (op.out.high - op.out.low)[-1] < abs(step):
                continue
            path = edited(case, tmp_path / "p.h5", f"{op.name}/out:{name}", narrower)
            with pytest.raises(FormatError, match=f"{op.name}: claims .* altered, or made by"):
                Program.load(path)
    assert claimed or case in ("binary-floats", "compiled", "norm-edges", "peak")


def test_what_is_derived_does_not_depend_on_what_is_remembered(cache):
    """The bounds of the golden SSMs are wider than those that follow today."""
    path = FOLDER / "gsu-bytes.h5"
    first, again = (certificate.derive(Program.load(path).ops) for _ in range(2))
    wider = 0
    for one, two, stored in zip(first, again, Program.load(path).ops, strict=True):
        assert one.out.low.tolist() == two.out.low.tolist()
        assert one.out.high.tolist() == two.out.high.tolist()
        wider += int((one.out.high < stored.out.high).any())
    assert wider


def test_wider_claims_are_taken_as_they_are(networks, tmp_path, cache):
    program = networks.random_program(3, blocks=1)
    loose = program.with_ops(
        replace(op, out=p.unchecked(op.out.bits, op.out.exponent, op.out.channels))
        for op in program.ops
    )
    loose.save(tmp_path / "p.h5")
    for _ in range(2):  # proved, and remembered
        assert Program.load(tmp_path / "p.h5").same_as(loose)
    rows = {row[0]: row for row in inspect(tmp_path / "p.h5").rows}
    derived = {row.name: row for row in certificate.certificates(program)}
    for name, row in rows.items():
        assert row[-3:] == (
            derived[name].bound,
            round(derived[name].headroom_bits, 2),
            derived[name].proved,
        )


def test_the_rounding_of_another_machine_is_widened_not_refused(networks):
    program = networks.random_program(3, blocks=1)
    ssm = program["blocks.0.ssm"]
    narrow = replace(ssm, out=replace(ssm.out, low=ssm.out.low + 1, high=ssm.out.high - 1))
    assert program.with_ops(narrow if op is ssm else op for op in program.ops).same_as(program)


def test_a_dense_that_could_wrap_makes_no_program(networks):
    program = networks.random_program(1)
    dense = program["blocks.0.gate.sum"]
    narrow = replace(dense, out=p.unchecked(2, 0, dense.out.channels))
    with pytest.raises(LimitError, match="could wrap the accumulator"):
        program.with_ops(narrow if op is dense else op for op in program.ops)


def entries(cache: Path) -> list[Path]:
    return sorted((cache / "certificates").iterdir())


def test_a_proof_is_remembered_by_content(cache, monkeypatch, tmp_path):
    proved = []
    bounds = p.SSM.bounds
    monkeypatch.setattr(p.SSM, "bounds", lambda *given: proved.append(1) or bounds(*given))
    path = FOLDER / "binary-floats.h5"
    Program.load(path)
    (entry,) = entries(cache)
    assert proved
    proved.clear()
    assert Program.load(path).run(np.zeros((1, 3, 1))).logits.size
    assert not proved
    # damaged: ignored, written again
    for damage in (b"", b"\xff\xfe", entry.name[::-1].encode()):
        entry.write_bytes(damage)
        Program.load(path)
        assert proved, damage
        assert entry.read_text() == entry.name
        proved.clear()
    # another claim, another content
    op = next(op for op in Program.load(path).ops if not op.out.proved or op.out.channels > 1)
    false = edited("binary-floats", tmp_path / "p.h5", f"{op.name}/out:high", lambda v: v * 0 + 1)
    with pytest.raises(FormatError, match="claims"):
        Program.load(false)
    assert entries(cache) == [entry]


def test_a_saved_program_needs_no_proof(networks, cache, monkeypatch, tmp_path):
    networks.random_program(3, blocks=1).save(tmp_path / "p.h5")
    monkeypatch.setattr(p.SSM, "bounds", None)
    Program.load(tmp_path / "p.h5")


def test_what_bounds_are_computed_by_is_part_of_the_key(cache, monkeypatch, tmp_path):
    Program.load(FOLDER / "single.h5")
    rules = certificate_cache._rules
    rules.cache_clear()
    package = Path(pole_series.__file__).parents[1]
    copied = tmp_path / "copy"
    for room in ("program", "graph"):
        shutil.copytree(package / room, copied / room)
    for source in package.glob("*.py"):
        shutil.copy(source, copied)
    monkeypatch.setattr(certificate_cache, "_PACKAGE", copied)
    same = rules()
    seen = {same}
    for source in (
        "program/pole_series.py",
        "program/response.py",
        "graph/recurrence.py",
        "jit.py",
    ):
        (copied / source).write_text((copied / source).read_text() + "\n")
        rules.cache_clear()
        seen.add(rules())
    assert len(seen) == 5
    shutil.rmtree(copied)
    rules.cache_clear()
    assert rules() is None  # no sources: nothing is remembered
    Program.load(FOLDER / "single.h5")
    assert len(entries(cache)) == 1
    rules.cache_clear()


@pytest.mark.parametrize("folder", ["", "/dev/null/cache", "file"])
def test_no_place_for_a_cache_is_no_fault(monkeypatch, tmp_path, folder):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("NEUROSSM_CACHE", folder and str(tmp_path / folder))
    Program.load(FOLDER / "single.h5")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_the_folder_of_the_cache(monkeypatch, tmp_path):
    monkeypatch.delenv("NEUROSSM_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_folder() == tmp_path / "home" / ".cache" / "neurossm"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "neurossm"
    monkeypatch.setenv("NEUROSSM_CACHE", str(tmp_path / "own"))
    assert cache_folder() == tmp_path / "own"
