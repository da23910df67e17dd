"""Filling the cache from Postgres, beside psql that throws the same rows away, and what it takes."""

import json
import pathlib
import subprocess
import time

import common

# What a made-up order takes, with an id as long as theirs.
ROW = "md5(n::text) || md5(n::text || 'x'), convert_to('{\"x\":\"' || repeat(md5(n::text), 31) || '\"}', 'UTF8'), n"


def fill(count):
    common.empty_schema()
    common.psql(
        "insert into orders (order_uid, document, channel_sequence) "
        f"select {ROW} from generate_series(1, {count}) as n"
    )
    common.psql("vacuum analyze orders")


def service(directory, count, budget):
    """Seconds for the warm-up as the service tells it, and its bytes of memory after it."""
    log = directory / "waybill.log"
    with common.replica(log=log, WAYBILL_CACHE__MAX_BYTES=str(budget)) as (process, _, admin):
        entries = common.metric(admin, "waybill_cache_entries")
        memory = common.resident(process.pid)
    lines = map(json.loads, filter(None, log.read_text().splitlines()))
    told = [line for line in lines if "duration_ms" in json.dumps(line)]
    fields = told[0].get("fields", told[0])
    return round(fields["duration_ms"] / 1e3, 3), memory, int(entries)


def psql():
    """Seconds for psql to read and throw away the same columns."""
    began = time.monotonic()
    statement = "copy (select order_uid, document from orders) to stdout (format binary)"
    common.psql(statement, subprocess.DEVNULL)
    return round(time.monotonic() - began, 3)


def run(counts=(1_000, 10_000, 100_000, 500_000), rounds=5):
    rows = [("orders", "`waybill serve`, s", "psql, s", "of psql's rate", "bytes an order beyond id and document")]
    with common.scratch() as scratch:
        directory = pathlib.Path(scratch)
        empty = None
        for count in counts:
            fill(count)
            mean = float(common.psql("select avg(length(order_uid) + length(document)) from orders"))
            budget = int(count * (mean + 200)) + (64 << 20)
            if empty is None:
                empty = service(directory, count, 1 << 20)[1] - (1 << 20)
            found = common.rounds(
                rounds,
                {"waybill": lambda: service(directory, count, budget), "psql": lambda: (psql(),)},
            )
            ours = [value[0] for value in found["waybill"]]
            theirs = [value[0] for value in found["psql"]]
            if any(value[2] != count for value in found["waybill"]):
                raise common.Failure("the cache does not hold every order")
            memory = common.statistics.median(value[1] for value in found["waybill"])
            median = common.statistics.median
            beyond = (memory - empty) / count - mean
            rows.append(
                (
                    f"{count:,}",
                    common.middle(ours, 2),
                    common.middle(theirs, 2),
                    f"{median(theirs) / median(ours):.2f}",
                    f"{beyond:,.0f}" if count >= 100_000 else "",
                )
            )
    print("### Warm-up\n")
    common.table(*rows)
