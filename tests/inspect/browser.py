"""Chromium without a window, told what to do over a pipe by its DevTools protocol; nothing else is needed."""

import base64
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
PATIENCE = 60.0  # seconds
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--remote-debugging-pipe")
OFFLINE = ("--disable-background-networking", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1")


class Browser:
    """One open page.

    Attributes:
        events: what the page reported so far: its console's messages, exceptions and requests.
    """

    def __init__(self, to_browser: int, from_browser: int) -> None:
        self._out, self._in = os.fdopen(to_browser, "wb", 0), os.fdopen(from_browser, "rb")
        self._number, self._session = 0, None
        self._rest = b""
        self.events: list[dict[str, Any]] = []
        target = self.tell("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.tell("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network", "DOM"):
            self.tell(f"{domain}.enable")

    def tell(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command of the protocol; its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        self._out.write(json.dumps(message).encode() + b"\0")
        while True:
            while b"\0" not in self._rest:
                piece = os.read(self._in.fileno(), 2**16)
                assert piece, "the browser ended"
                self._rest += piece
            line, _, self._rest = self._rest.partition(b"\0")
            answer = json.loads(line)
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]
            self.events.append(answer)

    def run(self, script: str) -> Any:
        """The value of an expression on the page."""
        answer = self.tell(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True, userGesture=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait(self, script: str) -> Any:
        """The value of an expression once it is true."""
        end = time.monotonic() + PATIENCE
        while not (value := self.run(script)):
            assert time.monotonic() < end, f"not in {PATIENCE:g} s: {script}"
            time.sleep(0.05)
        return value

    def open(self, address: str) -> None:
        """Go to a page and wait until its scripts have run."""
        self.tell("Page.navigate", url=address)
        self.wait("document.readyState === 'complete' && location.href !== 'about:blank'")

    def shape(self, width: int, height: int = 900, dark: bool = False) -> None:
        """Give the window a size, and the user a preference."""
        self.tell(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        preference = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.tell("Emulation.setEmulatedMedia", features=[preference])

    def choose_files(self, selector: str, *files: Path) -> None:
        """What a person's choice in the dialog of a file field does."""
        root = self.tell("DOM.getDocument")["root"]["nodeId"]
        node = self.tell("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.tell("DOM.setFileInputFiles", nodeId=node, files=[str(file) for file in files])

    def drop_files(self, *files: Path, at: tuple[int, int] = (150, 300)) -> None:
        """Drag files over the page and let them go."""
        data = {"items": [], "files": [str(file) for file in files], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            self.tell("Input.dispatchDragEvent", type=kind, x=at[0], y=at[1], data=data)

    def press(self, key: str, code: int) -> None:
        """Press a key that has a name, with its code in Windows' numbers."""
        text = {"text": "\r"} if key == "Enter" else {}
        self.tell("Input.dispatchKeyEvent", type="keyDown", key=key, code=key, windowsVirtualKeyCode=code, **text)
        self.tell("Input.dispatchKeyEvent", type="keyUp", key=key, code=key, windowsVirtualKeyCode=code)

    def picture(self, target: Path) -> None:
        """Save what the whole page looks like, as PNG."""
        shot = self.tell("Page.captureScreenshot", captureBeyondViewport=True)
        target.write_bytes(base64.b64decode(shot["data"]))


@contextmanager
def browser(profile: Path, *flags: str) -> Iterator[Browser]:
    """A browser with a profile of its own, and flags beside the usual ones, for as long as the block lasts."""
    (take, to_browser), (from_browser, give) = os.pipe(), os.pipe()

    def connect() -> None:  # the browser reads commands from 3 and answers into 4
        source, sink = os.dup(take), os.dup(give)
        os.dup2(source, 3)
        os.dup2(sink, 4)

    command = [str(CHROMIUM), *FLAGS, *OFFLINE, *flags, f"--user-data-dir={profile}", "about:blank"]
    with subprocess.Popen(
        command, preexec_fn=connect, pass_fds=(3, 4, take, give), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        os.close(take)
        os.close(give)
        try:
            yield Browser(to_browser, from_browser)
        finally:
            process.terminate()
            process.wait(PATIENCE)
