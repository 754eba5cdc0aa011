"""The integer program: one file per operation with its equation, fields, step and bounds."""

from neurossm.program import operations as _operations
from neurossm.program.arithmetic import Tally, limits, rshift, saturate
from neurossm.program.fields import State
from neurossm.program.operation import Op
from neurossm.program.operations import *  # noqa: F403 - every operation has its line there
from neurossm.program.program import Approximation, Program, as_program
from neurossm.program.recording import Recording
from neurossm.program.running import Run
from neurossm.program.tensor import Interval, TensorSpec, unchecked

__all__ = [
    *_operations.__all__,
    "Approximation",
    "Interval",
    "Op",
    "Program",
    "Recording",
    "Run",
    "State",
    "Tally",
    "TensorSpec",
    "as_program",
    "limits",
    "rshift",
    "saturate",
    "unchecked",
]
