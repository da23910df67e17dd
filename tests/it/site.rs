//! The page, the API and the admin port over real connections.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::Full;
use testbed::{Postgres, eventually};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::service::{MODEL, MODEL_UID, PATIENCE, Replica, Reply, World};

async fn with_the_model(settings: &[(&str, &str)]) -> (World, Replica) {
    let world = World::new().await;
    let replica = world.start("site", settings).await;
    replica.until_ready().await;
    world.publish_raw([Bytes::from_static(MODEL)]).await;
    world.until_drained().await;
    (world, replica)
}

async fn ask(replica: &Replica, method: Method, path: &str, headers: &[(&str, &str)]) -> Reply {
    let mut request =
        Request::builder().method(method).uri(format!("http://{}{path}", replica.site));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::default()).expect("a valid request");
    replica.request(request).await.expect("an answer")
}

#[tokio::test]
async fn an_order_is_answered_with_its_bytes_and_a_tag_to_ask_again_with() {
    let (_world, replica) = with_the_model(&[]).await;
    let path = format!("/api/v1/orders/{MODEL_UID}");
    let reply = replica.get(&path).await;
    assert_eq!((reply.status, &reply.body[..]), (StatusCode::OK, MODEL));
    assert_eq!(reply.headers["content-type"], "application/json");
    assert_eq!(reply.headers["cache-control"], "private, no-cache");
    assert_eq!(reply.headers["x-content-type-options"], "nosniff");
    let etag = reply.headers["etag"].to_str().expect("ASCII").to_owned();

    let head = ask(&replica, Method::HEAD, &path, &[]).await;
    assert_eq!((head.status, head.body.len()), (StatusCode::OK, 0));
    for name in ["content-length", "etag", "content-type"] {
        assert_eq!(head.headers[name], reply.headers[name], "{name}");
    }
    let unchanged = ask(&replica, Method::GET, &path, &[("if-none-match", &etag)]).await;
    assert_eq!((unchanged.status, unchanged.body.len()), (StatusCode::NOT_MODIFIED, 0));
    assert_eq!(unchanged.headers["etag"], etag.as_str());
    assert!(!unchanged.headers.contains_key("content-length"), "it would speak of the order");
    let changed = ask(&replica, Method::GET, &path, &[("if-none-match", "\"other\"")]).await;
    assert_eq!(changed.status, StatusCode::OK);

    let encoded = replica.order(&MODEL_UID.replace('b', "%62")).await;
    assert_eq!(encoded.status, StatusCode::OK, "valid characters may come encoded");
}

#[tokio::test]
async fn every_other_address_has_its_answer() {
    let (_world, replica) = with_the_model(&[]).await;
    let (long_uid, long_path) = ("u".repeat(129), "u".repeat(3_000));
    let api = |uid: &str| format!("/api/v1/orders/{uid}");
    let page = |uid: &str| format!("/orders/{uid}");
    let mut answers = String::new();
    for (method, path) in [
        (Method::GET, api("unknown")),
        (Method::GET, api("")),
        (Method::GET, api("a%2Fb")),
        (Method::GET, api("a/b")),
        (Method::GET, api("a%20b")),
        (Method::GET, api("%00")),
        (Method::GET, api("%D7%A9")),
        (Method::GET, api("..")),
        (Method::GET, api(&long_uid)),
        (Method::GET, api(&long_path)),
        (Method::POST, api(MODEL_UID)),
        (Method::GET, "/api/v2/orders".to_owned()),
        (Method::GET, "/api/v1/openapi.json".to_owned()),
        (Method::GET, page(MODEL_UID)),
        (Method::GET, page("unknown")),
        (Method::GET, page("a%2Fb")),
        (Method::DELETE, page(MODEL_UID)),
        (Method::GET, "/".to_owned()),
        (Method::GET, format!("/orders?uid=+{MODEL_UID}+")),
        (Method::GET, "/orders?uid=a/b".to_owned()),
        (Method::GET, "/orders".to_owned()),
        (Method::GET, "/static/style.css".to_owned()),
        (Method::GET, "/static/page.js".to_owned()),
        (Method::GET, "/nowhere".to_owned()),
    ] {
        let reply = ask(&replica, method.clone(), &path, &[]).await;
        let header =
            |name| reply.headers.get(name).map_or("-", |value| value.to_str().expect("ASCII"));
        let shown = if path.len() > 100 { &path[..40] } else { &path };
        writeln!(
            answers,
            "{method} {shown} {} {} {}",
            reply.status.as_u16(),
            header("content-type"),
            header("location")
        )
        .expect("a string takes all");
    }
    insta::assert_snapshot!(answers);
}

