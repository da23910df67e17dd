//! vegeta's targets: the requests that it sends, one a line.

use std::collections::BTreeMap;
use std::io::{self, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fastrand::Rng;
use http::HeaderValue;
use serde::Serialize;

use super::expectation::UNKNOWN_PREFIX;
use super::mix::{Kind, Mix};
use super::orders::Known;
use crate::verify::Replica;

/// Ids in one request for many orders, or as many as there are.
const MANY: usize = 20;

/// A request in the format of `vegeta attack -format=json`.
#[derive(Debug, Serialize)]
struct Target {
    method: &'static str,
    url: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    header: BTreeMap<&'static str, [String; 1]>,
    /// In base64.
    #[serde(skip_serializing_if = "String::is_empty")]
    body: String,
}

impl Target {
    fn get(url: String) -> Self {
        Self { method: "GET", url, header: BTreeMap::new(), body: String::new() }
    }
}

/// Makes targets of orders.
#[derive(Debug)]
pub struct Targets<'a> {
    service: &'a Replica,
    orders: &'a [Known],
    rng: Rng,
    new_connections: f64,
    authorization: Option<String>,
}

impl<'a> Targets<'a> {
    /// Requests to `service` for these orders. For the same `seed` they are the same.
    #[must_use]
    pub fn new(service: &'a Replica, orders: &'a [Known], seed: u64) -> Self {
        Self {
            service,
            orders,
            rng: Rng::with_seed(seed),
            new_connections: 0.0,
            authorization: None,
        }
    }

    /// Has this share of the requests, from 0 to 1, ask for their connection to be closed after
    /// the answer, so that as many new ones are opened.
    #[must_use]
    pub fn with_new_connections(mut self, share: f64) -> Self {
        self.new_connections = share;
        self
    }

    /// Has every request send this token.
    #[must_use]
    pub fn with_authorization(mut self, authorization: Option<&HeaderValue>) -> Self {
        let text = authorization.and_then(|value| value.to_str().ok());
        self.authorization = text.map(str::to_owned);
        self
    }

    /// Writes `count` targets, one object of JSON a line, the kinds shuffled.
    ///
    /// # Panics
    /// There are no orders, but the mix has requests that need one.
    ///
    /// # Errors
    /// `output` does not take them.
    pub fn write(mut self, mix: &Mix, count: u32, output: &mut impl Write) -> io::Result<()> {
        let parts = Kind::ALL.into_iter().zip(mix.divide(count));
        let mut kinds: Vec<Kind> =
            parts.flat_map(|(kind, part)| std::iter::repeat_n(kind, part as usize)).collect();
        self.rng.shuffle(&mut kinds);
        for (number, kind) in kinds.into_iter().enumerate() {
            // Each order in turn, so that as many different ones as possible are asked for.
            let mut target = self.target(kind, number);
            if self.rng.f64() < self.new_connections {
                target.header.insert("Connection", ["close".to_owned()]);
            }
            if let Some(authorization) = &self.authorization {
                target.header.insert("Authorization", [authorization.clone()]);
            }
            serde_json::to_writer(&mut *output, &target)?;
            output.write_all(b"\n")?;
        }
        Ok(())
    }

