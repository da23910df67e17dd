//! What becomes of each parameter in the URL of Postgres.
//!
//! The driver takes a few and logs each of the others, with its value, at every connection; so it
//! gets none but those.

use std::collections::BTreeMap;

use super::{suggest, url};

/// What becomes of a parameter that is not empty; one that is counts as left out, as in libpq.
#[derive(Debug, Clone, Copy)]
enum Outcome {
    /// The driver gets it, and does what libpq does.
    Used,
    /// The driver gets it if it is one of these.
    UsedIf(&'static [&'static str]),
    /// Told to be ignored: it makes no difference that anybody could count on.
    Ignored,
    /// The same for these values. With another one, leaving it out would connect to another
    /// server, or less securely, than was asked for.
    IgnoredIf(&'static [&'static str]),
    /// No value of it can be followed, and leaving it out would do the same.
    Refused,
}

use Outcome::{Ignored, IgnoredIf, Refused, Used, UsedIf};

/// Which server a session may be with; not for the driver, which knows one.
pub(super) const TARGET_SESSION_ATTRS: &str = "target_session_attrs";

const NO: &[&str] = &["0"];
const SSL_MODES: &[&str] = &["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];

/// Every parameter that libpq 18 knows, and at the end those that only the driver does.
const PARAMETERS: &[(&str, Outcome)] = &[
    ("host", Used),
    ("hostaddr", Refused),
    ("port", Used),
    ("dbname", Used),
    ("user", Used),
    ("password", Used),
    ("passfile", Refused),
    ("require_auth", Refused),
    ("channel_binding", IgnoredIf(&["disable", "prefer"])),
    // `database.connect_timeout` counts.
    ("connect_timeout", Ignored),
    // The driver speaks UTF-8 only.
    ("client_encoding", Ignored),
    ("options", Used),
    ("application_name", Used),
    ("fallback_application_name", Ignored),
    ("keepalives", Ignored),
    ("keepalives_idle", Ignored),
    ("keepalives_interval", Ignored),
    ("keepalives_count", Ignored),
    ("tcp_user_timeout", Ignored),
    ("replication", IgnoredIf(&["false", "off", "no", "0"])),
    ("gssencmode", IgnoredIf(&["disable", "prefer"])),
    ("sslmode", UsedIf(SSL_MODES)),
    // What JDBC writes for sslmode=require, and libpq takes.
    ("ssl", UsedIf(&["true"])),
    ("requiressl", IgnoredIf(NO)),
    ("sslnegotiation", IgnoredIf(&["postgres"])),
    ("sslcompression", Ignored),
    ("sslcert", Used),
    ("sslkey", Used),
    ("sslkeylogfile", Ignored),
    // Of an encrypted key, which the driver cannot read and says so.
    ("sslpassword", Ignored),
    ("sslcertmode", IgnoredIf(&["allow"])),
    ("sslrootcert", Used),
    ("sslcrl", Refused),
    ("sslcrldir", Refused),
    ("sslsni", IgnoredIf(&["1"])),
    ("requirepeer", Refused),
    // The driver speaks no TLS below 1.2.
    ("ssl_min_protocol_version", IgnoredIf(&["TLSv1", "TLSv1.1", "TLSv1.2"])),
    ("ssl_max_protocol_version", Ignored),
    ("min_protocol_version", IgnoredIf(&["3.0"])),
    ("max_protocol_version", Ignored),
    ("krbsrvname", Ignored),
    ("gsslib", Ignored),
    ("gssdelegation", Ignored),
    ("scram_client_key", Refused),
    ("scram_server_key", Refused),
    ("service", Refused),
    ("servicefile", Refused),
    // The service writes.
    (TARGET_SESSION_ATTRS, UsedIf(&["any", "read-write", "primary"])),
    ("load_balance_hosts", IgnoredIf(&["disable"])),
    ("oauth_issuer", Refused),
    ("oauth_client_id", Refused),
    ("oauth_client_secret", Refused),
    ("oauth_scope", Refused),
    ("oauth_ca_file", Refused),
    ("statement-cache-capacity", Used),
];

/// The parameters of one URL: for the driver, and the names of those that are ignored.
#[derive(Debug, Default)]
pub(super) struct Parameters {
    pub(super) used: BTreeMap<String, String>,
    pub(super) ignored: Vec<&'static str>,
}

/// Sorts the parameters of a URL; of one that is repeated the last counts.
pub(super) fn parse(query: &str) -> Result<Parameters, String> {
    let mut parameters = Parameters::default();
    let mut after_secret = false;
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        let Some((name, value)) = parameter.split_once('=') else {
            return Err("one of its parameters has no `=`; a `?` or `&` in a password must be \
                        percent-encoded, as `%3F` and `%26`"
                .to_owned());
        };
        let (known, outcome) = find(name).ok_or_else(|| unknown(name, after_secret))?;
        after_secret |= known.contains("pass") || known.contains("secret");
        let value = url::decoded(value)?;
        match outcome {
            _ if value.is_empty() => {}
            Refused => return Err(format!("its parameter `{known}` is not supported")),
            UsedIf(values) | IgnoredIf(values) if !values.contains(&value.as_str()) => {
                let values = values.join("`, `");
                return Err(format!("its parameter `{known}` is supported only as `{values}`"));
            }
            Used | UsedIf(_) => drop(parameters.used.insert(name.to_owned(), value)),
            Ignored | IgnoredIf(_) => parameters.ignored.push(known),
        }
    }
    parameters.ignored.sort_unstable();
    parameters.ignored.dedup();
    secure(&mut parameters.used)?;
    Ok(parameters)
}

