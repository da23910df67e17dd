//! `waybill verify`: confirmed orders that are not served as published are found.

use std::fs;

use bytes::Bytes;
use testbed::Postgres;

use crate::service::{Replica, World, order};

fn url(replica: &Replica) -> String {
    format!("http://{}", replica.site)
}

async fn verify(world: &World, replicas: &[&Replica]) -> (i32, String) {
    let mut arguments = vec!["verify".to_owned(), "--receipt".to_owned(), "receipt".to_owned()];
    arguments.extend(replicas.iter().flat_map(|replica| ["--url".to_owned(), url(replica)]));
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (code, stdout, stderr) = world.run(&arguments).await;
    (code, stdout + &stderr)
}

#[tokio::test]
async fn what_was_confirmed_is_held_against_every_replica_and_the_rejects() {
    let (world, postgres) = (World::new().await, Postgres::shared().await.expect("Postgres"));
    let (mut a, b) = (world.serve("a").await, world.serve("b").await);
    let mix = ["--bad-ratio", "0.1", "--duplicate-ratio", "0.1", "--seed", "11"];
    world.publish(&[&["--generate", "500", "--receipt", "receipt"], &mix[..]].concat()).await;
    world.until_drained().await;

    let (code, output) = verify(&world, &[&a, &b]).await;
    assert_eq!(code, 0, "{output}");
    assert!(output.contains("0 wrong, 0 missing, 0 absent rejects, 0 unanswered"), "{output}");

    // One row tampered with, one lost, one reject lost: seen by a replica that has not seen more.
    let tampered = "update orders set document = document || '\\x20' where order_uid = \
                    (select min(order_uid) from orders) returning order_uid";
    let tampered = world.sql(postgres, tampered).await;
    let lost = "delete from orders where order_uid = (select max(order_uid) from orders) \
                returning order_uid";
    let lost = world.sql(postgres, lost).await;
    let pruned = "delete from rejected_messages where id = (select min(id) from rejected_messages) \
                  returning encode(sha256, 'hex')";
    let pruned = world.sql(postgres, pruned).await;
    let fresh = world.serve("fresh").await;
    let (code, output) = verify(&world, &[&b, &fresh]).await;
    assert_eq!(code, 1, "{output}");
    let place = url(&fresh);
    let wrong = format!("wrong: order {tampered} at {place}: bytes never published");
    assert!(output.contains(&wrong), "{output}");
    assert!(output.contains(&format!("missing: order {lost} at {place}: ")), "{output}");
    assert!(output.contains(&format!("absent reject: sha256 {pruned}: ")), "{output}");
    assert!(output.contains("1 wrong, 1 missing, 1 absent reject, 0 unanswered"), "{output}");

    assert_eq!(a.stop().await, Some(0));
    let (code, output) = verify(&world, &[&a]).await;
    assert_eq!(code, 1, "{output}");
    assert!(output.contains(&format!("unanswered: order {tampered} at {}", url(&a))), "{output}");
}

#[tokio::test]
async fn after_the_loss_of_every_row_the_channel_gives_back_all_of_them() {
    let (world, postgres) = (World::new().await, Postgres::shared().await.expect("Postgres"));
    let mut replica = world.serve("first").await;
    let mix = ["--bad-ratio", "0.05", "--duplicate-ratio", "0.05", "--seed", "12"];
    world.publish(&[&["--generate", "3000", "--receipt", "receipt"], &mix[..]].concat()).await;
    // Two orders under one uid: either may win, and the other must be kept.
    let conflict = [order("twin"), Bytes::from([&order("twin")[..], b" "].concat())];
    for (name, document) in [("one.json", &conflict[0]), ("two.json", &conflict[1])] {
        fs::write(world.path().join(name), document).expect("a file");
    }
    world.publish(&["one.json", "two.json", "--receipt", "twins"]).await;
    world.until_drained().await;
    assert_eq!(replica.stop().await, Some(0));
    world.sql(postgres, "truncate orders, rejected_messages").await;

    // With room for a part of what the broker sends ahead, the rest is dropped and read again.
    let little = ["--set", "ingest.queue_max_bytes=256KiB"];
    let (code, stdout, stderr) =
        world.run(&[&["reconcile", "--repair"], &little[..]].concat()).await;
    assert_eq!(code, 0, "{stdout}{stderr}");
    assert!(stdout.contains(" 0 gone\n"), "{stdout}");

    let (a, b) = (world.serve("a").await, world.serve("b").await);
    let (url_a, url_b) = (url(&a), url(&b));
    let both = ["verify", "--receipt", "receipt", "twins", "--url", &url_a, &url_b];
    let (code, stdout, stderr) = world.run(&both).await;
    assert_eq!(code, 0, "{stdout}{stderr}");
    assert!(stdout.contains(" at 2 addresses"), "{stdout}");

    world.sql(postgres, "delete from rejected_messages where reason = 'conflict'").await;
    let (code, stdout, stderr) = world.run(&both).await;
    assert_eq!(code, 1, "{stdout}{stderr}");
    assert!(stdout.contains("another order won its uid, and no reject is kept"), "{stdout}");
}
