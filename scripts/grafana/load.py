"""A load test as the service sees it: what came, what was answered, how fast, at what cost."""

import objectives
from board import annotation, dashboard
from panels import REPLICA, graph, heatmap, quantile, quantiles, rate, series, share, stat, steps, total

REQUESTS = "waybill_http_requests_total"
LOOKUPS = objectives.LOOKUPS
DURATION = "waybill_http_request_duration_seconds_bucket"
REFUSED = total(rate("waybill_http_connections_rejected_total"))
OFFERED = f"{total(rate(REQUESTS))} + {REFUSED}"
ANSWERED = total(rate(REQUESTS, 'code!~"5.."'))
FAILED = total(rate(REQUESTS, 'code=~"5.."'))

SUMMARY = [
    stat(
        "Offered", "What comes a second: requests, and connections refused because there are too many.",
        "reqps", OFFERED, decimals=1,
    ),
    stat("Answered", "Requests a second answered with anything but 500 or 503.", "reqps", ANSWERED, decimals=1),
    stat(
        "Success", "Share of what is offered that is answered.",
        "percentunit", share(ANSWERED, f"({OFFERED})"), decimals=2,
        thresholds=steps("red", (0.995, "orange"), (0.999, "green")), runbook="WaybillLookupsFailing", noValue="no load",
    ),
    stat(
        "Latency, p99", "99th percentile of all lookups, as the service measures it: without the network.",
        "s", quantile(0.99, DURATION, LOOKUPS), thresholds=steps("green", (0.01, "orange"), (0.05, "red")), noValue="no load",
    ),
    stat(
        "CPU of a request", "CPU seconds of all replicas for each request, whatever else they do meanwhile included.",
        "s", share(total(rate("process_cpu_seconds_total")), total(rate(REQUESTS))), noValue="no load",
    ),
    stat(
        "Hits", "Share of lookups answered from memory.",
        "percentunit",
        share(total(rate("waybill_cache_hits_total")), f"({total(rate('waybill_cache_hits_total'))} + {total(rate('waybill_cache_misses_total'))})"),
        noValue="no load",
    ),
]

ANSWERS = [
    graph(
        "Offered and answered", "Requests a second. The lines part when the service refuses or fails.",
        "reqps", [(OFFERED, "offered"), (ANSWERED, "answered")], width=12,
    ),
    graph(
        "Failures", "Requests a second answered with 500 or 503, and connections refused.",
        "reqps", [(FAILED, "500 and 503"), (REFUSED, "connections refused")], width=12, runbook="WaybillLookupsFailing",
    ),
]

LATENCY = [
    graph(
        "Latency percentiles", "Of all lookups, as the service measures them: without the network. The dashed line is the objective, 10 ms.",
        "s", quantiles(DURATION, LOOKUPS, of=(0.5, 0.9, 0.99, 0.999)), width=12,
        thresholds=steps("green", (0.01, "red")),
    ),
    heatmap(
        "Latency", "How many lookups took how long; hits are the dark band of microseconds.",
        total(rate(DURATION, LOOKUPS), "le"), width=12,
    ),
]

COST = [
    graph("CPU", "CPU seconds a second of each replica: 1 is one core.", "short", [(rate("process_cpu_seconds_total"), REPLICA)]),
    graph("Memory of the process", "Resident memory of each replica.", "bytes", [(series("process_resident_memory_bytes"), REPLICA)]),
    graph("Connections", "Open connections of clients to each replica.", "short", [(series("waybill_http_connections"), REPLICA)]),
    graph(
        "Requests by replica", "Requests a second. A Service gives each connection to one replica, so few connections spread unevenly.",
        "reqps", [(total(rate(REQUESTS), "instance", "pod"), REPLICA)], width=12,
    ),
    graph(
        "Orders stored meanwhile", "Messages a second by what became of them: what ingest does while lookups load the service.",
        "ops", [(total(rate("waybill_ingest_messages_total"), "result"), "{{result}}")], width=12,
    ),
]

# Its pods are none of the replicas that the other variables choose among. The rate becomes a label,
# which the title can show.
STAGES = annotation(
    "Stages",
    "green",
    'count_values by (kind) ("rate", max by (kind) (waybill_load_stage_rate{namespace=~"$namespace"}) > 0)',
    "{{kind}}: {{rate}} a second",
    step="5s",
)

DASHBOARD = dashboard(
    "load",
    "A load test as the service sees it, with the stages of a run of the chart's Job marked.",
    [
        ("At a glance", SUMMARY),
        ("Offered and answered", ANSWERS),
        ("Latency", LATENCY),
        ("What it costs", COST),
    ],
    marks=[STAGES],
)
