//! The URL of Postgres, and what of it the driver gets.

use std::fmt::Write as _;
use std::str::FromStr;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use sqlx::postgres::PgConnectOptions;

use super::{Secret, postgres_parameters, postgres_servers, url};

/// What must be written as the address of the database.
pub(super) const DATABASE_URL: &str = "a URL such as \
     `postgres://user:password@host:5432/database`, or of several hosts divided by \
     commas, special characters of the password \
     percent-encoded";

/// A URL of Postgres that was checked.
#[derive(Debug, Clone)]
pub(super) struct DatabaseUrl {
    /// With the parameters that are used, and no others; see [`postgres_servers`].
    pub(super) for_driver: Secret,
    /// The names of those left out.
    pub(super) ignored: Vec<&'static str>,
}

/// Reads a URL, or says why it is none.
pub(super) fn parse(text: &str) -> Result<DatabaseUrl, String> {
    let parts = url::split(text)?;
    if !["postgres", "postgresql"].contains(&parts.scheme) {
        return Err("it does not begin with `postgres://`".to_owned());
    }
    for part in parts.login.iter().chain([&parts.path, &parts.place]) {
        url::decoded(part)?;
    }
    let parameters = postgres_parameters::parse(parts.query)?;
    let mut clean = text.split_once('?').map_or(text, |(place, _)| place).to_owned();
    for (number, (name, value)) in parameters.used.iter().enumerate() {
        let mark = if number == 0 { '?' } else { '&' };
        let value = utf8_percent_encode(value, NON_ALPHANUMERIC);
        // Writing to a string cannot fail.
        let _ = write!(clean, "{mark}{name}={value}");
    }
    for server in postgres_servers::server_urls(&clean)?.urls {
        url::check(&server)?;
        // What the driver says of it may repeat a value.
        PgConnectOptions::from_str(&server)
            .map_err(|_| "one of its parameters has a value that it cannot have".to_owned())?;
    }
    Ok(DatabaseUrl { for_driver: Secret::new(clean), ignored: parameters.ignored })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_driver_gets_what_it_knows_and_nothing_else() {
        for (text, clean) in [
            ("postgres://waybill@127.0.0.1:5432/waybill", None),
            ("postgresql://me:***@h/db?sslmode=require", None),
            (
                "postgres:///db?host=/run/postgresql",
                Some("postgres:///db?host=%2Frun%2Fpostgresql"),
            ),
            ("postgres://%2Frun%2Fpostgresql/db", None),
            ("postgres://me:a:b@h/db", None),
            ("postgres://h/db?password=a+b%26", Some("postgres://h/db?password=a%2Bb%26")),
            ("postgres://h/db?connect_timeout=1&keepalives=1", Some("postgres://h/db")),
            (
                "postgres://h/db?port=1&port=2&options=-c%20a%3Db",
                Some("postgres://h/db?options=%2Dc%20a%3Db&port=2"),
            ),
        ] {
            let url = parse(text).expect(text);
            assert_eq!(url.for_driver.expose(), clean.unwrap_or(text));
        }
    }

    #[test]
    fn what_leads_nowhere_is_refused_with_the_reason_and_no_part_of_it() {
        for (text, reason) in [
            ("", "scheme"),
            ("hunter2", "scheme"),
            ("mysql://h/hunter2", "`postgres://`"),
            ("postgres://h:hunter2/db", "port"),
            ("postgres://me:hunter2/h", "port"),
            ("postgres://me:12?hunter2@host/db", "percent-encoded"),
            ("postgres://me:12?hunter2", "no `=`"),
            ("postgres://me:p/hunter2@h/db", "percent-encoded"),
            ("postgres://me:hunter%2@h/db", "percent-encoded"),
            ("postgres://me:%ffhunter2@h/db", "UTF-8"),
            ("postgres://me:hunter2@h/d b", "blank"),
            ("postgres://me:hunter2@h/db\npostgres://me@h/db", "line end"),
            ("postgres://one,other/hunter2?port=1,2,3", "one for each host"),
            ("postgres://one:hunter2,other/db", "port"),
            ("postgres://h/db?port=hunter2", "cannot have"),
        ] {
            let told = parse(text).expect_err(text);
            assert!(told.contains(reason), "{text}: {told}");
            assert!(!told.contains("hunter"), "{text}: {told}");
        }
    }
}
