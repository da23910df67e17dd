"""Chromium without a window, driven over a pipe by its DevTools protocol."""

import base64
import contextlib
import json
import os
import select
import shutil
import subprocess

ANSWER_SECONDS = 60
FLAGS = ["--headless=new", "--remote-debugging-pipe", "--hide-scrollbars", "--no-first-run", "--lang=en-US", "--force-color-profile=srgb"]


class Browser:
    def __init__(self, folder):
        """Starts it with a profile of its own in `folder`, where its log is too."""
        program = shutil.which("chromium")
        if not program:
            raise RuntimeError("chromium is missing; scripts/install-tools --film installs it")
        flags = [*FLAGS, f"--user-data-dir={folder}/chromium"]
        if os.geteuid() == 0:
            # Its sandbox refuses to work for root.
            flags.append("--no-sandbox")
        theirs_in, ours_out = os.pipe()
        ours_in, theirs_out = os.pipe()
        # Chromium reads commands from descriptor 3 and answers on 4.
        command = ["bash", "-c", f'exec "$0" "$@" 3<&{theirs_in} 4>&{theirs_out}', program, *flags]
        self.log = folder / "chromium.log"
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(command, pass_fds=(theirs_in, theirs_out), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        os.close(theirs_in)
        os.close(theirs_out)
        self.commands, self.answers = os.fdopen(ours_out, "wb"), ours_in
        self.buffer, self.events, self.last = b"", [], 0

    def call(self, method, session=None, **parameters):
        """The result of a command, for a tab's session or for the whole browser."""
        self.last += 1
        message = {"id": self.last, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        self.commands.write(json.dumps(message).encode() + b"\0")
        self.commands.flush()
        while True:
            answer = self.receive()
            if answer.get("id") == self.last:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return answer["result"]
            self.events.append(answer)

    def receive(self):
        while b"\0" not in self.buffer:
            if not select.select([self.answers], [], [], ANSWER_SECONDS)[0]:
                raise RuntimeError(f"Chromium has said nothing for {ANSWER_SECONDS} s")
            piece = os.read(self.answers, 1 << 20)
            if not piece:
                raise RuntimeError(f"Chromium has ended:\n{self.log.read_text()}")
            self.buffer += piece
        message, _, self.buffer = self.buffer.partition(b"\0")
        return json.loads(message)

    def wait_for(self, event, session):
        while True:
            message = self.events.pop(0) if self.events else self.receive()
            if message.get("method") == event and message.get("sessionId") == session:
                return

    def close(self):
        self.process.terminate()
        self.process.wait()


class Tab:
    """A tab, in a window of its own: what is hidden behind another one is not drawn."""

    def __init__(self, browser):
        self.browser = browser
        target = browser.call("Target.createTarget", url="about:blank", newWindow=True)["targetId"]
        self.session = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.call("Page.enable")
        self.call("Emulation.setFocusEmulationEnabled", enabled=True)

    def call(self, method, **parameters):
        return self.browser.call(method, self.session, **parameters)

    def resize(self, width, height):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    @contextlib.contextmanager
    def loads(self):
        """Waits until the page is there that what is done within leads to."""
        self.browser.events.clear()
        yield
        self.browser.wait_for("Page.loadEventFired", self.session)

    def go(self, url):
        with self.loads():
            failure = self.call("Page.navigate", url=url).get("errorText")
            if failure:
                raise RuntimeError(f"{url}: {failure}")

    def evaluate(self, expression):
        """The value of an expression of JavaScript, of a promise what it comes to."""
        answer = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{expression[:200]}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def insert(self, text):
        self.call("Input.insertText", text=text)

    def enter(self):
        key = {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13}
        self.call("Input.dispatchKeyEvent", type="keyDown", text="\r", **key)
        self.call("Input.dispatchKeyEvent", type="keyUp", **key)

    def click(self, x, y):
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def picture(self):
        """What it shows, as the bytes of a PNG."""
        return base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])
