"""Compiled functions are what they are in Python, and importing them imports no Numba."""

from __future__ import annotations

import os
import subprocess
import sys

import numba
import numpy as np
import pytest

from neurossm.jit import compiled, lazily, prange


@lazily({"parallel": True})
def squares(x):
    out = np.zeros(x.size)
    for i in prange(x.size):
        out[i] = x[i] * x[i]
    return out


def test_a_function_is_compiled_when_it_is_called_and_runs_its_loop_in_parallel():
    x = np.arange(5.0)
    assert squares(x).tolist() == squares.__wrapped__(x).tolist() == [0, 1, 4, 9, 16]
    assert squares.__name__ == "squares"
    assert prange is range


def test_loops_become_those_of_numba(monkeypatch):
    seen = []

    def njit(signature, cache, parallel):
        return lambda function: seen.append(function.__globals__["prange"]) or function

    monkeypatch.setattr(numba, "njit", njit)

    @lazily({"parallel": True})
    def fresh(n):
        return sum(1 for _ in prange(n))

    assert seen == []
    assert fresh(3) == fresh(4) - 1 == 3
    assert seen == [numba.prange]


def test_without_a_place_for_machine_code_functions_compile_all_the_same(monkeypatch):
    njit = numba.njit

    def nowhere(signature, cache=False, **options):
        if cache:
            raise RuntimeError("cannot cache function 'double': no locator available")
        return njit(signature, **options)

    monkeypatch.setattr(numba, "njit", nowhere)

    def double(x):
        return 2 * x

    assert compiled(double)(4) == 8
    only = compiled(double, signature="int64(int64)")
    assert only(4) == 8
    with pytest.raises(TypeError):
        only("4")


NOWHERE = """
import numba
njit = numba.njit
def nowhere(*signature, cache=False, **options):
    if cache:
        raise RuntimeError("cannot cache function: no locator available")
    return njit(*signature, **options)
numba.njit = nowhere
from neurossm.engine.cpu.kernels.jit import entry
raise SystemExit(entry(lambda x: x + 1)(6))
"""


def test_kernels_that_python_calls_can_be_called_where_nothing_is_kept():
    # in a process of its own: without Python's wrapper, the call ends the process
    assert subprocess.run([sys.executable, "-c", NOWHERE], check=False).returncode == 7


@pytest.mark.parametrize("module", ["graph.evaluate", "graph.recurrence", "program", "compile"])
def test_importing_imports_no_numba(module):
    code = f"import sys, neurossm.{module}; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_limit_of_threads_is_pytorchs_after_a_loop_ran_in_parallel():
    """Numba starts threads through OpenMP, as PyTorch does; on one core there is no more to see."""
    script = (
        "import torch\n"
        "from neurossm.program.feedback_series import feedback_series\n"
        "import numba\n"
        "from numba.np.ufunc.parallel import _launch_threads\n"
        "_launch_threads()\n"
        "print(numba.get_num_threads(), torch.get_num_threads())\n"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    environment.pop("NUMBA_NUM_THREADS", None)
    child = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment
    )
    assert child.stdout == "1 1\n"
