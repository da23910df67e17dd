//! Names, however long the release's or the overrides are: each must leave room for what
//! Kubernetes appends to it.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Object, render_for, repository};

/// The longest name that Kubernetes can make all it needs of.
fn longest(object: &Object) -> usize {
    match object.kind() {
        // The pods of the one have a label of the name, a dash and ten characters, the Jobs of the
        // other the name, a dash and eleven digits.
        "StatefulSet" | "CronJob" => 52,
        // Their pods have a dash and five characters more; those of a Deployment eleven before.
        "Job" => 57,
        "Deployment" => 46,
        _ => 63,
    }
}

fn is_dns_label(name: &str) -> bool {
    let is_legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    name.bytes().all(is_legal) && !name.starts_with('-') && !name.ends_with('-')
}

/// Every label of an object and of the pods that it makes.
fn labels(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                if let ("labels" | "matchLabels", Value::Object(labels)) = (key.as_str(), member) {
                    found.extend(labels.values().filter_map(Value::as_str).map(str::to_owned));
                }
                labels(member, found);
            }
        }
        Value::Array(elements) => elements.iter().for_each(|element| labels(element, found)),
        _ => {}
    }
}

fn check(release: &str, overrides: &[&str]) -> BTreeSet<String> {
    let values = repository("charts/waybill/ci/everything.yaml");
    let mut arguments = vec!["-f", values.to_str().expect("UTF-8")];
    arguments.extend(["--set", "fullnameOverride=,nameOverride="]);
    arguments.extend(overrides.iter().flat_map(|value| ["--set", value]));
    let objects = render_for(release, &arguments);
    for object in &objects {
        let (kind, name) = (object.kind(), object.name());
        let context = format!("{kind} {name} of {release} with {overrides:?}");
        assert!(name.len() <= longest(object), "{context}: {} characters", name.len());
        assert!(is_dns_label(name), "{context}");
        let mut found = Vec::new();
        labels(&object.0, &mut found);
        for label in found {
            assert!(label.len() <= 63, "{context}: the label {label}");
        }
    }
    objects.iter().map(|object| format!("{} {}", object.kind(), object.name())).collect()
}

#[test]
fn every_name_leaves_room_for_what_kubernetes_appends() {
    let long = "production-eu-west-1-blue-42-of-the-orders-team-of-acme".repeat(2);
    for length in [1, 20, 29, 30, 37, 38, 45, 53] {
        let release = format!("o{}", &long[..length - 1]);
        check(release.trim_end_matches('-'), &[]);
    }
    for length in [1, 37, 38, 63, 100] {
        let name = long[..length].trim_end_matches('-').to_owned();
        let release = "orders-production-eu-west-1-blue-42";
        check(release, &[&format!("nameOverride={name}")]);
        check(release, &[&format!("fullnameOverride={name}")]);
    }
}

#[test]
fn two_long_releases_share_no_name() {
    let one = check("orders-production-eu-west-1-blue-42", &[]);
    let other = check("orders-production-eu-west-1-blue-43", &[]);
    let shared: Vec<_> =
        one.intersection(&other).filter(|name| !name.starts_with("Extra")).collect();
    let own = |name: &&&String| name.contains("orders-production");
    assert_eq!(shared.iter().filter(|name| own(name)).count(), 0, "{shared:?}");
}

#[test]
fn a_short_release_keeps_the_names_it_always_had() {
    let names = check("waybill", &[]);
    for name in
        ["Deployment waybill", "StatefulSet waybill-nats-streaming", "CronJob waybill-reconcile"]
    {
        assert!(names.contains(name), "{name} in {names:?}");
    }
    assert!(check("shop", &[]).contains("StatefulSet shop-waybill-postgres"));
}
