//! `waybill healthcheck`: the service's health as an exit code.

use testbed::Postgres;

use crate::service::World;

#[tokio::test]
async fn health_and_readiness_are_exit_codes_with_a_line_of_why() {
    let mut postgres = Postgres::start().await.expect("a Postgres of its own");
    let world = World::on(&postgres).await;
    let listen = |port: u16| format!("admin.listen=0.0.0.0:{port}");
    postgres.stop().await.expect("stopped");
    let mut replica = world.start("early", &[]).await;
    let port = listen(replica.admin.port());
    let (alive, ready) =
        (["healthcheck", "--set", &port], ["healthcheck", "--ready", "--set", &port]);
    let address = format!("http://{}", replica.admin);

    let (code, stdout, _) = world.run(&alive).await;
    assert_eq!((code, stdout), (0, format!("{address}/livez: ok\n")));
    let (code, stdout, _) = world.run(&ready).await;
    let waiting = "503 Service Unavailable, waiting for postgres and the schema";
    // The reason follows as soon as it is known.
    assert_eq!((code, stdout.starts_with(&format!("{address}/readyz: {waiting}"))), (1, true));

    postgres.start_again().await.expect("started");
    replica.until_ready().await;
    let (code, stdout, _) = world.run(&ready).await;
    assert_eq!((code, stdout), (0, format!("{address}/readyz: ready\n")));

    assert_eq!(replica.stop().await, Some(0));
    let (code, stdout, _) = world.run(&alive).await;
    assert_eq!(code, 1);
    assert!(stdout.contains("Connection refused"), "{stdout}");
}
