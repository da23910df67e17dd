"""What the benchmarks share: servers, processor time, rounds and tables."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
CHANNEL = "orders"
CLUSTER = "bench"
TICK = 1 / os.sysconf("SC_CLK_TCK")


class Failure(Exception):
    """Something that stops the benchmark, for people."""


def program(name):
    """The path of a program that must be there."""
    own = ROOT / ".tools/bin" / name
    if os.access(own, os.X_OK):
        return str(own)
    found = shutil.which(name) or next(
        (str(p) for p in pathlib.Path("/usr/sbin").glob(name)), None
    )
    if not found:
        raise Failure(f"{name} is missing; scripts/install-tools --bench installs it")
    return found


def waybill():
    return os.environ["WAYBILL"]


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def on_core(core, *command):
    """The command on one core, where there are several."""
    return ["taskset", "-c", str(core), *command] if os.cpu_count() > 1 else list(command)


@contextlib.contextmanager
def running(command, ready, log=None, env=None, seconds=30):
    """A server that `ready` says is up; it is ended at the end of the block."""
    output = open(log, "wb") if log else subprocess.DEVNULL
    process = subprocess.Popen(command, stdout=output, stderr=output, env=env)
    try:
        until(ready, seconds, " ".join(map(str, command[:4])), process)
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def until(condition, seconds, what, process=None, pause=0.002):
    """Waits until the condition holds and returns what it gave."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        if process and process.poll() is not None:
            raise Failure(f"{what} ended with {process.returncode}")
        if time.monotonic() > end:
            raise Failure(f"{what} took longer than {seconds} s")
        time.sleep(pause)
    return value


def listens(port):
    def ready():
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", port)) == 0

    return ready


def get(port, path):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.read().decode()
    except OSError:
        return ""


def metric(port, name):
    found = re.search(rf"^{re.escape(name)} (\S+)$", get(port, "/metrics"), re.MULTILINE)
    return float(found.group(1)) if found else None


def processor_time(pid):
    """Seconds that a process and its ended children took, kernel included."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(map(int, fields[11:15])) * TICK


def family_time(pid):
    """Seconds of a process and its children, ended or not, as Postgres has them."""
    children = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    total = processor_time(pid)
    for child in children:
        with contextlib.suppress(OSError):
            total += processor_time(child)
    return total


def busy(core):
    """Seconds that a core was busy with anything since the start."""
    for line in pathlib.Path("/proc/stat").read_text().splitlines():
        if line.startswith(f"cpu{core} "):
            user, nice, system, _idle, _iowait, irq, softirq, *_ = map(int, line.split()[1:])
            return (user + nice + system + irq + softirq) * TICK
    raise Failure(f"there is no core {core}")


def resident(pid):
    """Bytes of a process in memory."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", status).group(1)) * 1024


def psql(sql, output=None):
    command = ["psql", os.environ["DATABASE_URL"], "-X", "-q", "-t", "-A", "-v", "ON_ERROR_STOP=1"]
    done = subprocess.run([*command, "-c", sql], check=True, stdout=output or subprocess.PIPE)
    return "" if output else done.stdout.decode().strip()


