"""From a float graph to an integer program: one pass per file.

`fold` -> `approximate` (with `thresholds`) -> `ranges` -> `rounding`, `poles` (integer weights and
poles) -> `formats` (widths and exponents) -> `emit` (operations, by the table in `rules`) ->
`certify` (`neurossm.program.certificate`); `compiler` chains them and places the result.
"""

from neurossm.compile.compiler import Prepared, compile_model, prepare
from neurossm.compile.neuron import integer_neuron
from neurossm.compile.options import CompileOptions, Widths

__all__ = ["CompileOptions", "Prepared", "Widths", "compile_model", "integer_neuron", "prepare"]
