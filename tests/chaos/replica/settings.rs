//! The settings of a replica.

use testbed::Proxy;

use super::{Common, FOLLOW_INTERVAL, MAX_IN_FLIGHT, local};
use crate::world::{CONSUMER, STREAM, SUBJECT};

/// All but how servers are reached.
pub(super) fn all(name: &str, ports: [u16; 2]) -> Vec<(&'static str, String)> {
    let [site, admin] = ports.map(local);
    vec![
        ("BROKER__CLIENT_ID", name.to_owned()),
        ("BROKER__MAX_IN_FLIGHT", MAX_IN_FLIGHT.to_string()),
        ("BROKER__ACK_WAIT", "1s".to_owned()),
        ("BROKER__PING_INTERVAL", "1s".to_owned()),
        ("BROKER__PING_MAX_OUT", "2".to_owned()),
        ("JETSTREAM__STREAM", STREAM.to_owned()),
        ("JETSTREAM__SUBJECT", SUBJECT.to_owned()),
        ("JETSTREAM__CONSUMER", CONSUMER.to_owned()),
        ("JETSTREAM__MAX_ACK_PENDING", (3 * MAX_IN_FLIGHT).to_string()),
        ("JETSTREAM__ACK_WAIT", "1s".to_owned()),
        ("DATABASE__MAX_CONNECTIONS", "6".to_owned()),
        ("DATABASE__CONNECT_TIMEOUT", "1s".to_owned()),
        ("CACHE__FOLLOW_INTERVAL", format!("{}ms", FOLLOW_INTERVAL.as_millis())),
        ("CACHE__MISS_TIMEOUT", "500ms".to_owned()),
        ("HTTP__LISTEN", site.to_string()),
        ("HTTP__WORKERS", "1".to_owned()),
        ("ADMIN__LISTEN", admin.to_string()),
        ("SHUTDOWN__TIMEOUT", "3s".to_owned()),
        ("TELEMETRY__LOG_FORMAT", "json".to_owned()),
    ]
}

/// How Postgres is reached: by one link, or by two.
pub(super) fn database(
    common: &Common<'_>,
    (link, second): (&Proxy, Option<&Proxy>),
) -> Vec<(&'static str, String)> {
    let server = format!("127.0.0.1:{}/", common.postgres_port);
    let links: Vec<_> = [Some(link), second].into_iter().flatten().collect();
    let links: Vec<_> = links.iter().map(|link| format!("127.0.0.1:{}", link.port())).collect();
    let links = format!("{}/", links.join(","));
    let testbed::Database { url, owner_url, runtime_role, .. } = common.database;
    vec![
        ("DATABASE__URL", url.replace(&server, &links)),
        ("DATABASE__MIGRATE_URL", owner_url.replace(&server, &links)),
        ("DATABASE__RUNTIME_ROLE", runtime_role.clone()),
    ]
}

/// How the servers of messages are reached.
pub(super) fn links(broker: Option<&Proxy>, streams: &[Proxy]) -> Vec<(&'static str, String)> {
    let url = |link: &Proxy| format!("nats://127.0.0.1:{}", link.port());
    let mut settings = vec![("BROKER__ENABLED", broker.is_some().to_string())];
    settings.extend(broker.map(|link| ("BROKER__URL", url(link))));
    if !streams.is_empty() {
        let urls: Vec<String> = streams.iter().map(url).collect();
        settings.push(("JETSTREAM__URL", urls.join(",")));
        settings.push(("JETSTREAM__REPLICAS", streams.len().to_string()));
    }
    settings
}