#[tokio::test]
async fn the_page_speaks_the_language_of_its_reader() {
    let (_world, replica) = with_the_model(&[]).await;
    let order = format!("/orders/{MODEL_UID}");
    let russian = [("accept-language", "ru-RU,ru;q=0.9,en;q=0.8")];
    let chosen = [("accept-language", "en"), ("cookie", "waybill_language=ru")];
    for (path, headers, language, text) in [
        (order.as_str(), &[][..], "en", "Postal code"),
        (&order, &russian, "ru", "26 ноября 2021, 06:22:19 UTC"),
        (&order, &chosen, "ru", "Индекс"),
        ("/", &russian, "ru", "Найти заказ"),
        ("/orders/unknown", &russian, "ru", "База данных опрошена"),
        ("/orders/a%20b", &russian, "ru", "знак 2"),
        ("/nowhere", &russian, "ru", "Такой страницы нет"),
    ] {
        let reply = ask(&replica, Method::GET, path, headers).await;
        assert_eq!(reply.headers["content-language"], language, "{path}");
        assert_eq!(reply.headers["vary"], "accept-language, cookie", "{path}");
        assert!(reply.text().contains(&format!("<html lang=\"{language}\">")), "{path}");
        assert!(reply.text().contains(text), "{path}: {}", reply.text());
    }

    let page = ask(&replica, Method::GET, &order, &russian).await;
    let change = format!("/orders?uid={MODEL_UID}&lang=en");
    assert!(page.text().contains(&change.replace('&', "&#38;")), "{}", page.text());
    let changed = ask(&replica, Method::GET, &change, &russian).await;
    assert_eq!(changed.status, StatusCode::SEE_OTHER);
    assert_eq!(changed.headers["location"], format!("/orders?uid={MODEL_UID}").as_str());
    let cookie = "waybill_language=en; Path=/; Max-Age=31536000; SameSite=Lax; HttpOnly";
    assert_eq!(changed.headers["set-cookie"], cookie);
}

#[tokio::test]
async fn what_was_pasted_leads_to_the_order_or_is_kept_to_be_mended() {
    let (_world, replica) = with_the_model(&[]).await;
    for pasted in ["%22{}%22%0D%0A", "http://shop/orders/{}?lang=ru", "%C2%AB{}%C2%BB"] {
        let path = format!("/orders?uid={}", pasted.replace("{}", MODEL_UID));
        let reply = replica.get(&path).await;
        assert_eq!(reply.headers["location"], format!("/orders/{MODEL_UID}").as_str(), "{path}");
    }
    let wrong = replica.get("/orders?uid=b563+feb7").await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
    assert!(wrong.text().contains("character 5 is “ ”"), "{}", wrong.text());
    assert!(wrong.text().contains("value=\"b563 feb7\""), "{}", wrong.text());
}

#[tokio::test]
async fn the_page_shows_the_customer_and_runs_no_script_but_its_own() {
    let (_world, replica) = with_the_model(&[]).await;
    let reply = replica.get(&format!("/orders/{MODEL_UID}")).await;
    assert!(reply.text().contains("Test Testov"));
    assert!(reply.text().contains("18.17"), "minor units of USD");
    let policy = reply.headers["content-security-policy"].to_str().expect("ASCII");
    assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{policy}");
}

