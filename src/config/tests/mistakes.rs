//! What a user is told about settings that are wrong.

use std::path::Path;

use super::{Settings, load, problems};

/// An assignment, and what follows "setting" in its error.
const MISTAKES: &[(&str, &str)] = &[
    (
        "broker.url=http://h",
        "`broker.url` from --set is `***`: it begins with neither `nats://` nor `tls://`; it must be one or more URLs such as `nats://127.0.0.1:4222`, `tls://user:password@host` or `nats://token@host`, separated by commas",
    ),
    (
        "broker.cluster_id=a b",
        "`broker.cluster_id` from --set is `a b`; it must be 1 to 128 letters, digits, `-`, `_` and `.`",
    ),
    (
        "broker.channel=a..b",
        "`broker.channel` from --set is `a..b`; it must be a name without blanks, `*`, `>` and `/`, and without empty parts between dots, that does not begin with `jetstream:`",
    ),
    (
        "broker.channel=jetstream:ORDERS",
        "`broker.channel` from --set is `jetstream:ORDERS`; it must be a name without blanks, `*`, `>` and `/`, and without empty parts between dots, that does not begin with `jetstream:`",
    ),
    (
        "jetstream.stream=OR.DERS",
        "`jetstream.stream` from --set is `OR.DERS`; it must be 1 to 128 printable ASCII characters without blanks, `.`, `*`, `>`, `/` and `\\`",
    ),
    (
        "broker.queue_group=a:b",
        "`broker.queue_group` from --set is `a:b`; it must be 1 to 128 printable ASCII characters without blanks and `:`",
    ),
    (
        "broker.durable_name=a:b",
        "`broker.durable_name` from --set is `a:b`; it must be 1 to 128 printable ASCII characters without blanks and `:`",
    ),
    (
        "broker.client_id=a.b",
        "`broker.client_id` from --set is `a.b`; it must be 1 to 128 letters, digits, `-` and `_`",
    ),
    (
        "broker.max_in_flight=0",
        "`broker.max_in_flight` from --set is `0`; it must be a whole number from 1 to 1000000",
    ),
    (
        "broker.ack_wait=1500ms",
        "`broker.ack_wait` from --set is `1500ms`; it must be a duration in whole seconds such as `30s` from 1s to 1h",
    ),
    (
        "broker.ping_interval=30",
        "`broker.ping_interval` from --set is `30`; it must be a duration in whole seconds such as `30s` from 1s to 1h",
    ),
    (
        "broker.ping_max_out=1",
        "`broker.ping_max_out` from --set is `1`; it must be a whole number from 2 to 1000",
    ),
    (
        "broker.monitor_url=http://me:pw@h",
        "`broker.monitor_url` from --set is `***`: it holds a user or a password; it must be a URL such as `http://127.0.0.1:4318`, without user and password",
    ),
    (
        "broker.credentials_file=/nowhere",
        "`broker.credentials_file` from --set is `/nowhere`; it must be a file that can be read",
    ),
    (
        "broker.tls_ca_file=/",
        "`broker.tls_ca_file` from --set is `/`; it must be a file that can be read",
    ),
    (
        "broker.tls_cert_file=Cargo.toml",
        "`broker.tls_cert_file` from --set (`Cargo.toml`) contradicts setting `broker.tls_key_file`: a certificate and its key must be set both or not at all",
    ),
    (
        "http.tls_key_file=Cargo.toml",
        "`http.tls_cert_file` contradicts setting `http.tls_key_file` from --set (`Cargo.toml`): a certificate and its key must be set both or not at all",
    ),
    (
        "admin.tls_client_ca_file=Cargo.toml",
        "`admin.tls_cert_file` contradicts setting `admin.tls_client_ca_file` from --set (`Cargo.toml`): clients are asked for certificates over TLS alone: the first must be set",
    ),
    (
        "database.url=postgres://me:p/w@h/db",
        "`database.url` from --set is `***`: special characters of a password must be percent-encoded: `%` as `%25`, `@` as `%40`, `/` as `%2F`, `?` as `%3F`, `#` as `%23`, `,` as `%2C`, `&` as `%26`; it must be a URL such as `postgres://user:password@host:5432/database`, or of several hosts divided by commas, special characters of the password percent-encoded",
    ),
    (
        "database.url=",
        "`database.url` from --set is empty; it must be a URL such as `postgres://user:password@host:5432/database`, or of several hosts divided by commas, special characters of the password percent-encoded",
    ),
    (
        "database.migrate=yes",
        "`database.migrate` from --set is `yes`; it must be `true` or `false`",
    ),
    (
        "database.runtime_role=0123456789012345678901234567890123456789012345678901234567890123",
        "`database.runtime_role` from --set is `0123456789012345678901234567890123456789012345678901234567890123`; it must be the name of a role, 1 to 63 bytes, not `public` or `none`",
    ),
    (
        "database.runtime_role=public",
        "`database.runtime_role` from --set is `public`; it must be the name of a role, 1 to 63 bytes, not `public` or `none`",
    ),
    (
        "database.max_connections=8.0",
        "`database.max_connections` from --set is `8.0`; it must be a whole number from 1 to 1000",
    ),
    (
        "database.connect_timeout=1h",
        "`database.connect_timeout` from --set is `1h`; it must be a duration such as `30s` or `500ms` from 100ms to 5m",
    ),
    (
        "ingest.writers=65",
        "`ingest.writers` from --set is `65`; it must be a whole number from 1 to 64",
    ),
    (
        "ingest.batch_max_rows=-1",
        "`ingest.batch_max_rows` from --set is `-1`; it must be a whole number from 1 to 10000",
    ),
    (
        "ingest.max_message_bytes=65MiB",
        "`ingest.max_message_bytes` from --set is `65MiB`; it must be a size such as `4MiB` or `1000` from 1KiB to 64MiB",
    ),
    (
        "cache.max_bytes=512MB",
        "`cache.max_bytes` from --set is `512MB`; it must be a size such as `4MiB` or `1000` from 64KiB to 16TiB",
    ),
    (
        "cache.follow_interval=1ms",
        "`cache.follow_interval` from --set is `1ms`; it must be `0s` (off) or a duration from 100ms to 1h",
    ),
    (
        "cache.miss_timeout=2",
        "`cache.miss_timeout` from --set is `2`; it must be a duration such as `30s` or `500ms` from 10ms to 1m",
    ),
    (
        "http.listen=localhost:80",
        "`http.listen` from --set is `localhost:80`; it must be an IP address and port such as `0.0.0.0:8080`",
    ),
    (
        "http.workers=0",
        "`http.workers` from --set is `0`; it must be a whole number from 1 to 1024",
    ),
    (
        "http.cache_control=a\nb",
        "`http.cache_control` from --set is `a\\nb`; it must be the value of a Cache-Control header such as `private, no-cache`",
    ),
    ("http.amounts=cents", "`http.amounts` from --set is `cents`; it must be `minor` or `major`"),
    ("access.mode=on", "`access.mode` from --set is `on`; it must be `none`, `tokens` or `jwt`"),
    (
        "access.tokens_file=/nowhere",
        "`access.tokens_file` from --set is `/nowhere`; it must be a file that can be read",
    ),
    (
        "access.jwks_url=https://me:pw@h/keys",
        "`access.jwks_url` from --set is `***`: it holds a user or a password; it must be a URL such as `https://issuer.example/jwks.json`, without user and password",
    ),
    (
        "access.jwks_url=ftp://h/keys",
        "`access.jwks_url` from --set is `***`: it begins with neither `https://` nor `http://`; it must be a URL such as `https://issuer.example/jwks.json`, without user and password",
    ),
    (
        "access.algorithms=RS256, none",
        "`access.algorithms` from --set is `RS256, none`; it must be a list such as `ES256, EdDSA, RS256`, of ES256, ES384, EdDSA, RS256, RS384, RS512, PS256, PS384 and PS512; `none` and the algorithms of shared secrets (HS256 and the like) are never accepted",
    ),
    (
        "access.algorithms=HS256",
        "`access.algorithms` from --set is `HS256`; it must be a list such as `ES256, EdDSA, RS256`, of ES256, ES384, EdDSA, RS256, RS384, RS512, PS256, PS384 and PS512; `none` and the algorithms of shared secrets (HS256 and the like) are never accepted",
    ),
    (
        "access.leeway=1h",
        "`access.leeway` from --set is `1h`; it must be a duration such as `30s` or `500ms` from 0s to 10m",
    ),
    (
        "access.keys_max_age=1s",
        "`access.keys_max_age` from --set is `1s`; it must be a duration such as `30s` or `500ms` from 1m to 30days",
    ),
    (
        "shutdown.timeout=0s",
        "`shutdown.timeout` from --set is `0s`; it must be a duration such as `30s` or `500ms` from 1s to 1h",
    ),
    (
        "telemetry.log_format=xml",
        "`telemetry.log_format` from --set is `xml`; it must be `text` or `json`",
    ),
    (
        "telemetry.log_filter=waybill=loud",
        "`telemetry.log_filter` from --set is `waybill=loud`; it must be a level (`error`, `warn`, `info`, `debug`, `trace`, `off`) or a list such as `info,waybill::ingest=debug`",
    ),
    (
        "telemetry.otlp_endpoint=h:4318",
        "`telemetry.otlp_endpoint` from --set is `***`: it does not begin with a scheme and `://`; it must be a URL such as `http://127.0.0.1:4318`, without user and password",
    ),
    (
        "telemetry.trace_sample_ratio=1.1",
        "`telemetry.trace_sample_ratio` from --set is `1.1`; it must be a number from 0 to 1",
    ),
    (
        "telemetry.trace_sample_ratio=NaN",
        "`telemetry.trace_sample_ratio` from --set is `NaN`; it must be a number from 0 to 1",
    ),
];

