//! What counts as a legal name or URL.

use std::str::FromStr;

use http::Uri;
use sqlx::postgres::PgConnectOptions;

const LONGEST_NAME: usize = 128;

/// What is legal as a queue group or a durable name.
pub(super) const GROUP: &str = "1 to 128 printable ASCII characters without blanks and `:`";

/// What is legal as the address of the database.
pub(super) const DATABASE_URL: &str = "a URL of one host such as \
     `postgres://user:password@host:5432/database`, special characters of the password \
     percent-encoded";

fn is_made_of(text: &str, is_legal: impl Fn(char) -> bool) -> bool {
    (1..=LONGEST_NAME).contains(&text.len()) && text.chars().all(is_legal)
}

/// The server takes no other characters.
pub(super) fn is_client_id(text: &str) -> bool {
    is_made_of(text, is_client_id_character)
}

pub(super) fn is_client_id_character(character: char) -> bool {
    character.is_ascii_alphanumeric() || "-_".contains(character)
}

/// The cluster id is a part of the subject that is asked for the server.
pub(super) fn is_cluster_id(text: &str) -> bool {
    is_made_of(text, |character| is_client_id_character(character) || character == '.')
        && text.split('.').all(|part| !part.is_empty())
}

/// A channel is a subject at NATS and a folder in the server's store.
pub(super) fn is_channel(text: &str) -> bool {
    is_made_of(text, |character| character.is_ascii_graphic() && !"*>/".contains(character))
        && text.split('.').all(|part| !part.is_empty())
}

/// The server joins both names with `:`.
pub(super) fn is_group(text: &str) -> bool {
    is_made_of(text, |character| character.is_ascii_graphic() && character != ':')
}

/// A role is quoted where it is used, so only its length and look matter.
pub(super) fn is_role(text: &str) -> bool {
    text.len() <= 63 && is_client_id(text)
}

pub(super) fn is_nats_url(text: &str) -> bool {
    is_place(text, &["nats", "tls"])
}

/// Of a place and no more: a login would show in logs.
pub(super) fn is_http_url(text: &str) -> bool {
    is_place(text, &["http"]) && !text.contains('@')
}

pub(super) fn is_database_url(text: &str) -> bool {
    let is_postgres =
        ["postgres://", "postgresql://"].iter().any(|scheme| text.starts_with(scheme));
    // sqlx would ask for the address of `one,other`, for ever.
    is_postgres
        && PgConnectOptions::from_str(text).is_ok_and(|options| !options.get_host().contains(','))
}

/// Whether the text is `scheme://[login@]host[:port]`.
fn is_place(text: &str, schemes: &[&str]) -> bool {
    let Ok(uri) = text.parse::<Uri>() else {
        return false;
    };
    let Some(authority) = uri.authority() else {
        return false;
    };
    let place = authority.as_str();
    let place = place.rsplit_once('@').map_or(place, |(_login, place)| place);
    // A port that is no port is only seen by what is left over.
    let port_is_legal = authority.port_u16().is_some() || place.len() == authority.host().len();
    uri.scheme_str().is_some_and(|scheme| schemes.contains(&scheme))
        && !authority.host().is_empty()
        && port_is_legal
        && matches!(uri.path(), "" | "/")
        && uri.query().is_none()
}

/// Whether links can begin with this path.
pub(super) fn is_base_path(path: &str) -> bool {
    let is_segment = |segment: &str| {
        !matches!(segment, "" | "." | "..")
            && segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
    };
    path == "/" || path.strip_prefix('/').is_some_and(|rest| rest.split('/').all(is_segment))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_are_what_the_server_accepts() {
        for legal in ["orders", "orders.eu", "Orders-1_x", "a"] {
            assert!(is_channel(legal), "{legal}");
        }
        for illegal in ["", "a b", "a.*", "a.>", "a/b", ".a", "a.", "a..b", "a\n", "é"] {
            assert!(!is_channel(illegal), "{illegal}");
        }
    }

    #[test]
    fn urls_name_a_scheme_a_host_and_maybe_a_port() {
        for legal in [
            "nats://127.0.0.1:4222",
            "nats://broker",
            "nats://[::1]:4222",
            "tls://me:p%40ss@broker:4222/",
            "nats://me:***@broker",
        ] {
            assert!(is_nats_url(legal), "{legal}");
        }
        for illegal in [
            "",
            "broker:4222",
            "http://broker",
            "nats://",
            "nats://:4222",
            "nats://b:port",
            "nats://b:99999",
            "nats://b/path",
            "nats://b?x=1",
            "nats://a b",
        ] {
            assert!(!is_nats_url(illegal), "{illegal}");
        }
    }

    #[test]
    fn base_paths_can_stand_before_every_link() {
        for legal in ["/", "/a", "/shop/orders-lookup", "/~a/b.c_d"] {
            assert!(is_base_path(legal), "{legal}");
        }
        for illegal in ["", "a", "/a/", "//a", "/a//b", "/..", "/a b", "/é", "/a?b", "/%41", "/\""]
        {
            assert!(!is_base_path(illegal), "{illegal}");
        }
    }

    #[test]
    fn http_urls_hold_no_login() {
        assert!(is_http_url("http://127.0.0.1:8222"));
        assert!(!is_http_url("http://me:pw@127.0.0.1:8222"));
        assert!(!is_http_url("https://127.0.0.1"));
    }

    #[test]
    fn database_urls_are_what_the_driver_accepts() {
        for legal in [
            "postgres://waybill@127.0.0.1:5432/waybill",
            "postgresql://me:***@h/db?sslmode=require",
            "postgres:///db?host=/run/postgresql",
            "postgres://%2Frun%2Fpostgresql/db",
        ] {
            assert!(is_database_url(legal), "{legal}");
        }
        for illegal in [
            "",
            "mysql://h/db",
            "postgres://h:port/db",
            "h/db",
            "postgres://me:p/w@h/db",
            "postgres://one,other/db",
            "postgres:///db?host=one,other",
        ] {
            assert!(!is_database_url(illegal), "{illegal}");
        }
    }
}
