//! The settings that the chart passes on, against those that there are.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::pods::Pod;
use super::{CASES, Object, rendered, text};

/// Settings that the chart makes itself: addresses, secrets, and what belongs to one pod.
const MADE_BY_THE_CHART: [&str; 13] = [
    "access.tokens_file",
    "broker.url",
    "broker.client_id",
    "jetstream.url",
    "database.url",
    "database.url_file",
    "database.migrate_url",
    "database.runtime_role",
    // A secret that no pod of the chart is given.
    "database.erase_url",
    "http.listen",
    "http.tls_cert_file",
    "http.tls_key_file",
    "http.tls_client_ca_file",
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

/// The environment of a container with stand-ins for what comes out of Secrets.
fn environment(objects: &[Object], container: &Value) -> Vec<(String, String)> {
    let mut variables = Vec::new();
    for source in container["envFrom"].as_array().into_iter().flatten() {
        let name = &source["configMapRef"]["name"];
        let there = objects.iter().find(|o| o.kind() == "ConfigMap" && o.name() == name);
        let there = there.and_then(|settings| settings.at("/data").as_object());
        for (variable, value) in there.into_iter().flatten() {
            variables.push((variable.clone(), value.as_str().expect("a string").to_owned()));
        }
    }
    for entry in container["env"].as_array().into_iter().flatten() {
        let variable = entry["name"].as_str().expect("a name");
        let value = match (variable, entry["value"].as_str()) {
            (_, Some(value)) => value,
            ("WAYBILL_BROKER__CLIENT_ID", None) => "waybill-0",
            ("WAYBILL_BROKER__URL" | "WAYBILL_JETSTREAM__URL", None) => {
                "nats://waybill:secret@broker:4222"
            }
            (_, None) => "postgres://waybill:secret@postgres:5432/waybill",
        };
        variables.push((variable.to_owned(), value.to_owned()));
    }
    variables
}

#[test]
fn our_binary_understands_the_environment_that_the_chart_makes() {
    // In the place of a mounted Secret.
    let mut secret = tempfile::NamedTempFile::new().expect("a file");
    write!(secret, "postgres://waybill:secret@postgres:5432/waybill").expect("written");
    let pair = rcgen::generate_simple_self_signed(["waybill".to_owned()]).expect("a pair");
    let mut pem = tempfile::NamedTempFile::new().expect("a file");
    write!(pem, "{}{}", pair.cert.pem(), pair.signing_key.serialize_pem()).expect("written");
    let mut seen = BTreeSet::new();
    for case in CASES {
        let objects = rendered(case);
        for pod in objects.iter().filter_map(Pod::of) {
            for container in pod.containers() {
                let mut environment = environment(objects, container);
                for (name, value) in &mut environment {
                    let file = match name.as_str() {
                        // Of which none is listed.
                        "WAYBILL_ACCESS__TOKENS_FILE" => Path::new("/dev/null"),
                        name if name.contains("__TLS_") => pem.path(),
                        name if name.ends_with("_FILE") => secret.path(),
                        _ => continue,
                    };
                    *value = file.display().to_string();
                }
                if !environment.iter().any(|(name, _)| name.starts_with("WAYBILL_")) {
                    continue;
                }
                seen.insert(container["name"].to_string());
                let mut command = Command::new(env!("CARGO_BIN_EXE_waybill"));
                let output =
                    command.args(["config", "check"]).env_clear().envs(environment).output();
                let output = output.expect("it runs");
                let errors = String::from_utf8_lossy(&output.stderr);
                assert!(output.status.success(), "{case}: {}: {errors}", pod.made_by);
            }
        }
    }
    assert!(seen.contains("\"waybill\"") && seen.contains("\"publish\""), "{seen:?}");
}