#[test]
fn a_mistake_names_the_setting_the_source_and_what_is_legal() {
    for (set, problem) in MISTAKES {
        assert_eq!(problems("", &[], &[set]), [format!("setting {problem}")]);
    }
}

#[test]
fn each_source_is_called_by_its_name() {
    let variable = [("WAYBILL_DATABASE__MAX_CONNECTIONS", "many")];
    let valid = "it must be a whole number from 1 to 1000";
    assert_eq!(
        problems("", &variable, &[]),
        [format!(
            "setting `database.max_connections` from environment variable WAYBILL_DATABASE__MAX_CONNECTIONS is `many`; {valid}"
        )],
    );
    assert_eq!(
        problems("[database]\nmax_connections = 0", &[], &[]),
        [format!("setting `database.max_connections` from waybill.toml is `0`; {valid}")],
    );
    assert_eq!(
        problems("[database]\nmax_connections = [1]", &[], &[]),
        [format!(
            "setting `database.max_connections` from waybill.toml is a list or table; {valid}"
        )],
    );
}

#[test]
fn unknown_names_are_refused_with_the_nearest_known_one() {
    let chanel = "unknown setting `broker.chanel` in";
    let meant = "did you mean `broker.channel`?";
    assert_eq!(
        problems("broker.chanel = 'a'", &[], &[]),
        [format!("{chanel} waybill.toml; {meant}")],
    );
    assert_eq!(
        problems("", &[("WAYBILL_BROKER__CHANEL", "a")], &[]),
        [format!("{chanel} environment variable WAYBILL_BROKER__CHANEL; {meant}")],
    );
    assert_eq!(problems("", &[], &["broker.chanel=a"]), [format!("{chanel} `--set`; {meant}")]);
    for (file, problem) in [
        (
            "[brokr]\nurl = 'a'",
            "unknown setting `brokr.url` in waybill.toml; did you mean `broker.url`?",
        ),
        (
            "[nats]\nclient_id = 'a'",
            "unknown setting `nats.client_id` in waybill.toml; did you mean `broker.client_id`?",
        ),
        ("[redis]\nport = 1", "unknown setting `redis.port` in waybill.toml"),
        (
            "client_id = 'a'",
            "unknown setting `client_id` in waybill.toml; did you mean `broker.client_id`?",
        ),
        (
            "broker = 5",
            "`broker` in waybill.toml is a section; write `[broker]` and its settings below",
        ),
        ("[redis]", "unknown section `redis`"),
    ] {
        assert_eq!(problems(file, &[], &[]), [problem], "{file}");
    }
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    for (set, problem) in [
        (
            ["ingest.batch_max_bytes=1KiB", "ingest.writers=1"],
            "setting `ingest.batch_max_bytes` from --set (`1KiB`) contradicts setting `ingest.max_message_bytes` from the defaults (`256KiB`): the first must not be smaller, or the longest message fits no batch",
        ),
        (
            ["ingest.queue_max_bytes=1KiB", "ingest.writers=1"],
            "setting `ingest.queue_max_bytes` from --set (`1KiB`) contradicts setting `ingest.max_message_bytes` from the defaults (`256KiB`): the first must not be smaller, or the longest message is never taken",
        ),
        (
            ["shutdown.grace_before_drain=5s", "shutdown.timeout=5s"],
            "setting `shutdown.grace_before_drain` from --set (`5s`) contradicts setting `shutdown.timeout` from --set (`5s`): the first must be shorter, or no time is left to stop in",
        ),
        (
            ["admin.listen=127.0.0.1:8080", "ingest.writers=1"],
            "setting `http.listen` from the defaults (`0.0.0.0:8080`) contradicts setting `admin.listen` from --set (`127.0.0.1:8080`): the two must differ",
        ),
        (
            ["database.url=postgres://me:pw@h/db", "database.url_file=Cargo.toml"],
            "setting `database.url` from --set (`postgres://me:***@h/db`) contradicts setting `database.url_file` from --set (`Cargo.toml`): only one of the two may be set",
        ),
    ] {
        assert_eq!(problems("", &[], &set), [problem]);
    }
    let jwt = ["access.mode=jwt", "access.issuer=i", "access.audience=a"];
    let (url, file) = ("access.jwks_url=http://h/keys", "access.jwks_file=Cargo.toml");
    let needs = |key: &str, mode: &str| {
        format!("setting `access.{key}` is not set; `access.mode` is `{mode}`, which needs it")
    };
    let unused = |key: &str, mode: &str, needed: &str| {
        format!(
            "setting `access.{key}` contradicts `access.mode`, which is `{mode}`: the first is not \
             used; the second must be `{needed}`, or the first be left out"
        )
    };
    for (set, told) in [
        (vec!["access.mode=tokens"], vec![needs("tokens_file", "tokens")]),
        (
            vec!["access.mode=jwt"],
            vec![
                needs("issuer", "jwt"),
                needs("audience", "jwt"),
                needs("jwks_url` or `access.jwks_file", "jwt"),
            ],
        ),
        (vec!["access.tokens_file=Cargo.toml"], vec![unused("tokens_file", "none", "tokens")]),
        (vec![url], vec![unused("jwks_url", "none", "jwt")]),
        (
            vec!["access.mode=tokens", "access.tokens_file=Cargo.toml", file],
            vec![unused("jwks_file", "tokens", "jwt")],
        ),
        (
            [&jwt[..], &[url, file]].concat(),
            vec![
                "setting `access.jwks_url` contradicts `access.jwks_file`: only one of the two may \
                 be set"
                    .to_owned(),
            ],
        ),
    ] {
        assert_eq!(problems("", &[], &set), told, "{set:?}");
    }
    for cache_control in
        ["public, max-age=60", "no-cache", "private, s-maxage=1", "PUBLIC, private"]
    {
        let cache_control = format!("http.cache_control={cache_control}");
        let told = problems("", &[], &[&jwt[..], &[url, &cache_control]].concat());
        let [told] = told.as_slice() else { panic!("one mistake, not {told:#?}") };
        assert!(told.contains("contradicts setting `http.cache_control` from --set"), "{told}");
        load("", &[], &[&*cache_control]).expect("without tokens it is for who runs it to say");
    }
    for cache_control in ["private", "No-Store", "max-age=60, private"] {
        let cache_control = format!("http.cache_control={cache_control}");
        load("", &[], &[&jwt[..], &[url, &cache_control]].concat()).expect(&cache_control);
    }
    let free_ports = ["http.listen=127.0.0.1:0", "admin.listen=127.0.0.1:0"];
    load("", &[], &free_ports).expect("two free ports differ");
}

