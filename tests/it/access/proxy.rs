//! The example of docs/access.md: nginx asks oauth2-proxy, and hands its token on.

use std::path::Path;

use serde_json::json;
use testbed::{Nginx, eventually};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UnixStream};

use super::issuer::{Answer, Issuer, Maker, claims};
use super::jwt;
use crate::service::{MODEL_UID, PATIENCE, World};

/// The block of nginx in the document.
fn example() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/access.md");
    let text = std::fs::read_to_string(path).expect("the document");
    let (_, block) = text.split_once("```nginx\n").expect("a block of nginx");
    block.split_once("```").expect("its end").0.to_owned()
}

/// In the place of oauth2-proxy: knows one session, and has a token for it.
async fn sign_in(token: String) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = vec![0; 8192];
            let length = stream.read(&mut head).await.unwrap_or_default();
            let head = String::from_utf8_lossy(&head[..length]).to_ascii_lowercase();
            let answer =
                if head.starts_with("get /oauth2/auth ") && head.contains("cookie: session=good") {
                    format!("202 Accepted\r\nX-Auth-Request-Access-Token: {token}")
                } else if head.starts_with("get /oauth2/auth ") {
                    "401 Unauthorized".to_owned()
                } else {
                    "200 OK".to_owned()
                };
            let answer =
                format!("HTTP/1.1 {answer}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    address
}

async fn get(nginx: &Path, path: &str, fields: &str) -> String {
    let mut stream = UnixStream::connect(nginx).await.expect("nginx listens");
    let request = format!("GET {path} HTTP/1.0\r\nHost: shop.example\r\n{fields}\r\n");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    answer
}

#[tokio::test]
async fn the_forwarded_token_of_a_proxy_counts() {
    let (world, mut maker) = (World::new().await, Maker::start());
    let (jwk, _) = maker.key("EC", "a").await;
    let header = json!({ "alg": "ES256", "kid": "a" });
    let mut claims = claims();
    claims["scope"] = json!("openid orders:read:masked");
    let masked = maker.sign("a", header.clone(), &claims).await;
    claims["scope"] = json!("orders:read");
    let whole = maker.sign("a", header, &claims).await;
    let issuer = Issuer::start(Answer::Keys(vec![jwk])).await;
    let replica = jwt::guarded(&world, &issuer).await;

    let locations = example()
        .replace("127.0.0.1:8080", &replica.site.to_string())
        .replace("127.0.0.1:4180", &sign_in(masked).await.to_string());
    let nginx = Nginx::start(&locations).await.expect("nginx starts");
    let (nginx, page) = (nginx.socket(), format!("/orders/{MODEL_UID}"));
    let signed_in = "Cookie: session=good\r\n";
    eventually("the page is shown", PATIENCE, async || {
        get(&nginx, &page, signed_in).await.starts_with("HTTP/1.1 200").then_some(())
    })
    .await;
    let shown = get(&nginx, &page, signed_in).await;
    assert!(shown.contains("***") && !shown.contains("Test Testov"), "{shown}");
    // What a client says of itself is replaced by what the proxy knows.
    let own = format!("{signed_in}Authorization: Bearer {whole}\r\n");
    let order = get(&nginx, &format!("/api/v1/orders/{MODEL_UID}"), &own).await;
    assert!(order.starts_with("HTTP/1.1 200") && !order.contains("Test Testov"), "{order}");
    let stranger = get(&nginx, &page, &format!("Authorization: Bearer {whole}\r\n")).await;
    let to = format!("/oauth2/start?rd={page}");
    assert!(stranger.starts_with("HTTP/1.1 302") && stranger.contains(&to), "{stranger}");
}
