//! What every URL among the settings keeps to, whatever it leads to.
//!
//! A reason given here never repeats a part of the URL: where the password is in a URL that is
//! wrong, nobody can tell.

use percent_encoding::percent_decode_str;

/// Said of a URL that was cut in the wrong place, or would be.
const ENCODE: &str = "special characters of a password must be percent-encoded: `%` as `%25`, \
     `@` as `%40`, `/` as `%2F`, `?` as `%3F`, `#` as `%23`, `,` as `%2C`, `&` as `%26`";

/// A URL in parts, none of them decoded.
#[derive(Debug)]
pub(super) struct Parts<'url> {
    pub(super) scheme: &'url str,
    /// User and password, or one of them alone.
    pub(super) login: Option<&'url str>,
    /// Host and port, as they stand in the URL.
    pub(super) place: &'url str,
    /// From the first slash after the place.
    pub(super) path: &'url str,
    pub(super) query: &'url str,
}

/// Takes a URL apart as long as there is only one way to read it. A password with a `/`, `?` or
/// `#` ends the part that names the host, so that `postgres://me:12?3@host` would lead to port 12
/// of the host `me`; the `@` behind gives it away.
pub(super) fn split(url: &str) -> Result<Parts<'_>, String> {
    if url.chars().any(|letter| letter.is_whitespace() || letter.is_control()) {
        return Err("it holds a blank, a line end or a control character; in a password these \
                    must be percent-encoded, a blank as `%20`"
            .to_owned());
    }
    let Some((scheme, rest)) = url.split_once("://") else {
        return Err("it does not begin with a scheme and `://`".to_owned());
    };
    let (authority, rest) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    if rest.contains(['@', '#']) || authority.matches('@').count() > 1 || has_bare_percent(url) {
        return Err(ENCODE.to_owned());
    }
    let (login, place) = match authority.split_once('@') {
        Some((login, place)) => (Some(login), place),
        None => (None, authority),
    };
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    Ok(Parts { scheme, login, place, path, query })
}

/// The library's verdict on the whole. It names the kind of mistake and no part of the URL.
pub(super) fn check(url: &str) -> Result<(), String> {
    match url::Url::parse(url) {
        Ok(_) => Ok(()),
        Err(url::ParseError::InvalidPort) => {
            Err(format!("its port is not a number up to 65535; {ENCODE}"))
        }
        Err(error) => Err(format!("it is no URL: {error}")),
    }
}

/// A part with its `%xx` replaced.
pub(super) fn decoded(part: &str) -> Result<String, String> {
    let decoded = percent_decode_str(part).decode_utf8();
    decoded.map(String::from).map_err(|_| "its percent-encoding is not UTF-8".to_owned())
}

fn has_bare_percent(url: &str) -> bool {
    url.split('%').skip(1).any(|rest| {
        let code = rest.as_bytes().get(..2);
        !code.is_some_and(|code| code.iter().all(u8::is_ascii_hexdigit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_that_is_not_encoded_is_refused_and_not_repeated() {
        for password in ["12?S", "12/S", "12#S", "S@S", "S%S", "S%4", "S%", "12?a=S", "S@S?S"] {
            for scheme in ["postgres", "nats", "http"] {
                let reason =
                    split(&format!("{scheme}://me:{password}@host/db")).expect_err(password);
                assert!(reason.contains("must be percent-encoded"), "{password}: {reason}");
                assert!(!reason.contains('S'), "{password}: {reason}");
            }
        }
    }

    #[test]
    fn parts_are_cut_where_they_end() {
        let parts = split("postgres://me:p%40:w@host:1/db?a=b").expect("valid");
        assert_eq!((parts.scheme, parts.login), ("postgres", Some("me:p%40:w")));
        assert_eq!((parts.place, parts.path, parts.query), ("host:1", "/db", "a=b"));
        let parts = split("nats://host").expect("valid");
        assert_eq!((parts.login, parts.place, parts.path), (None, "host", ""));
    }
}
