"""Fewer modes: which ones a model can do without, and what the others take over from them."""

from __future__ import annotations

from neurossm.reduction.options import ReduceOptions
from neurossm.reduction.outcome import LayerReduction, Reduction
from neurossm.reduction.reducer import reduce

__all__ = ["LayerReduction", "ReduceOptions", "Reduction", "reduce"]
