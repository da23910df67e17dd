#!/usr/bin/env bash
# The whole thing on a kind cluster of its own:
#   k8s/kind.sh up     cluster, image, chart, Prometheus and Grafana; again after a change of the code
#   k8s/kind.sh test   scripts/cluster-test on it, in a namespace of its own
#   k8s/kind.sh down   deletes the cluster
set -euo pipefail
cd "$(dirname "$0")/.."

readonly cluster=waybill context=kind-waybill
version=$(sed -n 's/^appVersion: "\(.*\)"/\1/p' charts/waybill/Chart.yaml)

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

# The cluster, and the image of the code as it is now on its nodes. The tag changes with what is in
# the image: under one name for all, new code would be no reason for the cluster to start new pods.
cluster_with_image() {
    local id
    kind get clusters | grep -x "$cluster" >/dev/null || kind create cluster --config k8s/kind.yaml --wait 120s
    # An attestation holds the time of the build, and would change the image's id each time.
    BUILDX_NO_DEFAULT_ATTESTATIONS=1 docker build -t "waybill:$version" .
    id=$(docker image inspect --format '{{.Id}}' "waybill:$version")
    id=${id#sha256:}
    image=waybill:$version-${id:0:12}
    docker tag "waybill:$version" "$image"
    kind load docker-image "waybill:$version" "$image" --name "$cluster"
}

# ConfigMaps out of folders, and a new pod when they change.
configured() { # DEPLOYMENT CONFIGMAP=FOLDER...
    local deployment=k8s/monitoring/$1.yaml pair maps='' sum
    shift
    for pair; do
        maps+=$(k -n monitoring create configmap "${pair%%=*}" --from-file="${pair#*=}" --dry-run=client -o yaml)$'\n---\n'
    done
    sum=$(cat - "$deployment" <<<"$maps" | sha256sum)
    k apply -f - <<<"$maps"
    sed "s|checksum/config: none|checksum/config: ${sum%% *}|" "$deployment" | k apply -f -
}

up() {
    need docker kind kubectl helm
    cluster_with_image
    k apply -f k8s/namespaces.yaml
    configured prometheus prometheus-alerts=alerts/
    configured grafana grafana-dashboards=dashboards/ \
        grafana-datasources=k8s/monitoring/provisioning/datasources/ \
        grafana-providers=k8s/monitoring/provisioning/dashboards/
    helm --kube-context "$context" upgrade --install waybill charts/waybill -n waybill \
        -f k8s/values.yaml --set "image.tag=${image#*:}" --wait --timeout 10m
    k -n monitoring rollout status deployment/prometheus --timeout 5m
    k -n monitoring rollout status deployment/grafana --timeout 5m
    echo
    echo "Page:    kubectl --context $context -n waybill port-forward service/waybill 8080:80         then http://127.0.0.1:8080/"
    echo "Grafana: kubectl --context $context -n monitoring port-forward service/grafana 3000:3000  then http://127.0.0.1:3000/"
}

run_test() {
    need docker kind kubectl helm
    cluster_with_image
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
