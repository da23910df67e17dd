//! Questions to Prometheus' HTTP API.

use std::collections::BTreeMap;

use serde_json::Value;
use testbed::Prometheus;
use url::form_urlencoded::Serializer;

/// A series at one moment.
#[derive(Debug)]
pub(super) struct Sample {
    labels: BTreeMap<String, String>,
    pub(super) value: f64,
}

impl Sample {
    fn read(labels: &Value, value: &Value) -> Self {
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let labels = labels.as_object().into_iter().flatten();
        Self {
            labels: labels.map(|(name, value)| (name.clone(), text(value))).collect(),
            value: text(&value[1]).parse().expect("a number"),
        }
    }

    /// A share of nothing is none.
    pub(super) fn is_number(&self) -> bool {
        self.value.is_finite()
    }

    pub(super) fn has(&self, (label, value): (&str, &str)) -> bool {
        self.labels.get(label).is_some_and(|found| found == value)
    }
}

/// A dashboard's query with "All" for each of its variables, over the whole test.
pub(super) fn expanded(expr: &str) -> String {
    expr.replace("$__rate_interval", "5m")
        .replace("$__range", "10m")
        .replace("$namespace", ".*")
        .replace("$pod", ".*")
        .replace("$job", ".+")
        .replace("$instance", ".+")
}

/// The `data` of an answer.
pub(super) async fn api(prometheus: &Prometheus, path: &str) -> Value {
    let (status, body) = testbed::http::get(prometheus.port(), path).await.expect("an answer");
    assert_eq!(status, 200, "{path}: {body}");
    let mut answer: Value = serde_json::from_str(&body).expect("JSON");
    answer["data"].take()
}

/// What an expression is now.
pub(super) async fn query(prometheus: &Prometheus, expr: &str) -> Vec<Sample> {
    let parameters = Serializer::new(String::new()).append_pair("query", expr).finish();
    let data = api(prometheus, &format!("/api/v1/query?{parameters}")).await;
    let result = &data["result"];
    match data["resultType"].as_str().expect("a type") {
        "scalar" => vec![Sample::read(&Value::Null, result)],
        "vector" => {
            let samples = result.as_array().expect("samples").iter();
            samples.map(|sample| Sample::read(&sample["metric"], &sample["value"])).collect()
        }
        other => panic!("{expr} is a {other}"),
    }
}
