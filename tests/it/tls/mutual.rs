//! Ports that ask clients for certificates.

use testbed::eventually;

use super::{Authority, Https, connect, run, settings, start, until_ready};
use crate::service::{PATIENCE, World};

#[tokio::test]
async fn only_clients_with_a_certificate_get_in_and_probes_are_answered() {
    let world = World::new().await;
    let (ours, clients) = (Authority::new("ours"), Authority::new("clients"));
    let server = ours.issue_files(world.path(), "server");
    let client = clients.issue_files(world.path(), "client");
    // Of an authority that the servers do not trust for clients.
    let stranger = ours.issue_files(world.path(), "stranger");
    let ca = ours.file(world.path(), "ca.pem");
    let client_ca = clients.file(world.path(), "client-ca.pem");
    let mut all: Vec<_> =
        settings("HTTP", &server).into_iter().chain(settings("ADMIN", &server)).collect();
    for port in ["HTTP", "ADMIN"] {
        all.push((format!("WAYBILL_{port}__TLS_CLIENT_CA_FILE"), &client_ca));
    }
    let replica = start(&world, "mutual", &all).await;
    let known = Https::new(&ours.client_config(Some(&client)));
    until_ready(&known, &replica).await;

    let nobody = Https::new(&ours.client_config(None));
    let unknown = Https::new(&ours.client_config(Some(&stranger)));
    let (site, admin) = (replica.site, replica.admin);
    for path in ["/", "/api/v1/orders/nobody", "/livez"] {
        assert!(known.status(site, path).await.is_some(), "{path}");
        assert_eq!(nobody.status(site, path).await, None, "{path}");
        assert_eq!(unknown.status(site, path).await, None, "{path}");
    }
    for (path, without) in [
        ("/livez", 200),
        ("/readyz", 200),
        ("/readyz?verbose", 200),
        ("/metrics", 403),
        ("/statusz", 403),
        ("/orders", 403),
        ("/log-filter", 403),
        ("/livez/", 403),
        ("//livez", 403),
        ("/nowhere", 403),
    ] {
        assert_eq!(nobody.status(admin, path).await, Some(without), "{path}");
        assert_eq!(unknown.status(admin, path).await, None, "{path}");
        assert_ne!(known.status(admin, path).await, Some(403), "{path}");
    }
    let refused = nobody.get(admin, "/metrics").await.expect("an answer");
    assert_eq!(
        refused.text(),
        "This port wants a client certificate for all but /livez and /readyz\n"
    );

    // A real client; openssl reads the refusal in the handshake.
    let url = format!("https://{site}/");
    let with = [
        "-sS",
        "-o",
        "/dev/null",
        "--cacert",
        &ca,
        "--cert",
        &client.certificate,
        "--key",
        &client.key,
        &url,
    ];
    assert!(run("curl", &with).await.status.success());
    for version in ["-tls1_2", "-tls1_3"] {
        let address = site.to_string();
        // The end of the input is not the end of the conversation: it waits for the verdict.
        let arguments = ["s_client", "-connect", &address, "-CAfile", &ca, version, "-ign_eof"];
        let told = run("openssl", &arguments).await;
        let told = String::from_utf8_lossy(&told.stderr).into_owned();
        assert!(
            told.contains("certificate required") || told.contains("handshake failure"),
            "{told}"
        );
    }

    // Commands of this machine.
    let set = [
        format!("admin.listen={admin}"),
        format!("admin.tls_cert_file={}", server.certificate),
        format!("admin.tls_key_file={}", server.key),
    ];
    let sets: Vec<&str> = set.iter().flat_map(|set| ["--set", set]).collect();
    let (code, out, _) = world.run(&[&["healthcheck", "--ready"][..], &sets].concat()).await;
    assert_eq!((code, out), (0, format!("https://{admin}/readyz: ready\n")));
    let (code, _, errors) = world.run(&[&["status"][..], &sets].concat()).await;
    assert!(code == 1 && errors.contains("403 Forbidden"), "{code}: {errors}");
    let shown = ["--cert-file", &client.certificate, "--key-file", &client.key];
    let (code, out, errors) = world.run(&[&["status"][..], &shown, &sets].concat()).await;
    assert!(code == 0 && out.contains("mutual"), "{code}: {out}{errors}");
}

#[tokio::test]
async fn an_authority_that_is_taken_away_is_not_trusted_by_a_resumed_session_either() {
    let world = World::new().await;
    let (ours, clients) = (Authority::new("ours"), Authority::new("clients"));
    let server = ours.issue_files(world.path(), "server");
    let client = clients.issue_files(world.path(), "client");
    let client_ca = clients.file(world.path(), "client-ca.pem");
    let mut all = settings("HTTP", &server).to_vec();
    all.push(("WAYBILL_HTTP__TLS_CLIENT_CA_FILE".to_owned(), &client_ca));
    let replica = start(&world, "mutual", &all).await;
    // It keeps what a session can be resumed with.
    let config = ours.client_config(Some(&client));
    let resumed = async || {
        let mut stream = connect(&config, replica.site).await.ok()?;
        // What it is resumed with comes after the handshake, and so does a refusal.
        tokio::io::AsyncWriteExt::write_all(&mut stream, b"HEAD / HTTP/1.0\r\n\r\n").await.ok()?;
        let read = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut Vec::new()).await;
        read.is_ok()
            .then(|| stream.get_ref().1.handshake_kind() == Some(rustls::HandshakeKind::Resumed))
    };
    assert_eq!(resumed().await, Some(false));
    assert_eq!(resumed().await, Some(true), "the test would not show it");
    Authority::new("others").file(world.path(), "client-ca.pem");
    eventually("the client is refused", PATIENCE, async || resumed().await.is_none().then_some(()))
        .await;
}
