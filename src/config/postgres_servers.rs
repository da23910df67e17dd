//! A URL of Postgres that names several servers, as libpq knows them:
//! `postgres://one:5432,two:5433/db?target_session_attrs=primary`, or with lists in `host` and
//! `port`.

use std::fmt::Write as _;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::postgres_parameters::TARGET_SESSION_ATTRS;
use super::url;

/// Which server a session may be with (`target_session_attrs`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TargetSession {
    /// Any that answers.
    Any,
    /// One that takes writes by default, and is no standby.
    ReadWrite,
    /// One that is no standby.
    Primary,
}

/// The servers of a URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerUrls {
    /// A URL of each, with one host, for the driver; in the order of the list.
    pub urls: Vec<String>,
    /// Which of them is meant: of several the primary, if nothing is said; else any.
    pub target: TargetSession,
}

/// The servers of a URL whose parameters were checked.
///
/// # Errors
/// Why it cannot be read, without a part of it.
pub fn server_urls(text: &str) -> Result<ServerUrls, String> {
    let url::Parts { scheme, login, place, path, query } = url::split(text)?;
    let (mut hosts, mut ports, mut target) = (None, None, None);
    let mut others = Vec::new();
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        match name {
            "host" => hosts = Some(url::decoded(value)?),
            "port" => ports = Some(url::decoded(value)?),
            TARGET_SESSION_ATTRS => target = Some(url::decoded(value)?),
            _ => others.push(parameter),
        }
    }
    let authorities: Vec<&str> = place.split(',').collect();
    let hosts: Vec<&str> = hosts.as_deref().map_or_else(Vec::new, |list| list.split(',').collect());
    let ports: Vec<&str> = ports.as_deref().map_or_else(Vec::new, |list| list.split(',').collect());
    let count = if hosts.is_empty() { authorities.len() } else { hosts.len() };
    if authorities.len() > 1 && authorities.len() != count {
        return Err("it names several hosts before its path and others in `host`".to_owned());
    }
    if ports.len() > 1 && ports.len() != count {
        return Err("its `port` must be one number, or one for each host".to_owned());
    }
    let login = login.map_or_else(String::new, |login| format!("{login}@"));
    let server = |number: usize| {
        let place = authorities.get(number).unwrap_or(&authorities[0]);
        let mut parameters: Vec<String> = others.iter().map(|&other| other.to_owned()).collect();
        let mut add = |name: &str, value: &str| {
            parameters.push(format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC)));
        };
        if let Some(host) = hosts.get(number) {
            add("host", host);
        }
        if let Some(port) = ports.get(number).or(ports.first()) {
            add("port", port);
        }
        let mut server = format!("{scheme}://{login}{place}{path}");
        if !parameters.is_empty() {
            // Writing to a string cannot fail.
            let _ = write!(server, "?{}", parameters.join("&"));
        }
        server
    };
    let target = match target.as_deref() {
        Some("read-write") => TargetSession::ReadWrite,
        Some("primary") => TargetSession::Primary,
        None if count > 1 => TargetSession::Primary,
        _ => TargetSession::Any,
    };
    Ok(ServerUrls { urls: (0..count).map(server).collect(), target })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_server_has_a_url_of_its_own() {
        for (text, urls, target) in [
            (
                "postgres://me:a%2Cb@h:1/db?sslmode=require",
                &["postgres://me:a%2Cb@h:1/db?sslmode=require"][..],
                TargetSession::Any,
            ),
            (
                "postgres://me@a:1,b:2/db",
                &["postgres://me@a:1/db", "postgres://me@b:2/db"],
                TargetSession::Primary,
            ),
            (
                "postgres://a,b/db?port=7&options=-c%20x%3Dy",
                &[
                    "postgres://a/db?options=-c%20x%3Dy&port=7",
                    "postgres://b/db?options=-c%20x%3Dy&port=7",
                ],
                TargetSession::Primary,
            ),
            (
                "postgres://a,[::1]:2/db?target_session_attrs=any",
                &["postgres://a/db", "postgres://[::1]:2/db"],
                TargetSession::Any,
            ),
            (
                "postgres:///db?host=a,%2Frun&port=1,2&target_session_attrs=read%2Dwrite",
                &["postgres:///db?host=a&port=1", "postgres:///db?host=%2Frun&port=2"],
                TargetSession::ReadWrite,
            ),
            (
                "postgres://h/db?target_session_attrs=primary",
                &["postgres://h/db"],
                TargetSession::Primary,
            ),
        ] {
            let found = server_urls(text).expect(text);
            assert_eq!(found.urls, urls, "{text}");
            assert_eq!(found.target, target, "{text}");
        }
    }

    #[test]
    fn lists_that_do_not_fit_together_are_refused() {
        for text in ["postgres://a,b/db?port=1,2,3", "postgres://a,b,c/db?host=d,e"] {
            server_urls(text).expect_err(text);
        }
    }
}
