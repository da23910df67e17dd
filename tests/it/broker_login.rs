//! The ways to log in to the broker, against real servers that ask for them.

use std::fs;
use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use testbed::{BrokerOptions, Postgres, eventually};

use crate::service::{PATIENCE, Replica, World};

async fn world(configuration: String) -> World {
    let postgres = Postgres::shared().await.expect("Postgres");
    let broker = BrokerOptions { configuration: Some(configuration), ..BrokerOptions::default() };
    World::with(broker, postgres).await
}

/// What `/readyz?verbose` says of the broker.
async fn told(replica: &Replica, text: &str) {
    eventually(text, PATIENCE, async || {
        replica.admin("/readyz?verbose").await.text().contains(text).then_some(())
    })
    .await;
}

/// Publishes an order and looks it up, with these settings.
async fn takes_an_order(world: &World, settings: &[(&str, &str)]) {
    let replica = world.start("welcome", settings).await;
    replica.until_ready().await;
    let file = world.path().join("order.json");
    fs::write(&file, crate::service::MODEL).expect("written");
    let mut publish = tokio::process::Command::from(world.command(&["publish"]));
    let publish = publish.arg(&file).envs(settings.iter().copied()).kill_on_drop(true);
    let published = publish.output().await.expect("it runs");
    assert!(published.status.success(), "{}", String::from_utf8_lossy(&published.stderr));
    world.until_drained().await;
    let reply = replica.order(crate::service::MODEL_UID).await;
    assert_eq!(reply.body, crate::service::MODEL);
}

/// A replica that the broker refuses says why, and nothing of what it logs in with.
async fn is_refused(world: &World, settings: &[(&str, &str)], reason: &str) {
    let mut replica = world.start("stranger", settings).await.expecting(reason);
    told(&replica, reason).await;
    assert_eq!(replica.stop().await, Some(0));
    let log = replica.process.log();
    assert!(log.contains("is not live yet") && log.contains(reason), "{log}");
    assert!(!log.contains("hunter2"), "{log}");
}

#[tokio::test]
async fn a_token_in_the_url_is_used() {
    let world = world("authorization { token: \"s3cret/t@ken\" }".to_owned()).await;
    let port = world.broker.port();
    let url = |login: &str| format!("nats://{login}@127.0.0.1:{port}");
    let violation = "authorization violation";

    takes_an_order(&world, &[("WAYBILL_BROKER__URL", &url("s3cret%2Ft%40ken"))]).await;
    is_refused(&world, &[("WAYBILL_BROKER__URL", &url("hunter2"))], violation).await;
    is_refused(&world, &[("WAYBILL_BROKER__URL", &url("me:hunter2"))], violation).await;
}

#[tokio::test]
async fn a_user_and_a_password_in_the_url_are_used() {
    let world = world("authorization { user: me, password: \"pa:ss/w?rd\" }".to_owned()).await;
    let url =
        format!("nats://127.0.0.1:1,nats://me:pa:ss%2Fw%3Frd@127.0.0.1:{}", world.broker.port());
    takes_an_order(&world, &[("WAYBILL_BROKER__URL", &url)]).await;
}

/// Writes a certificate and its key, signed by `authority`.
fn certificate(folder: &Path, name: &str, authority: &CertifiedIssuer<'_, KeyPair>) {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(["127.0.0.1".to_owned()]).expect("a name");
    let certificate = params.signed_by(&key, authority).expect("a certificate");
    fs::write(folder.join(format!("{name}.pem")), certificate.pem()).expect("written");
    fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).expect("written");
}

#[tokio::test]
async fn a_client_certificate_is_shown_to_a_broker_that_asks_for_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let authority = CertifiedIssuer::self_signed(params, key).expect("an authority");
    fs::write(folder.path().join("ca.pem"), authority.pem()).expect("written");
    for name in ["server", "client"] {
        certificate(folder.path(), name, &authority);
    }
    let file = |name: &str| folder.path().join(name).display().to_string();
    let (ca, cert, key) = (file("ca.pem"), file("client.pem"), file("client.key"));
    let (server, server_key) = (file("server.pem"), file("server.key"));
    let world = world(format!(
        "tls {{ cert_file: \"{server}\", key_file: \"{server_key}\", ca_file: \"{ca}\", verify: true }}\n\
         streaming {{ secure: true, tls {{ client_cert: \"{cert}\", client_key: \"{key}\", client_ca: \"{ca}\" }} }}",
    ))
    .await;

    let authority = ("WAYBILL_BROKER__TLS_CA_FILE", ca.as_str());
    let certificate = ("WAYBILL_BROKER__TLS_CERT_FILE", cert.as_str());
    takes_an_order(&world, &[authority, certificate, ("WAYBILL_BROKER__TLS_KEY_FILE", &key)]).await;
    is_refused(&world, &[authority], "CertificateRequired").await;
}
