"""The service level objectives of docs/slo.md, as queries over what the replicas expose."""

from panels import increase, share, total

# A lookup is a request for one order, by a program or by a person.
LOOKUPS = 'route=~"order_api|order_page"'
TARGET = 0.999
# The burn rate, as far back as the alert that wakes somebody looks.
HOUR = "1h"

_REQUESTS = "waybill_http_requests_total"
_AGE = "waybill_ingest_end_to_end_seconds"


def failed_lookups(window="$__range"):
    """Share of lookups not answered within 10 ms. Hits take microseconds; whatever was no hit and is
    not known to have been in time is late: slow ones, 503, and those whose clients gave up."""
    hits, misses = (total(increase(f"waybill_cache_{name}_total", window=window)) for name in ("hits", "misses"))
    in_time = total(increase("waybill_lookup_duration_seconds_bucket", 'result!="cannot_tell"', 'le="0.01"', window=window))
    errors = total(increase(_REQUESTS, LOOKUPS, 'code="500"', window=window))
    # One under way at a scrape can make the difference negative.
    return share(f"clamp_min({misses} - {in_time} + {errors}, 0)", f"({hits} + {misses})")


def late_orders(window="$__range"):
    """Share of messages not settled, and so not to be looked up, within 2 s of the broker's taking them."""
    counted = total(increase(f"{_AGE}_count", window=window))
    # Prometheus 3 writes the bound as 2.0.
    in_time = total(increase(f"{_AGE}_bucket", 'le=~"2|2[.]0"', window=window))
    return share(f"({counted} - {in_time})", counted)


def failed_requests(window="$__range"):
    """Share of requests answered with 500 or 503."""
    failed = total(increase(_REQUESTS, 'code=~"5.."', window=window))
    return share(failed, total(increase(_REQUESTS, window=window)))


def budget_left(bad):
    """1 while nothing of the error budget is spent, 0 when all is."""
    return f"1 - ({bad}) / {1 - TARGET:g}"


def burn(bad):
    """1 when the budget is spent exactly by the end of its period."""
    return f"({bad}) / {1 - TARGET:g}"
