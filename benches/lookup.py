"""A lookup that hits, beside nginx, Redis and the least that a server can do."""

import contextlib
import json
import pathlib
import re
import subprocess
import urllib.request

import common

CLIENTS = 32
SECONDS = 5


def order_of_one_kilobyte():
    """The id and document of an order of about 1 kB that is in Postgres."""
    common.empty_schema()
    with common.scratch() as scratch, common.broker(pathlib.Path(scratch)) as (_, port):
        common.publish(port, 1_000)
        with common.replica(port):
            stored = lambda: common.psql("select count(*) from orders") == "1000"
            common.until(stored, 30, "the orders")
    near = "order by abs(length(document) - 1000), order_uid limit 1"
    uid = common.psql(f"select order_uid from orders {near}")
    return uid, common.psql(f"select convert_from(document, 'UTF8') from orders where order_uid = '{uid}'")


def wrk(port, path, script=None, token=None):
    """µs of the server's core a request, and requests a second."""
    command = ["wrk", "-t1", f"-c{CLIENTS}", f"-d{SECONDS}s", f"http://127.0.0.1:{port}{path}"]
    if script:
        command += ["-s", str(script)]
    if token:
        command += ["-H", f"Authorization: Bearer {token}"]
    before = common.busy(0)
    done = subprocess.run(common.on_core(1, *command), check=True, capture_output=True, text=True).stdout
    spent = common.busy(0) - before
    if "Non-2xx" in done or "Socket errors" in done:
        raise common.Failure(done)
    requests = int(re.search(r"(\d+) requests in", done).group(1))
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", done).group(1))
    return round(spent / requests * 1e6, 2), round(rate)


def redis_benchmark(port, uid):
    before = common.busy(0)
    count = 400_000
    command = [common.program("redis-benchmark"), "-p", str(port), "-c", str(CLIENTS), "-n", str(count)]
    command += ["--csv", "GET", uid]
    done = subprocess.run(common.on_core(1, *command), check=True, capture_output=True, text=True).stdout
    spent = common.busy(0) - before
    rate = float(done.splitlines()[-1].split(",")[1].strip('"'))
    return round(spent / count * 1e6, 2), round(rate)


@contextlib.contextmanager
def nginx(directory, uid, document):
    (directory / "www").mkdir()
    (directory / "www" / uid).write_text(document)
    port = common.free_port()
    config = directory / "nginx.conf"
    config.write_text(
        f"""daemon off; worker_processes 1; pid {directory}/nginx.pid; error_log stderr error;
        events {{ worker_connections 1024; }}
        http {{ access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000000;
          open_file_cache max=1000; default_type application/json;
          client_body_temp_path {directory}; proxy_temp_path {directory}; fastcgi_temp_path {directory};
          uwsgi_temp_path {directory}; scgi_temp_path {directory};
          server {{ listen 127.0.0.1:{port}; root {directory}/www; }} }}"""
    )
    command = common.on_core(0, common.program("nginx"), "-p", str(directory), "-c", str(config))
    with common.running(command, common.listens(port)):
        yield port


@contextlib.contextmanager
def redis(directory, uid, document):
    port = common.free_port()
    command = [common.program("redis-server"), "--port", str(port), "--save", "", "--dir", str(directory)]
    with common.running(common.on_core(0, *command), common.listens(port)):
        put = [common.program("redis-cli"), "-p", str(port), "-x", "set", uid]
        subprocess.run(put, input=document.encode(), check=True, stdout=subprocess.DEVNULL)
        yield port


@contextlib.contextmanager
def floor(directory, answer):
    """A server that writes the same bytes whatever it reads, and does nothing else."""
    port = common.free_port()
    (directory / "answer").write_bytes(answer)
    command = [common.floor(), str(port), str(directory / "answer")]
    with common.running(common.on_core(0, *command), common.listens(port)):
        yield port


def raw_answer(port, path):
    """A whole answer as it goes over the wire."""
    import socket

    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += client.recv(65536)
        head, body = answer.split(b"\r\n\r\n", 1)
        length = int(re.search(rb"content-length: (\d+)", head.lower()).group(1))
        while len(body) < length:
            body += client.recv(65536)
    return head + b"\r\n\r\n" + body


def many_at_once(directory, port, count=100):
    """µs of the server's core an order when `count` are asked for in one request."""
    uids = common.psql(f"select order_uid from orders order by order_uid limit {count}").split()
    body = json.dumps({"uids": uids})
    request = urllib.request.Request(f"http://127.0.0.1:{port}/api/v1/orders/lookup", body.encode())
    answer = json.loads(urllib.request.urlopen(request).read())
    if [order["status"] for order in answer["orders"]] != [200] * count:
        raise common.Failure("not every order of the many was found")
    script = directory / "many.lua"
    script.write_text(f"wrk.method = 'POST'\nwrk.body = [[{body}]]\n")
    spent, rate = wrk(port, "/api/v1/orders/lookup", script)
    return round(spent / count, 2), rate * count


def run(rounds=5):
    uid, document = order_of_one_kilobyte()
    path = f"/api/v1/orders/{uid}"
    with common.scratch() as scratch, contextlib.ExitStack() as stack:
        directory = pathlib.Path(scratch)
        _, ours, _ = stack.enter_context(common.replica(core=0, WAYBILL_HTTP__WORKERS="1"))
        answer = raw_answer(ours, path)
        static = stack.enter_context(nginx(directory, uid, document))
        store = stack.enter_context(redis(directory, uid, document))
        least = stack.enter_context(floor(directory, answer))
        found = common.rounds(
            rounds,
            {
                "waybill": lambda: wrk(ours, path),
                "nginx": lambda: wrk(static, f"/{uid}"),
                "Redis": lambda: redis_benchmark(store, uid),
                "floor": lambda: wrk(least, path),
                "many": lambda: many_at_once(directory, ours),
            },
        )
    spent = {name: [value[0] for value in values] for name, values in found.items()}
    own = common.statistics.median(spent["waybill"])
    ratio = lambda name: f"{own / common.statistics.median(spent[name]):.2f}"
    print(f"### Lookup of an order of {len(document):,} bytes in memory, {CLIENTS} connections\n")
    row = lambda title, name: (
        title,
        common.middle(spent[name], 2),
        common.middle([value[1] for value in found[name]], 0),
        ratio(name),
    )
    common.table(
        ("server", "µs of its core a request", "requests a second", "waybill's µs to these"),
        row("`waybill serve`", "waybill"),
        row("nginx, a static file", "nginx"),
        row("Redis, `GET`", "Redis"),
        row("the same bytes out of an epoll loop", "floor"),
    )
    each = common.statistics.median(spent["many"])
    print(f"With 100 orders a request: {common.middle(spent['many'], 2)} µs an order, ", end="")
    print(f"{each / own:.2f} of a lookup by itself.\n")
