//! What could not become an order: kept, shown, retried, deleted.

mod hostile;
mod prune;
mod replay;
mod upkeep;

use bytes::Bytes;
use testbed::{Postgres, eventually};

use crate::service::{PATIENCE, World, order};

/// What a command came to.
struct Ran {
    code: i32,
    stdout: Vec<u8>,
    stderr: String,
}

impl Ran {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).expect("UTF-8")
    }
}

/// Runs `waybill rejects` with these arguments to its end.
async fn rejects(world: &World, arguments: &[&str]) -> Ran {
    rejects_with(world, arguments, &[]).await
}

async fn rejects_with(world: &World, arguments: &[&str], settings: &[(&str, &str)]) -> Ran {
    let arguments: Vec<&str> = ["rejects"].iter().chain(arguments).copied().collect();
    let mut command = world.command(&arguments);
    command.envs(settings.iter().copied()).stdin(std::process::Stdio::null());
    let mut command = tokio::process::Command::from(command);
    let output = command.kill_on_drop(true).output().await.expect("the command runs");
    let code = output.status.code().expect("an exit code");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    Ran { code, stdout: output.stdout, stderr }
}

/// A world with the schema in it and no service yet.
async fn migrated() -> (World, &'static Postgres) {
    let (world, postgres) = (World::new().await, Postgres::shared().await.expect("Postgres"));
    let mut command = tokio::process::Command::from(world.command(&["migrate"]));
    let output = command.kill_on_drop(true).output().await.expect("migrate runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    (world, postgres)
}

/// Keeps a reject of this age without a broker; its sequence is its own.
async fn keep(world: &World, postgres: &Postgres, reason: &str, payload: &[u8], age: &str) {
    let payload = crate::service::hex(payload);
    let sql = format!(
        "insert into rejected_messages (channel, sequence, sha256, reason, detail, payload, \
         first_seen) select 'orders', coalesce(max(sequence), 0) + 1, sha256('\\x{payload}'), \
         '{reason}', 'found \u{1b}[31m\u{202e}', '\\x{payload}', \
         clock_timestamp() - interval '{age}' from rejected_messages"
    );
    world.sql(postgres, &sql).await;
}

async fn count(world: &World, postgres: &Postgres, table: &str) -> String {
    world.sql(postgres, &format!("select count(*) from {table}")).await
}

#[tokio::test]
async fn a_message_is_not_acknowledged_before_its_reject_is_kept() {
    let (world, postgres) = migrated().await;
    let full = "create function full_disk() returns trigger language plpgsql as \
                $$ begin raise exception 'no space left' using errcode = '53100'; end $$; \
                create trigger full_disk before insert on rejected_messages \
                execute function full_disk()";
    world.sql(postgres, full).await;
    let replica = world.serve("careful").await;
    world.publish_raw([Bytes::from_static(b"no order"), order("fine")]).await;
    eventually("the reject could not be written, twice", PATIENCE, async || {
        let failed = replica.metric("waybill_ingest_errors_total{class=\"transient\"}").await;
        (failed >= 2.0).then_some(())
    })
    .await;
    eventually("the good order is acknowledged alone", PATIENCE, async || {
        (world.lag().await == Some((0, 1))).then_some(())
    })
    .await;
    assert_eq!(count(&world, postgres, "rejected_messages").await, "0");

    world.sql(postgres, "drop trigger full_disk on rejected_messages").await;
    world.until_drained().await;
    let kept = world.sql(postgres, "select sequence, reason from rejected_messages").await;
    assert_eq!(kept, "1|not_json");
}
