"""Evidence of a small network, and a headless Chromium for the tests marked `browser`.

The browser is driven by ChromeDriver's own protocol.
"""

from __future__ import annotations

import base64
import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from neurossm.compile import compile_model
from neurossm.datafile import Data
from neurossm.reporting import Evidence, gather

_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)


@pytest.fixture(scope="session")
def evidence(networks: ModuleType) -> Evidence:
    """Six samples of 6 x 6 pixels through two random blocks, with labels."""
    graph = networks.random_graph(3, channels=6, modes=3, blocks=2)
    data = np.random.default_rng(0).integers(0, 256, (6, 36, 1), np.uint8)
    labels = np.array([0, 1, 2, 0, 1, 2])
    samples = Data(data, labels, "folder/digits & <b>letters.npz")
    program = compile_model(graph)
    return gather(program, samples, available=50, model=graph, engines=("reference",))


class Browser:
    """One browser window (W3C WebDriver)."""

    def __init__(self, address: str, folder: Path) -> None:
        self._address = address
        self.downloads = folder / "downloads"
        options = {
            "binary": shutil.which("chromium"),
            "args": [*_FLAGS, f"--user-data-dir={folder / 'profile'}"],
            "prefs": {"download.default_directory": str(self.downloads)},
        }
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        answer = self._call("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self._session = f"/session/{answer['sessionId']}"

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self._address + path, data, {"Content-Type": "application/json"}, method=method
        )
        with urllib.request.urlopen(request, timeout=60) as reply:
            return json.load(reply)["value"]

    def _in_session(self, path: str, body: dict[str, Any] | None = None) -> Any:
        return self._call("GET" if body is None else "POST", self._session + path, body)

    def open(self, page: Path) -> None:
        """Open a file."""
        self._in_session("/url", {"url": page.as_uri()})

    def run(self, script: str, *arguments: object) -> Any:
        """Run a function's body in the page and return what it returns."""
        return self._in_session("/execute/sync", {"script": script, "args": list(arguments)})

    def errors(self) -> list[str]:
        """Return what the console has got since the last call."""
        return [entry["message"] for entry in self._in_session("/se/log", {"type": "browser"})]

    def command(self, name: str, **parameters: object) -> Any:
        """Run a command of the DevTools protocol."""
        return self._in_session("/goog/cdp/execute", {"cmd": name, "params": parameters})

    def resize(self, width: int, height: int, *, dark: bool = False) -> None:
        """Be a screen of this size, with a light or a dark colour scheme."""
        self.command(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.command("Emulation.setEmulatedMedia", features=[scheme])

    def screenshot(self, path: Path) -> None:
        """Write the whole page as a PNG."""
        size = self.run(
            "return [document.documentElement.scrollWidth, document.documentElement.scrollHeight]"
        )
        clip = {"x": 0, "y": 0, "width": size[0], "height": size[1], "scale": 1}
        image = self.command("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
        path.write_bytes(base64.b64decode(image["data"]))

    def close(self) -> None:
        """End the browser."""
        self._call("DELETE", self._session)


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    driver = shutil.which("chromedriver")
    if driver is None or shutil.which("chromium") is None:
        pytest.skip("needs chromium and chromedriver (Debian: chromium, chromium-driver)")
    folder = tmp_path_factory.mktemp("browser")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([driver, f"--port={port}"], stdout=log, stderr=log)
    try:
        address = f"http://127.0.0.1:{port}"
        _wait_for(address)
        window = Browser(address, folder)
        yield window
        window.close()
    finally:
        process.terminate()
        process.wait(10)


def _wait_for(address: str) -> None:
    for _ in range(100):
        if _answers(f"{address}/status"):
            return
        time.sleep(0.1)
    pytest.fail("chromedriver does not answer")


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5):
            return True
    except (urllib.error.URLError, ConnectionError):
        return False
