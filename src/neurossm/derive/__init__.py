"""Code derived from operations' equations: exact kernels in integers, fast ones in floats."""
