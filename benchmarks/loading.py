"""What it costs to prove a program's claims when it is loaded: anew, and remembered.

python benchmarks/loading.py [MODEL.pt]

Prints the seconds of a load that proves anew in a fresh process (with what Numba compiles or loads
for it), of one that remembers, and the share of the latter that goes to remembering.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from measuring import timed

from neurossm.compile import compile_model
from neurossm.program import Program, certificate, certificate_cache

MODEL = Path(__file__).parents[1] / "examples/smnist/binary_s4d.pt"
REPEATS = 15
_FRESH = """
import sys, time
from neurossm.program import Program
started = time.perf_counter()
Program.load(sys.argv[1])
print(time.perf_counter() - started)
"""


def fresh(path: Path) -> float:
    """Return the seconds of a load in a process of its own."""
    command = [sys.executable, "-c", _FRESH, str(path)]
    return float(subprocess.run(command, capture_output=True, check=True, text=True).stdout)


def main() -> None:
    """Compile a model, and load its program in each way."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["NEUROSSM_CACHE"] = ""
        path = Path(folder) / "program.h5"
        compile_model(sys.argv[1] if len(sys.argv) > 1 else MODEL).save(path)
        anew = min(fresh(path) for _ in range(3))
        os.environ["NEUROSSM_CACHE"] = folder
        Program.load(path)
        remembered = min(fresh(path) for _ in range(3))

        program = Program.load(path)
        load = timed(lambda: Program.load(path), REPEATS)

        def remember() -> None:
            certificate_cache._rules.cache_clear()
            assert certificate_cache.known(program.ops)
            certificate.hold(certificate_cache.vouched(program.ops))

        cost = timed(remember, REPEATS)
    print(f"load, proving anew, fresh process   {anew:8.3f} s")
    print(f"load, remembered, fresh process     {remembered:8.3f} s")
    print(f"load, remembered, again             {load.median:8.3f} s")
    share = cost.median / load.median
    print(f"of which for what is remembered     {cost.median:8.3f} s ({share:.1%})")


if __name__ == "__main__":
    main()
