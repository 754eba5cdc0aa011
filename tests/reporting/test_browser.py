"""The page in a real browser: Debian's chromium, headless."""

from __future__ import annotations

import csv
import io
import re
import time
from pathlib import Path
from typing import Any

import pytest

from neurossm.reporting import Evidence, write_page

pytestmark = pytest.mark.browser

DESKTOP, PHONE = (1280, 900), (390, 844)


@pytest.fixture(scope="module")
def page(evidence: Evidence, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    write_page(evidence, path)
    return path


def _column(browser: Any, table: str, column: int) -> list[str]:
    texts: list[str] = browser.run(
        "return [...document.querySelectorAll(`table[data-name='${arguments[0]}'] tbody tr`)]"
        ".map((row) => row.cells[arguments[1]].textContent)",
        table,
        column,
    )
    return texts


def test_it_loads_without_errors_and_shows_every_figure(browser: Any, page: Path) -> None:
    browser.resize(*DESKTOP)
    browser.open(page)
    assert browser.errors() == []
    sizes = browser.run(
        "return [...document.querySelectorAll('figure svg')]"
        ".map((svg) => [svg.getBoundingClientRect().width, svg.getBoundingClientRect().height])"
    )
    assert len(sizes) == 10
    assert all(width > 300 and height > 80 for width, height in sizes)
    assert browser.run("return performance.getEntriesByType('resource').length") == 0


def test_columns_sort_both_ways(browser: Any, page: Path) -> None:
    browser.resize(*DESKTOP)
    browser.open(page)
    click = (
        "document.querySelectorAll(`table[data-name='core-loads'] thead button`)[arguments[0]]"
        ".click()"
    )
    operations = 9
    browser.run(click, operations)
    values = [float(text.replace(",", "")) for text in _column(browser, "core-loads", operations)]
    assert values == sorted(values)
    assert len(set(values)) > 2
    browser.run(click, operations)
    values = [float(text.replace(",", "")) for text in _column(browser, "core-loads", operations)]
    assert values == sorted(values, reverse=True)
    state = browser.run(
        "return document.querySelector(`table[data-name='core-loads'] th:nth-child(10)`)"
        ".getAttribute('aria-sort')"
    )
    assert state == "descending"
    browser.run(click, 2)  # names: as text
    names = _column(browser, "core-loads", 2)
    assert names == sorted(names)


def test_tables_download_as_csv(browser: Any, page: Path, evidence: Evidence) -> None:
    browser.resize(*DESKTOP)
    browser.open(page)
    browser.run("document.querySelector(`button[data-for='operations']`).click()")
    target = browser.downloads / "operations.csv"
    for _ in range(100):
        if target.exists():
            break
        time.sleep(0.1)
    rows = list(csv.DictReader(io.StringIO(target.read_text("utf-8"))))
    assert [row["layer"] for row in rows] == [*evidence.cost.layers, "total"]
    # numbers as they are, not as they are shown
    assert float(rows[-1]["state adds"]) == evidence.cost.totals.state_adds / 6
    assert browser.errors() == []


@pytest.mark.parametrize("size", [DESKTOP, PHONE])
@pytest.mark.parametrize("dark", [False, True])
def test_nothing_sticks_out_and_all_is_readable(
    browser: Any, page: Path, tmp_path: Path, size: tuple[int, int], dark: bool
) -> None:
    browser.resize(*size, dark=dark)
    browser.open(page)
    assert browser.run("return document.documentElement.scrollWidth") <= size[0]
    paper, ink, faint = browser.run(
        "const style = getComputedStyle(document.body);"
        "const text = getComputedStyle(document.querySelector('figcaption'));"
        "return [style.backgroundColor, style.color, text.color]"
    )
    assert (_luminance(paper) < 0.1) == dark
    assert _contrast(paper, ink) > 10
    assert _contrast(paper, faint) > 4.5  # WCAG AA
    smallest = browser.run(
        "return Math.min(...[...document.querySelectorAll('p, li, td, th, figcaption')]"
        ".map((element) => parseFloat(getComputedStyle(element).fontSize)))"
    )
    assert smallest >= 13
    lines = browser.run("return getComputedStyle(document.querySelector('figure svg text')).fill")
    assert _contrast(paper, lines) > 10
    browser.screenshot(tmp_path / "page.png")
    assert (tmp_path / "page.png").stat().st_size > 10_000


def _luminance(colour: str) -> float:
    channels = [int(value) / 255 for value in re.findall(r"\d+", colour)[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(first: str, second: str) -> float:
    low, high = sorted((_luminance(first), _luminance(second)))
    return (high + 0.05) / (low + 0.05)
