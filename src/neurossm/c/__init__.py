"""C: a program as C99 that anyone can compile, and the engine that compiles it here."""

from neurossm.c.emission import emit
from neurossm.c.source import STYLES, Source, source_of

__all__ = ["STYLES", "Source", "emit", "source_of"]
