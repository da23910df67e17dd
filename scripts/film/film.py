"""What a scene of the film can do, and the frames that come of it.

A frame is taken when something has changed and says for how long it is to be seen: the film does
not depend on how fast the machine is.
"""

import base64
import json
import time
import urllib.error
import urllib.request
from pathlib import Path

from browser import Tab

STAGE = Path(__file__).with_name("stage.html")
# Seconds between two frames of what moves; every other time is a multiple of it.
STEP = 0.1
# Characters that are typed from one frame to the next, in the terminal and on the page.
COMMAND, UID = 5, 2


class Film:
    def __init__(self, browser, terminal, folder, root):
        self.terminal, self.folder, self.root = terminal, folder, root
        self.frames = []
        self.shown = {"layout": "", "caption": "", "text": "", "address": "", "pointer": None}
        self.page, self.stage = Tab(browser), Tab(browser)
        self.stage.resize(1280, 720)
        self.stage.go(STAGE.as_uri())

    def layout(self, name):
        """Which panes there are: `terminal`, `page` or `both`."""
        self.shown["layout"] = name
        self.show()
        if name != "terminal":
            self.page.resize(*self.stage.evaluate("viewSize()"))
            self.look()

    def caption(self, text):
        self.shown["caption"] = text

    def frame(self, seconds):
        """Takes a picture of the stage, to be seen for so long."""
        self.show()
        path = self.folder / f"frame-{len(self.frames):05}.png"
        path.write_bytes(self.stage.picture())
        self.frames.append((path, seconds))

    def show(self, **more):
        self.stage.evaluate(f"show({json.dumps(self.shown | more)})")

    def look(self):
        """Puts the page as it is now onto the stage: it does not let itself be framed."""
        self.shown["address"] = self.address()
        self.show(picture=base64.b64encode(self.page.picture()).decode())

    def address(self):
        """As a browser would show it, of a file its name within the folder of the terminal."""
        address = self.page.evaluate("location.href").removeprefix("http://")
        for folder in (self.folder, self.root):
            address = address.removeprefix(f"{folder.as_uri()}/")
        return address

    def run(self, command):
        """Types a command and enters it."""
        self.type(command)
        self.frame(3 * STEP)
        self.enter(command)

    def type(self, command):
        self.shown["text"] += "$ "
        typed = command.replace("\n", "\n> ")
        for place in range(0, len(typed), COMMAND):
            self.shown["text"] += typed[place:place + COMMAND]
            self.frame(STEP)

    def enter(self, command):
        """Runs a command that is typed already, and shows what it says."""
        self.shown["text"] += "\n"
        for line in self.terminal.run(command):
            self.shown["text"] += line
            self.frame(STEP)
        self.frame(STEP)

    def clear(self):
        """Empties the terminal, as Ctrl-L does."""
        self.shown["text"] = ""

    def go(self, url):
        self.page.go(url)
        self.look()

    def point(self, selector):
        """Shows the pointer on an element of the page; its place."""
        place = f"document.querySelector({json.dumps(selector)})"
        box = self.page.evaluate(f"{place}.scrollIntoViewIfNeeded(), {place}.getBoundingClientRect().toJSON()")
        self.look()
        self.shown["pointer"] = [box["x"] + box["width"] / 2, box["y"] + box["height"] / 2]
        self.frame(6 * STEP)
        pointer, self.shown["pointer"] = self.shown["pointer"], None
        return pointer

    def follow(self, selector):
        """Clicks a link of the page."""
        pointer = self.point(selector)
        with self.page.loads():
            self.page.click(*pointer)
        self.look()

    def look_up(self, uid):
        """Types an id into the input of the page, in place of what is there, and sends it."""
        self.page.click(*self.point("#uid"))
        self.page.evaluate("document.querySelector('#uid').select()")
        for place in range(0, len(uid), UID):
            self.page.insert(uid[place:place + UID])
            self.look()
            self.frame(STEP)
        self.frame(3 * STEP)
        with self.page.loads():
            self.page.enter()
        self.look()

    def scroll(self, share):
        """Moves the page until so much of what does not fit in is above, from 0 to 1."""
        begin = self.page.evaluate("scrollY")
        end = share * self.page.evaluate("document.documentElement.scrollHeight - innerHeight")
        steps = 6
        for step in range(1, steps + 1):
            self.page.evaluate(f"scrollTo(0, {begin + (end - begin) * step / steps})")
            self.look()
            self.frame(STEP)


def until(url, status, seconds=30):
    """Waits until this is answered with that status."""
    deadline = time.monotonic() + seconds
    while (got := answer(url)) != status:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{url} was to answer {status} within {seconds} s and answers {got}")
        time.sleep(0.05)


def answer(url):
    try:
        return urllib.request.urlopen(url, timeout=10).status
    except urllib.error.HTTPError as error:
        return error.code
