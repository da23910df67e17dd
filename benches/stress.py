"""An older build beside this one, under wrk and vegeta: lookups alone and while orders come in.

BEFORE is the path of the older program.
"""

import os
import pathlib
import threading

import common
import isolation
import lookup

ORDERS = 10_000


def measure(program, directory, busy):
    """Requests a second and µs of its core by wrk; the 99th percentile in ms by vegeta."""
    os.environ["WAYBILL"] = program
    common.empty_schema()
    common.move_postgres(1)
    workers = {"WAYBILL_HTTP__WORKERS": "1"}
    with common.broker(directory, core=1) as (_, port), common.replica(port, core=0, **workers) as (_, http, _):
        common.publish(port, 1_000)
        stored = lambda: common.psql("select count(*) from orders") == "1000"
        common.until(stored, 30, "the orders")
        uids = common.psql("select order_uid from orders").split()
        targets = directory / "targets"
        address = f"http://127.0.0.1:{http}/api/v1/orders"
        targets.write_text("\n".join(f"GET {address}/{uid}" for uid in uids))
        if not busy:
            return lookup.wrk(http, f"/api/v1/orders/{uids[0]}")[1], isolation.vegeta(targets)
        more = (ORDERS * 20, "--rate", str(ORDERS), "--seed", "2")
        publisher = threading.Thread(target=common.publish, args=(port, *more), kwargs={"core": 1})
        publisher.start()
        try:
            return lookup.wrk(http, f"/api/v1/orders/{uids[0]}")[1], isolation.vegeta(targets)
        finally:
            publisher.join()


def run(rounds=3):
    programs = {"before": os.environ["BEFORE"], "after": os.environ["WAYBILL"]}
    with common.scratch() as scratch:
        directory = pathlib.Path(scratch)
        contenders = {
            (name, busy): lambda program=program, busy=busy: measure(program, directory, busy)
            for name, program in programs.items()
            for busy in (False, True)
        }
        found = common.rounds(rounds, contenders)
    print("### wrk and vegeta, before and after\n")
    rows = []
    for busy, meanwhile in ((False, "nothing"), (True, f"{ORDERS:,} orders a second")):
        for name in programs:
            rates, latencies = zip(*found[(name, busy)])
            rows.append((meanwhile, name, common.middle(rates, 0), common.middle(latencies, 2)))
    common.table(("meanwhile", "build", "wrk, requests a second", "vegeta, p99 at 2,000 a second, ms"), *rows)
