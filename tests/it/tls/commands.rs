//! Commands of ours that ask replicas over TLS.

use std::fs;

use testbed::eventually;

use super::{Authority, Https, settings, start, until_ready};
use crate::service::{PATIENCE, World};

#[tokio::test]
async fn commands_ask_over_https_and_trust_whom_they_are_told_to() {
    let world = World::new().await;
    let (ours, another) = (Authority::new("ours"), Authority::new("another"));
    let server = ours.issue_files(world.path(), "server");
    let (ca, wrong) = (ours.file(world.path(), "ca.pem"), another.file(world.path(), "wrong.pem"));
    let all: Vec<_> =
        settings("HTTP", &server).into_iter().chain(settings("ADMIN", &server)).collect();
    let mut replica = start(&world, "tls", &all).await;
    until_ready(&Https::new(&ours.client_config(None)), &replica).await;
    world.publish(&["--generate", "20", "--receipt", "receipt.ndjson"]).await;
    world.until_drained().await;
    // By name: the watch asks each address that it has, with the certificate for the name.
    let site = format!("https://localhost:{}", replica.site.port());
    let admin = format!("https://localhost:{}", replica.admin.port());

    let verify = ["verify", "--receipt", "receipt.ndjson", "--url", &site];
    let (code, out, errors) = world.run(&[&verify[..], &["--ca-file", &ca]].concat()).await;
    assert_eq!(code, 0, "{out}{errors}");
    let (code, out, _) = world.run(&[&verify[..], &["--ca-file", &wrong]].concat()).await;
    assert!(code == 1 && out.contains("invalid peer certificate: UnknownIssuer"), "{out}");
    let (code, _, errors) =
        world.run(&[&verify[..], &["--ca-file", "receipt.ndjson"]].concat()).await;
    assert!(code == 64 && errors.contains("receipt.ndjson holds no certificate"), "{errors}");
    let (code, _, errors) = world.run(&[&verify[..], &["--ca-file", "nowhere"]].concat()).await;
    assert!(code == 64 && errors.contains("nowhere cannot be read: No such file"), "{errors}");
    let (code, _, errors) = world.run(&[&verify[..], &["--cert-file", &ca]].concat()).await;
    assert!(code == 64 && errors.contains("--key-file"), "{errors}");

    let status = ["status", "--admin", &admin, "--ca-file", &ca];
    let (code, out, errors) = world.run(&status).await;
    assert!(code == 0 && out.contains("tls_cert_file"), "{out}{errors}");

    let targets = [
        "load",
        "targets",
        "--receipt",
        "receipt.ndjson",
        "--url",
        &site,
        "--ca-file",
        &ca,
        "--count",
        "50",
    ];
    let (code, out, errors) = world.run(&targets).await;
    assert!(code == 0 && out.lines().all(|line| line.contains(&site)), "{out}{errors}");

    let ingest = [
        "load",
        "ingest",
        "--rates",
        "20",
        "--duration",
        "1s",
        "--url",
        &site,
        "--ca-file",
        &ca,
        "--output",
        "results",
    ];
    let (code, out, errors) = world.run(&ingest).await;
    assert_eq!(code, 0, "{out}{errors}");

    let metrics = format!("{admin}/metrics");
    let watch = world.command(&[
        "load",
        "watch",
        "--metrics",
        &metrics,
        "--ca-file",
        &ca,
        "--output",
        "server.ndjson",
    ]);
    let mut watch = tokio::process::Command::from(watch);
    let watch = watch.kill_on_drop(true).spawn().expect("it runs");
    eventually("there is a sample", PATIENCE, async || {
        let samples = fs::read_to_string(world.path().join("server.ndjson")).ok()?;
        samples.contains("resident_bytes").then_some(())
    })
    .await;
    drop(watch);
    assert_eq!(replica.stop().await, Some(0));
}

#[tokio::test]
async fn files_that_do_not_fit_are_told_before_anything_starts() {
    let world = World::new().await;
    let authority = Authority::new("ours");
    let (one, two) =
        (authority.issue_files(world.path(), "one"), authority.issue_files(world.path(), "two"));
    let set = [
        format!("http.tls_cert_file={}", one.certificate),
        format!("http.tls_key_file={}", two.key),
        format!("admin.tls_cert_file={}", one.key),
        format!("admin.tls_key_file={}", one.key),
    ];
    let sets: Vec<&str> = set.iter().flat_map(|set| ["--set", set]).collect();
    for command in [&["config", "check"][..], &["serve"]] {
        let (code, _, errors) = world.run(&[command, &sets].concat()).await;
        let problems: Vec<&str> =
            errors.lines().filter(|line| line.starts_with("error: ")).collect();
        let [http, admin] = problems[..] else { panic!("{command:?}: {errors}") };
        assert_eq!(code, 64, "{command:?}");
        assert!(http.starts_with("error: `http.tls_key_file` "), "{http}");
        assert!(http.contains("is not the key of the first certificate in"), "{http}");
        assert!(admin.starts_with("error: `admin.tls_cert_file` "), "{admin}");
        assert!(admin.contains("holds no certificate; it must be PEM"), "{admin}");
    }
}
