"""Two replicas with a broker and a Postgres under a load that rises and falls, with faults, and a
Prometheus that watches: what the pictures of the dashboards show.

Everything runs in a folder of its own, on free ports of 127.0.0.1, and is gone at the end.
"""

import http.client
import json
import os
import random
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

SCRAPE_SECONDS = 2
# Names of orders that nobody ever published.
UNKNOWN = "nobody-knows-{}"
# What happens when, in seconds: publishing and lookups a second from then on, or a fault.
LOAD = [(0, 60, 100), (40, 150, 250), (80, 400, 500), (140, 200, 250), (240, 100, 100)]
FAULTS = [(110, "broker"), (165, "postgres"), (215, "replica")]
SECONDS = 280


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


class Demo:
    """The servers, in a folder."""

    def __init__(self, root, folder, waybill, testbed, prometheus):
        self.folder, self.waybill, self.testbed, self.program = folder, waybill, testbed, prometheus
        self.ports = {name: free_port() for name in ("http", "admin", "broker", "monitor", "postgres", "http2", "admin2", "prometheus")}
        self.config = folder / ".waybill/waybill.toml"
        # What `testbed up` publishes, and where it looks for programs.
        for name in ("data", ".tools"):
            (folder / name).symlink_to(root / name)
        (folder / "prometheus.yml").write_text(
            f"global: {{scrape_interval: {SCRAPE_SECONDS}s}}\n"
            "scrape_configs:\n- job_name: waybill\n  static_configs:\n"
            f"  - targets: ['127.0.0.1:{self.ports['admin']}', '127.0.0.1:{self.ports['admin2']}']\n"
        )
        self.logs = open(folder / "log", "a")
        self.replica = self.prometheus = None

    def start(self):
        self.up()
        self.start_replica()
        self.prometheus = self.spawn(
            self.program, f"--config.file={self.folder}/prometheus.yml", f"--storage.tsdb.path={self.folder}/tsdb",
            f"--web.listen-address=127.0.0.1:{self.ports['prometheus']}", "--log.level=warn",
        )
        until("Prometheus has scraped both", lambda: len(self.query("up == 1")["result"]) == 2)

    def spawn(self, *command):
        return subprocess.Popen(command, cwd=self.folder, stdout=self.logs, stderr=self.logs)

    def up(self):
        """Starts what does not run of the first replica and the servers."""
        ports = [f"--{name}-port={self.ports[name]}" for name in ("http", "admin", "broker", "monitor", "postgres")]
        subprocess.run([self.testbed, "up", "--waybill", self.waybill, *ports], cwd=self.folder, check=True, stdout=self.logs, stderr=self.logs)

    def start_replica(self):
        self.replica = self.spawn(
            self.waybill, "serve", "--config", self.config, "--set", "broker.client_id=second",
            "--set", f"http.listen=127.0.0.1:{self.ports['http2']}", "--set", f"admin.listen=127.0.0.1:{self.ports['admin2']}",
        )
        until("the second replica is ready", lambda: get(self.ports["admin2"], "/readyz") == 200)

    def stop(self):
        for process in (self.replica, self.prometheus):
            if process:
                process.terminate()
                process.wait()
        subprocess.run([self.testbed, "clean-data"], cwd=self.folder, check=True, stdout=self.logs, stderr=self.logs)

    def query(self, expr, **parameters):
        """An answer of Prometheus, for a time or a range."""
        kind = "query_range" if "start" in parameters else "query"
        body = urllib.parse.urlencode({"query": expr, **parameters}).encode()
        url = f"http://127.0.0.1:{self.ports['prometheus']}/api/v1/{kind}"
        try:
            with urllib.request.urlopen(url, body, timeout=30) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{expr}: {error.read().decode()}") from error
        except urllib.error.URLError:
            return {"result": []}

    def fault(self, name):
        run = self.folder / ".waybill/run"
        if name == "replica":
            self.replica.terminate()
            self.replica.wait()
            self.start_replica()
            return
        pid = json.loads((run / f"{name}.json").read_text())["pid"]
        os.kill(pid, signal.SIGINT if name == "postgres" else signal.SIGTERM)
        time.sleep(8)
        self.up()

    def publish(self, *what):
        return self.spawn(self.waybill, "publish", "--config", self.config, *what)

    def run_load(self):
        """All of LOAD and FAULTS, and the times between which it happened."""
        receipt = self.folder / "receipt"
        self.publish("--generate", "3000", "--seed", "5", "--receipt", receipt).wait()
        lines = [json.loads(line) for line in receipt.read_text().splitlines()]
        uids = [line["uid"] for line in lines if line.get("expected") == "stored"]
        begin, rate, done = time.time(), [0], threading.Event()
        workers = [threading.Thread(target=look_up, args=(self.ports, uids, rate, done)) for _ in range(4)]
        for worker in workers:
            worker.start()
        faults = threading.Thread(target=self.make_faults, args=(begin,))
        faults.start()
        publishers = []
        for (at, publishing, lookups), after in zip(LOAD, [*LOAD[1:], (SECONDS, 0, 0)]):
            time.sleep(max(0, begin + at - time.time()))
            rate[0] = lookups / len(workers)
            number = str(publishing * (after[0] - at))
            what = ("--generate", number, "--rate", str(publishing), "--bad-ratio", "0.01", "--duplicate-ratio", "0.02")
            publishers.append(self.publish(*what))
        time.sleep(max(0, begin + SECONDS - time.time()))
        done.set()
        for thread in (*workers, faults):
            thread.join()
        for publisher in publishers:
            publisher.wait()
        return begin, begin + SECONDS

    def make_faults(self, begin):
        for at, name in FAULTS:
            time.sleep(max(0, begin + at - time.time()))
            self.fault(name)


def until(what, condition, seconds=60):
    end = time.time() + seconds
    while not condition():
        if time.time() > end:
            raise TimeoutError(what)
        time.sleep(0.1)


def get(port, path):
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        connection.request("GET", path)
        return connection.getresponse().status
    except OSError:
        return None


def look_up(ports, uids, rate, done):
    """Lookups of one client at `rate` a second, at either replica: most of them of orders that there are."""
    connections = {}
    while not done.is_set():
        port = ports[random.choice(["http", "http2"])]
        kind = random.random()
        path = f"/api/v1/orders/{random.choice(uids)}" if kind < 0.9 else f"/orders/{random.choice(uids)}"
        if kind > 0.98:
            path = "/api/v1/orders/" + UNKNOWN.format(random.randrange(10**6))
        try:
            connection = connections.setdefault(port, http.client.HTTPConnection("127.0.0.1", port, timeout=5))
            connection.request("GET", path)
            connection.getresponse().read()
        except (OSError, http.client.HTTPException):
            connections.pop(port, None)
        done.wait(random.expovariate(rate[0] or 1))
