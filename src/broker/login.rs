//! The user and password in the broker's URL, which async-nats leaves unread.

use percent_encoding::percent_decode_str;
use stan::async_nats::ServerAddr;

/// The first user and password that stand in one of the comma-separated URLs; the servers of one
/// cluster share them.
pub(super) fn login(urls: &str) -> Option<(String, String)> {
    urls.split(',').find_map(|url| {
        let address: ServerAddr = url.trim().parse().ok()?;
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        Some((decoded(address.username()?), decoded(address.password()?)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_password_are_read_from_the_first_url_that_has_them() {
        let pair = |user: &str, password: &str| Some((user.to_owned(), password.to_owned()));
        for (urls, expected) in [
            ("nats://127.0.0.1:4222", None),
            ("nats://user@host:4222", None),
            ("nats://user:secret@host:4222", pair("user", "secret")),
            ("nats://one:4222, tls://user:a%40b%3A%2F@two:4222", pair("user", "a@b:/")),
        ] {
            assert_eq!(login(urls), expected, "{urls}");
        }
    }
}
