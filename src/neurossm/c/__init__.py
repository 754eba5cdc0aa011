"""C: a program as C99 that anyone can compile, and the engine that compiles it here."""

from neurossm.c.emission import emit
from neurossm.c.source import STYLES, CSource, source_of

__all__ = ["STYLES", "CSource", "emit", "source_of"]
