//! What counts as a valid name or URL.

use super::url;

const LONGEST_NAME: usize = 128;

/// What is valid as a queue group or a durable name.
pub(super) const GROUP: &str = "1 to 128 printable ASCII characters without blanks and `:`";

/// What is valid as the name of a stream or of a consumer.
pub(super) const STREAM: &str =
    "1 to 128 printable ASCII characters without blanks, `.`, `*`, `>`, `/` and `\\`";

fn is_made_of(text: &str, is_valid: impl Fn(char) -> bool) -> bool {
    (1..=LONGEST_NAME).contains(&text.len()) && text.chars().all(is_valid)
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

/// A stream and a consumer are folders in the server's store, and parts of subjects.
pub(super) fn is_stream(text: &str) -> bool {
    is_made_of(text, |character| character.is_ascii_graphic() && !".*>/\\".contains(character))
}

/// The name of a stream, as an argument of a command.
pub(crate) fn check_stream(text: &str) -> Result<String, String> {
    if is_stream(text) { Ok(text.to_owned()) } else { Err(format!("must be {STREAM}")) }
}

/// The server joins both names with `:`.
pub(super) fn is_group(text: &str) -> bool {
    is_made_of(text, |character| character.is_ascii_graphic() && character != ':')
}

/// A role is quoted where it is used, so any name will do that Postgres would not cut short.
/// `public` means everybody, quoted or not, and so no role can have that name, nor `none`.
pub(super) fn is_role(text: &str) -> bool {
    (1..=63).contains(&text.len()) && !text.contains('\0') && !matches!(text, "public" | "none")
}

/// Of a place and no more: a login would show in logs.
pub(super) fn check_http_url(text: &str) -> Result<(), String> {
    let parts = url::split(text)?;
    if parts.scheme != "http" {
        return Err("it does not begin with `http://`".to_owned());
    }
    if parts.login.is_some() {
        return Err("it holds a user or a password".to_owned());
    }
    if !matches!(parts.path, "" | "/") || !parts.query.is_empty() {
        return Err("nothing may follow the host and its port".to_owned());
    }
    url::check(text)
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
    fn roles_are_what_postgres_takes_for_a_name() {
        let longest = "é".repeat(31) + "x";
        for valid in [
            "waybill",
            "svc@project.iam",
            "Odd \"name\"; --",
            "a b",
            "Public",
            "current_user",
            &longest,
        ] {
            assert!(is_role(valid), "{valid}");
        }
        for illegal in ["", "a\0b", "public", "none", &"é".repeat(32)] {
            assert!(!is_role(illegal), "{illegal}");
        }
    }

    #[test]
    fn base_paths_can_stand_before_every_link() {
        for valid in ["/", "/a", "/shop/orders-lookup", "/~a/b.c_d"] {
            assert!(is_base_path(valid), "{valid}");
        }
        for illegal in ["", "a", "/a/", "//a", "/a//b", "/..", "/a b", "/é", "/a?b", "/%41", "/\""]
        {
            assert!(!is_base_path(illegal), "{illegal}");
        }
    }

    #[test]
    fn channels_are_what_the_server_accepts() {
        for valid in ["orders", "orders.eu", "Orders-1_x", "a"] {
            assert!(is_channel(valid), "{valid}");
        }
        for illegal in ["", "a b", "a.*", "a.>", "a/b", ".a", "a.", "a..b", "a\n", "é"] {
            assert!(!is_channel(illegal), "{illegal}");
        }
    }

    #[test]
    fn http_urls_are_a_place_without_a_login() {
        for valid in ["http://127.0.0.1:8222", "http://h/", "http://[::1]:1"] {
            assert_eq!(check_http_url(valid), Ok(()));
        }
        for illegal in
            ["http://me:pw@h", "https://h", "http://h/x", "http://h?x=1", "http://", "h:1"]
        {
            check_http_url(illegal).expect_err(illegal);
        }
    }
}
