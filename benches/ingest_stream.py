"""A backlog of orders of a stream into Postgres, beside a consumer alone and COPY alone."""

import contextlib
import json
import pathlib
import socket
import subprocess

import common
import ingest

STREAM = "ORDERS"
COLUMNS = "order_uid, document, channel_sequence, source"


@contextlib.contextmanager
def server(directory):
    """A server with an empty stream, as a replica makes it, each write synced."""
    port = common.free_port()
    with contextlib.ExitStack() as stack:
        store = stack.enter_context(common.scratch())
        configuration = directory / "nats.conf"
        configuration.write_text(
            f'listen: "127.0.0.1:{port}"\n'
            f'jetstream {{ store_dir: "{store}", sync_interval: always }}\n'
        )
        log = directory / "nats.log"
        ready = lambda: log.exists() and b"Server is ready" in log.read_bytes()
        command = [common.program("nats-server"), "-c", str(configuration)]
        process = stack.enter_context(common.running(command, ready, log))
        make_stream(port)
        yield process, port
    log.unlink()


def make_stream(port):
    limits = {name: -1 for name in ("max_msgs", "max_bytes", "max_msgs_per_subject", "max_consumers")}
    wanted = {"name": STREAM, "subjects": [common.CHANNEL], "retention": "limits", "storage": "file"}
    wanted |= {"discard": "new", "max_age": 0, "num_replicas": 1, **limits}
    request = json.dumps(wanted).encode()
    with socket.create_connection(("127.0.0.1", port)) as link:
        link.sendall(b'CONNECT {"verbose":false}\r\nSUB answer 1\r\n')
        link.sendall(b"PUB $JS.API.STREAM.CREATE.%s answer %d\r\n" % (STREAM.encode(), len(request)))
        link.sendall(request + b"\r\n")
        answer = b""
        while b"MSG answer" not in answer or not answer.endswith(b"}\r\n"):
            answer += link.recv(65536)
    if b'"error"' in answer:
        raise common.Failure(answer.decode())


def settings(port):
    return {
        "WAYBILL_BROKER__ENABLED": "false",
        "WAYBILL_INGEST__ENABLED": "true",
        "WAYBILL_JETSTREAM__URL": f"nats://127.0.0.1:{port}",
    }


def backlog(count, directory, work):
    """Makes an empty database and a stream with `count` orders, and lets `work` have them."""
    common.empty_schema()
    with server(directory) as (process, port):
        command = [common.waybill(), "publish", "--generate", str(count), "--seed", "1"]
        env = common.settings(**settings(port))
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.run(command, env=env, check=True, **quiet)
        return work(process, port)


def service(count, directory):
    """Rows a second, and the processor time of each part in µs a row."""

    work = lambda process, port: ingest.drain_all(process, None, count, **settings(port))
    return backlog(count, directory, work)


def consumer(count, directory):
    """Messages a second of a pull consumer that acknowledges each by hand."""

    def work(_, port):
        command = [str(directory / "pull-consumer"), str(port), STREAM, str(count)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        return round(float(done.stdout))

    return backlog(count, directory, work)


def prepare(count, directory):
    """Builds the consumer, and writes the orders to a file for COPY."""
    build = ["go", "build", "-o", str(directory / "pull-consumer"), "."]
    subprocess.run(build, cwd=common.ROOT / "benches/pull-consumer", check=True)
    service(count, directory)
    ingest.export(directory / "orders.copy", COLUMNS)


def run(count=100_000, rounds=5):
    with common.scratch() as scratch:
        directory = pathlib.Path(scratch)
        prepare(count, directory)
        found = common.rounds(
            rounds,
            {
                "service": lambda: service(count, directory),
                "consumer": lambda: consumer(count, directory),
                "COPY": lambda: ingest.copy(count, directory, COLUMNS),
            },
        )
    rates, one_after_other, ratio = ingest.compared(found)
    print(f"### Ingest of {count:,} orders of 1 kB off a stream\n")
    common.table(
        ("what", "a second", "of one after the other"),
        ("`waybill serve`", common.middle(rates["service"], 0), f"{ratio:.2f}"),
        ("nats.go, pull consumer, acknowledged by hand", common.middle(rates["consumer"], 0), ""),
        ("`COPY` into the same table", common.middle(rates["COPY"], 0), ""),
        ("one after the other", f"{one_after_other:,.0f}", "1.00"),
    )
    parts = list(zip(*found["service"]))[1:]
    common.table(
        ("processor time of", "µs a row"),
        ("the service", common.middle(parts[0])),
        ("Postgres", common.middle(parts[1])),
        ("the server of the stream", common.middle(parts[2])),
        ("all of them", common.middle([sum(value[1:]) for value in found["service"]])),
        ("Postgres, `COPY` alone", common.middle([value[1] for value in found["COPY"]])),
    )
