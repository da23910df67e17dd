"""A backlog of orders into Postgres, beside a consumer alone and COPY alone."""

import contextlib
import pathlib
import statistics
import subprocess
import time

import common

COLUMNS = "order_uid, document, channel_sequence"


def backlog(count, directory, work):
    """Makes an empty database and a channel with `count` orders, and lets `work` have them."""
    common.empty_schema()
    with common.broker(directory) as (server, port):
        common.publish(port, count)
        return work(server, port)


def drain(server, port, count, replicas=1, **settings):
    """Rows a second from the first to the last of a backlog, and the processor time of replicas,
    Postgres and broker in µs a row."""
    database = common.postmaster()
    stored = 'waybill_ingest_messages_total{result="stored"}'
    with contextlib.ExitStack() as stack:
        started = common.family_time(database), common.processor_time(server.pid)
        running = []
        for number in range(replicas):
            name = {"WAYBILL_BROKER__CLIENT_ID": f"bench-{number}"}
            running.append(stack.enter_context(common.replica(port, **name, **settings)))
        processes = [process for process, _, _ in running]
        rows = lambda: sum(common.metric(admin, stored) or 0 for _, _, admin in running)
        first = common.until(rows, 60, "the first row")
        began = time.monotonic()
        # To be asked costs the service time: seldom enough not to count.
        common.until(lambda: rows() >= count, 300, "the backlog", processes[0], pause=0.04)
        rate = (count - first) / (time.monotonic() - began)
        spent = (
            sum(common.processor_time(process.pid) for process in processes),
            common.family_time(database) - started[0],
            common.processor_time(server.pid) - started[1],
        )
    return (round(rate), *(round(part / count * 1e6, 2) for part in spent))


def drain_all(server, port, count, **settings):
    """What `drain` measures, once every order is in the table."""
    # The schema is there and the cache is empty, so that the work begins at once.
    measured = drain(server, port, count, **settings)
    rows = int(common.psql("select count(*) from orders"))
    if rows != count:
        raise common.Failure(f"{rows} of {count} orders are stored")
    return measured


def erase():
    """Puts 1,000 erasures on record, of orders that nobody has published."""
    uids = [f"erased-{number}" for number in range(1_000)]
    command = [common.waybill(), "erase", *uids, "--reason", "bench"]
    subprocess.run(command, env=common.settings(), check=True, stdout=subprocess.DEVNULL)


def service(count, directory, prepare=lambda: None):
    """Rows a second, and the processor time of each part in µs a row."""

    def work(server, port):
        prepare()
        return drain_all(server, port, count)

    return backlog(count, directory, work)


def consumer(count, directory):
    """Messages a second of a durable queue group that acknowledges each by hand."""

    def work(_, port):
        command = [str(directory / "consumer"), str(port), common.CLUSTER, common.CHANNEL, str(count)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        return round(float(done.stdout))

    return backlog(count, directory, work)


def export(file, columns):
    """Writes what is stored to a file for COPY."""
    common.psql(f"\\copy (select {columns} from orders order by tx, order_uid) to '{file}' (format binary)")


def copy(count, directory, columns=COLUMNS):
    """Rows a second of one COPY of the same orders, and the processor time in µs a row."""
    rows = directory / "orders.copy"
    common.empty_schema()
    database = common.postmaster()
    started = common.family_time(database)
    began = time.monotonic()
    statement = f"\\copy orders ({columns}) from '{rows}' (format binary)"
    common.psql(statement)
    took = time.monotonic() - began
    return round(count / took), round((common.family_time(database) - started) / count * 1e6, 2)


def prepare(count, directory):
    """Builds the consumer, and writes the orders to a file for COPY."""
    source = common.ROOT / "benches/consumer"
    build = ["go", "build", "-o", str(directory / "consumer"), "."]
    subprocess.run(build, cwd=source, check=True)
    service(count, directory)
    export(directory / "orders.copy", COLUMNS)


def compared(found):
    """The rates of each contender, that of consumer and COPY one after the other, and what part of
    that the service reaches."""
    rates = {name: [v[0] if isinstance(v, tuple) else v for v in vs] for name, vs in found.items()}
    one_after_other = 1 / sum(1 / statistics.median(rates[name]) for name in ("consumer", "COPY"))
    return rates, one_after_other, statistics.median(rates["service"]) / one_after_other


def run(count=100_000, rounds=5):
    with common.scratch() as scratch:
        directory = pathlib.Path(scratch)
        prepare(count, directory)
        found = common.rounds(
            rounds,
            {
                "service": lambda: service(count, directory),
                "erased": lambda: service(count, directory, erase),
                "consumer": lambda: consumer(count, directory),
                "COPY": lambda: copy(count, directory),
            },
        )
    rates, one_after_other, ratio = compared(found)
    print(f"### Ingest of {count:,} orders of 1 kB\n")
    common.table(
        ("what", "a second", "of one after the other"),
        ("`waybill serve`", common.middle(rates["service"], 0), f"{ratio:.2f}"),
        ("the same, with 1,000 erasures on record", common.middle(rates["erased"], 0), ""),
        ("stan.go, durable queue group, acknowledged by hand", common.middle(rates["consumer"], 0), ""),
        ("`COPY` into the same table", common.middle(rates["COPY"], 0), ""),
        ("one after the other", f"{one_after_other:,.0f}", "1.00"),
    )
    parts = list(zip(*found["service"]))[1:]
    total = [sum(value[1:]) for value in found["service"]]
    common.table(
        ("processor time of", "µs a row"),
        ("the service", common.middle(parts[0])),
        ("Postgres", common.middle(parts[1])),
        ("Postgres, with 1,000 erasures on record", common.middle([value[2] for value in found["erased"]])),
        ("the broker", common.middle(parts[2])),
        ("all of them", common.middle(total)),
        ("Postgres, `COPY` alone", common.middle([value[1] for value in found["COPY"]])),
    )
