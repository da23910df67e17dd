//! The rules of Grafana's dashboard-linter (<https://github.com/grafana/dashboard-linter>), each
//! under its name there. They hold for panels of every kind, not only for those that it knows.
//!
//! Left out are `target-logql-rule` and `target-logql-auto-rule`: no panel asks Loki.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::super::text;
use super::promql::{assert_valid, selectors};
use super::{Dashboard, Panel};

/// `dashboards/.lint`, which the linter reads too.
#[derive(Deserialize)]
struct Exceptions {
    exclusions: BTreeMap<String, Exception>,
}

#[derive(Deserialize)]
struct Exception {
    reason: String,
    entries: Vec<Place>,
}

#[derive(Deserialize)]
struct Place {
    dashboard: String,
    panel: String,
}

impl Exceptions {
    fn read() -> Self {
        let exceptions: Self = serde_saphyr::from_str(&text("dashboards/.lint")).expect("YAML");
        for (rule, exception) in &exceptions.exclusions {
            assert!(exception.reason.ends_with('.'), "{rule} has no reason");
        }
        exceptions
    }

    fn holds(&self, rule: &str, dashboard: &Dashboard, panel: &Panel<'_>) -> bool {
        self.exclusions.get(rule).is_some_and(|exception| {
            exception
                .entries
                .iter()
                .any(|place| place.dashboard == dashboard.title && place.panel == panel.title)
        })
    }
}

