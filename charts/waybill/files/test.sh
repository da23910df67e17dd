# What `helm test` checks with the receipt of what it has just published. Every replica is asked by
# its own address: $REPLICAS is the name of the headless Service. $SESSIONS are the metrics that say
# whether a replica is connected to what orders come from.
set -eu

fail() {
    echo "FAIL $*"
    exit 1
}

# With the token of the Secret that access.clientTokenSecret names, if there is one.
get() { # URL
    if test -f /etc/waybill/token/token; then
        wget -qO- -T 5 --header "Authorization: Bearer $(cat /etc/waybill/token/token)" "$1"
    else
        wget -qO- -T 5 "$1"
    fi
}

# busybox' nslookup does not complete names.
domain=$(sed -n 's/^search \([^ ]*\).*/\1/p' /etc/resolv.conf)
replicas=$(nslookup "$REPLICAS.$domain" | awk '/^Name:/ { found = 1 } found && /^Address/ { print $NF }' | sort -u)
test -n "$replicas" || fail "no replica behind $REPLICAS.$domain"
host() { # ADDRESS: as it stands in a URL
    case $1 in *:*) echo "[$1]" ;; *) echo "$1" ;; esac
}

# Waits for a command to succeed: what was published a moment ago is on its way.
eventually() { # WHAT COMMAND...
    what=$1
    shift
    tries=0
    until "$@"; do
        tries=$((tries + 1))
        test "$tries" -lt 60 || fail "$what"
        sleep 1
    done
}

metric() { # ADDRESS SERIES
    get "http://$(host "$1"):8081/metrics" | awk -v series="$2" '$1 == series { print $2 }'
}

get "$SITE/" | grep -q '<form' || fail "the page at $SITE/"
echo "PASS the page at $SITE/"

same_bytes() { # URL SHA256
    test "$(get "$1" | sha256sum | cut -d' ' -f1)" = "$2"
}
sed -n 's/.*"uid":"\([^"]*\)".*"sha256":"\([^"]*\)".*"expected":"stored".*/\1 \2/p' /scratch/receipt*.ndjson >/scratch/stored
orders=$(wc -l </scratch/stored)
test "$orders" -gt 0 || fail "no order was published"
for address in $replicas; do
    while read -r uid sha256; do
        eventually "order $uid from $address, byte for byte" \
            same_bytes "http://$(host "$address"):8080/api/v1/orders/$uid" "$sha256"
    done </scratch/stored
    echo "PASS orders from $address, byte for byte: $orders"
done

# Of what must be refused, every replica counts what it was sent itself.
refused=$(cat /scratch/receipt*.ndjson | grep -c '"expected":"refused:') || fail "nothing to refuse was published"
kept() {
    sum=0
    for address in $replicas; do
        count=$(metric "$address" 'waybill_ingest_messages_total{result="refused"}')
        sum=$((sum + ${count:-0}))
    done
    test "$sum" -ge "$refused"
}
eventually "$refused messages are refused and kept" kept
echo "PASS messages refused and kept: $refused"

for address in $replicas; do
    for series in waybill_ready $SESSIONS; do
        test "$(metric "$address" $series)" = 1 || fail "$series of $address is not 1"
    done
done
echo "PASS every replica is ready and has a session with what orders come from"
