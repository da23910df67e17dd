//! The URLs of the broker, and the login in them.

use super::{Secret, url};

/// What must be written as the address of the broker.
pub(super) const BROKER_URL: &str = "one or more URLs such as `nats://127.0.0.1:4222`, \
     `tls://user:password@host` or `nats://token@host`, separated by commas";

/// The servers of one broker and how to log in to them.
#[derive(Debug, Clone, Default)]
pub struct BrokerUrl {
    /// The URLs without their logins, separated by commas: as they may be shown.
    pub addresses: String,
    /// The login, which is the same for all.
    pub login: Option<Login>,
}

/// What a URL can log in with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Login {
    /// `nats://user:password@host`.
    Password {
        /// The user that the server knows.
        user: String,
        /// The password of the user, decoded.
        password: Secret,
    },
    /// `nats://token@host`.
    Token(Secret),
}

/// Reads URLs separated by commas.
pub(super) fn parse(text: &str) -> Result<BrokerUrl, String> {
    let mut addresses = Vec::new();
    let mut logins: Vec<Login> = Vec::new();
    for part in text.split(',') {
        if !part.contains("://") {
            return Err("one of its parts does not begin with a scheme; a `,` in a password must \
                        be percent-encoded, as `%2C`"
                .to_owned());
        }
        let (address, login) = parse_one(part.trim())?;
        addresses.push(address);
        logins.extend(login);
    }
    // The client has one login, which it gives to every server.
    logins.dedup();
    if logins.len() > 1 {
        return Err("its URLs hold different logins, and only one can be used".to_owned());
    }
    Ok(BrokerUrl { addresses: addresses.join(","), login: logins.pop() })
}

fn parse_one(text: &str) -> Result<(String, Option<Login>), String> {
    let parts = url::split(text)?;
    if !["nats", "tls"].contains(&parts.scheme) {
        return Err("it begins with neither `nats://` nor `tls://`".to_owned());
    }
    if parts.place.is_empty() || parts.place.starts_with(':') {
        return Err("it names no host".to_owned());
    }
    if !matches!(parts.path, "" | "/") || !parts.query.is_empty() {
        return Err("nothing may follow the host and its port".to_owned());
    }
    url::check(text)?;
    let login = parts.login.map(parse_login).transpose()?;
    Ok((format!("{}://{}", parts.scheme, parts.place), login))
}

fn parse_login(login: &str) -> Result<Login, String> {
    let (user, password) = match login.split_once(':') {
        Some((user, password)) => (user, Some(password)),
        None => (login, None),
    };
    let user = url::decoded(user)?;
    if user.is_empty() {
        return Err("its login is without a user or a token".to_owned());
    }
    Ok(match password {
        Some(password) => Login::Password { user, password: Secret::new(url::decoded(password)?) },
        None => Login::Token(Secret::new(user)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::new(text.to_owned())
    }

    #[test]
    fn the_login_and_the_addresses_are_told_apart() {
        let token = |token: &str| Some(Login::Token(secret(token)));
        let password = |user: &str, password: &str| {
            Some(Login::Password { user: user.to_owned(), password: secret(password) })
        };
        for (text, addresses, login) in [
            ("nats://127.0.0.1:4222", "nats://127.0.0.1:4222", None),
            ("nats://[::1]:4222/", "nats://[::1]:4222", None),
            ("nats://t%40ken@host:4222", "nats://host:4222", token("t@ken")),
            ("nats://user:a%40b%3A%2F@h", "nats://h", password("user", "a@b:/")),
            ("tls://user:a:b@h", "tls://h", password("user", "a:b")),
            ("nats://me:***@broker", "nats://broker", password("me", "***")),
            (
                "nats://a, tls://u:p@b:1 ,nats://u:p@c",
                "nats://a,tls://b:1,nats://c",
                password("u", "p"),
            ),
        ] {
            let url = parse(text).expect(text);
            assert_eq!((url.addresses.as_str(), url.login), (addresses, login), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_used_is_refused_with_the_reason() {
        for (text, reason) in [
            ("broker:4222", "scheme"),
            ("http://broker", "neither `nats://` nor `tls://`"),
            ("ws://broker", "neither `nats://` nor `tls://`"),
            ("nats://", "no host"),
            ("nats://:4222", "no host"),
            ("nats://b:port", "port"),
            ("nats://b:99999", "port"),
            ("nats://b/path", "nothing may follow"),
            ("nats://b?x=1", "nothing may follow"),
            ("nats://a b", "blank"),
            ("nats://a\nb", "line end"),
            ("nats://:pw@b", "without a user"),
            ("nats://u:p,w@b", "port"),
            ("nats://u:1,w@b", "scheme"),
            ("nats://one@a,nats://two@b", "different logins"),
            ("", "scheme"),
        ] {
            let told = parse(text).expect_err(text);
            assert!(told.contains(reason), "{text}: {told}");
        }
    }
}
