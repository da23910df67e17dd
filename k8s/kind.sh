#!/usr/bin/env bash
# The whole thing on a kind cluster of its own:
#   k8s/kind.sh up     cluster, image, chart, Prometheus and Grafana
#   k8s/kind.sh test   scripts/cluster-test on it, in a namespace of its own
#   k8s/kind.sh down   deletes the cluster
set -euo pipefail
cd "$(dirname "$0")/.."

readonly cluster=waybill context=kind-waybill
version=$(sed -n 's/^appVersion: "\(.*\)"/\1/p' charts/waybill/Chart.yaml)
image=waybill:$version

need() {
    local program missing=()
    for program; do type -P "$program" >/dev/null || missing+=("$program"); done
    if ((${#missing[@]})); then
        echo "kind.sh: not on this machine: ${missing[*]}" >&2
        echo 'kind.sh: kind needs Docker; scripts/cluster-test works on any cluster that KUBECONFIG names' >&2
        exit 1
    fi
    docker info >/dev/null 2>&1 || { echo 'kind.sh: Docker does not answer' >&2; exit 1; }
}
k() { kubectl --context "$context" "$@"; }
config_map() { # NAME FROM
    k -n monitoring create configmap "$1" --from-file="$2" --dry-run=client -o yaml | k apply -f -
}

up() {
    need docker kind kubectl helm
    kind get clusters | grep -qx "$cluster" || kind create cluster --config k8s/kind.yaml --wait 120s
    docker build -t "$image" .
    kind load docker-image "$image" --name "$cluster"
    k apply -f k8s/namespaces.yaml
    config_map prometheus-alerts alerts/
    config_map grafana-dashboards dashboards/
    config_map grafana-datasources k8s/monitoring/provisioning/datasources/
    config_map grafana-providers k8s/monitoring/provisioning/dashboards/
    k apply -f k8s/monitoring/prometheus.yaml -f k8s/monitoring/grafana.yaml
    helm --kube-context "$context" upgrade --install waybill charts/waybill -n waybill \
        --set load.enabled=true --wait --timeout 10m
    echo
    echo "Page:    kubectl --context $context -n waybill port-forward service/waybill 8080:80         then http://127.0.0.1:8080/"
    echo "Grafana: kubectl --context $context -n monitoring port-forward service/grafana 3000:3000  then http://127.0.0.1:3000/"
}

run_test() {
    need docker kind kubectl
    KUBECONFIG=$(mktemp)
    export KUBECONFIG
    trap 'rm -f "$KUBECONFIG"' EXIT
    kind export kubeconfig --name "$cluster" --kubeconfig "$KUBECONFIG"
    scripts/cluster-test "$image"
}

case ${1:-} in
    up) up ;;
    test) run_test ;;
    down) need docker kind && kind delete cluster --name "$cluster" ;;
    *) sed -n '2,5s/^# \?//p' "$0" >&2; exit 64 ;;
esac
