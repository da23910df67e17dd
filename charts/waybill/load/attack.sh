#!/bin/sh
# Looks up orders with vegeta at one rate after the other and gives a verdict: a table on standard
# output, exit 1 when a rate breaks its bounds. Needs sh, sed, awk and vegeta; runs anywhere.
#
# A rate is sent in two halves at the same time: over connections that are kept, and over a new
# one for each lookup. A Service gives each connection to one replica, so that one kept connection
# would measure one replica, and would not see that new ones fail.
#
# From the environment:
#   RECEIPT      the receipt of `waybill publish --receipt`: what is looked up
#   URL          the service                                     (http://127.0.0.1:8080)
#   RATES        lookups a second, stage by stage                (100 500 1000)
#   DURATION     length of a stage                               (20s)
#   CONNECTIONS  that are kept                                   (8)
#   MIN_SUCCESS  share of lookups that must be answered with 200 (1)
#   MAX_P99_MS   bound on the 99th percentile, milliseconds      (50)
#   RESULTS      where vegeta's results and reports are kept     (./load-results)
set -eu

RECEIPT=${RECEIPT:?names the receipt of waybill publish --receipt}
URL=${URL:-http://127.0.0.1:8080}
RATES=${RATES:-100 500 1000}
DURATION=${DURATION:-20s}
CONNECTIONS=${CONNECTIONS:-8}
MIN_SUCCESS=${MIN_SUCCESS:-1}
MAX_P99_MS=${MAX_P99_MS:-50}
RESULTS=${RESULTS:-load-results}

mkdir -p "$RESULTS"
targets=$RESULTS/targets
sed -n "s|.*\"uid\":\"\([^\"]*\)\".*\"expected\":\"stored\".*|GET $URL/api/v1/orders/\1|p" "$RECEIPT" >"$targets"
test -s "$targets" || { echo "attack: $RECEIPT names no stored order" >&2; exit 2; }

attack() { vegeta attack -targets="$targets" -timeout=5s -max-body=0 "$@"; }
# Over a kept connection one vegeta sends as much as it can before it opens another, so there is a
# vegeta for each of them.
attack_rate() { # RATE
    rm -f "$RESULTS/$1-kept-"*.bin
    connection=0
    while test "$connection" -lt "$CONNECTIONS"; do
        connection=$((connection + 1))
        attack -name="$1 kept" -rate="$1/$((2 * CONNECTIONS))s" -duration="$DURATION" \
            -output="$RESULTS/$1-kept-$connection.bin" &
    done
    attack -name="$1 new" -keepalive=false -rate="$1/2s" -duration="$DURATION" -output="$RESULTS/$1-new.bin"
    wait
}
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
echo "connections: half of each rate over $CONNECTIONS that are kept, half over a new one for each lookup"

# The status codes and the kinds of errors in a report: vegeta repeats an error for each order.
trouble() { # REPORT
    sed -n 's|.*"status_codes":\({[^}]*}\).*"errors":\[\(.*\)\].*|\1 \2|p' "$1" | awk '{
        codes = $1
        count = split(substr($0, length(codes) + 2), errors, /","/)
        for (i = 1; i <= count; i++) {
            kind = errors[i]
            gsub(/^"|"$/, "", kind)
            sub(/^.*: /, "", kind)
            if (!seen[kind]++) kinds = kinds (kinds ? ", " : "") kind
        }
        print "  status codes " codes ", errors: " (kinds ? kinds : "none")
    }'
}

# One line of the table; notes when a bound is broken.
judge() { # RATE CONNECTIONS RESULTS...
    rate=$1 connections=$2 report=$RESULTS/$1-$2.json
    shift 2
    vegeta report -type=json -output="$report" "$@" || exit 2
    awk -v asked="$rate" -v connections="$connections" -v min="$MIN_SUCCESS" -v bound="$MAX_P99_MS" \
        -v got="$(figure throughput "$report")" -v success="$(figure success "$report")" \
        -v p50="$(figure 50th "$report")" -v p90="$(figure 90th "$report")" \
        -v p99="$(figure 99th "$report")" -v max="$(figure max "$report")" '
        BEGIN {
            # A stage that could not send what it was asked to has measured something else.
            verdict = success < min ? "FAILED LOOKUPS" : p99 / 1e6 > bound ? "TOO SLOW" : \
                got < 0.95 * asked / 2 ? "TOO FEW" : "ok"
            printf "%-8s %-12s %-8.0f %-8.4f %-8.2f %-8.2f %-8.2f %-8.2f %s\n", \
                asked, connections, got, success, p50 / 1e6, p90 / 1e6, p99 / 1e6, max / 1e6, verdict
            exit verdict != "ok"
        }' && return
    trouble "$report"
    broken=1
}

echo 'rate/s   connections  got/s    success  p50 ms   p90 ms   p99 ms   max ms   verdict'
broken=0
for stage in $RATES; do
    attack_rate "$stage"
    judge "$stage" kept "$RESULTS/$stage-kept-"*.bin
    judge "$stage" new "$RESULTS/$stage-new.bin"
done
exit "$broken"
