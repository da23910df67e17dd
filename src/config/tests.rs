//! The settings as a user meets them: precedence, mistakes, the manual.

mod mistakes;

use std::{collections::BTreeMap, fs, time::Duration};

use super::*;

/// Loads from a file with this text, these variables and these overrides. The
/// file's name reads `waybill.toml` in errors.
fn load(file: &str, variables: &[(&str, &str)], set: &[&str]) -> Result<Settings, Vec<String>> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("waybill.toml");
    fs::write(&path, file).expect("a file");
    let set: Vec<String> = set.iter().map(|&text| text.to_owned()).collect();
    let variables = variables.iter().map(|&(name, value)| (name.to_owned(), value.to_owned()));
    let folder = format!("{}/", folder.path().display());
    Settings::load(Some(&path), &set, variables).map_err(|error| {
        let problems = error.problems.iter();
        problems.map(|line| line.replace(&folder, "")).collect()
    })
}

fn problems(file: &str, variables: &[(&str, &str)], set: &[&str]) -> Vec<String> {
    load(file, variables, set).expect_err("a mistake")
}

#[test]
fn what_is_set_later_wins() {
    let file = "[broker]\nchannel = 'file'\ncluster_id = 'file'\nqueue_group = 'file'";
    let variables =
        [("WAYBILL_BROKER__CHANNEL", "variable"), ("WAYBILL_BROKER__CLUSTER_ID", "variable")];
    let set = ["broker.channel=first", "broker.channel=last"];

    let broker = load(file, &variables, &set).expect("valid").broker;

    assert_eq!(broker.channel, "last");
    assert_eq!(broker.cluster_id, "variable");
    assert_eq!(broker.queue_group, "file");
    assert_eq!(broker.durable_name, "waybill");
}

#[test]
fn values_keep_their_text_and_their_type() {
    let set = [
        "broker.channel=007",
        "database.runtime_role=",
        "telemetry.log_filter=info,waybill=debug",
        "ingest.max_message_bytes=65536",
        "cache.follow_interval=0s",
    ];
    let settings = load("[broker]\ncluster_id = 7", &[], &set).expect("valid");

    assert_eq!(settings.broker.channel, "007");
    assert_eq!(settings.broker.cluster_id, "7");
    assert_eq!(settings.database.runtime_role, None);
    assert_eq!(settings.telemetry.log_filter, "info,waybill=debug");
    assert_eq!(settings.ingest.max_message_bytes.bytes(), 65_536);
    assert_eq!(settings.cache.follow_interval, Duration::ZERO);
}

#[test]
fn variables_of_kubernetes_and_empty_ones_are_no_settings() {
    let variables = [
        ("WAYBILL_SERVICE_HOST", "10.0.0.1"),
        ("WAYBILL_SERVICE_PORT_HTTP", "80"),
        ("WAYBILL_PORT", "tcp://10.0.0.1:80"),
        ("WAYBILL_PORT_8080_TCP", "tcp://10.0.0.1:8080"),
        ("WAYBILL_PORT_8080_TCP_ADDR", "10.0.0.1"),
        ("WAYBILL_BROKER__CHANNEL", ""),
        ("OTHER_BROKER__CHANNEL", "no"),
        ("PATH", "/bin"),
    ];
    let settings = load("", &variables, &[]).expect("valid");
    assert_eq!(settings.broker.channel, "orders");
}

#[test]
fn the_client_id_is_the_host_name_made_legal() {
    let client_id =
        |variables: &[(&str, &str)]| load("", variables, &[]).expect("valid").broker.client_id;
    assert_eq!(client_id(&[("HOSTNAME", "waybill-7d.local")]), "waybill-7d-local");
    assert!(names::is_client_id(&client_id(&[])));
    let set = [("HOSTNAME", "host"), ("WAYBILL_BROKER__CLIENT_ID", "mine")];
    assert_eq!(client_id(&set), "mine");
}

