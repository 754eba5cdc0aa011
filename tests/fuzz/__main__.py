"""Damaged and hostile files for every reader: `python tests/fuzz --help`.

A case is refused in one line or accepted; anything else is a fault, printed with the command that
repeats it, and the exit status is 1.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from readers import SHARES
from watchdog import BAD, OUTCOMES, Result, run_cases

CHUNK = 500


def main() -> int:
    """Run the cases that the options ask for; print counts; return the exit status."""
    options = _options()
    names = [options.reader] if options.reader else list(SHARES)
    total = sum(SHARES[name] for name in names)
    if options.case is not None:
        chunks = [(options.reader, range(options.case, options.case + 1))]
    else:
        chunks = [
            (name, range(begin, min(begin + CHUNK, end)))
            for name in names
            for first in [options.first]
            for end in [first + max(round(options.cases * SHARES[name] / total), 1)]
            for begin in range(first, end, CHUNK)
        ]
    begun, results = time.monotonic(), []
    cache = tempfile.TemporaryDirectory()

    def work(chunk: tuple[str, range]) -> list[Result]:
        found = []
        for result in run_cases(*chunk, options.seed, Path(cache.name), options.keep):
            found.append(result)
            if result.outcome in BAD or options.case is not None:
                _tell(result, options.seed)
        return found

    with cache, ThreadPoolExecutor(options.processes) as pool:
        for found in pool.map(work, chunks):
            results += found
    _table(results)
    print(f"{len(results):,} cases of seed {options.seed} in {time.monotonic() - begun:,.0f} s")
    return any(result.outcome in BAD for result in results)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python tests/fuzz", description=__doc__)
    parser.add_argument("--cases", type=int, default=2_000, help="of all readers together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--reader", choices=list(SHARES), help="only this one")
    parser.add_argument("--first", type=int, default=0, help="number of each reader's first case")
    parser.add_argument("--case", type=int, help="only this case of --reader")
    parser.add_argument("--keep", type=Path, help="folder to keep the files of the cases in")
    options = parser.parse_args()
    if options.case is not None and options.reader is None:
        parser.error("--case goes with --reader")
    return options


def _tell(result: Result, seed: int) -> None:
    print(
        f"{result.outcome.upper()}: {result.reader} {result.case}: {result.detail}\n"
        f"  again: make fuzz ARGS='--reader {result.reader} --seed {seed} --case {result.case}'",
        flush=True,
    )


def _table(results: Iterable[Result]) -> None:
    counts = Counter((result.reader, result.outcome) for result in results)
    print(f"\n| reader | cases | {' | '.join(OUTCOMES)} | longest, s | most memory, MB |")
    print("|" + "---|" * (len(OUTCOMES) + 4))
    for name in [*SHARES, "all"]:
        own = [result for result in results if name in (result.reader, "all")]
        if own:
            numbers = [
                sum(counts[key] for key in counts if name in (key[0], "all") and key[1] == outcome)
                for outcome in OUTCOMES
            ]
            seconds = max(result.seconds for result in own)
            memory = max(result.megabytes for result in own)
            shown = " | ".join(f"{number:,}" for number in numbers)
            print(f"| {name} | {len(own):,} | {shown} | {seconds:.1f} | {memory:.0f} |")


if __name__ == "__main__":
    sys.exit(main())
