"""Everything that can be said of a file before it runs: `neurossm.check` and its record.

`subject` opens a file, `compiling` gathers what the compiler and the placement refuse, `activity`
looks at spikes, `unusual` at parameters, `ledger` compares floats with integers, `fit` says how
full a target gets.
"""

from __future__ import annotations

from neurossm.checking.examine import check
from neurossm.checking.record import Examination, Finding, Problem

__all__ = ["Examination", "Finding", "Problem", "check"]
