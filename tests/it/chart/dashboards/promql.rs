//! As much of `PromQL` as the rules for dashboards ask about: which series a query selects, how, and
//! which function takes them. That a query is valid as a whole, Prometheus' own parser says.

use std::fmt::Write as _;
use std::process::Command;

use super::super::repository;

/// A selector such as `name{matchers}[range]`, with the function that is called with just it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Selector<'a> {
    pub(super) name: &'a str,
    pub(super) matchers: Vec<&'a str>,
    pub(super) range: Option<&'a str>,
    pub(super) function: &'a str,
}

/// All selectors with braces, in order.
pub(super) fn selectors(expr: &str) -> Vec<Selector<'_>> {
    let mut found = Vec::new();
    let mut rest = 0;
    while let Some(open) = unquoted(&expr[rest..], '{').map(|at| rest + at) {
        let close = open + unquoted(&expr[open..], '}').expect("a closing brace");
        let name_at = open - last_word(&expr[..open]).len();
        let before = expr[..name_at].strip_suffix('(').unwrap_or_default();
        let after = &expr[close + 1..];
        let range = after.strip_prefix('[').and_then(|range| range.split(']').next());
        found.push(Selector {
            name: &expr[name_at..open],
            matchers: expr[open + 1..close].split(", ").collect(),
            range,
            function: last_word(before),
        });
        rest = close + 1;
    }
    found
}

/// The place of a character outside of quotes.
fn unquoted(text: &str, wanted: char) -> Option<usize> {
    let mut in_quotes = false;
    text.char_indices().find_map(|(at, char)| {
        in_quotes ^= char == '"';
        (char == wanted && !in_quotes).then_some(at)
    })
}

/// The name of a metric or function that the text ends with.
fn last_word(text: &str) -> &str {
    let is_other = |char: char| !(char.is_ascii_alphanumeric() || char == '_' || char == ':');
    text.rsplit(is_other).next().unwrap_or_default()
}

/// Has Prometheus' own parser read the queries, as recording rules.
pub(super) fn assert_valid(queries: &[String]) {
    let mut rules = "groups:\n- name: queries\n  rules:\n".to_owned();
    for query in queries {
        let quoted = serde_json::to_string(query).expect("JSON");
        writeln!(rules, "  - {{record: query, expr: {quoted}}}").expect("a string takes all");
    }
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("rules.yaml");
    std::fs::write(&path, rules).expect("written");
    // The place where scripts/install-tools puts it, or wherever else it is.
    let here = repository(".tools/bin/promtool");
    let program = if here.is_file() { here } else { "promtool".into() };
    let output = Command::new(program)
        .args(["check", "rules", "--lint=none"])
        .arg(&path)
        .output()
        .expect("promtool, which scripts/install-tools --chart installs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
}

#[test]
fn selectors_are_found_with_what_takes_them() {
    let expr = r#"sum(rate(a_total{x="1", y=~"{.}"}[5m])) / on () (max(b{x="1"}) > 0)"#;
    let a = Selector {
        name: "a_total",
        matchers: vec![r#"x="1""#, r#"y=~"{.}""#],
        range: Some("5m"),
        function: "rate",
    };
    let b = Selector { name: "b", matchers: vec![r#"x="1""#], range: None, function: "max" };
    assert_eq!(selectors(expr), [a, b]);
}
