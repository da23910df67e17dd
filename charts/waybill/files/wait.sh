# Waits until the first broker and the first Postgres of the URLs in the environment take connections.
set -eu

for url in "$WAYBILL_BROKER__URL" "$WAYBILL_DATABASE__URL"; do
    server=${url%%,*}
    server=${server#*://}
    server=${server##*@}
    server=${server%%/*}
    tries=0
    until nc -z -w 2 "${server%:*}" "${server##*:}"; do
        tries=$((tries + 1))
        test "$tries" -lt 60 || { echo "$server takes no connection"; exit 1; }
        sleep 1
    done
done
