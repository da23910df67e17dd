//! How much is kept, when that is too much, and what goes by its age.

use http::StatusCode;
use testbed::{Postgres, eventually};

use super::{count, keep, migrated};
use crate::service::{PATIENCE, World};

#[tokio::test]
async fn rejects_past_their_age_go_and_too_many_raise_the_alarm() {
    let (world, postgres) = migrated().await;
    keep(&world, postgres, "empty", b"old", "2 hours").await;
    keep(&world, postgres, "not_json", &[b'x'; 3000], "1 minute").await;
    let patient = world.serve("patient").await;
    let measured = async |replica: &crate::service::Replica, kept: f64| {
        eventually("the rejects are measured", PATIENCE, async || {
            (replica.measured("waybill_rejects_kept").await? >= kept).then_some(())
        })
        .await;
    };
    measured(&patient, 2.0).await;
    assert_eq!(count(&world, postgres, "rejected_messages").await, "2", "kept by default");
    let told = patient.admin("/readyz?verbose").await;
    assert!(told.text().contains("[+] rejects: 2 kept, 2.93 KiB\n"), "{}", told.text());

    let settings = [("WAYBILL_REJECTS__KEEP_FOR", "1h"), ("WAYBILL_REJECTS__ALARM_BYTES", "1KiB")];
    let strict = world.start("strict", &settings).await;
    strict.until_ready().await;
    measured(&strict, 1.0).await;
    let left = world.sql(postgres, "select reason from rejected_messages").await;
    assert_eq!(left, "not_json");
    for (series, value) in [
        ("waybill_rejects_kept", 1.0),
        ("waybill_rejects_bytes", 3000.0),
        ("waybill_rejects_alarm_bytes", 1024.0),
        ("waybill_rejects_alarm", 1.0),
        ("waybill_rejects_expired_total", 1.0),
    ] {
        assert!((strict.metric(series).await - value).abs() < 0.5, "{series} is not {value}");
    }
    let told = strict.admin("/readyz?verbose").await;
    assert_eq!(told.status, StatusCode::OK, "an alarm does not make it unready");
    assert!(told.text().contains("[-] rejects: 1 kept, 2.93 KiB, over"), "{}", told.text());
}

#[tokio::test]
async fn without_postgres_the_pages_say_so() {
    let mut postgres = Postgres::start().await.expect("a Postgres");
    let world = World::on(&postgres).await;
    let settings = [("WAYBILL_DATABASE__CONNECT_TIMEOUT", "500ms")];
    let replica = world.start("alone", &settings).await;
    replica.until_ready().await;
    eventually("the page is empty", PATIENCE, async || {
        replica.admin("/rejects").await.text().contains("No rejects.").then_some(())
    })
    .await;
    postgres.kill().expect("killed");
    for path in ["/rejects", "/rejects/1", "/rejects/1/payload"] {
        let reply = replica.admin(path).await;
        assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE, "{path}");
        assert!(reply.text().contains("Postgres does not answer"), "{}", reply.text());
        assert!(reply.headers.contains_key("retry-after"), "{path}");
    }
    assert_eq!(replica.admin("/static/style.css").await.status, StatusCode::OK);
}
