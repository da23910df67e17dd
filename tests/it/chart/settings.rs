//! The settings that the chart passes on, against those that there are.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

use super::{CASES, rendered, text};

/// Settings that the chart makes itself: addresses, secrets, and what belongs to one pod.
const MADE_BY_THE_CHART: [&str; 7] = [
    "broker.url",
    "broker.client_id",
    "database.url",
    "database.url_file",
    "database.migrate_url",
    "database.runtime_role",
    "http.listen",
];

/// `section.key` of every setting in the manual, those that are commented out included.
fn manual() -> BTreeSet<String> {
    let manual = text("waybill.default.toml");
    let mut section = "";
    let mut settings = BTreeSet::new();
    for line in manual.lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            section = name;
        }
        let assignment = line.strip_prefix("# ").unwrap_or(line);
        if let Some((key, _)) = assignment.split_once(" = ")
            && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        {
            settings.insert(format!("{section}.{key}"));
        }
    }
    settings
}

#[test]
fn the_chart_takes_every_setting_and_no_other() {
    let schema: Value =
        serde_json::from_str(&text("charts/waybill/values.schema.json")).expect("JSON");
    let sections = schema["properties"]["settings"]["properties"].as_object().expect("sections");
    let mut taken = BTreeSet::new();
    for (section, keys) in sections {
        let keys = keys["properties"].as_object().expect("keys");
        taken.extend(keys.keys().map(|key| format!("{section}.{key}")));
    }
    let mut there = manual();
    for made in MADE_BY_THE_CHART {
        assert!(there.remove(made), "{made} is no setting");
    }
    there.retain(|setting| !setting.starts_with("admin."));
    assert_eq!(taken, there);
}

#[test]
fn the_service_understands_the_environment_that_the_chart_makes() {
    for case in CASES {
        let objects = rendered(case);
        let name = objects.iter().find(|o| o.kind() == "Deployment").expect("the service").name();
        let settings = objects.iter().find(|o| o.kind() == "ConfigMap" && o.name() == name);
        let settings = settings.expect("settings").at("/data").as_object().expect("variables");
        let mut command = Command::new(env!("CARGO_BIN_EXE_waybill"));
        command.args(["config", "check"]).env_clear();
        for (variable, value) in settings {
            command.env(variable, value.as_str().expect("a string"));
        }
        let output = command.output().expect("it runs");
        assert!(output.status.success(), "{case}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
