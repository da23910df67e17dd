"""The dead letters: what could not become an order."""

from board import dashboard
from panels import bars, graph, increase, rate, series, share, stat, steps, total

REJECTED = "waybill_ingest_rejected_total"
MESSAGES = "waybill_ingest_messages_total"
KEPT = f"max({series('waybill_rejects_kept')})"
BYTES, BOUND = f"max({series('waybill_rejects_bytes')})", f"min({series('waybill_rejects_alarm_bytes')})"
BY_VERDICT = total(rate(MESSAGES, 'result=~"refused|conflict"'), "result")
SHARE = share(total(rate(REJECTED)), total(rate(MESSAGES)))

SUMMARY = [
    stat("Kept", "Rejects kept in Postgres; many are an estimate. All replicas measure the same table.", "short", KEPT),
    stat("Room", "Bytes of their payloads; many are an estimate.", "bytes", BYTES),
    stat(
        "Share of the room", "Their payloads, of what they may come to before there is an alarm (rejects.alarm_bytes). Nothing is deleted by itself at 100 %.",
        "percentunit", share(BYTES, BOUND), thresholds=steps("green", (0.8, "orange"), (1, "red")), runbook="WaybillRejectsPiling",
    ),
    stat(
        "New", "Messages refused over the time shown.",
        "short", total(increase(REJECTED)), decimals=0, runbook="WaybillRejectsMany",
    ),
    stat(
        "Refused of all", "Share of messages that are refused. Over 1 % for 15 minutes is an alert: a sender has changed.",
        "percentunit", SHARE, thresholds=steps("green", (0.001, "orange"), (0.01, "red")), runbook="WaybillRejectsMany", noValue="no messages",
    ),
    stat(
        "Expired", "Rejects deleted over the time shown because they were older than rejects.keep_for.",
        "short", total(increase("waybill_rejects_expired_total")), decimals=0,
    ),
]

WHY = [
    graph(
        "Rejects by reason", "Messages refused a second, by reason, those that occur. conflict: other bytes under an id that is taken.",
        "ops", [(f"{total(rate(REJECTED), 'reason')} > 0", "{{reason}}")], width=12, stacked=True, runbook="WaybillRejectsMany",
    ),
    bars(
        "Reasons", "Messages refused over the time shown, by reason.",
        "short", f"sort_desc({total(increase(REJECTED), 'reason')} > 0)", "{{reason}}", width=12, decimals=0,
    ),
    graph(
        "Share of messages refused", "By the verdict: refused is no order, conflict is another order under an id that is taken.",
        "percentunit",
        [(
            f"{BY_VERDICT} / on () group_left () ({total(rate(MESSAGES))} > 0)",
            "{{result}}",
        )],
        width=12, thresholds=steps("green", (0.01, "red")),
    ),
    graph(
        "Replicas that refuse", "Messages refused a second by replica. One that refuses more than the others runs another build.",
        "ops", [(total(rate(REJECTED), "instance", "pod"), "{{instance}} {{pod}}")], width=12,
    ),
]

ROOM = [
    graph("Rejects kept", "Rejects kept in Postgres. It falls when they are replayed, pruned, or expire.", "short", KEPT),
    graph(
        "Room of the rejects", "Their payloads, and the bound over which there is an alarm (rejects.alarm_bytes).",
        "bytes", [(BYTES, "payloads"), (BOUND, "alarm")], runbook="WaybillRejectsPiling",
    ),
    graph(
        "Expiry", "Rejects a second deleted because they were older than rejects.keep_for; none while that is not set.",
        "ops", total(rate("waybill_rejects_expired_total")),
    ),
]

DASHBOARD = dashboard(
    "rejects",
    "Dead letters: messages that could not become orders, why, and what room they take.",
    [("At a glance", SUMMARY), ("Why", WHY), ("Room and expiry", ROOM)],
)
