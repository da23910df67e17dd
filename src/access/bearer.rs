//! The token of a request: `Authorization: Bearer TOKEN` (RFC 6750, 2.1), and nowhere else. In an
//! address or a body it would end up in logs.

use http::HeaderMap;
use http::header::AUTHORIZATION;

use super::{Denial, Fault};

/// The longest token that is looked at, in bytes.
pub(super) const MAX_TOKEN: usize = 8 << 10;

/// The token of a request with these headers.
///
/// # Errors
/// [`Denial::Missing`] for none, and for another scheme than `Bearer`; else what is wrong.
pub(super) fn token(headers: &HeaderMap) -> Result<&[u8], Denial> {
    let mut fields = headers.get_all(AUTHORIZATION).into_iter();
    let field = fields.next().ok_or(Denial::Missing)?.as_bytes();
    if fields.next().is_some() {
        // Which of two counts, a proxy may see otherwise.
        return Err(Denial::Invalid(Fault::Malformed));
    }
    let (scheme, token) = field.split_at_checked(6).ok_or(Denial::Missing)?;
    if !scheme.eq_ignore_ascii_case(b"Bearer") {
        return Err(Denial::Missing);
    }
    let token = token.trim_ascii();
    if token.len() > MAX_TOKEN {
        return Err(Denial::Invalid(Fault::TooLong));
    }
    let begins_behind_a_blank = field.get(6) == Some(&b' ');
    if !begins_behind_a_blank || token.is_empty() || token.contains(&b' ') {
        return Err(Denial::Invalid(Fault::Malformed));
    }
    Ok(token)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn read(fields: &[&str]) -> Result<Vec<u8>, Denial> {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(AUTHORIZATION, HeaderValue::from_str(field).unwrap());
        }
        token(&headers).map(<[u8]>::to_vec)
    }

    #[test]
    fn a_token_stands_in_one_field_behind_its_scheme() {
        for field in ["Bearer a.b-c", "bearer a.b-c", "BEARER   a.b-c "] {
            assert_eq!(read(&[field]).unwrap(), b"a.b-c", "{field}");
        }
        for fields in [&[][..], &[""], &["Basic bWU6cHc="], &["Bear x"], &["Digest bearer x"]] {
            assert_eq!(read(fields), Err(Denial::Missing), "{fields:?}");
        }
        for fields in [
            &["Bearer"][..],
            &["Bearer "],
            &["Bearertoken"],
            &["Bearer a b"],
            &["Bearer a", "Bearer a"],
            &["Basic bWU6cHc=", "Bearer a"],
        ] {
            assert_eq!(read(fields), Err(Denial::Invalid(Fault::Malformed)), "{fields:?}");
        }
        let longest = "x".repeat(MAX_TOKEN);
        assert_eq!(read(&[&format!("Bearer {longest}")]).unwrap().len(), MAX_TOKEN);
        let too_long = format!("Bearer {longest}x");
        assert_eq!(read(&[&too_long]), Err(Denial::Invalid(Fault::TooLong)));
    }
}
