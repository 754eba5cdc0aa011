"""From a float graph to an integer program: one pass per file.

`fold` -> `approximate` -> `ranges` -> `quantise` (with `poles`, `scaling`, `quantise_ssm`) ->
`certify` -> `place`; `compiler` chains them.
"""

from neurossm.compile.compiler import compile_model
from neurossm.compile.options import CompileOptions, Widths

__all__ = ["CompileOptions", "Widths", "compile_model"]