#[test]
fn every_mistake_is_reported_at_once() {
    let file = "[http]\nlisten = 1\nlissten = 2";
    let variables = [("WAYBILL_CACHE__WARM_UP", "perhaps")];
    let problems = problems(file, &variables, &["broker", "nowhere=1"]);
    assert_eq!(problems.len(), 5, "{problems:#?}");
    let not_an_assignment = "--set `broker` is not an assignment; it must be `section.key=value`";
    assert!(problems.contains(&not_an_assignment.to_owned()), "{problems:#?}");
}

#[test]
fn a_file_that_is_no_toml_is_refused_without_quoting_it() {
    let problems = problems("[database]\nurl = postgres://me:hunter2@h/db", &[], &[]);
    let [problem] = problems.as_slice() else {
        panic!("one mistake, not {problems:#?}");
    };
    assert!(problem.starts_with("waybill.toml is not TOML: line 2, column 7: "), "{problem}");
    assert!(!problem.contains("hunter2"), "{problem}");
}

#[test]
fn a_file_that_was_named_must_exist() {
    let error = Settings::load(Some(Path::new("/nowhere/x.toml")), &[], std::iter::empty())
        .expect_err("no such file");
    assert_eq!(
        error.to_string(),
        "cannot read /nowhere/x.toml: No such file or directory (os error 2)"
    );
}
