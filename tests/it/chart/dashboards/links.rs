//! What leads from a dashboard elsewhere, and what it marks in time.

use std::collections::BTreeSet;

use super::super::{rendered, text};
use super::Dashboard;

#[test]
fn dashboards_are_told_apart_and_lead_to_each_other_and_to_the_runbooks() {
    let mut uids = BTreeSet::new();
    for dashboard in Dashboard::all() {
        let Dashboard { title, json } = &dashboard;
        let uid = json["uid"].as_str().expect("a uid");
        assert!(uids.insert(uid.to_owned()), "{uid} twice");
        assert_eq!(title, &uid.replace("waybill-", "waybill / "));
        assert!(json["__inputs"].is_null(), "{title}: provisioning cannot fill in inputs");
        assert_eq!(json["tags"][0], "waybill", "{title}");
        let links = json["links"].as_array().expect("links");
        assert_eq!(links[0]["type"], "dashboards", "{title}");
        assert_eq!(links[0]["tags"], json["tags"], "{title}");
        assert_eq!(links[0]["includeVars"], true, "{title}: the choice goes along");
        assert_eq!(links[1]["url"], "${runbooks}", "{title}");
        let marked: Vec<_> = dashboard.annotations().map(|(name, _)| name.to_owned()).collect();
        let own: &[&str] = if title == "waybill / load" { &["Stages"] } else { &[] };
        assert_eq!(marked, [&["Starts", "Rollouts"], own].concat(), "{title}");
    }
}

#[test]
fn panels_lead_to_runbooks_that_there_are() {
    let mut led_to = BTreeSet::new();
    for dashboard in Dashboard::all() {
        for panel in dashboard.panels() {
            for link in panel.json["links"].as_array().expect("links") {
                let url = link["url"].as_str().expect("a URL");
                let page = url.strip_prefix("${runbooks}").expect("a runbook");
                let title = link["title"].as_str().expect("a title");
                assert!(
                    text(&format!("docs/runbooks/{page}")).starts_with(&format!("# {title}\n")),
                    "{}: {}: {url}",
                    dashboard.title,
                    panel.title
                );
                led_to.insert(title.to_owned());
            }
        }
    }
    assert!(led_to.len() > 10, "{led_to:?}");
}

#[test]
fn the_chart_puts_the_runbooks_address_into_the_dashboards() {
    for (case, address) in [
        ("ha", "docs/runbooks/"),
        ("everything", "https://example.org/waybill/blob/main/docs/runbooks/"),
    ] {
        let map = rendered(case)
            .iter()
            .find(|object| object.kind() == "ConfigMap" && object.name().ends_with("-dashboards"))
            .expect("the dashboards");
        let dashboards = map.at("/data").as_object().expect("files");
        assert_eq!(dashboards.len(), Dashboard::all().len(), "{case}");
        for (file, dashboard) in dashboards {
            let json: serde_json::Value =
                serde_json::from_str(dashboard.as_str().expect("a text")).expect("JSON");
            let variables = json["templating"]["list"].as_array().expect("variables");
            let runbooks = variables.iter().find(|variable| variable["name"] == "runbooks");
            assert_eq!(runbooks.expect("a variable")["query"], address, "{case}: {file}");
        }
    }
}