#[tokio::test]
async fn the_admin_port_tells_health_and_metrics() {
    const SYSTEM: &str = "select system_identifier from pg_control_system()";
    let (world, replica) = with_the_model(&[]).await;
    assert_eq!(replica.admin("/livez").await.text(), "ok\n");
    assert_eq!(replica.admin("/readyz").await.text(), "ready\n");
    eventually("the rejects are measured", PATIENCE, async || {
        (replica.measured("waybill_rejects_alarm_bytes").await? > 0.5).then_some(())
    })
    .await;
    let verbose = replica.admin("/readyz?verbose").await;
    let primary = world.sql(Postgres::shared().await.expect("Postgres"), SYSTEM).await;
    insta::assert_snapshot!(verbose.text().replace(&primary, "7"), @"
    [+] cache: ready
    [+] postgres: answers
    [+] primary: timeline 1 of system 7
    [+] broker: session live
    [+] broker's monitor: not configured (broker.monitor_url)
    [+] rejects: 0 kept, 0 B
    ready
    ");
    replica.order(MODEL_UID).await;
    for (series, value) in [
        ("waybill_http_requests_total{code=\"200\",method=\"get\",route=\"order_api\"}", 1.0),
        ("waybill_cache_hits_total", 1.0),
        ("waybill_cache_entries", 1.0),
        ("waybill_ready", 1.0),
        ("waybill_stan_connected", 1.0),
        ("waybill_ingest_messages_total{result=\"stored\"}", 1.0),
    ] {
        assert!((replica.metric(series).await - value).abs() < f64::EPSILON, "{series}");
    }
}

#[tokio::test]
async fn the_lag_is_read_from_the_brokers_monitor() {
    let world = World::new().await;
    let monitor = world.broker.monitor_url();
    let settings = [("WAYBILL_BROKER__MONITOR_URL", monitor.as_str())];
    world.publish_raw([Bytes::from_static(MODEL)]).await;
    let replica = world.start("watcher", &settings).await;
    eventually("the monitor's word is in the metrics", PATIENCE, async || {
        // The series is absent until the monitor has answered.
        let metrics = replica.admin("/metrics").await;
        let told = metrics.text().contains("waybill_stan_subscription_last_sent_sequence 1\n");
        told.then_some(())
    })
    .await;
    assert!((replica.metric("waybill_stan_channel_last_sequence").await - 1.0).abs() < 0.1);
    assert!((replica.metric("waybill_stan_monitor_up").await - 1.0).abs() < 0.1);
}

#[tokio::test]
async fn a_peer_that_sends_its_head_too_slowly_is_closed() {
    let (_world, replica) = with_the_model(&[("WAYBILL_HTTP__HEADER_TIMEOUT", "500ms")]).await;
    let mut slow = TcpStream::connect(replica.site).await.expect("connected");
    let began = Instant::now();
    let dribble = async {
        for byte in b"GET / HTTP/1.1\r\nhost: x\r\nx-slow: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
            .iter()
            .cycle()
        {
            slow.write_all(&[*byte]).await?;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok::<_, std::io::Error>(())
    };
    let ended = timeout(Duration::from_secs(10), dribble).await.expect("it is closed");
    assert!(ended.is_err(), "the connection is closed under it");
    assert!(began.elapsed() >= Duration::from_millis(500));
}

#[tokio::test]
async fn an_idle_connection_is_closed_later_than_a_slow_head() {
    let settings =
        [("WAYBILL_HTTP__HEADER_TIMEOUT", "200ms"), ("WAYBILL_HTTP__IDLE_TIMEOUT", "1s")];
    let (_world, replica) = with_the_model(&settings).await;
    let mut idle = TcpStream::connect(replica.site).await.expect("connected");
    idle.write_all(b"HEAD / HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("sent");
    let mut answer = Vec::new();
    let began = Instant::now();
    let read = timeout(Duration::from_secs(10), idle.read_to_end(&mut answer));
    read.await.expect("it is closed").expect("a clean end");
    assert!(answer.starts_with(b"HTTP/1.1 200"));
    assert!(began.elapsed() >= Duration::from_millis(900), "{:?}", began.elapsed());
}

#[tokio::test]
async fn connections_beyond_the_limit_are_refused_and_the_others_served() {
    let (_world, replica) = with_the_model(&[("WAYBILL_HTTP__MAX_CONNECTIONS", "4")]).await;
    let mut held = Vec::new();
    for _ in 0..4 {
        let mut stream = TcpStream::connect(replica.site).await.expect("connected");
        stream.write_all(b"HEAD / HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("sent");
        let mut first = [0; 12];
        stream.read_exact(&mut first).await.expect("served");
        assert_eq!(&first, b"HTTP/1.1 200");
        held.push(stream);
    }
    let mut fifth = TcpStream::connect(replica.site).await.expect("the kernel connects");
    let mut nothing = Vec::new();
    let read = timeout(Duration::from_secs(10), fifth.read_to_end(&mut nothing)).await;
    read.expect("it is closed").ok();
    assert!(nothing.is_empty());
    held.pop();
    eventually("a place is free again", PATIENCE, async || {
        let mut stream = TcpStream::connect(replica.site).await.ok()?;
        stream.write_all(b"HEAD / HTTP/1.1\r\nhost: x\r\n\r\n").await.ok()?;
        let mut first = [0; 12];
        stream.read_exact(&mut first).await.ok()?;
        Some(())
    })
    .await;
}

#[tokio::test]
async fn a_busy_port_is_named_and_nothing_is_left_running() {
    let (world, replica) = with_the_model(&[]).await;
    let mut second = tokio::process::Command::from(world.command(&["serve"]));
    second.env("WAYBILL_HTTP__LISTEN", replica.site.to_string()).kill_on_drop(true);
    let output = timeout(PATIENCE, second.output()).await.expect("it ends").expect("it ran");
    assert_eq!(output.status.code(), Some(1));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        errors.contains(&format!("`http.listen` {} cannot be bound", replica.site)),
        "{errors}"
    );
}

#[tokio::test]
async fn asynchronous_commit_is_refused_at_the_start() {
    let world = World::new().await;
    let postgres = testbed::Postgres::shared().await.expect("Postgres");
    let off = format!("alter role {} set synchronous_commit = off", world.database.runtime_role);
    postgres.psql(&postgres.superuser_url(), &off).await.expect("set");
    let mut command = tokio::process::Command::from(world.command(&["serve"]));
    let output = timeout(PATIENCE, command.kill_on_drop(true).output()).await;
    let output = output.expect("it ends").expect("it ran");
    assert_eq!(output.status.code(), Some(1));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("synchronous_commit is off"), "{errors}");
}
