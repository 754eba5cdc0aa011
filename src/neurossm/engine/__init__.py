"""Engines: the same program, the same integers, at different speeds.

`cpu` runs compiled kernels on the processor's cores, `gpu` on a GPU; together they are the engine
"fast". `neurossm.registry` lists all engines.
"""
