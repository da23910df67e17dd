"""What `cache.max_bytes` means for the process's memory, with more orders than fit."""

import os
import pathlib
import subprocess

import common
import warmup


def run(budgets=(64 << 20, 256 << 20), count=100_000):
    rows = [("`cache.max_bytes`", "orders published", "cache, as it counts", "memory beyond an empty replica", "to the bound")]
    with common.scratch() as scratch:
        directory = pathlib.Path(scratch)
        with common.broker(directory) as (_, port):
            # As many orders through a cache of 1 MiB: what is left is not the cache's.
            empty = measure(port, count, 1 << 20)[1] - (1 << 20)
            for budget in budgets:
                orders = count * (1 + budget // (128 << 20))
                counted, memory = measure(port, orders, budget)
                beyond = memory - empty
                mib = lambda size: f"{size / (1 << 20):,.0f} MiB"
                rows.append((mib(budget), f"{orders:,}", mib(counted), mib(beyond), f"{beyond / budget:.2f}"))
    print("### Memory with more orders than fit\n")
    common.table(*rows)
    print("### Hits with room for a part of 200,000 orders, 4,000,000 lookups by Zipf's law\n")
    for exponent in ("0.8", "1.0"):
        command = [os.environ["HITRATE"], "200000", "4000000", exponent]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        print(f"Exponent {exponent}:\n\n{done.stdout}", flush=True)


def measure(port, count, budget):
    """Bytes that the cache counts and that the process takes after `count` orders came in."""
    common.empty_schema()
    settings = {"WAYBILL_CACHE__MAX_BYTES": str(budget), "WAYBILL_CACHE__FOLLOW_INTERVAL": "0s"}
    with common.replica(port, **settings) as (process, _, admin):
        common.publish(port, count)
        stored = lambda: int(common.psql("select count(*) from orders")) >= count
        common.until(stored, 300, "the orders", process)
        return common.metric(admin, "waybill_cache_bytes"), common.resident(process.pid)
