"""From a float graph to an integer program: one pass per file.

`fold` -> `approximate` -> `ranges` -> `quantise` (with `poles`, `scaling`, `quantise_ssm`) ->
`certify` (`neurossm.program.certificate`); `compiler` chains them and places the result
(`neurossm.place`).
"""

from neurossm.compile.compiler import Prepared, compile_model, prepare
from neurossm.compile.options import CompileOptions, Widths

__all__ = ["CompileOptions", "Prepared", "Widths", "compile_model", "prepare"]
