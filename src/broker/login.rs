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

/// The URLs as they may be shown: async-nats writes them to the log.
pub(super) fn without_login(urls: &str) -> String {
    let shown = urls.split(',').map(|url| {
        let Ok(address) = url.trim().parse::<ServerAddr>() else { return url.to_owned() };
        let mut url = address.into_inner();
        // Neither can fail for a URL with a host, which a server's address has.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        url.to_string()
    });
    shown.collect::<Vec<_>>().join(",")
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

    #[test]
    fn no_login_is_left_in_what_may_be_shown() {
        let shown = without_login("nats://one:4222, tls://user:a%40b@two:4222,nats://token@three");
        assert_eq!(shown, "nats://one:4222,tls://two:4222,nats://three");
    }
}
