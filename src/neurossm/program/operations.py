"""All operations by name: a new one has its file, and its lines here."""

from __future__ import annotations

from neurossm.program.add import Add
from neurossm.program.adlif import AdLIF
from neurossm.program.affine import Affine
from neurossm.program.dense import Dense
from neurossm.program.embedding import Embedding
from neurossm.program.layernorm import LayerNorm
from neurossm.program.lif import LIF
from neurossm.program.operation import Op
from neurossm.program.peak import PeakTernary
from neurossm.program.product import Product
from neurossm.program.readout import READOUTS, LastReadout, MaxReadout, Readout, StreamReadout
from neurossm.program.relu import Relu
from neurossm.program.resonate_fire import ResonateFire
from neurossm.program.softmax import Softmax
from neurossm.program.source import Input
from neurossm.program.ssm import SSM
from neurossm.program.table import Table
from neurossm.program.threshold import Spike, Ternary

__all__ = [
    "LIF",
    "OP_TYPES",
    "READOUTS",
    "SSM",
    "AdLIF",
    "Add",
    "Affine",
    "Dense",
    "Embedding",
    "Input",
    "LastReadout",
    "LayerNorm",
    "MaxReadout",
    "PeakTernary",
    "Product",
    "Readout",
    "Relu",
    "ResonateFire",
    "Softmax",
    "Spike",
    "StreamReadout",
    "Table",
    "Ternary",
]

OP_TYPES: dict[str, type[Op]] = {
    kind.__name__: kind
    for kind in (
        Input,
        Dense,
        Embedding,
        Affine,
        SSM,
        Spike,
        Ternary,
        Table,
        Product,
        Add,
        LayerNorm,
        Relu,
        LIF,
        PeakTernary,
        AdLIF,
        ResonateFire,
        Softmax,
        Readout,
        LastReadout,
        MaxReadout,
        StreamReadout,
    )
}