def postmaster():
    """The pid of the Postgres behind DATABASE_URL: the parent of whoever answers."""
    command = ["psql", os.environ["DATABASE_URL"], "-X", "-q", "-t", "-A"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as client:
        client.stdin.write("select pg_backend_pid();\n")
        client.stdin.flush()
        backend = int(client.stdout.readline())
        status = pathlib.Path(f"/proc/{backend}/status").read_text()
        client.stdin.close()
    return int(re.search(r"PPid:\s+(\d+)", status).group(1))


def settings(broker=None, http=None, admin=None, **more):
    """The environment of a replica."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("WAYBILL_")}
    env.update(
        WAYBILL_DATABASE__URL=os.environ["DATABASE_URL"],
        WAYBILL_DATABASE__MIGRATE="true",
        WAYBILL_BROKER__URL=f"nats://127.0.0.1:{broker or 9}",
        WAYBILL_BROKER__CLUSTER_ID=CLUSTER,
        WAYBILL_BROKER__CHANNEL=CHANNEL,
        WAYBILL_HTTP__LISTEN=f"127.0.0.1:{http or 0}",
        WAYBILL_ADMIN__LISTEN=f"127.0.0.1:{admin or 0}",
        WAYBILL_SHUTDOWN__GRACE_BEFORE_DRAIN="0s",
        WAYBILL_TELEMETRY__LOG_FORMAT="json",
        WAYBILL_INGEST__ENABLED="true" if broker else "false",
    )
    env.update(more)
    env.pop("DATABASE_URL")
    return env


@contextlib.contextmanager
def replica(broker=None, core=None, log=None, **more):
    """A replica that is ready, with its ports."""
    http, admin = free_port(), free_port()
    command = [waybill(), "serve"]
    command = command if core is None else on_core(core, *command)
    env = settings(broker, http, admin, **more)
    ready = lambda: "\nwaybill_ready 1\n" in get(admin, "/metrics")
    with running(command, ready, log, env, seconds=600) as process:
        yield process, http, admin


def move_postgres(core):
    """Lets Postgres run on one core, where there are several."""
    if os.cpu_count() > 1:
        database = postmaster()
        children = pathlib.Path(f"/proc/{database}/task/{database}/children").read_text().split()
        for pid in (database, *map(int, children)):
            with contextlib.suppress(ProcessLookupError):
                os.sched_setaffinity(pid, {core})


@contextlib.contextmanager
def broker(directory, core=None):
    port = free_port()
    command = [program("nats-streaming-server"), "-a", "127.0.0.1", "-p", str(port)]
    command += ["-cid", CLUSTER, "-mc", "0", "-mm", "0", "-mb", "0", "-msu", "0"]
    command = command if core is None else on_core(core, *command)
    log = directory / "broker.log"
    ready = lambda: log.exists() and b"Server is ready" in log.read_bytes()
    with running(command, ready, log) as process:
        yield process, port


def publish(port, count, *more, core=None):
    command = [waybill(), "publish", "--generate", str(count), *(more or ("--seed", "1"))]
    command = command if core is None else on_core(core, *command)
    subprocess.run(
        command, env=settings(port), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def empty_schema():
    psql("set client_min_messages = warning; drop schema public cascade; create schema public")
    env = settings()
    command = [waybill(), "migrate"]
    subprocess.run(command, env=env, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def rounds(count, contenders):
    """Runs each contender once a round, in turning order; returns its values by name."""
    values = {name: [] for name in contenders}
    for number in range(count):
        names = list(contenders)
        for name in names if number % 2 == 0 else reversed(names):
            values[name].append(contenders[name]())
            print(f"  round {number + 1}: {name}: {values[name][-1]}", file=sys.stderr)
    return values


def middle(values, digits=1):
    """The median with the least and the most."""
    show = lambda value: f"{value:,.{digits}f}"
    return f"{show(statistics.median(values))} ({show(min(values))}–{show(max(values))})"


def table(*rows):
    """A Markdown table, its first row the heads."""
    lines = ["| " + " | ".join(map(str, row)) + " |" for row in rows]
    lines.insert(1, "|" + "---|" * len(rows[0]))
    print("\n".join(lines) + "\n", flush=True)


def save(name, values):
    """Keeps what was measured for benches/plot."""
    directory = ROOT / "target/bench"
    directory.mkdir(parents=True, exist_ok=True)
    (directory / f"{name}.json").write_text(json.dumps(values))


def scratch():
    return tempfile.TemporaryDirectory(prefix="waybill-bench-")


def floor():
    """The program that writes the same bytes whatever it reads."""
    return os.environ["FLOOR"]
