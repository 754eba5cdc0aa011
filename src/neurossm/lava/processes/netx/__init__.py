"""Networks of netx, with layers of ours."""
