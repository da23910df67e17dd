"""What the service stands on: broker, Postgres, runtime, process."""

from board import dashboard
from panels import REPLICA, graph, heatmap, quantiles, rate, series, share, stat, steps, table, total

ACQUIRE = "waybill_db_pool_acquire_seconds_bucket"
CONNECTIONS = total(series("waybill_db_pool_connections", 'state="in_use"'))
MOST = total(series("waybill_db_pool_max_connections"))
RUNTIME = "{{instance}} {{pod}} {{runtime}}"
# The kubelet's figures bear the namespace, but the kubelet's own job and instance.
VOLUME = 'namespace=~"$namespace", persistentvolumeclaim=~"data-.*-(nats-streaming|postgres)-0"'

BROKER = [
    graph(
        "Sessions by state", "Replicas by the state of their session with the broker. Only live ones take orders.",
        "short", [(total(series("waybill_stan_session_state"), "state"), "{{state}}")], stacked=True,
        runbook="WaybillBrokerDisconnected",
    ),
    graph(
        "Sessions and links", "Sessions built anew and links that came back, a second, all replicas together.",
        "ops",
        [
            (total(rate("waybill_stan_session_rebuilds_total")), "sessions built anew"),
            (total(rate("waybill_stan_reconnects_total")), "links that came back"),
        ],
    ),
    graph(
        "Broker's monitor", "1 while the broker's monitor answers a replica. Without it lag and losses are not known.",
        "short", [(series("waybill_stan_monitor_up"), REPLICA)], max=1, runbook="WaybillBrokerMonitorDown",
    ),
]

# Empty where no stream of JetStream is read.
JETSTREAM = [
    graph(
        "Sessions with JetStream by state", "Replicas by the state of their session with JetStream. Only live ones take orders of the stream.",
        "short", [(total(series("waybill_jetstream_session_state"), "state"), "{{state}}")], stacked=True, width=6,
        runbook="WaybillStreamDisconnected",
    ),
    graph(
        "Servers of the stream", "Servers that store the stream, those that have all of it, and those that are away.",
        "short",
        [
            (f"max({series('waybill_jetstream_replicas')})", "all"),
            (f"min({series('waybill_jetstream_current_replicas')})", "up to date"),
            (f"max({series('waybill_jetstream_offline_replicas')})", "away"),
        ],
        width=6, runbook="WaybillStreamReplicasBehind",
    ),
    graph(
        "Leader and watch", "1 while the stream has a leader, and while JetStream tells how it is.",
        "short",
        [
            (f"max({series('waybill_jetstream_has_leader')})", "leader"),
            (f"max({series('waybill_jetstream_watch_up')})", "watch"),
        ],
        width=6, max=1, runbook="WaybillStreamLeaderless",
    ),
    graph(
        "Store of the stream", "Share that is used of the limit of server, account or stream which is fullest. Empty where none is known: see jetstream.monitor_url.",
        "percentunit",
        share(f"max({series('waybill_jetstream_store_bytes')})", f"max({series('waybill_jetstream_store_limit_bytes')})"),
        width=6, max=1, thresholds=steps("green", (0.8, "red")), runbook="WaybillStreamStoreFilling",
    ),
]

POSTGRES = [
    graph(
        "Connections to Postgres", "Connections of the pools by state, and how many there may be (database.max_connections).",
        "short", [(total(series("waybill_db_pool_connections"), "state"), "{{state}}"), (MOST, "most")],
    ),
    graph(
        "Pool in use", "Share of the connections that there may be which are at work. At 1, the next query waits for one.",
        "percentunit", share(CONNECTIONS, MOST), max=1, thresholds=steps("green", (0.9, "orange")),
    ),
    graph(
        "Wait for a connection", "Percentiles of the time until the pool gave out a connection.",
        "s", quantiles(ACQUIRE), thresholds=steps("green", (0.1, "orange"), (1, "red")),
    ),
    heatmap("Waits for a connection", "How many waits for a connection took how long.", total(rate(ACQUIRE), "le")),
    graph(
        "Failed writes", "Writes that Postgres did not do, by class, a second. content becomes a reject, the others are tried again.",
        "ops", [(total(rate("waybill_ingest_errors_total"), "class"), "{{class}}")], runbook="WaybillDatabaseErrors",
    ),
    graph(
        "Queries of lookups", "Lookups a second that asked Postgres, by what came of them. cannot_tell is answered with 503.",
        "ops", [(total(rate("waybill_lookup_duration_seconds_count"), "result"), "{{result}}")],
    ),
]

