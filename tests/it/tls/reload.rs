//! Certificates that are replaced while the service runs.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;

use rcgen::date_time_ymd;
use rustls::ClientConfig;
use testbed::eventually;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::{Authority, Pair, connect, settings, start};
use crate::service::{PATIENCE, Replica, World};

/// Puts a pair where Kubernetes puts that of a Secret: in a folder of its own, to which `..data`
/// is turned at once.
fn mount(volume: &Path, version: &str, certificate: &str, key: &str) -> Pair {
    let data = volume.join(format!("..{version}"));
    fs::create_dir_all(&data).expect("a folder");
    fs::write(data.join("tls.crt"), certificate).expect("written");
    fs::write(data.join("tls.key"), key).expect("written");
    let (link, next) = (volume.join("..data"), volume.join("..data_tmp"));
    symlink(format!("..{version}"), &next).expect("a link");
    fs::rename(&next, &link).expect("turned");
    let path = |name: &str| {
        let path = volume.join(name);
        if path.symlink_metadata().is_err() {
            symlink(format!("..data/{name}"), &path).expect("a link");
        }
        path.display().to_string()
    };
    Pair { certificate: path("tls.crt"), key: path("tls.key") }
}

/// The bytes of the certificate that new connections are shown.
async fn shown(config: &Arc<ClientConfig>, replica: &Replica) -> Option<Vec<u8>> {
    let stream = connect(config, replica.site).await.ok()?;
    Some(stream.get_ref().1.peer_certificates()?.first()?.to_vec())
}

async fn index(stream: &mut TlsStream<TcpStream>) {
    stream.write_all(b"HEAD / HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("sent");
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(stream.read_u8().await.expect("an answer"));
    }
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{answer:?}");
}

const NOT_AFTER: &str = "waybill_tls_certificate_not_after_timestamp_seconds{port=\"http\"}";

#[tokio::test]
async fn a_new_pair_is_used_for_new_connections_and_a_bad_one_is_not() {
    let world = World::new().await;
    let authority = Authority::new("ours");
    let config = authority.client_config(None);
    let volume = world.path().join("volume");
    fs::create_dir(&volume).expect("a folder");
    let (certificate, key) = authority.issue(|params| params.not_after = date_time_ymd(2040, 1, 1));
    let pair = mount(&volume, "1", &certificate, &key);
    let mut replica = start(&world, "tls", &settings("HTTP", &pair)).await;
    let mut open = connect(&config, replica.site).await.expect("a handshake");
    index(&mut open).await;
    let first = shown(&config, &replica).await.expect("a certificate");
    assert!((replica.metric(NOT_AFTER).await - 2_208_988_800.0).abs() < 0.5);

    let (certificate, other) =
        authority.issue(|params| params.not_after = date_time_ymd(2041, 1, 1));
    mount(&volume, "2", &certificate, &key);
    eventually("the bad pair is told", PATIENCE, async || {
        let log = replica.process.log();
        log.contains("The certificate known stays in force; the new one cannot be used")
            .then_some(())
    })
    .await;
    let log = replica.process.log();
    assert!(log.contains("is not the key of the first certificate in"), "{log}");
    assert_eq!(shown(&config, &replica).await.as_ref(), Some(&first));

    mount(&volume, "3", &certificate, &other);
    eventually("the new pair is used", PATIENCE, async || {
        (shown(&config, &replica).await? != first).then_some(())
    })
    .await;
    eventually("its end is told", PATIENCE, async || {
        let told = replica.metric(NOT_AFTER).await;
        ((told - 2_240_611_200.0).abs() < 0.5).then_some(())
    })
    .await;
    index(&mut open).await;

    let log = replica.process.log();
    assert_eq!(log.matches("The certificate known stays in force").count(), 1, "{log}");
    assert_eq!(log.matches("New connections get the new certificate").count(), 1, "{log}");
    assert!(!log.contains("expires soon"), "{log}");

    // The stop says goodbye in TLS, so that the end cannot be taken for a broken connection.
    assert_eq!(replica.stop().await, Some(0));
    assert_eq!(open.read(&mut [0; 1]).await.expect("no broken connection"), 0);
}

#[tokio::test]
async fn a_certificate_that_should_have_been_renewed_is_told() {
    let world = World::new().await;
    let authority = Authority::new("ours");
    let in_days = |days: i64| time::OffsetDateTime::now_utc() + time::Duration::days(days);
    for (days, warning) in [
        (5, "The certificate expires soon and has not been renewed"),
        (-1, "The certificate is not valid now; clients refuse it"),
    ] {
        let (certificate, key) = authority.issue(|params| {
            params.not_before = in_days(-85);
            params.not_after = in_days(days);
        });
        let volume = world.path().join(format!("volume{days}"));
        let pair = mount(&volume, "1", &certificate, &key);
        let replica = start(&world, &format!("days{days}"), &settings("ADMIN", &pair)).await;
        eventually(warning, PATIENCE, async || {
            replica.process.log().contains(warning).then_some(())
        })
        .await;
        let (code, out, errors) = world
            .run(&[
                "config",
                "check",
                "--set",
                &format!("admin.tls_cert_file={}", pair.certificate),
                "--set",
                &format!("admin.tls_key_file={}", pair.key),
            ])
            .await;
        assert_eq!((code, out.as_str()), (0, "settings are fine\n"));
        assert!(errors.starts_with("note: the certificate in `admin.tls_cert_file` "), "{errors}");
    }
}
