# Dumps the database of $DATABASE_URL into /dumps and keeps the newest $KEEP dumps.
set -eu

url=$(printf %s "$DATABASE_URL" | tr -d '[:space:]' | awk -f "${0%/*}/url.awk")
now=$(date -u +%Y%m%dT%H%M%SZ)
dump=/dumps/waybill-$now.dump

# At an install Postgres is just being made, and the tables by the service.
tries=0
until psql --dbname="$url" --quiet --command='select from orders limit 0' >/dev/null; do
    tries=$((tries + 1))
    test "$tries" -lt 60 || exit 1
    sleep 5
done

# Half a dump of an earlier run that was cut off is of no use to anybody.
rm -f /dumps/*.part

pg_dump --format=custom --compress=6 --dbname="$url" --file="$dump.part"
# A dump whose table of contents cannot be read is none.
pg_restore --list "$dump.part" | grep -q 'TABLE DATA .* orders '
sync
mv "$dump.part" "$dump"
echo "$dump: $(stat -c %s "$dump") bytes"

# What was erased, for a restore of a dump that is older. A database of before that has no record.
if psql --dbname="$url" -Atc "select to_regclass('erasures')" | grep -q .; then
    psql --dbname="$url" -Atc "select json_build_object(
        'uid_sha256', encode(uid_sha256, 'hex'),
        'erased_at', to_char(erased_at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'),
        'reason', reason) from erasures order by uid_sha256" >/dumps/erasures.ndjson.part
    before=$(grep -c '' /dumps/erasures.ndjson 2>/dev/null || true)
    if test "${before:-0}" -gt "$(grep -c '' /dumps/erasures.ndjson.part || true)"; then
        # Restored, and not brought up to date: the file knows more than the database.
        echo "/dumps/erasures.ndjson is kept, it has more than the database: waybill erase --apply it"
        rm -f /dumps/erasures.ndjson.part
    else
        mv /dumps/erasures.ndjson.part /dumps/erasures.ndjson
    fi
fi

# Only now: a failing dump must not cost the older ones.
ls -1 /dumps/waybill-*.dump | sort -r | tail -n "+$((KEEP + 1))" | while read -r old; do
    rm -f "$old"
    echo "$old: removed"
done

# So that the log of any run tells which there are.
ls -l /dumps
