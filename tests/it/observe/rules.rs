//! The files of rules: that every expression answers, as a whole or in its parts.

use std::path::Path;

use serde_json::Value;
use testbed::Prometheus;

use super::Question;
use super::query::{Sample, api, query};

/// Rules on figures that there are none of here, and why.
const ELSEWHERE: [(&str, &str); 2] = [
    ("WaybillVolumeFilling", "the kubelet alone measures volumes, and there is none here"),
    ("WaybillCertificateExpiring", "the replicas have no certificates here"),
];

/// The expressions of all files in a folder.
pub(super) fn expressions(alerts: &Path) -> Vec<Question> {
    let mut questions = Vec::new();
    for rule in rules(alerts) {
        let name = rule["alert"].as_str().or(rule["record"].as_str()).expect("a name").to_owned();
        if ELSEWHERE.iter().any(|(rule, _)| *rule == name) {
            continue;
        }
        let expr = rule["expr"].as_str().expect("an expression").to_owned();
        questions.push(Question { place: name, expr, in_parts: rule["alert"].is_string() });
    }
    questions
}

fn rules(alerts: &Path) -> Vec<Value> {
    let mut rules = Vec::new();
    for entry in std::fs::read_dir(alerts).expect("the alerts") {
        let text = std::fs::read_to_string(entry.expect("an entry").path()).expect("a file");
        let file: Value = serde_saphyr::from_str(&text).expect("YAML");
        for group in file["groups"].as_array().expect("groups") {
            rules.extend(group["rules"].as_array().expect("rules").iter().cloned());
        }
    }
    rules
}

/// Prometheus has all of them, and evaluates each without an error.
pub(super) async fn assert_healthy(prometheus: &Prometheus, alerts: &Path) {
    let data = api(prometheus, "/api/v1/rules").await;
    let groups = data["groups"].as_array().expect("groups").iter();
    let loaded: Vec<_> =
        groups.flat_map(|group| group["rules"].as_array().expect("rules")).collect();
    assert_eq!(loaded.len(), rules(alerts).len());
    for rule in loaded {
        assert_eq!(rule["health"], "ok", "{rule}");
    }
}

/// Whether an expression answers with a number. An alert is empty while all is well: then both
/// sides of its comparisons must answer, and what is within its calls.
pub(super) async fn answers(prometheus: &Prometheus, expr: &str) -> bool {
    if query(prometheus, expr).await.iter().any(Sample::is_number) {
        return true;
    }
    let mut parts = sides(expr);
    if parts.len() == 1 {
        parts = arguments(expr);
    }
    for part in &parts {
        if !Box::pin(answers(prometheus, part)).await {
            return false;
        }
    }
    !parts.is_empty()
}

const OPERATORS: [&str; 9] = [" and ", " or ", " unless ", ">=", "<=", "==", "!=", ">", "<"];
const MODIFIERS: [&str; 5] = ["bool", "on", "ignoring", "group_left", "group_right"];

/// The sides of the comparisons and set operators of an expression: itself when it has none.
fn sides(expr: &str) -> Vec<&str> {
    let (mut sides, mut start, mut at) = (Vec::new(), 0, 0);
    while at < expr.len() {
        let rest = &expr[at..];
        if let Some(operator) = OPERATORS.iter().find(|operator| rest.starts_with(**operator)) {
            sides.push(expr[start..at].trim());
            at += operator.len();
            start = at + (expr[at..].len() - without_modifiers(&expr[at..]).len());
            at = start;
        } else {
            at += nested(rest).max(1);
        }
    }
    sides.push(expr[start..].trim());
    sides
}

/// What follows an operator without `on (…)` and the like.
fn without_modifiers(expr: &str) -> &str {
    let expr = expr.trim_start();
    for modifier in MODIFIERS {
        if let Some(rest) = expr.strip_prefix(modifier)
            && rest.starts_with([' ', '('])
        {
            let rest = rest.trim_start();
            let labels = if rest.starts_with('(') { nested(rest) } else { 0 };
            return without_modifiers(&rest[labels..]);
        }
    }
    expr
}

/// The length of the brackets or quotes that a text begins with; 0 when it begins with neither.
fn nested(text: &str) -> usize {
    let (mut depth, mut in_quotes) = (0_u32, false);
    for (at, char) in text.char_indices() {
        match char {
            '"' => in_quotes = !in_quotes,
            '(' | '[' | '{' if !in_quotes => depth += 1,
            ')' | ']' | '}' if !in_quotes => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 && !in_quotes {
            return if at == 0 { 0 } else { at + char.len_utf8() };
        }
    }
    text.len()
}

/// What a call is made with, such as `sum by (label) (…)`, or what stands in parentheses; nothing
/// when the expression is neither.
fn arguments(expr: &str) -> Vec<&str> {
    let mut rest = expr.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '_');
    rest = rest.trim_start();
    for word in ["by", "without"] {
        if let Some(labels) = rest.strip_prefix(word) {
            let labels = labels.trim_start();
            rest = labels[nested(labels)..].trim_start();
        }
    }
    if !rest.starts_with('(') || nested(rest) != rest.len() {
        return Vec::new();
    }
    vec![rest[1..rest.len() - 1].trim()]
}

#[test]
fn an_expression_is_taken_apart_at_what_may_make_it_empty() {
    let expr = r#"count by (n) (a{x="<"} == 1 and b == 0) > 0.1 and on (i) sum(c) unless d"#;
    assert_eq!(sides(expr), [r#"count by (n) (a{x="<"} == 1 and b == 0)"#, "0.1", "sum(c)", "d"]);
    assert_eq!(arguments(sides(expr)[0]), [r#"a{x="<"} == 1 and b == 0"#]);
    assert_eq!(sides("a / b"), ["a / b"]);
    assert!(arguments("a / sum(b)").is_empty(), "what divides must answer as a whole");
}
