//! The recording rules and alerts in `alerts/`: what they rest on is there, each alert is tested,
//! and the chart brings all of them.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{files, render_with, text};

/// The YAML files directly in a folder of the repository, in the order of their names.
fn documents(folder: &str) -> Vec<Value> {
    let mut paths: Vec<_> = files(folder).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{folder}");
    let parse = |path| {
        let text = std::fs::read_to_string(path).expect("a file");
        serde_saphyr::from_str(&text).expect("YAML")
    };
    paths.iter().map(parse).collect()
}

fn list<'value>(value: &'value Value, key: &str) -> impl Iterator<Item = &'value Value> {
    value[key].as_array().into_iter().flatten()
}

/// The groups of all files.
fn groups() -> Vec<Value> {
    documents("alerts").iter().flat_map(|file| list(file, "groups")).cloned().collect()
}

/// The rules of all files, recording and alerting.
pub(super) fn rules() -> Vec<Value> {
    groups().iter().flat_map(|group| list(group, "rules")).cloned().collect()
}

/// The names in a text that only recording rules can make, but for beginnings of names.
fn recorded_names(text: &str) -> BTreeSet<&str> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | ':')))
        .filter(|word| word.starts_with("namespace:waybill_") && word.split(':').count() == 3)
        .filter(|word| !word.ends_with('_'))
        .collect()
}

/// Files that are read by people or by Prometheus and Grafana.
const TEXTS: [&str; 3] = ["json", "md", "yaml"];

#[test]
fn what_is_said_to_be_recorded_is_recorded() {
    let rules = rules();
    let recorded: BTreeSet<_> = rules.iter().filter_map(|rule| rule["record"].as_str()).collect();
    assert!(!recorded.is_empty());
    let mut texts: Vec<_> = ["alerts", "dashboards", "docs", "docs/runbooks", "tests/alerts"]
        .into_iter()
        .flat_map(files)
        .filter(|path| path.extension().is_some_and(|kind| TEXTS.iter().any(|text| kind == *text)))
        .collect();
    texts.sort();
    for path in texts {
        let text = std::fs::read_to_string(&path).expect("a text");
        for name in recorded_names(&text) {
            assert!(recorded.contains(name), "{}: {name} is not recorded", path.display());
        }
    }
}

#[test]
fn histograms_have_a_bucket_that_ends_at_the_objective() {
    let metrics = waybill::metrics::Metrics::new().render();
    for series in [
        r#"waybill_lookup_duration_seconds_bucket{result="found",le="0.01"}"#,
        r#"waybill_http_request_duration_seconds_bucket{route="order_api",le="0.01"}"#,
        r#"waybill_ingest_end_to_end_seconds_bucket{le="2"}"#,
    ] {
        assert!(metrics.contains(series), "{series} is missing in\n{metrics}");
    }
}

#[test]
fn each_alert_is_tested_for_firing_and_for_silence() {
    let (mut firing, mut silent) = (BTreeSet::new(), BTreeSet::new());
    let documents = documents("tests/alerts");
    for test in documents.iter().flat_map(|file| list(file, "tests")) {
        for case in list(test, "alert_rule_test") {
            let name = case["alertname"].as_str().expect("a name").to_owned();
            let expects_some = list(case, "exp_alerts").next().is_some();
            if expects_some { &mut firing } else { &mut silent }.insert(name);
        }
        for sample in list(test, "promql_expr_test").flat_map(|case| list(case, "exp_samples")) {
            let labels = sample["labels"].as_str().unwrap_or_default();
            if let Some((_, name)) = labels.split_once(r#"alertname=""#) {
                firing.insert(name.split('"').next().expect("a name").to_owned());
            }
        }
    }
    let rules = rules();
    let alerts: BTreeSet<_> =
        rules.iter().filter_map(|rule| rule["alert"].as_str()).map(str::to_owned).collect();
    assert!(!alerts.is_empty());
    assert_eq!(firing, alerts, "fire in tests");
    assert_eq!(silent, alerts, "are silent in tests");
}

#[test]
fn the_chart_brings_every_rule_with_the_address_of_its_runbook() {
    let base = "https://host/waybill/blob/main/";
    let set = format!("metrics.prometheusRule.runbookBaseUrl={base}");
    let objects =
        render_with(&["--set", "metrics.prometheusRule.enabled=true", "--set", set.as_str()]);
    let rule = objects.iter().find(|o| o.kind() == "PrometheusRule").expect("a PrometheusRule");
    let mut expected = Value::from(groups());
    let groups = expected.as_array_mut().expect("groups");
    for rule in groups.iter_mut().flat_map(|group| group["rules"].as_array_mut().expect("rules")) {
        if let Some(page) = rule["annotations"]["runbook_url"].as_str() {
            rule["annotations"]["runbook_url"] = Value::from(format!("{base}{page}"));
        }
    }
    assert_eq!(*rule.at("/spec/groups"), expected);
}

#[test]
fn the_page_on_objectives_has_each_alert_of_theirs_and_the_windows() {
    let page = text("docs/slo.md");
    let documents = documents("alerts");
    let objectives = documents.iter().flat_map(|file| list(file, "groups"));
    let objectives = objectives.filter(|group| group["name"] == "waybill-slo");
    let mut seen = 0;
    for rule in objectives.flat_map(|group| list(group, "rules")) {
        let Some(name) = rule["alert"].as_str() else { continue };
        assert!(page.contains(&format!("[{name}](runbooks/{name}.md)")), "{name}");
        seen += 1;
    }
    assert_eq!(seen, 8, "four pairs of windows for each of two objectives");
}
