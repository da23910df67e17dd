"""The way of a message from published to queryable, step by step."""

from board import dashboard
from panels import REPLICA, graph, heatmap, quantile, quantiles, rate, series, share, stat, steps, total

MESSAGES = "waybill_ingest_messages_total"
AGE = "waybill_ingest_end_to_end_seconds_bucket"
BATCH = "waybill_ingest_batch_duration_seconds_bucket"
UNDELIVERED = f"max({series('waybill_stan_subscription_undelivered_messages')})"
PENDING = f"max({series('waybill_stan_subscription_pending_messages')})"
STREAM_WAITING = f"max({series('waybill_jetstream_consumer_undelivered_messages')})"
STREAM_PENDING = f"max({series('waybill_jetstream_consumer_pending_messages')})"
NONE = steps("green", (1, "red"))
MANY = steps("green", (1000, "orange"), (10_000, "red"))


def growth(name):
    return f"max(deriv({series(name)}[$__rate_interval]))"


SUMMARY = [
    stat(
        "Live sessions", "Replicas with a live session with the broker. At 0 nothing is taken; what is stored is served on.",
        "short", total(series("waybill_stan_connected")), width=3,
        thresholds=steps("red", (1, "green")), runbook="WaybillBrokerDisconnected",
    ),
    stat(
        "Stored", "Orders stored a second, all replicas together.",
        "ops", total(rate(MESSAGES, 'result="stored"')), width=3, decimals=1,
    ),
    stat(
        "Waiting", "Messages in the channel that the group has not been sent yet, as the broker's monitor tells. Needs broker.monitor_url.",
        "short", UNDELIVERED, width=3, thresholds=MANY, runbook="WaybillLagGrowing",
    ),
    stat(
        "Unacknowledged", "Messages sent to the group and not acknowledged, as the broker's monitor tells.",
        "short", PENDING, width=3, thresholds=MANY, runbook="WaybillIngestStalled",
    ),
    stat(
        "Age, p99", "99th percentile of the age of messages when they are settled; from then on the order is found. Objective: 2 s.",
        "s", quantile(0.99, AGE), width=3,
        thresholds=steps("green", (1, "orange"), (2, "red")), noValue="no messages",
    ),
    stat(
        "Refused", "Share of messages that are kept as rejects (dead letters).",
        "percentunit", share(total(rate("waybill_ingest_rejected_total")), total(rate(MESSAGES))), width=3,
        thresholds=steps("green", (0.001, "orange"), (0.01, "red")), runbook="WaybillRejectsMany", noValue="no messages",
    ),
    stat(
        "Deleted by the broker", "Messages that the broker's limits deleted before the group got them. Must be 0: only their senders have them.",
        "short", f"max({series('waybill_stan_lost_to_retention_messages')})", width=3,
        thresholds=NONE, runbook="WaybillMessagesLost",
    ),
    stat(
        "Channel resets", "Times the channel was seen to have begun anew, with sequences from 1. Must be 0.",
        "short", f"max(increase({series('waybill_stan_channel_resets_total')}[$__range]))", width=3,
        thresholds=NONE, runbook="WaybillChannelReset",
    ),
]

CHANNEL = [
    graph(
        "Channel", "Growth of the channel and of the group's place in it, messages a second. The broker's monitor is asked every 5 s.",
        "ops",
        [(growth("waybill_stan_channel_last_sequence"), "published"), (growth("waybill_stan_subscription_last_sent_sequence"), "sent to the group")],
    ),
    graph(
        "Where the group stands", "Messages waiting in the channel, and messages sent but not acknowledged.",
        "short", [(UNDELIVERED, "waiting"), (PENDING, "unacknowledged")],
        thresholds=steps("green", (10_000, "red")), runbook="WaybillLagGrowing",
    ),
    graph(
        "Messages by what became of them", "Messages a second. kept means not acknowledged: they come again.",
        "ops", [(total(rate(MESSAGES), "result"), "{{result}}")], stacked=True, runbook="WaybillIngestStalled",
    ),
]

