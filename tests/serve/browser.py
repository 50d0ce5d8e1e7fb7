"""A headless Chromium over the WebDriver protocol (W3C), which needs no library."""

import base64
import http.client
import json
import shutil
import socket
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
_ARGUMENTS = [
    "--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


@dataclass
class Browser:
    """One window of a given size, in CSS pixels. `urls` are the requests that its pages made."""

    width: int = 1_000
    height: int = 900
    patience_s: float = 60.0

    def __enter__(self) -> Self:
        self.port = free_port()
        self._driver = subprocess.Popen(
            [DRIVER, f"--port={self.port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self.wait_for(self._listens, what="the driver")
        options = {"binary": CHROMIUM, "args": _ARGUMENTS}
        if self.width < 500:  # a window is never narrower than 500; a phone is told so
            metrics = {"width": self.width, "height": self.height, "pixelRatio": 1}
            options["mobileEmulation"] = {"deviceMetrics": metrics}
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"performance": "ALL"}}
        self._session = ""
        made = self._do("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self._session = f"/session/{made['sessionId']}"
        if "mobileEmulation" not in options:
            self._do("POST", "/window/rect", {"width": self.width, "height": self.height})
        return self

    def __exit__(self, *_: object) -> None:
        self._do("DELETE", "", None)
        # The browser has ended; the driver itself sometimes hangs when it is asked to.
        self._driver.kill()
        self._driver.wait(timeout=self.patience_s)

    def open(self, url: str) -> None:
        self._do("POST", "/url", {"url": url})

    def text(self, selector: str) -> str:
        return self._do("GET", f"/element/{self._found(selector)}/text", None)

    def type(self, selector: str, text: str) -> None:
        element = self._found(selector)
        self._do("POST", f"/element/{element}/clear", {})
        self._do("POST", f"/element/{element}/value", {"text": text})

    def click(self, selector: str) -> None:
        self._do("POST", f"/element/{self._found(selector)}/click", {})

    def run(self, script: str) -> Any:
        return self._do("POST", "/execute/sync", {"script": script, "args": []})

    def picture(self, place: Path) -> None:
        place.write_bytes(base64.b64decode(self._do("GET", "/screenshot", None)))

    def whole_picture(self, place: Path) -> None:
        """Photograph the page from top to bottom, not only what the window shows."""
        told = self.command("Page.captureScreenshot", captureBeyondViewport=True)
        place.write_bytes(base64.b64decode(told["data"]))

    def scheme(self, name: str) -> None:
        """Prefer `light` or `dark`."""
        wanted = {"name": "prefers-color-scheme", "value": name}
        self.command("Emulation.setEmulatedMedia", features=[wanted])

    def command(self, name: str, **params: Any) -> Any:
        """Send a command of the DevTools protocol."""
        return self._do("POST", "/goog/cdp/execute", {"cmd": name, "params": params})

    def urls(self) -> list[str]:
        entries = self._do("POST", "/se/log", {"type": "performance"})
        events = [json.loads(one["message"])["message"] for one in entries]
        return [
            one["params"]["request"]["url"]
            for one in events
            if one["method"] == "Network.requestWillBeSent"
        ]

    def wait_for(self, condition, *, what: str) -> None:
        patience = threading.Event()
        for _ in range(int(self.patience_s / 0.05)):
            if condition():
                return
            patience.wait(0.05)
        raise AssertionError(f"waited {self.patience_s} s for {what}")

    def _found(self, selector: str) -> str:
        return self._do("POST", "/element", {"using": "css selector", "value": selector})[_ELEMENT]

    def _do(self, method: str, path: str, body: Any) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=self.patience_s)
        content = None if body is None else json.dumps(body)
        connection.request(
            method, self._session + path, content, {"Content-Type": "application/json"}
        )
        told = json.loads(connection.getresponse().read())["value"]
        connection.close()
        if isinstance(told, dict) and "error" in told:
            raise AssertionError(f"{method} {path}: {told['error']}: {told['message']}")
        return told

    def _listens(self) -> bool:
        with socket.socket() as asked:
            return asked.connect_ex(("127.0.0.1", self.port)) == 0


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]
