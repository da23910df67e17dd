//! docs/metrics.md lists the metrics as the service describes them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;

use waybill::metrics::{GroupProgress, Lag, Metrics, StoreUse, StreamExtent, StreamLag};
use waybill::session::SessionState;
use waybill::store::RejectsMeasured;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md");

/// Stands before and after what this test writes.
const MARK: &str = "<!-- from the code: UPDATE_DOCS=1 cargo test --test it metrics_reference -->\n";

#[derive(Default)]
struct Family {
    kind: String,
    help: String,
    labels: BTreeMap<String, BTreeSet<String>>,
}

/// Every metric; some gauges are absent until their source has answered.
pub(crate) fn with_every_gauge() -> Metrics {
    let metrics = Metrics::new();
    metrics.lag.set(Some(Lag::default()));
    metrics.stream_lag.answered(&StreamLag {
        stream: Some(StreamExtent::default()),
        group: Some(GroupProgress::default()),
        store: Some(StoreUse::default()),
        ..StreamLag::default()
    });
    for session in [&metrics.session, &metrics.stream] {
        session.set_state(&SessionState::Connecting);
    }
    metrics.rejects.set(RejectsMeasured::default(), 0, false);
    for port in ["http", "admin"] {
        metrics.tls.set_validity(port, 0, 0);
    }
    metrics
}

fn families() -> BTreeMap<String, Family> {
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut current = String::new();
    for line in with_every_gauge().render().lines() {
        if let Some(described) = line.strip_prefix("# HELP ") {
            let (name, help) = described.split_once(' ').expect("a help text");
            name.clone_into(&mut current);
            help.clone_into(&mut families.entry(current.clone()).or_default().help);
        } else if let Some(described) = line.strip_prefix("# TYPE ") {
            let (name, kind) = described.split_once(' ').expect("a type");
            kind.clone_into(&mut families.entry(name.to_owned()).or_default().kind);
        } else if let Some((_, labels)) = line.split_once('{') {
            let family = families.get_mut(&current).expect("described before");
            let labels = labels.split_once('}').expect("closed").0;
            for (name, value) in labels.split("\",").filter_map(|label| label.split_once("=\"")) {
                let value = value.trim_end_matches('"').to_owned();
                family.labels.entry(name.to_owned()).or_default().insert(value);
            }
        }
    }
    families
}

fn tables() -> String {
    let mut tables = String::new();
    for (name, family) in families() {
        let Family { kind, help, labels } = family;
        let labels = labels.iter().map(|(name, values)| match (name.as_str(), kind.as_str()) {
            ("version" | "commit", _) => format!("`{name}`"),
            ("le", _) => {
                let mut bounds: Vec<&str> = values.iter().map(String::as_str).collect();
                let number = |bound: &&str| bound.parse::<f64>().expect("a number");
                bounds.sort_by(|a, b| number(a).total_cmp(&number(b)));
                format!("`le`: {}", bounds.join(", "))
            }
            _ => {
                let values: Vec<&str> = values.iter().map(String::as_str).collect();
                format!("`{name}`: {}", values.join(", "))
            }
        });
        let labels = labels.collect::<Vec<_>>().join("; ");
        let _ = writeln!(tables, "| `{name}` | {kind} | {help} | {labels} |");
    }
    format!("| name | type | meaning | labels |\n|---|---|---|---|\n{tables}")
}

#[test]
fn every_metric_is_listed_as_it_is() {
    let page = fs::read_to_string(PAGE).expect("docs/metrics.md");
    let parts: Vec<&str> = page.split(MARK).collect();
    let [before, listed, after] = parts[..] else { panic!("two marks in docs/metrics.md") };
    let tables = tables();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(PAGE, [before, &tables, after].join(MARK)).expect("docs/metrics.md");
    } else {
        assert_eq!(listed, tables, "docs/metrics.md; UPDATE_DOCS=1 writes it anew");
    }
}
