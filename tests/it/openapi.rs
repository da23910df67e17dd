//! The API as `openapi.json` describes it, held against what the service answers, both ways.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::Full;
use serde_json::Value;

use crate::access::{self, REJECTS};
use crate::problems;
use crate::service::{MODEL, MODEL_UID, Replica, Reply, World};

/// The methods that a client could send; what is not described must be refused.
const METHODS: [Method; 7] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
    Method::OPTIONS,
];

/// The one operation that has a body.
const LOOKUP: &str = "/api/v1/orders/lookup";

fn description() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/static/openapi.json");
    serde_json::from_slice(&fs::read(path).expect("the description")).expect("JSON")
}

/// What stands where `pointer` leads, which may be a reference to another place.
fn resolve<'a>(description: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str() {
        Some(reference) => description.pointer(&reference[1..]).expect(reference),
        None => value,
    }
}

/// A request that gets one of the answers.
struct Case {
    /// In place of `{uid}`.
    uid: &'static str,
    query: String,
    headers: Vec<(String, String)>,
}

fn case(uid: &'static str) -> Case {
    Case { uid, query: String::new(), headers: Vec::new() }
}

/// One request for each answer that a replica gives while all is well.
fn cases(etag: &str) -> Vec<Case> {
    let many = |count| (0..count).map(|n| (format!("x-{n}"), "x".to_owned())).collect();
    vec![
        case(MODEL_UID),
        case("a%20b"),
        case("nobody-knows"),
        case("erased-order"),
        Case { headers: vec![("if-none-match".to_owned(), etag.to_owned())], ..case(MODEL_UID) },
        Case { query: format!("?{}", "q".repeat(3_000)), ..case("nobody-knows") },
        Case { headers: many(101), ..case(MODEL_UID) },
    ]
}

/// One request for each answer to what a token allows, and which replica gives it: the first wants
/// a token, the second cannot tell which are good.
fn token_cases<'a>(guarded: &'a Replica, keyless: &'a Replica) -> Vec<(&'a Replica, Case)> {
    let with = |token: &str| Case {
        headers: vec![("authorization".to_owned(), format!("Bearer {token}"))],
        ..case(MODEL_UID)
    };
    vec![
        (guarded, case(MODEL_UID)),
        (guarded, with("nobodys-token")),
        (guarded, with(REJECTS)),
        (keyless, with("eyJhbGciOiJFZERTQSJ9.e30.AA")),
    ]
}

