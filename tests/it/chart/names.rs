//! Names, however long the release's or the overrides are: each must leave room for what
//! Kubernetes appends to it, and be the name that the other objects know.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Object, helm, render_for, repository, selects};

/// The longest name that Kubernetes can make all it needs of.
fn longest(object: &Object) -> usize {
    match object.kind() {
        // The pods of the one have a label of the name, a dash and ten characters, the Jobs of the
        // other the name, a dash and ten digits.
        "StatefulSet" | "CronJob" => 52,
        // Their pods have a dash and five characters more; those of a Deployment eleven before.
        "Job" => 57,
        "Deployment" => 46,
        // KEDA makes a "keda-hpa-…" of it.
        "ScaledObject" => 54,
        _ => 63,
    }
}

/// What a Service may be called, the strictest of all.
fn is_dns_label(name: &str) -> bool {
    let is_valid = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    name.bytes().all(is_valid)
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && !name.ends_with('-')
}

fn is_label_value(value: &str) -> bool {
    let is_valid = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let is_end = |letter: char| letter.is_ascii_alphanumeric();
    value.len() <= 63
        && value.bytes().all(is_valid)
        && value.starts_with(is_end)
        && value.ends_with(is_end)
}

/// Calls `look` with every key and value, however deep.
fn walk<'value>(value: &'value Value, look: &mut impl FnMut(&'value str, &'value Value)) {
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                look(key, member);
                walk(member, look);
            }
        }
        Value::Array(elements) => elements.iter().for_each(|element| walk(element, look)),
        _ => {}
    }
}

/// The labels of an object, of the pods that it makes, and those that it selects by.
fn labels(object: &Object) -> Vec<&str> {
    let mut found = Vec::new();
    walk(&object.0, &mut |key, value| {
        if let ("labels" | "matchLabels", Value::Object(labels)) = (key, value) {
            found.extend(labels.values().filter_map(Value::as_str));
        }
    });
    found
}

/// The host of a URL of this release: those of others have a dot.
fn host(url: &str) -> Option<&str> {
    let (_, place) = url.split_once("://")?;
    let place = place.split('/').next()?;
    let host = place.rsplit('@').next()?.split(':').next()?;
    (!host.is_empty() && !host.contains('.')).then_some(host)
}

/// What an object names of the others: their kinds and names.
fn references(object: &Object) -> Vec<(&'static str, &str)> {
    let mut found = Vec::new();
    walk(&object.0, &mut |key, value| {
        let name = value["name"].as_str().or(value.as_str());
        let kind = match key {
            "secretKeyRef" | "secretName" => "Secret",
            "configMap" | "configMapRef" => "ConfigMap",
            "claimName" => "PersistentVolumeClaim",
            "serviceAccountName" => "ServiceAccount",
            "service" | "serviceName" | "subdomain" => "Service",
            "scaleTargetRef" => "Deployment",
            _ => "",
        };
        let given = [
            "more",
            "broker-ca",
            "waybill-tls",
            "waybill-http-tls",
            "waybill-admin-tls",
            "reports",
        ];
        found.extend(
            name.filter(|name| !kind.is_empty() && !given.contains(name)).map(|n| (kind, n)),
        );
        let texts: Vec<_> = match value {
            Value::Array(elements) => elements.iter().filter_map(Value::as_str).collect(),
            // More lines than one are a file.
            Value::String(text) if !text.contains('\n') => vec![text.as_str()],
            _ => Vec::new(),
        };
        found.extend(texts.into_iter().filter_map(host).map(|host| ("Service", host)));
        for backend in value.as_array().into_iter().flatten().filter(|_| key == "backendRefs") {
            found.push(("Service", backend["name"].as_str().expect("a name")));
        }
        if let ("natsServerMonitoringEndpoint", Some(address)) = (key, value.as_str()) {
            found.push(("Service", address.split('.').next().expect("a name")));
        }
        if value["name"] == "REPLICAS" {
            found.push(("Service", value["value"].as_str().expect("a name")));
        }
    });
    found
}

/// Whether what an object selects of this release is there.
fn assert_selects(object: &Object, objects: &[Object], context: &str) {
    let candidates = || {
        objects.iter().flat_map(|other| {
            ["/metadata/labels", "/spec/template/metadata/labels"]
                .into_iter()
                .chain(["/spec/jobTemplate/spec/template/metadata/labels"])
                .map(|pointer| other.at(pointer))
        })
    };
    walk(&object.0, &mut |key, selector| {
        let own = !selector["app.kubernetes.io/instance"].is_null();
        if own && ["matchLabels", "selector"].contains(&key) {
            assert!(candidates().any(|labels| selects(selector, labels)), "{context}: {selector}");
        }
    });
}