RUNTIME_PANELS = [
    graph(
        "Busy workers", "Share of the time that the threads of a tokio runtime are at work. http answers requests, main does all else.",
        "percentunit",
        [(
            f"{total(rate('waybill_runtime_busy_seconds_total'), 'instance', 'pod', 'runtime')}"
            f" / {total(series('waybill_runtime_workers'), 'instance', 'pod', 'runtime')}", RUNTIME,
        )],
        max=1, thresholds=steps("green", (0.8, "orange"), (0.95, "red")),
    ),
    graph(
        "Tasks", "Tasks of a tokio runtime that are alive. Each connection of a client is one.",
        "short", [(series("waybill_runtime_alive_tasks"), RUNTIME)],
    ),
    graph(
        "Queued tasks", "Tasks that are ready and wait for a thread of their runtime. More than a few for long: it wants more CPU.",
        "short", [(series("waybill_runtime_queued_tasks"), RUNTIME)],
    ),
]

PROCESS = [
    stat(
        "Restarts", "Restarts of replicas that kept their address, over the time shown.",
        "short", f"sum(changes({series('process_start_time_seconds')}[$__range]))",
        thresholds=steps("green", (1, "orange"), (3, "red")), runbook="WaybillRestarting",
    ),
    stat(
        "Youngest replica", "How long the replica that started last has run.",
        "s", f"min(time() - {series('process_start_time_seconds')})",
    ),
    table(
        "Builds", "Replicas by the version and commit that they run. More than one row outside a rollout is a mistake.",
        "short", f"count by (version, commit) ({series('waybill_build_info')})",
        {"version": "Version", "commit": "Commit", "Value": "Replicas"},
    ),
    graph(
        "CPU", "CPU seconds a second: 1 is one core.",
        "short", [(rate("process_cpu_seconds_total"), REPLICA)],
    ),
    graph(
        "Memory of the process", "Resident memory; most of it are the orders.",
        "bytes", [(series("process_resident_memory_bytes"), REPLICA)],
    ),
    graph(
        "File descriptors", "Share of the file descriptors that the process may have open. Each connection is one.",
        "percentunit", [(f"{series('process_open_fds')} / {series('process_max_fds')}", REPLICA)],
        thresholds=steps("green", (0.8, "red")),
    ),
    graph("Threads", "Threads of the process.", "short", [(series("process_threads"), REPLICA)]),
    graph(
        "Uptime", "How long each replica has run; a line that falls to 0 is a restart.",
        "s", [(f"time() - {series('process_start_time_seconds')}", REPLICA)],
    ),
    graph(
        "Volumes", "Share of the volumes of broker and Postgres that is free, by the kubelet. On Kubernetes alone.",
        "percentunit",
        [(
            f"kubelet_volume_stats_available_bytes{{{VOLUME}}} / kubelet_volume_stats_capacity_bytes{{{VOLUME}}}",
            "{{persistentvolumeclaim}}",
        )],
        max=1, thresholds=steps("red", (0.15, "green")), runbook="WaybillVolumeFilling",
    ),
]

DASHBOARD = dashboard(
    "dependencies",
    "Broker, Postgres and its connections, the tokio runtimes, and the process.",
    [
        ("Broker", BROKER),
        ("JetStream", JETSTREAM),
        ("Postgres and the connection pool", POSTGRES),
        ("tokio runtimes", RUNTIME_PANELS),
        ("Process", PROCESS),
    ],
)