    fn target(&mut self, kind: Kind, number: usize) -> Target {
        let service = self.service;
        let order = |number: usize| &self.orders[number % self.orders.len()];
        match kind {
            Kind::Hit => Target::get(format!("{service}/api/v1/orders/{}", order(number).uid)),
            Kind::Page => Target::get(format!("{service}/orders/{}", order(number).uid)),
            Kind::Unchanged => {
                let Known { uid, etag } = order(number);
                let header = BTreeMap::from([("If-None-Match", [etag.clone()])]);
                Target { header, ..Target::get(format!("{service}/api/v1/orders/{uid}")) }
            }
            Kind::Many => {
                let many = (number..).take(MANY.min(self.orders.len()));
                let uids: Vec<&str> = many.map(|number| &*order(number).uid).collect();
                let question = serde_json::json!({ "uids": uids }).to_string();
                Target {
                    method: "POST",
                    header: BTreeMap::from([("Content-Type", ["application/json".to_owned()])]),
                    body: STANDARD.encode(question),
                    ..Target::get(format!("{service}/api/v1/orders/lookup"))
                }
            }
            Kind::Miss => {
                let nobody = self.rng.u64(..);
                Target::get(format!("{service}/api/v1/orders/{UNKNOWN_PREFIX}{nobody:016x}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn targets(orders: usize, mix: &str, count: u32, seed: u64) -> Vec<Value> {
        let service: Replica = "http://127.0.0.1:8080".parse().unwrap();
        let orders: Vec<Known> = (0..orders)
            .map(|number| Known { uid: format!("order{number}"), etag: format!("\"tag{number}\"") })
            .collect();
        let mut output = Vec::new();
        let targets = Targets::new(&service, &orders, seed);
        targets.write(&mix.parse().unwrap(), count, &mut output).unwrap();
        let text = String::from_utf8(output).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn sole(mix: &str) -> Value {
        targets(2, mix, 1, 1).remove(0)
    }

    #[test]
    fn each_kind_is_a_request_of_its_own() {
        let order = "http://127.0.0.1:8080/api/v1/orders/order0";
        assert_eq!(sole("hits=1"), json!({ "method": "GET", "url": order }));
        let page = "http://127.0.0.1:8080/orders/order0";
        assert_eq!(sole("pages=1"), json!({ "method": "GET", "url": page }));
        let known = json!({ "If-None-Match": ["\"tag0\""] });
        assert_eq!(sole("unchanged=1"), json!({ "method": "GET", "url": order, "header": known }));
        let many = sole("many=1");
        assert_eq!(
            (&many["method"], &many["url"]),
            (&json!("POST"), &json!("http://127.0.0.1:8080/api/v1/orders/lookup"),)
        );
        let body = STANDARD.decode(many["body"].as_str().unwrap()).unwrap();
        assert_eq!(body, br#"{"uids":["order0","order1"]}"#);
        let miss = sole("misses=1");
        let uid =
            miss["url"].as_str().unwrap().strip_prefix("http://127.0.0.1:8080/api/v1/orders/");
        let uid = order::OrderUid::try_from(uid.unwrap()).expect("a well-formed id");
        assert!(uid.as_str().starts_with(UNKNOWN_PREFIX), "{uid}");
    }

    #[test]
    fn every_request_sends_the_token() {
        let service: Replica = "http://127.0.0.1:8080".parse().unwrap();
        let orders = [Known { uid: "order".to_owned(), etag: "\"tag\"".to_owned() }];
        let mut output = Vec::new();
        let value = HeaderValue::from_static("Bearer x");
        let targets = Targets::new(&service, &orders, 3).with_authorization(Some(&value));
        let mix = "hits=1,misses=1,pages=1,unchanged=1,many=1".parse().unwrap();
        targets.write(&mix, 10, &mut output).unwrap();
        let text = String::from_utf8(output).unwrap();
        assert_eq!(text.matches(r#""Authorization":["Bearer x"]"#).count(), 10);
    }

    #[test]
    fn a_share_of_the_requests_closes_its_connection() {
        let service: Replica = "http://127.0.0.1:8080".parse().unwrap();
        let orders = [Known { uid: "order".to_owned(), etag: "\"tag\"".to_owned() }];
        for (share, expected) in [(0.0, 0..=0), (0.5, 450..=550), (1.0, 1000..=1000)] {
            let mut output = Vec::new();
            let targets = Targets::new(&service, &orders, 3).with_new_connections(share);
            targets.write(&"hits=1,unchanged=1".parse().unwrap(), 1000, &mut output).unwrap();
            let text = String::from_utf8(output).unwrap();
            let closing = text.lines().filter(|line| line.contains(r#""Connection":["close"]"#));
            let closing = closing.count();
            assert!(expected.contains(&closing), "{closing} of a share of {share}");
            assert_eq!(text.lines().filter(|line| line.contains("If-None-Match")).count(), 500);
        }
    }

    #[test]
    fn kinds_are_shuffled_by_the_seed_and_no_order_is_left_out() {
        let mix = "hits=80,misses=10,pages=4,unchanged=4,many=2";
        let all = targets(50, mix, 200, 7);
        assert_eq!(all, targets(50, mix, 200, 7));
        assert_ne!(all, targets(50, mix, 200, 8));
        let is_miss = |target: &Value| target["url"].to_string().contains(UNKNOWN_PREFIX);
        assert_eq!(all.iter().filter(|target| is_miss(target)).count(), 20);
        assert!(all[..100].iter().any(is_miss) && all[100..].iter().any(is_miss));
        let ids = |targets: &[Value]| -> std::collections::BTreeSet<String> {
            targets.iter().map(|target| target["url"].to_string()).collect()
        };
        assert_eq!(ids(&targets(50, "hits=1", 200, 7)).len(), 50);
        assert_eq!(ids(&targets(0, "misses=1", 200, 7)).len(), 200, "no order is needed for these");
    }
}