/// Every section with its keys and their defaults, blanks left out; a key alone has
/// no fixed default.
const MANUAL: &str = "
broker: enabled=true url=nats://127.0.0.1:4222 cluster_id=waybill channel=orders queue_group=waybill durable_name=waybill client_id max_in_flight=4096 ack_wait=30s ping_interval=5s ping_max_out=6 monitor_url credentials_file tls_ca_file tls_cert_file tls_key_file
jetstream: url stream=ORDERS subject=orders consumer=waybill create=true replicas=1 max_ack_pending=32768 ack_wait=30s monitor_url credentials_file tls_ca_file tls_cert_file tls_key_file
database: url=postgres://waybill@127.0.0.1:5432/waybill url_file migrate_url erase_url migrate=true auto_repair=true runtime_role erase_role max_connections=8 connect_timeout=5s
ingest: enabled=true writers=2 batch_max_rows=500 batch_max_bytes=4MiB max_message_bytes=256KiB queue_max_bytes=256MiB
rejects: keep_for=0s alarm_bytes=1GiB
cache: max_bytes=512MiB warm_up=true cold_start_after=5m follow_interval=1s miss_concurrency=8 miss_timeout=2s
erasure: max_staleness=0s
http: listen=0.0.0.0:8080 max_connections=10000 header_timeout=10s idle_timeout=75s workers cache_control=private,no-cache base_path=/ amounts=minor tls_cert_file tls_key_file tls_client_ca_file
admin: listen=127.0.0.1:8081 tls_cert_file tls_key_file tls_client_ca_file
access: mode=none tokens_file issuer audience jwks_url jwks_file algorithms=ES256,EdDSA,RS256 leeway=30s scope_claim=scope keys_max_age=1day protect_metrics=false
audit: target=none file queue_records=10000 on_overflow=refuse trusted_proxies
shutdown: grace_before_drain=0s timeout=25s
telemetry: log_format log_filter=info otlp_endpoint trace_sample_ratio=0.01
";

/// The `key = value` lines of a manual, and the `# key = value` of those without a
/// default: name → default, if there is one.
fn documented(manual: &str) -> BTreeMap<String, Option<String>> {
    let mut documented = BTreeMap::new();
    let mut section = "";
    for line in manual.lines() {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']');
        } else if let Some((key, value)) = line.split_once(" = ") {
            let value = value.replace(['"', ' '], "");
            match key.strip_prefix("# ") {
                None => documented.insert(format!("{section}.{key}"), Some(value)),
                Some(key) => documented.insert(format!("{section}.{key}"), None),
            };
        }
    }
    documented
}

#[test]
fn the_manual_has_every_key_with_its_default() {
    let mut expected = BTreeMap::new();
    for line in MANUAL.lines().filter(|line| !line.is_empty()) {
        let (section, keys) = line.split_once(": ").expect("a section");
        for key in keys.split(' ') {
            let (key, default) = match key.split_once('=') {
                Some((key, default)) => (key, Some(default.to_owned())),
                None => (key, None),
            };
            expected.insert(format!("{section}.{key}"), default);
        }
    }
    assert_eq!(documented(DEFAULTS), expected);

    let mut reader = Reader::default();
    Broker::read(&mut reader.section("broker"));
    JetStream::read(&mut reader.section("jetstream"));
    Database::read(&mut reader.section("database"));
    Ingest::read(&mut reader.section("ingest"));
    Rejects::read(&mut reader.section("rejects"));
    Cache::read(&mut reader.section("cache"));
    Erasure::read(&mut reader.section("erasure"));
    Http::read(&mut reader.section("http"));
    Admin::read(&mut reader.section("admin"));
    Access::read(&mut reader.section("access"));
    Audit::read(&mut reader.section("audit"));
    Shutdown::read(&mut reader.section("shutdown"));
    Telemetry::read(&mut reader.section("telemetry"));
    let known: Vec<_> = reader.known().map(|(section, key)| format!("{section}.{key}")).collect();
    let expected: Vec<_> = expected.into_keys().collect();
    assert_eq!(sorted(known), sorted(expected));
}

fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names
}

#[test]
fn the_examples_of_the_manual_are_legal() {
    let files = ["credentials_file", "tls_", "url_file", "tokens_file", "jwks_file"];
    let uncommented: Vec<_> = DEFAULTS
        .lines()
        .filter(|line| !files.iter().any(|file| line.contains(file)))
        .map(|line| match line.strip_prefix("# ") {
            Some(example) if example.contains(" = ") => example,
            _ => line,
        })
        .collect();
    // Those of an issuer are of use with a mode of their own alone.
    load(&uncommented.join("\n"), &[], &["access.mode=jwt"]).expect("valid");
}