/// Renders all there is, looks at every name, and returns them with their kinds.
fn check(release: &str, overrides: &[&str]) -> BTreeSet<String> {
    let values = repository("charts/waybill/ci/everything.yaml");
    let mut arguments = vec!["-f", values.to_str().expect("UTF-8")];
    arguments.extend(["--set", "fullnameOverride=,nameOverride=", "--set-json", "extraObjects=[]"]);
    arguments.extend(overrides.iter().flat_map(|value| ["--set-string", value]));
    let objects = render_for(release, &arguments);
    let names: BTreeSet<_> =
        objects.iter().map(|object| format!("{} {}", object.kind(), object.name())).collect();
    for object in &objects {
        let (kind, name) = (object.kind(), object.name());
        let context = format!("{kind} {name} of {release} with {overrides:?}");
        assert!(name.len() <= longest(object), "{context}: {} characters", name.len());
        assert!(is_dns_label(name), "{context}");
        for label in labels(object) {
            assert!(is_label_value(label), "{context}: the label {label}");
        }
        for (kind, name) in references(object) {
            assert!(
                names.contains(&format!("{kind} {name}")),
                "{context}: there is no {kind} {name}"
            );
        }
        assert_selects(object, &objects, &context);
    }
    names
}

const LONG: &str =
    "rders-production-eu-west-1-blue-42-of-the-orders-team-of-acme-and-of-all-its-friends";

/// A name of so many characters, or one less where it would end in a dash.
fn named(length: usize) -> String {
    let name: String = "o".chars().chain(LONG.chars().cycle()).take(length).collect();
    name.trim_end_matches('-').to_owned()
}

#[test]
fn every_name_leaves_room_for_what_kubernetes_appends_whatever_the_release() {
    for length in 1..=53 {
        check(&named(length), &[]);
    }
    // All that Helm takes for a release.
    for release in ["4", "42-orders", "orders.blue", "4.2", "a--b", "waybill", "my-waybill-2"] {
        check(release, &[]);
    }
}

#[test]
fn every_name_leaves_room_for_what_kubernetes_appends_whatever_the_overrides() {
    let release = "orders-production-eu-west-1-blue-42";
    for length in (1..=7).chain(30..=42).chain([63, 64, 253]) {
        check(release, &[&format!("nameOverride={}", named(length))]);
        check(release, &[&format!("fullnameOverride={}", named(length))]);
    }
    let cut_after_a_dot = format!("nameOverride={}.{}", named(39), named(9));
    for values in [&["nameOverride=My_App.2"][..], &["fullnameOverride=x--"], &[&cut_after_a_dot]] {
        check("42", values);
    }
}

#[test]
fn two_releases_that_begin_alike_share_no_name() {
    for (one, other) in [
        ("orders-production-eu-west-1-blue-42", "orders-production-eu-west-1-blue-43"),
        (
            "orders-production-eu-west-1-blue-42-of-the-team-1",
            "orders-production-eu-west-1-blue-42-of-the-team-2",
        ),
        ("orders.blue", "orders-blue"),
        ("42", "w42"),
    ] {
        let (one, other) = (check(one, &[]), check(other, &[]));
        assert_eq!(one.intersection(&other).count(), 0, "{one:?} {other:?}");
    }
}

#[test]
fn a_name_that_could_be_installed_before_stays_what_it_was() {
    let names = check("waybill", &[]);
    for name in
        ["Deployment waybill", "StatefulSet waybill-nats-streaming", "CronJob waybill-reconcile"]
    {
        assert!(names.contains(name), "{name} in {names:?}");
    }
    assert!(check("shop", &[]).contains("StatefulSet shop-waybill-postgres"));
    // With an external broker up to 40 characters could be: another name would be another volume.
    for length in [37, 38, 40] {
        let name = named(length);
        let names = check(&name, &[&format!("fullnameOverride={name}")]);
        assert!(names.contains(&format!("StatefulSet {name}-postgres")), "{names:?}");
    }
}

#[test]
fn an_override_that_no_object_can_have_is_refused() {
    for value in ["fullnameOverride=4.2", "fullnameOverride=My-App", "nameOverride=a/b"] {
        let output = helm(&["--set-string", value]);
        let errors = String::from_utf8_lossy(&output.stderr);
        let (key, _) = value.split_once('=').expect("a value");
        assert!(!output.status.success() && errors.contains(key), "{value}: {errors}");
    }
}
