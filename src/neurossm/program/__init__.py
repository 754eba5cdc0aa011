"""The integer program: one file per operation with its equation, fields, step and bounds."""

from neurossm.program.add import Add
from neurossm.program.affine import Affine
from neurossm.program.arithmetic import Tally, limits, rshift, saturate
from neurossm.program.dense import Dense
from neurossm.program.embedding import Embedding
from neurossm.program.layernorm import LayerNorm
from neurossm.program.operation import Op, State
from neurossm.program.product import Product
from neurossm.program.program import Approximation, Program, as_program
from neurossm.program.readout import Readout
from neurossm.program.recording import Recording
from neurossm.program.reference import Run
from neurossm.program.source import Input
from neurossm.program.ssm import SSM
from neurossm.program.table import Table
from neurossm.program.tensor import Interval, TensorSpec, unchecked
from neurossm.program.threshold import Spike, Ternary

__all__ = [
    "SSM",
    "Add",
    "Affine",
    "Approximation",
    "Dense",
    "Embedding",
    "Input",
    "Interval",
    "LayerNorm",
    "Op",
    "Product",
    "Program",
    "Readout",
    "Recording",
    "Run",
    "Spike",
    "State",
    "Table",
    "Tally",
    "TensorSpec",
    "Ternary",
    "as_program",
    "limits",
    "rshift",
    "saturate",
    "unchecked",
]
