//! Who may speak to whom: the `NetworkPolicies` read as the cluster reads them.

use std::collections::BTreeSet;

use serde_json::Value;

use super::pods::Pod;
use super::{CASES, Object, rendered, selects};

/// One side of a policy's rule in words: components of the release by name, others by their labels.
fn peers(rule: &Value, side: &str, pods: &[Pod]) -> Vec<String> {
    let Some(peers) = rule[side].as_array() else { return vec!["anybody".to_owned()] };
    let words = |peer: &Value| {
        let selector = &peer["podSelector"]["matchLabels"];
        let own = peer["namespaceSelector"].is_null() && selector.is_object();
        let found = pods.iter().find(|pod| own && selects(selector, &pod.labels));
        match found {
            Some(pod) => pod.component().to_owned(),
            None => peer.to_string(),
        }
    };
    peers.iter().map(words).collect()
}

/// Ports of a rule by number; names are looked up in the pod the rule is about.
fn ports(rule: &Value, pod: &Pod) -> Vec<String> {
    let number = |port: &Value| match port["port"].as_str() {
        Some(name) => {
            let named = pod.ports().find(|there| there["name"] == name);
            named.unwrap_or_else(|| panic!("no port {name}"))["containerPort"].to_string()
        }
        None => port["port"].to_string(),
    };
    let ports = rule["ports"].as_array().expect("every rule names its ports");
    ports
        .iter()
        .map(|port| {
            format!("{}{}", if port["protocol"] == "UDP" { "udp " } else { "" }, number(port))
        })
        .collect()
}

/// Lines such as `server -> postgres 5432` of what a pod may send and `server <- anybody 8080` of
/// what it may receive.
fn allowed(pod: &Pod, pods: &[Pod], policies: &[Object]) -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    let about: Vec<_> = policies
        .iter()
        .filter(|policy| selects(policy.at("/spec/podSelector/matchLabels"), &pod.labels))
        .collect();
    assert_eq!(about.len(), 1, "one policy is about {}", pod.made_by);
    let policy = about[0];
    assert_eq!(*policy.at("/spec/policyTypes"), serde_json::json!(["Ingress", "Egress"]));
    for (direction, side, arrow) in [("ingress", "from", "<-"), ("egress", "to", "->")] {
        let rules = policy.at(&format!("/spec/{direction}")).as_array();
        for rule in rules.into_iter().flatten() {
            for peer in peers(rule, side, pods) {
                for port in ports(rule, pod) {
                    lines.insert(format!("{} {arrow} {peer} {port}", pod.component()));
                }
            }
        }
    }
    lines
}

fn edges(case: &str) -> String {
    let objects = rendered(case);
    let pods: Vec<_> = objects.iter().filter_map(Pod::of).collect();
    let policies: Vec<_> =
        objects.iter().filter(|object| object.kind() == "NetworkPolicy").cloned().collect();
    let lines: BTreeSet<_> = pods.iter().flat_map(|pod| allowed(pod, &pods, &policies)).collect();
    lines.into_iter().map(|line| line + "\n").collect()
}

#[test]
fn by_default_pods_reach_what_they_need_and_nothing_else() {
    insta::assert_snapshot!(edges("defaults"));
}

#[test]
fn with_everything_on_too() {
    insta::assert_snapshot!(edges("everything"));
}

#[test]
fn an_external_broker_and_database_are_reached_where_the_values_say() {
    insta::assert_snapshot!(edges("external"));
}

#[test]
fn a_server_of_streams_without_others_reaches_nobody_and_nothing_leads_to_a_broker() {
    let edges = edges("stream");
    let lines: BTreeSet<_> = edges.lines().collect();
    for line in ["server -> nats 4222", "load -> nats 4222", "test -> nats 4222"] {
        assert!(lines.contains(line), "{line} in {edges}");
    }
    assert!(!edges.contains("nats-streaming"), "{edges}");
    assert!(!lines.iter().any(|line| line.starts_with("nats ->")), "{edges}");
    assert!(!lines.iter().any(|line| line.starts_with("nats <-") && line.ends_with(" 6222")));
}

#[test]
fn what_one_component_may_send_another_may_receive() {
    for case in CASES.into_iter().filter(|case| *case != "minimal") {
        let edges = edges(case);
        let lines: BTreeSet<_> = edges.lines().collect();
        let components: BTreeSet<_> =
            lines.iter().filter_map(|line| line.split(' ').next()).collect();
        for line in &lines {
            let parts: Vec<_> = line.split(' ').collect();
            let &[sender, "->", receiver, port] = &parts[..] else { continue };
            if !components.contains(receiver) {
                continue;
            }
            let mirrored = [sender, "anybody"]
                .iter()
                .any(|peer| lines.contains(format!("{receiver} <- {peer} {port}").as_str()));
            assert!(mirrored, "{case}: {line}, but it is not let in");
        }
    }
}

#[test]
fn without_policies_there_are_none() {
    assert!(rendered("minimal").iter().all(|object| object.kind() != "NetworkPolicy"));
}
