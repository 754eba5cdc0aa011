"""Reports: one self-contained HTML page with everything people look at, and its figures."""

from neurossm.report.evidence import DEFAULT_LIMIT, Evidence, gather
from neurossm.report.page import render, write_page, write_plots

__all__ = ["DEFAULT_LIMIT", "Evidence", "gather", "render", "write_page", "write_plots"]