# Empty where no stream of JetStream is read.
STREAM = [
    graph(
        "Stream", "Growth of the stream and of the group's place in it, messages a second. JetStream is asked every 5 s.",
        "ops",
        [
            (growth("waybill_jetstream_stream_last_sequence"), "published"),
            (growth("waybill_jetstream_consumer_delivered_sequence"), "delivered to the group"),
            (growth("waybill_jetstream_consumer_ack_floor_sequence"), "acknowledged"),
        ],
    ),
    graph(
        "Where the group stands in the stream", "Messages waiting in the stream, messages delivered but not acknowledged, and of those the ones delivered again.",
        "short",
        [
            (STREAM_WAITING, "waiting"),
            (STREAM_PENDING, "unacknowledged"),
            (f"max({series('waybill_jetstream_consumer_redelivered_messages')})", "delivered again"),
        ],
        thresholds=steps("green", (10_000, "red")), runbook="WaybillStreamLagGrowing",
    ),
    graph(
        "Sequences of the stream", "Numbers of its oldest and its newest message, of the newest delivered, and up to which all are acknowledged. Where the last stands still while the others rise, a message is stuck.",
        "short",
        [
            (f"max({series('waybill_jetstream_stream_first_sequence')})", "oldest"),
            (f"max({series('waybill_jetstream_stream_last_sequence')})", "newest"),
            (f"max({series('waybill_jetstream_consumer_delivered_sequence')})", "delivered"),
            (f"max({series('waybill_jetstream_consumer_ack_floor_sequence')})", "acknowledged up to"),
        ],
        runbook="WaybillStreamAcksStalled",
    ),
    graph(
        "Taken by source", "Messages a second that writers took, by where they are from: a channel of NATS Streaming, or a stream of JetStream.",
        "ops", [(total(rate("waybill_ingest_taken_messages_total"), "source"), "{{source}}")], stacked=True, width=12,
    ),
    stat(
        "Deleted from the stream", "Messages that were deleted from the stream before the group got them. Must be 0: only their senders have them.",
        "short", f"max({series('waybill_jetstream_lost_to_retention_messages')})", width=6,
        thresholds=NONE, runbook="WaybillStreamMessagesLost",
    ),
    stat(
        "Stream resets", "Times the stream was seen to have begun anew. Must be 0.",
        "short", f"max(increase({series('waybill_jetstream_stream_resets_total')}[$__range]))", width=6,
        thresholds=NONE, runbook="WaybillStreamReset",
    ),
]

QUEUE = [
    graph(
        "Waiting for a writer", "Messages in the memory of each replica that no writer has taken yet.",
        "short", [(series("waybill_ingest_queue_messages"), REPLICA)], width=6,
    ),
    graph(
        "Payload waiting for a writer", "Bytes of the same. Over ingest.queue_max_bytes messages are dropped unacknowledged, and come again.",
        "bytes", [(series("waybill_ingest_queue_bytes"), REPLICA)], width=6,
    ),
    graph(
        "In hand", "Messages of each replica that are not acknowledged yet: waiting, or being written.",
        "short", [(series("waybill_ingest_in_hand_messages"), REPLICA)], width=6,
    ),
    graph(
        "Messages in a batch", "On average. Batches grow with the load by themselves.",
        "short",
        share(total(rate("waybill_ingest_batch_rows_sum")), total(rate("waybill_ingest_batch_rows_count"))), width=6,
    ),
]

POSTGRES = [
    graph(
        "Time of a batch", "Percentiles, from taking a batch to its last verdict: mostly Postgres.",
        "s", quantiles(BATCH, of=(0.5, 0.9, 0.99)), runbook="WaybillLagGrowing",
    ),
    heatmap("Batches by time", "How many batches took how long.", total(rate(BATCH), "le")),
    graph(
        "Errors of Postgres", "Writes that Postgres did not do, by class, a second. transient is tried again, content becomes a reject.",
        "ops", [(total(rate("waybill_ingest_errors_total"), "class"), "{{class}}")], runbook="WaybillDatabaseErrors",
    ),
]

ACKNOWLEDGED = [
    heatmap(
        "From the broker to the acknowledgement", "How old messages are when they are acknowledged, by the broker's clock and ours.",
        total(rate(AGE), "le"),
    ),
    graph(
        "Age at the acknowledgement", "Percentiles of the same. Objective: 99.9 % within 2 s.",
        "s", quantiles(AGE, of=(0.5, 0.99, 0.999)), thresholds=steps("green", (2, "red")),
    ),
    graph(
        "Again", "Messages a second that the broker sent again, that were still in hand, or that were dropped over the memory's bound.",
        "ops",
        [
            (total(rate("waybill_ingest_redelivered_total")), "redelivered"),
            (total(rate("waybill_stan_duplicates_suppressed_total")), "still in hand"),
            (total(rate("waybill_ingest_shed_total")), "dropped over the bound"),
        ],
    ),
]

OTHERS = [
    graph(
        "Following the other replicas", "Orders a second that other replicas stored and this one read into memory.",
        "ops", [(total(rate("waybill_cache_followed_total"), "instance", "pod"), REPLICA)], width=12,
    ),
    graph(
        "Rounds that left orders out", "Rounds of following that left older orders to be read when they are asked for, a second.",
        "ops", [(total(rate("waybill_cache_follow_skipped_total"), "instance", "pod"), REPLICA)], width=12,
    ),
]

DASHBOARD = dashboard(
    "ingest",
    "From published to queryable: channel, queue, batches, Postgres, acknowledgements.",
    [
        ("At a glance", SUMMARY),
        ("Channel and group", CHANNEL),
        ("Stream and group", STREAM),
        ("Queue and batches", QUEUE),
        ("Postgres", POSTGRES),
        ("Acknowledgements and age", ACKNOWLEDGED),
        ("Other replicas", OTHERS),
    ],
)
