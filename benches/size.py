"""What an order takes in Postgres: of the disk, and of the write-ahead log."""

import pathlib

import common

RELATIONS = {
    "rows": "pg_relation_size('orders')",
    "long documents (TOAST)": "pg_table_size('orders') - pg_relation_size('orders')",
    "index of ids": "pg_relation_size('orders_pkey')",
    "index of transactions": "pg_relation_size('orders_tx')",
    "all": "pg_total_relation_size('orders')",
}


def stored(port, count, *pace):
    """Bytes of log while `count` orders are stored that are published at `pace`."""
    common.empty_schema()
    position = lambda: common.psql("select pg_current_wal_lsn()")
    with common.replica(port, WAYBILL_CACHE__FOLLOW_INTERVAL="0s"):
        before = position()
        common.publish(port, count, "--seed", str(count), *pace)
        there = lambda: common.psql("select count(*) from orders") == str(count)
        common.until(there, 300, "the orders", pause=0.2)
        after = position()
    return float(common.psql(f"select pg_wal_lsn_diff('{after}', '{before}')"))


def run(count=100_000, few=5_000):
    with common.scratch() as scratch, common.broker(pathlib.Path(scratch)) as (_, port):
        one_by_one = stored(port, few, "--rate", "250") / few
        at_once = stored(port, count) / count
    common.psql("vacuum analyze orders")
    each = lambda size: f"{float(common.psql(f'select ({size})')) / count:,.0f}"
    mean = float(common.psql("select avg(length(document)) from orders"))
    print(f"### {count:,} orders of {mean:,.0f} bytes in Postgres\n")
    common.table(
        ("what", "bytes an order"),
        *((name, each(size)) for name, size in RELATIONS.items()),
        ("write-ahead log, published as fast as possible", f"{at_once:,.0f}"),
        ("write-ahead log, published at 250 a second", f"{one_by_one:,.0f}"),
    )