/// Where the driver would ask for less of the server's certificate than libpq does.
fn secure(used: &mut BTreeMap<String, String>) -> Result<(), String> {
    if used.remove("ssl").is_some() {
        used.entry("sslmode".to_owned()).or_insert_with(|| "require".to_owned());
    }
    let mode = used.get("sslmode").map(String::as_str);
    match (used.get("sslrootcert").map(String::as_str), mode) {
        // The system's authorities, which the driver uses when no others are named.
        (Some("system"), None | Some("verify-full")) => {
            used.remove("sslrootcert");
            used.insert("sslmode".to_owned(), "verify-full".to_owned());
        }
        (Some("system"), Some(_)) => {
            return Err("`sslrootcert=system` needs `sslmode=verify-full`".to_owned());
        }
        (Some(_), Some("require")) => {
            used.insert("sslmode".to_owned(), "verify-ca".to_owned());
        }
        _ => {}
    }
    Ok(())
}

fn find(name: &str) -> Option<(&'static str, Outcome)> {
    if name.starts_with("options[") && name.ends_with(']') {
        return Some(("options", Used));
    }
    PARAMETERS.iter().find(|(known, _)| *known == name).copied()
}

/// The name is repeated only where it cannot be the rest of a password with a bare `&`.
fn unknown(name: &str, after_secret: bool) -> String {
    let is_name = |letter: char| letter.is_ascii_alphanumeric() || "_-".contains(letter);
    if after_secret || name.len() > 40 || !name.chars().all(is_name) {
        return "one of its parameters is unknown; a `&` in a password must be percent-encoded, \
                as `%26`"
            .to_owned();
    }
    let guess = suggest::most_alike(name, PARAMETERS.iter().map(|(known, _)| *known))
        .map_or_else(String::new, |known| format!("; did you mean `{known}`?"));
    format!("its parameter `{name}` is unknown{guess}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What "Parameter Key Words" in the manual of PostgreSQL 18 lists.
    const LIBPQ: &str = "host hostaddr port dbname user password passfile require_auth \
        channel_binding connect_timeout client_encoding options application_name \
        fallback_application_name keepalives keepalives_idle keepalives_interval keepalives_count \
        tcp_user_timeout replication gssencmode sslmode requiressl sslnegotiation sslcompression \
        sslcert sslkey sslkeylogfile sslpassword sslcertmode sslrootcert sslcrl sslcrldir sslsni \
        requirepeer ssl_min_protocol_version ssl_max_protocol_version min_protocol_version \
        max_protocol_version krbsrvname gsslib gssdelegation scram_client_key scram_server_key \
        service servicefile target_session_attrs load_balance_hosts oauth_issuer oauth_client_id \
        oauth_client_secret oauth_scope oauth_ca_file";

    #[test]
    fn every_parameter_of_libpq_has_an_outcome_that_shows_no_value() {
        for name in LIBPQ.split_whitespace() {
            let (known, _) = find(name).expect(name);
            let outcome = parse(&format!("{known}=hunter2"));
            let told = outcome.as_ref().map_or_else(String::clone, |it| it.ignored.join(","));
            let used = outcome.is_ok_and(|parameters| parameters.used.contains_key(name));
            assert!(used || told.contains(name), "{name}: {told}");
            assert!(!told.contains("hunter2"), "{name}: {told}");
            let empty = parse(&format!("{name}=")).expect(name);
            assert!(empty.used.is_empty() && empty.ignored.is_empty(), "{name}");
        }
    }

    #[test]
    fn parameters_are_used_ignored_or_refused() {
        let fine = parse("sslmode=require&channel_binding=prefer&connect_timeout=10&sslpassword=x");
        let fine = fine.expect("valid");
        assert_eq!(fine.ignored, ["channel_binding", "connect_timeout", "sslpassword"]);
        assert_eq!(fine.used, BTreeMap::from([("sslmode".to_owned(), "require".to_owned())]));
        for (query, reason) in [
            (
                "channel_binding=require",
                "`channel_binding` is supported only as `disable`, `prefer`",
            ),
            ("sslmode=always", "`sslmode` is supported only as `disable`,"),
            ("sslcrl=/x", "`sslcrl` is not supported"),
            ("target_session_attrs=standby", "`target_session_attrs` is supported only as"),
            ("ssl-mode=require", "`ssl-mode` is unknown; did you mean `sslmode`?"),
            ("sslmod=require", "`sslmod` is unknown; did you mean `sslmode`?"),
            ("schema=x", "`schema` is unknown"),
            ("password=a&hunter2=b", "one of its parameters is unknown"),
            ("hunter2", "has no `=`"),
            ("user=%ff", "not UTF-8"),
        ] {
            let told = parse(query).expect_err(query);
            assert!(told.contains(reason), "{query}: {told}");
            assert!(!told.contains("hunter2"), "{query}: {told}");
        }
    }

    #[test]
    fn the_certificate_is_checked_as_libpq_does() {
        let mode = |query: &str| parse(query).map(|it| it.used.get("sslmode").cloned());
        let is = |mode: &str| Ok(Some(mode.to_owned()));
        assert_eq!(mode("sslmode=require&sslrootcert=/ca.pem"), is("verify-ca"));
        assert_eq!(mode("sslmode=verify-full&sslrootcert=/ca.pem"), is("verify-full"));
        assert_eq!(mode("sslrootcert=system"), is("verify-full"));
        assert_eq!(mode("ssl=true"), is("require"));
        mode("sslmode=require&sslrootcert=system").expect_err("the mode is too weak");
    }
}
