//! Who may read orders and use the admin port.

mod commands;
mod issuer;
mod jwt;
mod keys;
mod masked;
mod proxy;
mod tokens;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{Method, Request};
use http_body_util::Full;
use sha2::{Digest as _, Sha256};

use crate::service::{MODEL, Replica, Reply, World, hex};

/// Tokens of a file, by what they are for.
pub(crate) const ORDERS: &str = "token-for-orders";
pub(crate) const MASKED: &str = "token-for-masked-orders";
pub(crate) const REJECTS: &str = "token-for-rejects";
pub(crate) const ADMIN: &str = "token-for-admin";
/// A token that ended in 2020.
const ENDED: &str = "token-that-ended";

/// A `[[token]]` of the file.
fn entry(token: &str, scope: &str) -> String {
    let sha256 = hex(&Sha256::digest(token));
    format!("[[token]]\nname = \"the {token}\"\nsha256 = \"{sha256}\"\nscopes = [\"{scope}\"]\n")
}

/// All tokens, one of each scope, in a file of the world's folder; its path.
pub(crate) fn tokens_file(world: &World) -> String {
    let entries = [
        entry(ORDERS, "orders:read"),
        entry(MASKED, "orders:read:masked"),
        entry(REJECTS, "rejects:read"),
        entry(ADMIN, "admin"),
        entry(ENDED, "orders:read") + "expires = \"2020-01-01T00:00:00Z\"\n",
    ];
    let path = world.path().join("tokens.toml");
    std::fs::write(&path, entries.concat()).expect("written");
    path.display().to_string()
}

/// A replica that wants tokens of the file.
pub(crate) async fn guarded(world: &World, name: &str) -> Replica {
    let file = tokens_file(world);
    let settings = [("WAYBILL_ACCESS__MODE", "tokens"), ("WAYBILL_ACCESS__TOKENS_FILE", &file)];
    let replica = world.start(name, &settings).await;
    replica.until_ready().await;
    replica
}

/// A replica that cannot learn which tokens are good, for its issuer is away.
pub(crate) async fn without_keys(world: &World, name: &str) -> Replica {
    let settings = [
        ("WAYBILL_ACCESS__MODE", "jwt"),
        ("WAYBILL_ACCESS__ISSUER", "https://issuer.example"),
        ("WAYBILL_ACCESS__AUDIENCE", "waybill"),
        ("WAYBILL_ACCESS__JWKS_URL", "http://127.0.0.1:9/jwks.json"),
    ];
    world.start(name, &settings).await
}

/// The same as [`guarded`], with the canonical order.
async fn guarded_with_model() -> (World, Replica) {
    let world = World::new().await;
    let replica = guarded(&world, "guarded").await;
    world.publish_raw([Bytes::from_static(MODEL)]).await;
    world.until_drained().await;
    (world, replica)
}

/// Asks with header fields.
async fn ask(replica: &Replica, url: &str, fields: &[(&str, &str)]) -> Reply {
    send(replica, Method::GET, url, fields, "").await
}

pub(crate) async fn send(
    replica: &Replica,
    method: Method,
    url: &str,
    fields: &[(&str, &str)],
    body: &'static str,
) -> Reply {
    let mut request = Request::builder().method(method).uri(url);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::from(body)).expect("a request");
    replica.request(request).await.expect("an answer")
}

/// Asks with a token.
async fn with(replica: &Replica, url: &str, token: &str) -> Reply {
    ask(replica, url, &[(AUTHORIZATION.as_str(), &format!("Bearer {token}"))]).await
}

/// The address of something on the site.
fn site(replica: &Replica, path: &str) -> String {
    format!("http://{}{path}", replica.site)
}

/// The address of something on the admin port.
fn admin(replica: &Replica, path: &str) -> String {
    format!("http://{}{path}", replica.admin)
}

/// The text of a header field of an answer; empty if it has none.
fn field<'a>(reply: &'a Reply, name: &str) -> &'a str {
    reply.headers.get(name).map_or("", |value| value.to_str().expect("text"))
}
