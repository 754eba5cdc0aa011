"""The integer program: one file per operation with its equation, fields, step and bounds."""

from neurossm.program.affine import Affine
from neurossm.program.arithmetic import Tally, limits, rshift, saturate
from neurossm.program.dense import Dense, Embedding
from neurossm.program.elementwise import Add, Product
from neurossm.program.layernorm import LayerNorm
from neurossm.program.op import Op
from neurossm.program.program import Approximation, Program, as_program
from neurossm.program.readout import Readout
from neurossm.program.reference import Run, recordable
from neurossm.program.source import Input
from neurossm.program.spike import Spike, Ternary
from neurossm.program.ssm import SSM
from neurossm.program.table import Table
from neurossm.program.tensor import Interval, TensorSpec, unchecked

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
    "Run",
    "Spike",
    "Table",
    "Tally",
    "TensorSpec",
    "Ternary",
    "as_program",
    "limits",
    "recordable",
    "rshift",
    "saturate",
    "unchecked",
]
