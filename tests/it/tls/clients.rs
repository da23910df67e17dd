//! What real clients see.

use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{Authority, Https, connect, run, settings, start};
use crate::service::{MODEL, MODEL_UID, World};

/// What `openssl s_client` says of a handshake with these arguments.
async fn handshake(port: u16, ca: &str, arguments: &[&str]) -> String {
    let address = format!("127.0.0.1:{port}");
    let common = ["s_client", "-connect", &address, "-CAfile", ca, "-verify_return_error"];
    let output = run("openssl", &[&common, arguments].concat()).await;
    let text = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&text).into_owned()
}

#[tokio::test]
async fn curl_openssl_and_rustls_are_served_by_tls_1_2_and_1_3_and_nothing_older() {
    let world = World::new().await;
    let authority = Authority::new("ours");
    let pair = authority.issue_files(world.path(), "http");
    let ca = authority.file(world.path(), "ca.pem");
    let replica = start(&world, "tls", &settings("HTTP", &pair)).await;
    replica.until_ready().await;
    world.publish_raw([Bytes::from_static(MODEL)]).await;
    world.until_drained().await;
    let order = format!("/api/v1/orders/{MODEL_UID}");

    let https = Https::new(&authority.client_config(None));
    let reply = https.get(replica.site, &order).await.expect("an answer");
    assert_eq!((reply.status.as_u16(), &reply.body[..]), (200, MODEL));
    assert_eq!(reply.headers.get("strict-transport-security"), None);

    let url = format!("https://{}{order}", replica.site);
    for arguments in [&["--tls-max", "1.2"][..], &["--tlsv1.3"], &["--http2"]] {
        let common =
            ["-sS", "--cacert", &ca, "--write-out", "\n%{http_version} %{http_code}", &url];
        let output = run("curl", &[&common, arguments].concat()).await;
        let text = String::from_utf8_lossy(&output.stdout);
        let (body, told) = text.rsplit_once('\n').expect("what was asked for");
        assert_eq!((body.as_bytes(), told), (MODEL, "1.1 200"), "{arguments:?}");
    }
    let untrusting = run("curl", &["-sS", &url]).await;
    assert_eq!(untrusting.status.code(), Some(60), "an authority that the system does not know");

    let port = replica.site.port();
    // Without the last part openssl itself refuses to speak so old a version.
    let old = ["-tls1_1", "-cipher", "DEFAULT:@SECLEVEL=0"];
    let told = handshake(port, &ca, &old).await;
    assert!(told.contains("SSL alert number 40") && told.contains("(NONE)"), "{told}");
    for (version, name) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
        let told = handshake(port, &ca, &[version, "-alpn", "h2,http/1.1"]).await;
        assert!(told.contains("Verification: OK") && told.contains(name), "{told}");
        assert!(told.contains("ALPN protocol: http/1.1"), "{told}");
    }
    let told = handshake(port, &ca, &["-alpn", "h2"]).await;
    assert!(told.contains("no application protocol"), "{told}");
    assert!(replica.metric("waybill_tls_handshakes_total{result=\"completed\"}").await > 5.5);
    assert!(replica.metric("waybill_tls_handshakes_total{result=\"failed\"}").await > 1.5);
}

async fn raw(address: std::net::SocketAddr, sent: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.expect("connected");
    stream.write_all(sent).await.expect("sent");
    let mut answer = Vec::new();
    let read = tokio::time::timeout(crate::service::PATIENCE, stream.read_to_end(&mut answer));
    read.await.expect("the connection ends").expect("without an error");
    answer
}

#[tokio::test]
async fn who_speaks_the_other_protocol_is_told_so() {
    let world = World::new().await;
    let authority = Authority::new("ours");
    let pair = authority.issue_files(world.path(), "http");
    let replica = start(&world, "tls", &settings("HTTP", &pair)).await;

    let long = format!(
        "POST /api/v1/orders/lookup HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\n{}",
        "x".repeat(100_000)
    );
    for request in ["GET / HTTP/1.1\r\nhost: x\r\n\r\n", "GET / HTTP/1.0\r\n\r\n", &long] {
        let answer = String::from_utf8(raw(replica.site, request.as_bytes()).await).expect("UTF-8");
        assert!(
            answer.starts_with("HTTP/1.1 400 Bad Request\r\n")
                || answer.starts_with("HTTP/1.0 400"),
            "{answer}"
        );
        assert!(answer.contains("connection: close\r\n"), "{answer}");
        assert!(
            answer.ends_with("\r\n\r\nThis port speaks HTTPS: use https:// in place of http://\n"),
            "{answer}"
        );
    }
    assert!(
        (replica.metric("waybill_tls_handshakes_total{result=\"plain_http\"}").await - 3.0).abs()
            < 0.1
    );
    // Neither HTTP nor TLS: an alert, and the end.
    assert_eq!(raw(replica.site, b"\0\0\0\0\0\0\0\0").await[0], 21);

    // The admin port is plain: a ClientHello is no request.
    let told = connect(&authority.client_config(None), replica.admin).await;
    assert!(told.is_err());
    let hello = [&[22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3][..], &[7; 600]].concat();
    let answer = raw(replica.admin, &hello).await;
    assert!(answer.starts_with(b"HTTP/1.1 400 Bad Request\r\n"), "{answer:?}");
}
