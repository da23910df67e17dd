//! The pages that the `type` of a problem leads to: each type has one, and its example is what the
//! service answers.

use std::collections::BTreeSet;

use http::StatusCode;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::service::{Replica, World};
use crate::{access, audit};

/// Where a service without its database is, so that nothing can be told.
const NOWHERE: [(&str, &str); 4] = [
    ("WAYBILL_DATABASE__URL", "postgres://nobody@127.0.0.1:9/nothing"),
    ("WAYBILL_DATABASE__CONNECT_TIMEOUT", "500ms"),
    ("WAYBILL_DATABASE__MIGRATE", "false"),
    ("WAYBILL_INGEST__ENABLED", "false"),
];

/// The text of an element of a page that has an id.
fn element(page: &str, id: &str) -> String {
    let (_, from) = page.split_once(&format!("id=\"{id}\"")).unwrap_or_else(|| panic!("{page}"));
    let text = from.split_once('>').expect("a tag").1.split_once("</").expect("its end").0;
    let entities = [("&#34;", "\""), ("&#39;", "'"), ("&#60;", "<"), ("&#62;", ">")];
    let text = entities.iter().fold(text.to_owned(), |text, (code, is)| text.replace(code, is));
    text.replace("&#38;", "&")
}

/// The request and the answer that a page shows.
pub(crate) async fn example(replica: &Replica, page: &str) -> (String, String) {
    let reply = replica.get(page).await;
    assert_eq!(reply.status, StatusCode::OK, "{page}");
    (element(reply.text(), "request"), element(reply.text(), "answer"))
}

/// The document of an answer as a page shows it.
pub(crate) fn document(answer: &str) -> Value {
    let (_, body) = answer.split_once("\n\n").expect("a body");
    serde_json::from_str(body).expect("JSON")
}

/// The text with `[9 × x]` as nine letters x.
fn expanded(text: &str) -> String {
    let Some((before, rest)) = text.split_once('[').filter(|(_, rest)| rest.contains(" × x]"))
    else {
        return text.to_owned();
    };
    match rest.split_once(" × x]") {
        Some((count, behind)) if count.parse::<usize>().is_ok() => {
            format!("{before}{}{behind}", "x".repeat(count.parse().expect("a number")))
        }
        _ => format!("{before}[{}", expanded(rest)),
    }
}

/// Sends a request of a page as it stands there; the answer without what the server adds.
async fn send(port: u16, request: &str) -> String {
    let request = expanded(request);
    let (head, body) = request.split_once("\n\n").unwrap_or((&request, ""));
    let (line, fields) = head.split_once('\n').unwrap_or((head, ""));
    let length = if fields.contains("content-length") {
        String::new()
    } else {
        format!("content-length: {}\r\n", body.len())
    };
    let mut fields = fields.replace('\n', "\r\n");
    if !fields.is_empty() {
        fields += "\r\n";
    }
    let head = format!("{line} HTTP/1.1\r\nhost: x\r\n{fields}{length}connection: close\r\n\r\n");
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.expect("connected");
    stream.write_all(head.as_bytes()).await.expect("sent");
    // A body that is too long is answered before it is read.
    let _ = stream.write_all(body.as_bytes()).await;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    let answer = answer.replace("\r\n", "\n");
    let added = ["connection: ", "content-length: ", "date: "];
    let is_ours = |line: &&str| !added.iter().any(|name| line.starts_with(name));
    answer.split('\n').filter(is_ours).collect::<Vec<_>>().join("\n")
}

/// The lines of the head sorted, for their order means nothing.
fn sorted(answer: &str) -> Vec<String> {
    let (head, body) = answer.split_once("\n\n").expect("a body");
    let mut lines: Vec<_> = head.lines().map(str::to_owned).collect();
    lines.sort();
    lines.push(body.to_owned());
    lines
}

/// The pages that the list of a port links to.
async fn pages(replica: &Replica, port: u16) -> BTreeSet<String> {
    let address = ([127, 0, 0, 1], port).into();
    let list = replica.get_from(address, "/problems").await.expect("the list");
    assert_eq!(list.status, StatusCode::OK);
    let links = list.text().split("href=\"").skip(1).filter_map(|link| link.split('"').next());
    links.filter(|link| link.starts_with("/problems/")).map(str::to_owned).collect()
}

#[tokio::test]
async fn every_page_shows_what_the_service_answers() {
    let world = World::new().await;
    let replica = world.serve("well").await;
    let alone = world.start("alone", &NOWHERE).await;
    world.erase("erased-order").await;
    let guarded = access::guarded(&world, "guarded").await;
    let keyless = access::without_keys(&world, "keyless").await;
    let unrecorded = audit::unrecorded(&world, "unrecorded").await;
    let pages = pages(&replica, replica.site.port()).await;
    assert!(pages.len() > 10, "{pages:?}");
    let answered = pages.iter().map(async |page| {
        let (request, shown) = example(&replica, page).await;
        let admin_page = replica.admin(page).await;
        assert_eq!(element(admin_page.text(), "answer"), shown, "{page} on the admin port");
        let asked = match page.as_str() {
            "/problems/lookup-unavailable" => alone.site.port(),
            // No request makes it fail; the tests of the routes have a handler that panics.
            "/problems/internal-error" => return,
            "/problems/database-unavailable" => alone.admin.port(),
            "/problems/token-required"
            | "/problems/invalid-token"
            | "/problems/insufficient-scope" => guarded.site.port(),
            "/problems/not-recorded" => unrecorded.site.port(),
            "/problems/token-unverifiable" => keyless.site.port(),
            "/problems/invalid-limit" | "/problems/invalid-log-filter" => replica.admin.port(),
            _ => replica.site.port(),
        };
        let answer = send(asked, &request).await;
        assert_eq!(sorted(&answer), sorted(&shown), "{page}");
        assert_eq!(document(&answer)["type"], page.as_str());
    });
    futures_util::future::join_all(answered).await;
    for port in [replica.site.port(), replica.admin.port()] {
        let address = ([127, 0, 0, 1], port).into();
        let none = replica.get_from(address, "/problems/none").await.expect("an answer");
        assert_eq!(none.status, StatusCode::NOT_FOUND);
        assert!(none.text().contains("No such type of problem"), "{}", none.text());
    }
}

#[tokio::test]
async fn below_a_path_of_a_proxy_the_types_lead_to_their_pages() {
    let world = World::new().await;
    let settings = [("WAYBILL_HTTP__BASE_PATH", "/shop")];
    let replica = world.start("behind", &settings).await;
    replica.until_ready().await;
    let unknown = replica.order("nobody-knows").await;
    let problem: Value = serde_json::from_slice(&unknown.body).expect("JSON");
    assert_eq!(problem["type"], "/shop/problems/order-not-found");
    let (request, answer) = example(&replica, "/shop/problems/order-not-found").await;
    assert_eq!(request, "GET /shop/api/v1/orders/nobody-knows");
    assert_eq!(document(&answer), problem);
    // Those of the admin port are not below the path of the site.
    let (request, answer) = example(&replica, "/shop/problems/invalid-log-filter").await;
    assert!(request.starts_with("PUT /log-filter\n"), "{request}");
    assert_eq!(document(&answer)["type"], "/problems/invalid-log-filter");
}
