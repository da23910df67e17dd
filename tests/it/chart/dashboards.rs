//! Dashboards, alerts and runbooks speak of metrics and commands that exist.

mod links;
mod lint;
mod promql;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use super::{files, text};
use crate::metrics_reference::with_every_gauge;

/// Words of `text` that begin with `prefix`, such as names of metrics. What recording rules make
/// has colons and is a word too.
fn words<'text>(text: &'text str, prefix: &str) -> BTreeSet<&'text str> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | ':')))
        .filter(|word| word.starts_with(prefix))
        .collect()
}

/// Names that the service exposes, those of a histogram's series included.
fn exposed() -> BTreeSet<String> {
    let metrics = with_every_gauge().render();
    let mut names = BTreeSet::new();
    for line in metrics.lines() {
        let name = line.strip_prefix("# TYPE ").unwrap_or(line);
        names.insert(name.split([' ', '{']).next().expect("a name").to_owned());
    }
    // What `waybill load watch` exposes, which is no service.
    names.insert("waybill_load_stage_rate".to_owned());
    names
}

fn assert_exposed(text: &str, whose: &str) {
    let exposed = exposed();
    for name in words(text, "waybill_").into_iter().chain(words(text, "process_")) {
        // The owner's role in Postgres is named so too.
        assert!(exposed.contains(name) || name == "waybill_owner", "{whose}: {name} is no metric");
    }
}

/// A dashboard as Grafana reads it.
pub(crate) struct Dashboard {
    pub(crate) title: String,
    json: Value,
}

/// A panel with queries.
pub(crate) struct Panel<'a> {
    pub(crate) title: &'a str,
    json: &'a Value,
}

impl Dashboard {
    /// All of them, in no order.
    pub(crate) fn all() -> Vec<Self> {
        let is_json = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "json");
        files("dashboards")
            .filter(is_json)
            .map(|path| {
                let text = std::fs::read_to_string(&path).expect("a dashboard");
                let json: Value = serde_json::from_str(&text).expect("JSON");
                let title = json["title"].as_str().expect("a title").to_owned();
                Self { title, json }
            })
            .collect()
    }

    /// The panels, without the rows, which are headings.
    pub(crate) fn panels(&self) -> impl Iterator<Item = Panel<'_>> {
        let panels = self.json["panels"].as_array().expect("panels").iter();
        panels
            .filter(|panel| panel["type"] != "row")
            .map(|json| Panel { title: json["title"].as_str().expect("a title"), json })
    }

    /// The queries of the annotations, by name.
    pub(crate) fn annotations(&self) -> impl Iterator<Item = (&str, &str)> {
        let list = self.json["annotations"]["list"].as_array().expect("annotations").iter();
        list.map(|annotation| {
            let text = |key: &str| annotation[key].as_str().expect("a text");
            (text("name"), text("expr"))
        })
    }
}

impl<'a> Panel<'a> {
    /// Its queries, each with its legend.
    pub(crate) fn queries(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        let targets = self.json["targets"].as_array().into_iter().flatten();
        targets.map(|target| {
            let text = |key: &str| target[key].as_str().expect("a text");
            (text("expr"), text("legendFormat"))
        })
    }
}

#[test]
fn dashboards_show_metrics_that_there_are() {
    let dashboards = Dashboard::all();
    assert_eq!(dashboards.len(), 5);
    for dashboard in &dashboards {
        let queries = dashboard.panels().flat_map(|panel| panel.queries());
        for (expr, _) in queries.chain(dashboard.annotations().map(|(_, expr)| (expr, ""))) {
            assert_exposed(expr, &dashboard.title);
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
