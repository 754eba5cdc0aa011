"""Reports: one self-contained HTML page with everything people look at, and its figures."""

from neurossm.reporting.evidence import Evidence, gather
from neurossm.reporting.page import render, write_page, write_plots
from neurossm.reporting.write import DEFAULT_LIMIT, Report, report

__all__ = [
    "DEFAULT_LIMIT",
    "Evidence",
    "Report",
    "gather",
    "render",
    "report",
    "write_page",
    "write_plots",
]
