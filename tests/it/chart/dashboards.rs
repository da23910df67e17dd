//! Dashboards, alerts and runbooks speak of metrics and commands that exist.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

use super::{files, text};

/// Words of `text` that begin with `prefix`, such as names of metrics. What recording rules make
/// has colons and is a word too.
fn words<'text>(text: &'text str, prefix: &str) -> BTreeSet<&'text str> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | ':')))
        .filter(|word| word.starts_with(prefix))
        .collect()
}

/// Names that the service exposes, those of a histogram's series included.
fn exposed() -> BTreeSet<String> {
    let metrics = waybill::metrics::Metrics::new();
    // Absent until their sources have answered.
    metrics.lag.set(Some(waybill::metrics::Lag::default()));
    metrics.rejects.set(waybill::store::RejectsMeasured::default(), 0, false);
    let metrics = metrics.render();
    let mut names = BTreeSet::new();
    for line in metrics.lines() {
        let name = line.strip_prefix("# TYPE ").unwrap_or(line);
        names.insert(name.split([' ', '{']).next().expect("a name").to_owned());
    }
    names
}

fn assert_exposed(text: &str, whose: &str) {
    let exposed = exposed();
    for name in words(text, "waybill_").into_iter().chain(words(text, "process_")) {
        // The owner's role in Postgres is named so too.
        assert!(exposed.contains(name) || name == "waybill_owner", "{whose}: {name} is no metric");
    }
}

fn dashboards() -> Vec<(String, Value)> {
    let dashboards: Vec<_> = files("dashboards")
        .map(|path| {
            let text = std::fs::read_to_string(&path).expect("a dashboard");
            (path.display().to_string(), serde_json::from_str(&text).expect("JSON"))
        })
        .collect();
    assert!(!dashboards.is_empty());
    dashboards
}

#[test]
fn dashboards_show_metrics_that_there_are() {
    for (name, dashboard) in dashboards() {
        for panel in dashboard["panels"].as_array().expect("panels") {
            for target in panel["targets"].as_array().expect("targets") {
                let expr = target["expr"].as_str().expect("a query");
                assert_exposed(expr, &name);
                assert!(!words(expr, "waybill_").is_empty() || !words(expr, "process_").is_empty());
                let selectors = expr.matches(r#"{job=~"$job", instance=~"$instance""#).count();
                let series = words_in_order(expr);
                assert_eq!(
                    selectors, series,
                    "{name}: every series is selected by job and instance: {expr}"
                );
                assert!(!expr.contains("rate(") || expr.contains("[$__rate_interval]"), "{expr}");
            }
        }
    }
}

/// How many series a query names, one named twice counted twice.
fn words_in_order(expr: &str) -> usize {
    expr.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .filter(|word| word.starts_with("waybill_") || word.starts_with("process_"))
        .count()
}

#[test]
fn every_panel_says_what_it_shows_and_asks_the_chosen_data_source() {
    let mut uids = BTreeSet::new();
    for (name, dashboard) in dashboards() {
        assert!(uids.insert(dashboard["uid"].as_str().expect("a uid").to_owned()), "{name}");
        assert_eq!(dashboard["editable"], false, "{name}");
        assert!(dashboard["__inputs"].is_null(), "{name}: provisioning cannot fill in inputs");
        let variables: Vec<_> = dashboard["templating"]["list"]
            .as_array()
            .expect("variables")
            .iter()
            .map(|variable| variable["name"].as_str().expect("a name"))
            .collect();
        assert_eq!(variables, ["datasource", "job", "instance"], "{name}");
        for panel in dashboard["panels"].as_array().expect("panels") {
            let title = panel["title"].as_str().expect("a title");
            assert!(
                panel["description"].as_str().is_some_and(|text| !text.is_empty()),
                "{name}: {title}"
            );
            assert!(panel["fieldConfig"]["defaults"]["unit"].is_string(), "{name}: {title}");
            assert_eq!(panel["datasource"]["uid"], "$datasource", "{name}: {title}");
        }
    }
}

/// The alerts by name, with what stands beside it. One name may have several.
fn alerts() -> Vec<(String, Value)> {
    let named = |rule: Value| Some((rule["alert"].as_str()?.to_owned(), rule));
    super::rules::rules().into_iter().filter_map(named).collect()
}

#[test]
fn alerts_watch_metrics_that_there_are_and_lead_to_their_runbooks() {
    let alerts = alerts();
    assert!(!alerts.is_empty());
    for (name, rule) in &alerts {
        assert_exposed(rule["expr"].as_str().expect("a query"), name);
        let severity = rule["labels"]["severity"].as_str().expect("a severity");
        assert!(["critical", "warning"].contains(&severity), "{name}");
        for key in ["summary", "description"] {
            assert!(rule["annotations"][key].is_string(), "{name} has no {key}");
        }
        let page = format!("docs/runbooks/{name}.md");
        assert_eq!(rule["annotations"]["runbook_url"], page, "{name}");
        assert!(text(&page).starts_with(&format!("# {name}\n")), "{page}");
    }
    for path in files("docs/runbooks") {
        let page = path.file_stem().expect("a name").to_str().expect("UTF-8");
        let is_an_alerts = page.starts_with("Waybill");
        assert!(
            !is_an_alerts || alerts.iter().any(|(name, _)| name == page),
            "{page} has no alert"
        );
    }
}

#[test]
fn runbooks_name_metrics_and_commands_that_there_are() {
    let output = Command::new(env!("CARGO_BIN_EXE_waybill")).arg("help").output().expect("it runs");
    let help = String::from_utf8(output.stdout).expect("UTF-8");
    let commands: BTreeSet<_> = help
        .lines()
        .filter_map(|line| line.strip_prefix("  ")?.split(' ').next())
        .filter(|word| !word.is_empty())
        .collect();
    assert!(commands.contains("serve"), "{help}");
    for path in files("docs/runbooks") {
        let page = std::fs::read_to_string(&path).expect("a page");
        assert_exposed(&page, &path.display().to_string());
        for command in page.split("`waybill ").skip(1) {
            let word = command.split([' ', '`']).next().expect("a word");
            assert!(commands.contains(word), "{}: waybill {word} is no command", path.display());
        }
    }
}
