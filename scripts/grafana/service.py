"""How the service does for those who ask it: rate, errors, duration, and its objectives."""

import objectives
from board import dashboard
from panels import REPLICA, graph, quantiles, rate, series, share, stat, steps, total

REQUESTS = "waybill_http_requests_total"
DURATION = "waybill_http_request_duration_seconds_bucket"
HITS, MISSES = total(rate("waybill_cache_hits_total")), total(rate("waybill_cache_misses_total"))

GOOD = steps("red", (0.995, "orange"), (0.999, "green"))
BUDGET = steps("red", (0, "orange"), (0.25, "green"))
BURN = steps("green", (1, "orange"), (6, "red"), (14.4, "dark-red"))
# Shares near 1 need their digits, and are none where nothing was asked.
SLO = {"decimals": 2, "noValue": "no traffic"}


def level(title, description, bad, runbook=None):
    return stat(title, description, "percentunit", f"1 - {bad}", thresholds=GOOD, runbook=runbook, **SLO)


def budget(title, description, bad):
    return stat(title, description, "percentunit", objectives.budget_left(bad), thresholds=BUDGET, **SLO)


SERVICE_LEVEL = [
    stat(
        "Ready replicas",
        "Replicas that are warm and not draining. Lookups go to these alone; at 0 nobody is answered.",
        "short", total(series("waybill_ready")), width=3,
        thresholds=steps("red", (1, "green")), runbook="WaybillNotServing",
    ),
    level(
        "Availability",
        "Share of requests not answered with 500 or 503, over the time shown. 404 is an answer, not an error. Objective: 99.9 %.",
        objectives.failed_requests(), runbook="WaybillLookupsFailing",
    ),
    level(
        "Lookups within 10 ms",
        "Share of lookups answered within 10 ms, over the time shown; 500 and 503 count as late, a 404 in time does not. Objective: 99.9 %.",
        objectives.failed_lookups(),
    ),
    budget(
        "Lookups: error budget left",
        "What is left of the 0.1 % of lookups that may fail or take longer than 10 ms, over the time shown. Below 0 the objective is missed.",
        objectives.failed_lookups(),
    ),
    level(
        "Orders queryable within 2 s",
        "Share of messages settled within 2 s of the broker's storing them, over the time shown; from then on the order is found. Objective: 99.9 %.",
        objectives.late_orders(), runbook="WaybillLagGrowing",
    ),
    budget(
        "Orders: error budget left",
        "What is left of the 0.1 % of messages that may take longer than 2 s, over the time shown. Below 0 the objective is missed.",
        objectives.late_orders(),
    ),
]
SERVICE_LEVEL[-1]["gridPos"]["w"] = 5

TRAFFIC = [
    graph(
        "Requests by route", "Rate: requests a second by route. order_api is a lookup by a program, order_page by a person.",
        "reqps", [(total(rate(REQUESTS), "route"), "{{route}}")], stacked=True,
    ),
    graph(
        "Requests by status code", "Requests a second by the status code of their answer, those that occur.",
        "reqps", [(f"{total(rate(REQUESTS), 'code')} > 0", "{{code}}")], stacked=True,
    ),
    graph(
        "Errors",
        "Share of requests answered with 500 or 503, by route. At 2 % of all for 5 minutes somebody is woken.",
        "percentunit",
        [
            (share(total(rate(REQUESTS, 'code=~"5.."'), "route"), total(rate(REQUESTS), "route")), "{{route}}"),
            (share(total(rate(REQUESTS, 'code=~"5.."')), total(rate(REQUESTS))), "all"),
        ],
        thresholds=steps("green", (0.001, "orange"), (0.02, "red")), runbook="WaybillLookupsFailing",
    ),
    graph(
        "Duration of lookups",
        "Percentiles of all lookups, hits and others, from reading the head of the request. The dashed line is the objective, 10 ms.",
        "s", quantiles(DURATION, objectives.LOOKUPS, of=(0.5, 0.99, 0.999)),
        thresholds=steps("green", (0.01, "red")),
    ),
    graph(
        "Duration by route", "99th percentile by route. A line ends where nobody asked.",
        "s", quantiles(DURATION, by=["route"], of=[0.99]),
    ),
    graph(
        "Error budget burn",
        "How many times faster than allowed the error budgets are spent, over the last hour. 1 spends a month's budget in a month, 14.4 in two days.",
        "short",
        [
            (objectives.burn(objectives.failed_lookups(objectives.HOUR)), "lookups within 10 ms"),
            (objectives.burn(objectives.late_orders(objectives.HOUR)), "orders within 2 s"),
            (objectives.burn(objectives.failed_requests(objectives.HOUR)), "availability"),
        ],
        thresholds=BURN,
    ),
]

MEMORY = [
    graph(
        "Hits", "Share of lookups answered from memory. It falls when the orders do not fit, or when many unknown ids are asked for.",
        "percentunit", share(HITS, f"({HITS} + {MISSES})"), max=1,
    ),
    graph(
        "Lookups that ask Postgres", "Lookups a second that were not in memory, by what came of them. cannot_tell is answered with 503.",
        "ops", [(total(rate("waybill_lookup_duration_seconds_count"), "result"), "{{result}}")], stacked=True,
    ),
    graph(
        "Time of lookups that ask Postgres", "99th percentile of the lookups that were not in memory, by what came of them.",
        "s", quantiles("waybill_lookup_duration_seconds_bucket", by=["result"], of=[0.99]),
    ),
    graph(
        "Memory of orders", "Bytes of the orders in memory, and the bound over which the oldest go (cache.max_bytes).",
        "bytes", [(series("waybill_cache_bytes"), REPLICA), (f"min({series('waybill_cache_max_bytes')})", "bound")],
    ),
    graph(
        "Orders in memory", "Orders each replica holds. They differ while one warms up or follows the others.",
        "short", [(series("waybill_cache_entries"), REPLICA)],
    ),
    graph(
        "Warm-up", "Share of the table that was read into memory; at 1 a replica is warm. Ready without being warm is an emergency.",
        "percentunit", [(series("waybill_cache_warmup_progress_ratio"), REPLICA)], max=1, runbook="WaybillCacheCold",
    ),
]

CONNECTIONS = [
    graph(
        "Connections", "Open connections of clients, on all ports.",
        "short", [(series("waybill_http_connections"), REPLICA)], width=12,
    ),
    graph(
        "Connections refused", "Connections a second that were refused because there were too many (http.max_connections).",
        "ops", [(total(rate("waybill_http_connections_rejected_total"), "instance", "pod"), REPLICA)], width=12,
    ),
]

DASHBOARD = dashboard(
    "service",
    "Lookups: how many, how fast, how many fail, and what is left of the error budgets.",
    [
        ("Service level", SERVICE_LEVEL),
        ("Rate, errors, duration", TRAFFIC),
        ("Orders in memory", MEMORY),
        ("Connections", CONNECTIONS),
    ],
)