/// Calls `check` with a text that says where, and each panel.
fn every_panel(mut check: impl FnMut(&str, &Dashboard, &Panel<'_>)) {
    for dashboard in &Dashboard::all() {
        for panel in dashboard.panels() {
            check(&format!("{}: {}", dashboard.title, panel.title), dashboard, &panel);
        }
    }
}

/// Calls `check` with a text that says where, and each query.
fn every_query(mut check: impl FnMut(&str, &Dashboard, &Panel<'_>, &str)) {
    every_panel(|place, dashboard, panel| {
        for (expr, _) in panel.queries() {
            check(&format!("{place}: {expr}"), dashboard, panel, expr);
        }
    });
}

/// The variables that are filled by a query, of every dashboard.
fn every_query_variable(mut check: impl FnMut(&str, &Value)) {
    for dashboard in Dashboard::all() {
        let variables = dashboard.json["templating"]["list"].as_array().expect("variables");
        for variable in variables.iter().filter(|variable| variable["type"] == "query") {
            check(&format!("{}: {}", dashboard.title, variable["name"]), variable);
        }
    }
}

/// A query with a value in the place of each variable.
fn expanded(expr: &str) -> String {
    expr.replace("$__rate_interval", "5m").replace("$__range", "1h")
}

/// `template-datasource-rule`
#[test]
fn the_data_source_is_a_variable() {
    for Dashboard { title, json } in Dashboard::all() {
        let variables = json["templating"]["list"].as_array().expect("variables");
        let sources: Vec<_> =
            variables.iter().filter(|variable| variable["type"] == "datasource").collect();
        let [source] = sources[..] else { panic!("{title} has {} sources", sources.len()) };
        assert_eq!(source["name"], "datasource", "{title}");
        assert_eq!(source["label"], "Data source", "{title}");
        assert_eq!(source["query"], "prometheus", "{title}");
    }
}

/// `template-job-rule`, `template-instance-rule`: and the same for `namespace` and `pod`, but that
/// all of them must match series without that label, for it exists on Kubernetes only.
#[test]
fn job_and_instance_are_variables() {
    let mut seen = Vec::new();
    every_query_variable(|place, variable| {
        let name = variable["name"].as_str().expect("a name");
        let all = if ["job", "instance"].contains(&name) { ".+" } else { ".*" };
        assert_eq!(variable["datasource"]["uid"], "$datasource", "{place}");
        let (first, rest) = name.split_at(1);
        assert_eq!(variable["label"], format!("{}{rest}", first.to_uppercase()), "{place}");
        assert_eq!(variable["multi"], true, "{place}");
        assert_eq!(variable["includeAll"], true, "{place}");
        assert_eq!(variable["allValue"], all, "{place}");
        seen.push(name.to_owned());
    });
    for variables in seen.chunks(4) {
        assert_eq!(variables, ["namespace", "job", "instance", "pod"]);
    }
}

/// `template-label-promql-rule`
#[test]
fn variables_ask_valid_queries() {
    let mut queries = Vec::new();
    every_query_variable(|place, variable| {
        let query = variable["query"]["query"].as_str().expect("a query");
        let of = query.strip_prefix("label_values(").and_then(|query| query.strip_suffix(')'));
        let (series, label) =
            of.unwrap_or_else(|| panic!("{place}")).rsplit_once(", ").expect(place);
        assert_eq!(label, variable["name"], "{place}");
        queries.push(series.to_owned());
    });
    assert_valid(&queries);
}

/// `template-on-time-change-reload-rule`
#[test]
fn variables_are_read_anew_when_the_time_range_changes() {
    every_query_variable(|place, variable| assert_eq!(variable["refresh"], 2, "{place}"));
}

/// `panel-datasource-rule`
#[test]
fn panels_ask_the_chosen_data_source() {
    every_panel(|place, _, panel| {
        assert_eq!(panel.json["datasource"]["uid"], "$datasource", "{place}");
        for target in panel.json["targets"].as_array().expect("targets") {
            assert_eq!(target["datasource"]["uid"], "$datasource", "{place}");
        }
    });
}

/// `panel-title-description-rule`
#[test]
fn panels_say_what_they_show() {
    every_panel(|place, _, panel| {
        assert!(!panel.title.is_empty(), "{place}");
        let description = panel.json["description"].as_str().unwrap_or_default();
        assert!(description.ends_with('.'), "{place}");
    });
}

/// `panel-units-rule`: of its list of Grafana's units, those in use.
#[test]
fn panels_have_units_of_grafana() {
    const UNITS: [&str; 6] = ["short", "percentunit", "bytes", "s", "ops", "reqps"];
    every_panel(|place, _, panel| {
        let unit = panel.json["fieldConfig"]["defaults"]["unit"].as_str().unwrap_or_default();
        assert!(UNITS.contains(&unit), "{place}: {unit:?}");
    });
}

/// `panel-no-targets-rule`
#[test]
fn panels_have_queries() {
    every_panel(|place, _, panel| assert!(panel.queries().next().is_some(), "{place}"));
}

/// `target-promql-rule`
#[test]
fn queries_are_valid() {
    let mut queries = Vec::new();
    every_query(|_, _, _, expr| queries.push(expanded(expr)));
    for dashboard in &Dashboard::all() {
        queries.extend(dashboard.annotations().map(|(_, expr)| expr.to_owned()));
    }
    assert!(queries.len() > 100, "{}", queries.len());
    assert_valid(&queries);
}

/// `target-rate-interval-rule`
#[test]
fn rates_are_taken_over_the_rate_interval() {
    every_query(|place, _, _, expr| {
        for selector in selectors(expr) {
            if ["rate", "irate", "deriv"].contains(&selector.function) {
                assert_eq!(selector.range, Some("$__rate_interval"), "{place}");
            }
        }
    });
}

/// `target-job-rule`, `target-instance-rule`: and the same for `namespace` and `pod`.
#[test]
fn queries_select_by_the_variables() {
    let exceptions = Exceptions::read();
    every_query(|place, dashboard, panel, expr| {
        let selectors = selectors(expr);
        // A name without braces would be a selector of everything.
        let named = expr.split(|char: char| !(char.is_ascii_alphanumeric() || char == '_')).filter(
            |word| ["waybill_", "process_", "kubelet_"].iter().any(|of| word.starts_with(of)),
        );
        assert_eq!(named.count(), selectors.len(), "{place}");
        for variable in ["namespace", "job", "instance", "pod"] {
            let matcher = format!("{variable}=~\"${variable}\"");
            let all = selectors.iter().all(|selector| selector.matchers.contains(&&*matcher));
            // Who is no replica has neither an instance nor a pod of one.
            let rule = if variable == "job" { "target-job-rule" } else { "target-instance-rule" };
            assert!(all || exceptions.holds(rule, dashboard, panel), "{place}");
        }
    });
}

/// `target-counter-agg-rule`
#[test]
fn counters_are_shown_as_rates_or_increases() {
    every_query(|place, _, _, expr| {
        for selector in selectors(expr) {
            let is_rate = ["rate", "irate", "increase"].contains(&selector.function);
            assert!(!selector.name.ends_with("_total") || is_rate, "{place}");
        }
    });
}

/// `uneditable-dashboard`
#[test]
fn dashboards_are_not_to_be_edited_in_place() {
    for Dashboard { title, json } in Dashboard::all() {
        assert_eq!(json["editable"], false, "{title}");
    }
}
