"""What a lookup and an ingested row cost with ever more orders, and with more replicas."""

import os
import pathlib
import shutil

import common
import ingest
import lookup
import warmup

COUNTS = [10**power for power in range(3, 8)]

# Bytes of an order in the database with its indexes, and in memory.
ON_DISK, IN_MEMORY = 1_500, 1_200

BACKLOG = 50_000

# Enough that much of it is left when the last of several replicas has started.
LONG_BACKLOG = 300_000

# Orders that are looked up.
SAMPLE = 200_000


def fits(count):
    """Whether the machine has room for so many orders, and memory to read them from."""
    free = shutil.disk_usage("/tmp").free
    available = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return count * ON_DISK < free * 0.9 and count * IN_MEMORY < available


def look_up_at_random(directory, count, budget):
    """µs of the server's core for a lookup of any of the orders, all in memory."""
    percent = min(100, 100 * SAMPLE / count)
    uids = common.psql(f"select order_uid from orders tablesample system ({percent})")
    (directory / "uids").write_text(uids)
    script = directory / "random.lua"
    script.write_text(
        f"""local uids = {{}}
        for uid in io.lines("{directory}/uids") do uids[#uids + 1] = uid end
        request = function()
          return wrk.format("GET", "/api/v1/orders/" .. uids[math.random(#uids)])
        end"""
    )
    settings = {"WAYBILL_HTTP__WORKERS": "1", "WAYBILL_CACHE__MAX_BYTES": str(budget)}
    with common.replica(core=0, **settings) as (_, port, _):
        return lookup.wrk(port, "/", script)


def ingest_on_top(directory):
    """Rows a second into the table as it is, and what each cost together."""
    with common.broker(directory) as (server, port):
        common.publish(port, BACKLOG, "--seed", "7")
        rate, *spent = ingest.drain(server, port, BACKLOG, WAYBILL_CACHE__MAX_BYTES="67108864")
    return rate, round(sum(spent), 1)


def with_orders(directory, rounds):
    rows = []
    for count in filter(fits, COUNTS):
        warmup.fill(count)
        budget = count * IN_MEMORY + (64 << 20)
        times = rounds if count < 10**6 else 1
        values = {
            "warm-up": lambda: warmup.service(directory, count, budget)[:2],
            "lookup": lambda: look_up_at_random(directory, count, budget),
        }
        found = common.rounds(times, values)
        on_top = ingest_on_top(directory)
        seconds, memory = zip(*found["warm-up"])
        lookups = [spent for spent, _ in found["lookup"]]
        rows.append((count, list(seconds), list(memory), lookups, on_top))
    return rows


def with_replicas(directory, rounds):
    def several(count):
        def work(server, port):
            rate, *spent = ingest.drain(server, port, LONG_BACKLOG, replicas=count)
            return rate, round(sum(spent), 1)

        return lambda: ingest.backlog(LONG_BACKLOG, directory, work)

    return common.rounds(rounds, {count: several(count) for count in (1, 2, 4)})


def run(rounds=3):
    with common.scratch() as scratch:
        directory = pathlib.Path(scratch)
        orders = with_orders(directory, rounds)
        replicas = with_replicas(directory, rounds)
    common.save("scale", {"orders": orders, "replicas": replicas})
    print("### With more orders\n")
    common.table(
        ("orders", "warm-up, s", "memory, MiB", "a lookup, µs of its core", f"ingest of {BACKLOG:,} more, rows a second", "µs of all processors a row"),
        *(
            (
                f"{count:,}",
                common.middle(seconds, 2),
                f"{common.statistics.median(memory) / 2**20:,.0f}",
                common.middle(lookups),
                f"{rate:,}",
                spent,
            )
            for count, seconds, memory, lookups, (rate, spent) in orders
        ),
    )
    for count in COUNTS:
        if not fits(count):
            print(f"{count:,} orders do not fit into this machine.\n")
    print("### With more replicas\n")
    common.table(
        ("replicas", "rows a second together", "µs of all processors a row"),
        *(
            (count, common.middle([rate for rate, _ in values], 0), common.middle([spent for _, spent in values]))
            for count, values in replicas.items()
        ),
    )
