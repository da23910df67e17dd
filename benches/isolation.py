"""Lookups at a fixed rate, whatever becomes of the ones before, while orders come in: the service
on one core; load, publisher, broker and Postgres on the other.
"""

import json
import pathlib
import subprocess
import threading

import common

LOOKUPS = 2_000
ORDERS = 10_000
SECONDS = 10


def vegeta(targets, seconds=SECONDS):
    """The 99th percentile in ms of lookups that all succeeded."""
    attack = common.on_core(1, "nice", "-n", "-15", common.program("vegeta"), "attack", f"-rate={LOOKUPS}", f"-duration={seconds}s")
    attack += ["-targets", str(targets), "-connections=64", "-max-workers=64"]
    with subprocess.Popen(attack, stdout=subprocess.PIPE) as attacker:
        report = [common.program("vegeta"), "report", "-type=json"]
        done = subprocess.run(report, stdin=attacker.stdout, check=True, capture_output=True)
    result = json.loads(done.stdout)
    if result["success"] != 1:
        raise common.Failure(f"lookups failed: {result['errors']}")
    return round(result["latencies"]["99th"] / 1e6, 2)


def run(rounds=3):
    common.empty_schema()
    common.move_postgres(1)
    with common.scratch() as scratch:
        directory = pathlib.Path(scratch)
        with common.broker(directory, core=1) as (_, port), common.replica(port, core=0) as (_, http, admin):
            common.publish(port, 1_000)
            stored = lambda: common.psql("select count(*) from orders") == "1000"
            common.until(stored, 30, "the orders")
            targets = directory / "targets"
            uids = common.psql("select order_uid from orders").split()
            address = f"http://127.0.0.1:{http}/api/v1/orders"
            targets.write_text("\n".join(f"GET {address}/{uid}" for uid in uids))
            vegeta(targets, 2)
            seed = iter(range(2, 1_000))

            def while_orders_come():
                more = (ORDERS * (SECONDS + 1), "--rate", str(ORDERS), "--seed", str(next(seed)))
                publisher = threading.Thread(target=common.publish, args=(port, *more), kwargs={"core": 1})
                publisher.start()
                try:
                    return vegeta(targets)
                finally:
                    publisher.join()

            found = common.rounds(
                rounds, {"idle": lambda: vegeta(targets), "busy": while_orders_come}
            )
    median = common.statistics.median
    ratio = median(found["busy"]) / median(found["idle"])
    print(f"### p99 of {LOOKUPS:,} lookups a second, open loop\n")
    common.table(
        ("meanwhile", "ms", "to idle"),
        ("nothing", common.middle(found["idle"], 2), "1.00"),
        (f"{ORDERS:,} orders a second", common.middle(found["busy"], 2), f"{ratio:.2f}"),
    )
