#!/bin/sh
# Looks up orders with vegeta at one rate after the other and gives a verdict: a table on standard
# output, exit 1 when a rate breaks its bounds. Needs sh, sed, awk and vegeta; runs anywhere.
#
# From the environment:
#   RECEIPT      the receipt of `waybill publish --receipt`: what is looked up
#   URL          the service                                     (http://127.0.0.1:8080)
#   RATES        lookups a second, stage by stage                (100 500 1000)
#   DURATION     length of a stage                               (20s)
#   MIN_SUCCESS  share of lookups that must be answered with 200 (1)
#   MAX_P99_MS   bound on the 99th percentile, milliseconds      (50)
#   RESULTS      where vegeta's results and reports are kept     (./load-results)
set -eu

RECEIPT=${RECEIPT:?names the receipt of waybill publish --receipt}
URL=${URL:-http://127.0.0.1:8080}
RATES=${RATES:-100 500 1000}
DURATION=${DURATION:-20s}
MIN_SUCCESS=${MIN_SUCCESS:-1}
MAX_P99_MS=${MAX_P99_MS:-50}
RESULTS=${RESULTS:-load-results}

mkdir -p "$RESULTS"
targets=$RESULTS/targets
sed -n "s|.*\"uid\":\"\([^\"]*\)\".*\"expected\":\"stored\".*|GET $URL/api/v1/orders/\1|p" "$RECEIPT" >"$targets"
test -s "$targets" || { echo "attack: $RECEIPT names no stored order" >&2; exit 2; }

attack() { vegeta attack -targets="$targets" -timeout=5s -max-body=0 "$@"; }
# The number after a name in vegeta's JSON report.
figure() { sed -n "s|.*\"$1\":\([-+.0-9eE]*\).*|\1|p" "$2"; }

# What was published a moment ago may not be stored yet; each is asked for once until all are. An
# attack that runs out of targets reports that as one more request, so the answers are counted.
each=$(($(wc -l <"$targets")))
report=$RESULTS/warm-up.json
tries=0
until attack -name=warm-up -rate=0 -max-workers=4 -lazy -output="$RESULTS/warm-up.bin" &&
    vegeta report -type=json -output="$report" "$RESULTS/warm-up.bin" &&
    test "$(figure 200 "$report")" = "$each"; do
    tries=$((tries + 1))
    test "$tries" -lt 60 || { echo "attack: the orders are not there after a minute" >&2; cat "$report" >&2; exit 2; }
    sleep 1
done
echo "$each orders at $URL, $DURATION a rate; bounds: success >= $MIN_SUCCESS, p99 <= $MAX_P99_MS ms"

echo 'rate/s   got/s    success  p50 ms   p90 ms   p99 ms   max ms   verdict'
broken=0
for rate in $RATES; do
    attack -name="$rate" -rate="$rate" -duration="$DURATION" -output="$RESULTS/$rate.bin"
    report=$RESULTS/$rate.json
    vegeta report -type=json -output="$report" "$RESULTS/$rate.bin"
    awk -v asked="$rate" -v min="$MIN_SUCCESS" -v bound="$MAX_P99_MS" \
        -v got="$(figure throughput "$report")" -v success="$(figure success "$report")" \
        -v p50="$(figure 50th "$report")" -v p90="$(figure 90th "$report")" \
        -v p99="$(figure 99th "$report")" -v max="$(figure max "$report")" '
        BEGIN {
            # A stage that could not send what it was asked to has measured something else.
            verdict = success < min ? "FAILED LOOKUPS" : p99 / 1e6 > bound ? "TOO SLOW" : \
                got < 0.95 * asked ? "TOO FEW" : "ok"
            printf "%-8s %-8.0f %-8.4f %-8.2f %-8.2f %-8.2f %-8.2f %s\n", \
                asked, got, success, p50 / 1e6, p90 / 1e6, p99 / 1e6, max / 1e6, verdict
            exit verdict != "ok"
        }' || { broken=1; sed -n 's|.*"status_codes":\({[^}]*}\).*"errors":\(\[[^]]*\]\).*|  status codes \1, errors \2|p' "$report"; }
done
exit "$broken"