#[test]
fn what_is_shown_hides_passwords_names_sources_and_loads_again() {
    let file = "[broker]\nurl = 'nats://me:hunter2@h'\nclient_id = 'c'\n[http]\ncache_control = 'a=\"b\\c\"'";
    let variables = [("WAYBILL_DATABASE__URL", "postgres://me:hunter2@h/db?password=hunter2")];
    let set = [
        "database.migrate_url=postgres://boss:hunter2@h/db",
        "ingest.writers=3",
        "http.workers=007",
    ];
    let settings = load(file, &variables, &set).expect("valid");

    let shown = settings.to_toml();

    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(!format!("{settings:?}").contains("hunter2"), "{settings:?}");
    for line in [
        "url = \"postgres://me:***@h/db?password=***\" # from environment variable WAYBILL_DATABASE__URL",
        "migrate_url = \"postgres://boss:***@h/db\" # from --set",
        "writers = 3 # from --set",
        "workers = \"007\" # from --set",
        "channel = \"orders\"",
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line}\n{shown}");
    }
    let again = load(&shown, &[], &[]).expect("valid").to_toml();
    let without_sources = |toml: &str| -> Vec<String> {
        let lines = toml.lines().map(|line| line.split(" # from ").next());
        lines.map(|line| line.unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(without_sources(&again), without_sources(&shown));
}

#[test]
fn the_url_file_is_read_each_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("url");
    let write = |text: &str| fs::write(&path, text).expect("a file");
    write("postgres://me:old@h/db\n");
    let set = format!("database.url_file={}", path.display());
    let settings = load("", &[], &[&set]).expect("valid");
    let database = &settings.database;
    let url = || database.url().map(|url| url.expose().to_owned());

    assert_eq!(url().expect("a URL"), "postgres://me:old@h/db");
    write("postgres://me:new@h/db\r\n");
    assert_eq!(url().expect("a URL"), "postgres://me:new@h/db");
    let owner = database.migrate_url().expect("a URL");
    assert_eq!(owner.expose(), "postgres://me:new@h/db");

    write("hunter2");
    let error = url().expect_err("no URL").to_string();
    assert!(error.contains("holds no valid URL") && !error.contains("hunter2"), "{error}");
    fs::remove_file(&path).expect("the file");
    assert!(url().expect_err("no file").to_string().starts_with("cannot read "));
    load(&settings.to_toml(), &[], &[]).expect_err("its url_file is gone");
    write("postgres://me:new@h/db");
    load(&settings.to_toml(), &[], &[]).expect("what is shown is valid");
}

#[test]
fn blanks_and_line_ends_around_a_value_do_not_count() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("url");
    let path = path.display().to_string();
    for (before, after) in
        [("", "\n"), ("", "\r\n"), (" ", " "), ("\n\t", "\n\n"), ("\u{feff}", "\n")]
    {
        let around = |text: &str| format!("{before}{text}{after}");
        fs::write(&path, around("postgres://me:pw@h/db")).expect("a file");
        let values = [
            ("broker.url", "nats://me:pw@h"),
            ("broker.credentials_file", "Cargo.toml"),
            ("broker.monitor_url", "http://h:1"),
            ("database.migrate_url", "postgres://owner:pw@h/db"),
            ("database.url_file", &path),
            ("telemetry.otlp_endpoint", "http://h:2"),
        ];
        let set: Vec<_> =
            values.iter().map(|(name, value)| format!("{name}={}", around(value))).collect();
        let settings = load("", &[], &set.iter().map(String::as_str).collect::<Vec<_>>());
        let settings = settings.expect("valid");
        assert_eq!(settings.broker.url.addresses, "nats://h");
        assert_eq!(settings.broker.files.credentials, Some("Cargo.toml".into()));
        assert_eq!(settings.broker.monitor_url.as_deref(), Some("http://h:1"));
        assert_eq!(settings.telemetry.otlp_endpoint.as_deref(), Some("http://h:2"));
        let database = &settings.database;
        assert_eq!(database.url().expect("a URL").expose(), "postgres://me:pw@h/db");
        assert_eq!(database.migrate_url().expect("a URL").expose(), "postgres://owner:pw@h/db");

        let url = around("postgres://me:pw@h/db");
        let variables =
            [("WAYBILL_DATABASE__URL", url.as_str()), ("WAYBILL_DATABASE__URL_FILE", after)];
        let settings = load("", &variables, &[]).expect("valid");
        let url = settings.database.url().expect("a URL");
        assert_eq!(url.expose(), "postgres://me:pw@h/db");
    }
}

#[test]
fn a_password_that_is_not_encoded_is_refused_in_every_url() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("url");
    for password in ["12?hunter2", "12/hunter2", "12#hunter2", "12@hunter2", "hunter2%"] {
        for (name, scheme) in [
            ("database.url", "postgres"),
            ("database.migrate_url", "postgres"),
            ("broker.url", "nats"),
            ("broker.monitor_url", "http"),
            ("telemetry.otlp_endpoint", "http"),
        ] {
            let told = problems("", &[], &[&format!("{name}={scheme}://me:{password}@host/db")]);
            let [told] = told.as_slice() else { panic!("one mistake, not {told:#?}") };
            let start = format!("setting `{name}` from --set is `***`: ");
            assert!(told.starts_with(&start) && told.contains("percent-encoded"), "{told}");
            assert!(!told.contains("hunter2"), "{told}");
        }
        fs::write(&path, format!("postgres://me:{password}@host/db")).expect("a file");
        let set = format!("database.url_file={}", path.display());
        let settings = load("", &[], &[&set]).expect("valid");
        let told = settings.database.url().expect_err("no URL").to_string();
        assert!(told.contains("percent-encoded") && !told.contains("hunter2"), "{told}");
    }
}