/// One body for each answer to a lookup of many orders, first that of the example; a body that is
/// slow has a test of its own.
fn bodies(operation: &Value) -> [Bytes; 3] {
    let example = &operation["requestBody"]["content"]["application/json"]["example"];
    let no_uids = format!(r#"{{"ids":["{MODEL_UID}"]}}"#);
    [example.to_string().into(), no_uids.into(), vec![b' '; 300_000].into()]
}

/// The examples of an answer; an answer without a body has none.
fn examples<'a>(description: &'a Value, response: &'a Value) -> Vec<&'a Value> {
    let contents = response["content"].as_object().into_iter().flat_map(|all| all.values());
    let examples = contents.flat_map(|content| {
        let several = content["examples"].as_object().into_iter().flat_map(|all| all.values());
        let several = several.map(|example| &resolve(description, example)["value"]);
        content.get("example").into_iter().chain(several)
    });
    examples.collect()
}

async fn ask(replica: &Replica, method: &Method, path: &str, case: &Case) -> Reply {
    send(replica, method, path, case, Bytes::new()).await
}

async fn send(replica: &Replica, method: &Method, path: &str, case: &Case, body: Bytes) -> Reply {
    let (path, query) = (path.replace("{uid}", case.uid), &case.query);
    let uri = format!("http://{}{path}{query}", replica.site);
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in &case.headers {
        request = request.header(name, value);
    }
    let request = request.body(Full::new(body)).expect("a request");
    replica.request(request).await.expect("an answer")
}

/// An answer is one that the operation describes, and is as it is described. If there are examples,
/// it is one of them.
fn assert_described(
    description: &Value,
    operation: &Value,
    method: &Method,
    reply: &Reply,
    answered: &mut BTreeSet<String>,
) {
    let status = reply.status.as_str();
    let response = &operation["responses"][status];
    assert!(response.is_object(), "{status} is not described");
    let response = resolve(description, response);
    for (name, _) in response["headers"].as_object().into_iter().flatten() {
        assert!(reply.headers.contains_key(name), "{status} has no {name}");
    }
    let content_type = reply.headers.get("content-type").map(|value| value.to_str().expect("text"));
    let described = response["content"].as_object().and_then(|content| content.keys().next());
    if *method == Method::HEAD {
        assert!(reply.body.is_empty(), "{status} has a body");
    } else {
        assert_eq!(content_type, described.map(String::as_str), "{status}");
        assert_eq!(reply.body.is_empty(), described.is_none(), "{status}: {}", reply.text());
    }
    let examples = examples(description, response);
    if !examples.is_empty() && *method != Method::HEAD {
        let answer: Value = serde_json::from_slice(&reply.body).expect("JSON");
        assert!(examples.contains(&&answer), "{status}: {answer} is no example of {examples:#?}");
        answered.insert(answer.to_string());
    }
    if method == Method::GET && content_type == Some("application/problem+json") {
        let problem: Value = serde_json::from_slice(&reply.body).expect("JSON");
        let required = &description["components"]["schemas"]["Problem"]["required"];
        for name in required.as_array().expect("names") {
            let name = name.as_str().expect("a name");
            assert!(problem.get(name).is_some(), "{status} has no {name}: {problem}");
        }
        assert_eq!(problem["status"], reply.status.as_u16());
    }
}

#[tokio::test]
async fn every_answer_is_described_and_every_description_is_answered() {
    let world = World::new().await;
    let replica = world.serve("described").await;
    world.publish_raw([Bytes::from_static(MODEL)]).await;
    world.until_drained().await;
    world.erase("erased-order").await;
    // It never reaches a database, so that it cannot tell whether there is an order.
    let nowhere = [
        ("WAYBILL_DATABASE__URL", "postgres://nobody@127.0.0.1:9/nothing"),
        ("WAYBILL_DATABASE__MIGRATE", "false"),
        ("WAYBILL_INGEST__ENABLED", "false"),
    ];
    let without_database = world.start("alone", &nowhere).await;

    let guarded = access::guarded(&world, "guarded").await;
    let keyless = access::without_keys(&world, "keyless").await;
    let token_cases = token_cases(&guarded, &keyless);

    let description = description();
    // The bodies of all answers of which there are examples. Of a body that is slow the page has one.
    let (_, slow) = problems::example(&replica, "/problems/request-body-timeout").await;
    let mut bodies = BTreeSet::from([problems::document(&slow).to_string()]);
    for (path, item) in description["paths"].as_object().expect("paths") {
        if path == LOOKUP {
            let operation = &item["post"];
            lookup_is_described(&replica, &token_cases, &description, operation, &mut bodies).await;
            continue;
        }
        let mut answered: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        for method in METHODS {
            let name = method.as_str().to_ascii_lowercase();
            let operation = &item[&name];
            if operation.is_null() {
                // GET and HEAD describe what the other methods get.
                let reply = ask(&replica, &method, path, &case(MODEL_UID)).await;
                assert_eq!(reply.status, StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
                for described in ["get", "head"] {
                    let operation = &item[described];
                    assert_described(&description, operation, &Method::GET, &reply, &mut bodies);
                    answered.entry(described).or_default().insert("405".to_owned());
                }
                continue;
            }
            let name = if method == Method::HEAD { "head" } else { "get" };
            let mut replies = Vec::new();
            let got = ask(&replica, &Method::GET, path, &case(MODEL_UID)).await;
            let etag = got.headers["etag"].to_str().expect("text");
            for case in cases(etag) {
                replies.push(ask(&replica, &method, path, &case).await);
            }
            replies.push(ask(&without_database, &method, path, &case("nobody-knows")).await);
            for (replica, case) in &token_cases {
                replies.push(ask(replica, &method, path, case).await);
            }
            for reply in replies {
                assert_described(&description, operation, &method, &reply, &mut bodies);
                answered.entry(name).or_default().insert(reply.status.as_str().to_owned());
            }
        }
        for (method, answered) in answered {
            let described = item[method]["responses"].as_object().expect("responses");
            let described: BTreeSet<String> = described.keys().cloned().collect();
            assert_eq!(described, answered, "{method} {path}: described, and answered");
        }
    }
    let operations = description["paths"].as_object().expect("paths").values().flat_map(|item| {
        item.as_object()
            .expect("operations")
            .values()
            .filter_map(|one| one["responses"].as_object())
    });
    for response in operations.flat_map(|responses| responses.values()) {
        for example in examples(&description, resolve(&description, response)) {
            assert!(bodies.contains(&example.to_string()), "nobody was answered {example}");
        }
    }
}

async fn lookup_is_described(
    replica: &Replica,
    token_cases: &[(&Replica, Case)],
    description: &Value,
    operation: &Value,
    answered_bodies: &mut BTreeSet<String>,
) {
    let mut replies = vec![ask(replica, &Method::PUT, LOOKUP, &case("")).await];
    for body in bodies(operation) {
        replies.push(send(replica, &Method::POST, LOOKUP, &case(""), body).await);
    }
    for case in cases("").into_iter().filter(|case| case.query.len() + case.headers.len() > 100) {
        replies.push(ask(replica, &Method::POST, LOOKUP, &case).await);
    }
    for (replica, case) in token_cases {
        replies.push(ask(replica, &Method::POST, LOOKUP, case).await);
    }
    let mut answered = BTreeSet::from(["408".to_owned()]);
    for reply in replies {
        assert_described(description, operation, &Method::POST, &reply, answered_bodies);
        answered.insert(reply.status.as_str().to_owned());
    }
    let described = operation["responses"].as_object().expect("responses").keys();
    assert_eq!(described.cloned().collect::<BTreeSet<_>>(), answered, "described, and answered");
}

/// The addresses under `/api/` that the sources route.
fn routed(dir: &Path, routes: &mut BTreeSet<String>) {
    for entry in fs::read_dir(dir).expect("sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            routed(&path, routes);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let source = fs::read_to_string(&path).expect("a source");
            let calls = source.split(".route(").skip(1);
            let literals = calls.filter_map(|call| call.trim_start().strip_prefix('"'));
            let addresses = literals.filter_map(|literal| literal.split('"').next());
            routes.extend(addresses.filter(|to| to.starts_with("/api/")).map(str::to_owned));
        }
    }
}

#[test]
fn every_route_of_the_api_is_described() {
    let mut routes = BTreeSet::new();
    routed(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http"), &mut routes);
    // An empty id is one that is not valid.
    assert!(routes.remove("/api/v1/orders/"), "{routes:?}");
    let routes: BTreeSet<String> =
        routes.iter().map(|route| route.replace("{*uid}", "{uid}")).collect();
    let described: BTreeSet<String> =
        description()["paths"].as_object().expect("paths").keys().cloned().collect();
    assert_eq!(described, routes, "described, and routed");
}
