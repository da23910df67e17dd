//! The keys of an issuer that changes them, is away, or answers what it should not.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::json;
use testbed::eventually;
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::issuer::{AUDIENCE, Answer, ISSUER, Issuer, Maker, claims, respond};
use super::{field, site, with};
use crate::service::{MODEL, MODEL_UID, PATIENCE, Replica, World};

async fn start(world: &World, name: &str, url: &str, more: &[(&str, &str)]) -> Replica {
    let settings = [
        ("WAYBILL_ACCESS__MODE", "jwt"),
        ("WAYBILL_ACCESS__ISSUER", ISSUER),
        ("WAYBILL_ACCESS__AUDIENCE", AUDIENCE),
        ("WAYBILL_ACCESS__JWKS_URL", url),
    ];
    let replica = world.start(name, &[&settings[..], more].concat()).await;
    replica.until_ready().await;
    replica
}

async fn status(replica: &Replica, token: &str) -> StatusCode {
    with(replica, &site(replica, &format!("/api/v1/orders/{MODEL_UID}")), token).await.status
}

#[tokio::test]
async fn keys_are_rotated_and_remembered_while_the_issuer_is_away() {
    let (world, mut maker) = (World::new().await, Maker::start());
    let (first, _) = maker.key("EC", "first").await;
    let (second, _) = maker.key("OKP", "second").await;
    let old = maker.sign("first", json!({ "alg": "ES256", "kid": "first" }), &claims()).await;
    let new = maker.sign("second", json!({ "alg": "EdDSA", "kid": "second" }), &claims()).await;
    let issuer = Issuer::start(Answer::Away).await;
    let replica = start(&world, "guarded", &issuer.url(), &[]).await;
    world.publish_raw([Bytes::from_static(MODEL)]).await;
    world.until_drained().await;

    let order = site(&replica, &format!("/api/v1/orders/{MODEL_UID}"));
    let reply = with(&replica, &order, &old).await;
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE, "its keys were never known");
    assert_eq!((field(&reply, "retry-after"), field(&reply, "www-authenticate")), ("5", ""));
    let page = with(&replica, &site(&replica, "/"), &old).await;
    assert!(page.text().contains("Cannot check access right now"), "{}", page.text());
    issuer.now_answers(Answer::Keys(vec![first.clone()]));
    eventually("the keys are had", PATIENCE, async || {
        (status(&replica, &old).await == StatusCode::OK).then_some(())
    })
    .await;

    // What is not a set of keys takes no key away.
    for answer in [
        Answer::Away,
        Answer::Other(500, "{}"),
        Answer::Other(200, "<html>Sign in</html>"),
        Answer::Other(200, "{\"keys\":[]}"),
        Answer::Endless,
    ] {
        let asked = issuer.asked();
        issuer.now_answers(answer);
        eventually("the issuer is asked", PATIENCE, async || {
            // For the new key.
            assert_ne!(status(&replica, &new).await, StatusCode::OK);
            (issuer.asked() > asked).then_some(())
        })
        .await;
        assert_eq!(status(&replica, &old).await, StatusCode::OK, "remembered");
    }
    issuer.now_answers(Answer::Keys(vec![second]));
    eventually("the new key is had", PATIENCE, async || {
        (status(&replica, &new).await == StatusCode::OK).then_some(())
    })
    .await;
    assert_eq!(status(&replica, &old).await, StatusCode::UNAUTHORIZED, "its key was taken back");
    assert!(replica.metric("waybill_access_key_fetches_total{result=\"failed\"}").await >= 5.0);
}

#[tokio::test]
async fn an_issuer_that_says_nothing_holds_up_nobody_for_long() {
    let (world, mut maker) = (World::new().await, Maker::start());
    maker.key("EC", "a").await;
    let token = maker.sign("a", json!({ "alg": "ES256", "kid": "a" }), &claims()).await;
    let issuer = Issuer::start(Answer::Mute).await;
    let replica = start(&world, "guarded", &issuer.url(), &[]).await;
    let began = Instant::now();
    assert_eq!(status(&replica, &token).await, StatusCode::SERVICE_UNAVAILABLE);
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    assert_eq!(status(&replica, "no.jwt").await, StatusCode::UNAUTHORIZED);
}

/// A server that answers by TLS, with a certificate of this authority.
async fn with_tls(authority: &CertifiedIssuer<'_, KeyPair>, answer: Answer) -> String {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(["127.0.0.1".to_owned()]).expect("a name");
    let certificate = params.signed_by(&key, authority).expect("a certificate");
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder().with_no_client_auth();
    let config = config.with_single_cert(vec![certificate.der().clone()], key).expect("a pair");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("https://{}/jwks.json", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.expect("a connection");
            // Who does not trust the certificate leaves.
            let Ok(stream) = acceptor.accept(stream).await else { continue };
            tokio::spawn(respond(stream, answer.clone()));
        }
    });
    url
}

#[tokio::test]
async fn keys_are_had_by_tls_from_one_whom_the_system_trusts() {
    let (world, mut maker) = (World::new().await, Maker::start());
    let (jwk, _) = maker.key("EC", "a").await;
    let token = maker.sign("a", json!({ "alg": "ES256", "kid": "a" }), &claims()).await;
    let authority = || {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("one")
    };
    let (ours, another) = (authority(), authority());
    let url = with_tls(&ours, Answer::Keys(vec![jwk])).await;
    let file = |name: &str, authority: &CertifiedIssuer<'_, KeyPair>| {
        let path = world.path().join(name);
        std::fs::write(&path, authority.pem()).expect("written");
        path.display().to_string()
    };
    let (ours, another) = (file("ours.pem", &ours), file("another.pem", &another));
    let trusting = start(&world, "trusting", &url, &[("SSL_CERT_FILE", &ours)]).await;
    eventually("the keys are had", PATIENCE, async || {
        (status(&trusting, &token).await == StatusCode::NOT_FOUND).then_some(())
    })
    .await;
    let wary = start(&world, "wary", &url, &[("SSL_CERT_FILE", &another)]).await;
    assert_eq!(status(&wary, &token).await, StatusCode::SERVICE_UNAVAILABLE);
    eventually("it says why", PATIENCE, async || {
        wary.process.log().contains("invalid peer certificate").then_some(())
    })
    .await;
}
