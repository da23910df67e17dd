//! Values that must not be seen: passwords, and URLs that may hold one.

use std::fmt;

const MASK: &str = "***";

/// A text that prints as `***` wherever it is formatted.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps `text`, which is shown to nobody from now on but by [`Secret::expose`].
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The text itself, for the one who logs in with it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The text as a URL, or several separated by commas, with every password
    /// replaced by `***`. Rather masks too much than too little.
    #[must_use]
    pub fn masked_url(&self) -> String {
        let mut urls: Vec<String> = Vec::new();
        for part in self.0.split(',') {
            match urls.last_mut() {
                // A comma within a URL, perhaps within its password.
                Some(url) if !part.contains("://") => {
                    url.push(',');
                    url.push_str(part);
                }
                _ => urls.push(part.to_owned()),
            }
        }
        let masked: Vec<String> = urls.iter().map(|url| mask_url(url)).collect();
        masked.join(",")
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(MASK)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(MASK)
    }
}

fn mask_url(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return MASK.to_owned();
    };
    // The last `@`: a password may hold one by mistake.
    let (user, rest) = match rest.rsplit_once('@') {
        None => (String::new(), rest),
        Some((login, rest)) => match login.split_once(':') {
            Some((user, _password)) => (format!("{user}:{MASK}@"), rest),
            // A NATS login without a password is a token; a Postgres one is a user.
            None if scheme.starts_with("postgres") => (format!("{login}@"), rest),
            None => (format!("{MASK}@"), rest),
        },
    };
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    let query: Vec<String> = query.split('&').map(mask_parameter).collect();
    let query = query.join("&");
    let mark = if query.is_empty() { "" } else { "?" };
    format!("{scheme}://{user}{place}{mark}{query}")
}

/// Postgres takes a password as a parameter, too.
fn mask_parameter(parameter: &str) -> String {
    match parameter.split_once('=') {
        Some((name, _)) if name.contains("pass") => format!("{name}={MASK}"),
        _ => parameter.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_never_prints_itself() {
        let secret = Secret::new("hunter2".to_owned());
        assert_eq!(format!("{secret} {secret:?}"), "*** ***");
        assert_eq!(secret.expose(), "hunter2");
    }

    #[test]
    fn urls_lose_their_passwords_and_nothing_else() {
        for (url, masked) in [
            ("postgres://h/db", "postgres://h/db"),
            ("postgres://me@h:5432/db", "postgres://me@h:5432/db"),
            ("postgres://me:pw@h/db?sslmode=require", "postgres://me:***@h/db?sslmode=require"),
            ("postgres://me:p@ss/w@h/db", "postgres://me:***@h/db"),
            ("postgres://me:p,w@h/db", "postgres://me:***@h/db"),
            ("postgres://h/db?user=me&password=pw", "postgres://h/db?user=me&password=***"),
            ("nats://me:pw@a,nats://you:pw@b:1", "nats://me:***@a,nats://you:***@b:1"),
            ("nats://token@a", "nats://***@a"),
            ("hunter2", "***"),
        ] {
            assert_eq!(Secret::new(url.to_owned()).masked_url(), masked);
        }
    }
}
