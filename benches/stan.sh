#!/usr/bin/env bash
# Measures crates/stan beside stan.go's stan-bench against the same server, and prints a table.
#
#   benches/stan.sh [ROUNDS [N]]
#
# Needs on the PATH or in .tools/bin: nats-streaming-server 0.25.6, and stan-bench, from
#   go install github.com/nats-io/stan.go/examples/stan-bench@v0.10.4
# Every round has a server and a store of its own; which client goes first alternates. The
# figures are medians over the rounds. Only the ratios mean something on a busy machine.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH=$PATH:$PWD/.tools/bin

rounds=${1:-5}
n=${2:-200000}
port=${PORT:-14722}
url=nats://127.0.0.1:$port
cluster=bench
pub_window=512
sub_window=1024 # stan-bench cannot set it: this is stan.go's default

for tool in nats-streaming-server stan-bench; do
  command -v "$tool" >/dev/null || { echo "$tool is missing" >&2; exit 1; }
done
cargo build --quiet --release -p stan --example bench
ours=${CARGO_TARGET_DIR:-target}/release/examples/bench

dir=$(mktemp -d)
server=
stop_server() {
  [ -z "$server" ] || { kill "$server"; wait "$server" || true; } 2>/dev/null
  server=
  rm -rf "$dir/store"
}
trap 'stop_server; rm -rf "$dir"' EXIT

start_server() { # store
  rm -f "$dir/server.log"
  nats-streaming-server -cid $cluster -a 127.0.0.1 -p "$port" -store "$1" -dir "$dir/store" \
    -mm 0 -mb 0 -mc 0 -msu 0 >"$dir/server.log" 2>&1 &
  server=$!
  for _ in $(seq 200); do
    ! grep -qs "Streaming Server is ready" "$dir/server.log" || return 0
    kill -0 $server 2>/dev/null || break
    sleep 0.05
  done
  cat "$dir/server.log" >&2
  exit 1
}

# Appends "msgs/s CPU-us/msg" to a file; the CPU is that of the whole process.
run() { # file command...
  local file=$1 cpu rate
  shift
  TIMEFORMAT='%U %S'
  cpu=$({ time "$@" >"$dir/out" 2>"$dir/err"; } 2>&1) || { cat "$dir/out" "$dir/err" >&2; exit 1; }
  rate=$(grep -oE '[0-9,]+ msgs/s' "$dir/out" | head -1 | tr -dc 0-9)
  echo "$rate $cpu" | awk -v n="$n" '{ printf "%d %.2f\n", $1, ($2 + $3) * 1e6 / n }' >>"$file"
}

theirs() { # mode channel size
  case $1 in
    publish) stan-bench -s "$url" -c $cluster -np 1 -ns 0 -n "$n" -ms "$3" -mpa $pub_window "$2" ;;
    consume-*) stan-bench -s "$url" -c $cluster -np 0 -ns "${1#*-}" -n "$n" -ms "$3" -qgroup g "$2" ;;
  esac
}

our() { # mode channel size
  local common=(--url "$url" --cluster $cluster --channel "$2" -n "$n" --size "$3")
  case $1 in
    publish) "$ours" publish "${common[@]}" --window $pub_window ;;
    consume-*) "$ours" consume "${common[@]}" --window $sub_window --members "${1#*-}" ;;
  esac
}

median() { # file column
  cut -d' ' -f"$2" "$1" | sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'
}

echo "| store | bytes | what | stan.go msgs/s | ours msgs/s | ratio | stan.go CPU µs/msg | ours CPU µs/msg |"
echo "|---|---|---|---|---|---|---|---|"
for store in memory file; do
  for size in 128 1024; do
    rm -f "$dir"/result-*
    for round in $(seq "$rounds"); do
      start_server $store
      order=(theirs our)
      [ $((round % 2)) = 0 ] || order=(our theirs)
      for mode in publish consume-1 consume-4; do
        for who in "${order[@]}"; do
          channel=consumed
          [ $mode != publish ] || channel=$([ "$who" = "${order[0]}" ] && echo consumed || echo other)
          run "$dir/result-$mode-$who" "$who" $mode $channel $size
        done
      done
      stop_server
    done
    for mode in publish consume-1 consume-4; do
      a=$dir/result-$mode-theirs b=$dir/result-$mode-our
      echo "$store $size $mode $(median "$a" 1) $(median "$b" 1) $(median "$a" 2) $(median "$b" 2)" |
        awk '{ printf "| %s | %s | %s | %d | %d | %.2f | %.1f | %.1f |\n", $1, $2, $3, $4, $5, $5 / $4, $6, $7 }'
    done
  done
done
