//! Conditional requests (RFC 9110, 13) and the answers to them.

use http::header::{CONTENT_LENGTH, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

/// Whether an `If-None-Match` of the request names this entity tag, by weak comparison
/// (RFC 9110, 13.1.2).
pub(super) fn names(request: &HeaderMap, etag: &HeaderValue) -> bool {
    let known = request.get_all(IF_NONE_MATCH).into_iter();
    known.filter_map(|known| known.to_str().ok()).flat_map(|known| known.split(',')).any(|known| {
        let known = known.trim();
        known == "*" || known.strip_prefix("W/").unwrap_or(known).as_bytes() == etag.as_bytes()
    })
}

/// Removes a `Content-Length` that axum took from the empty body of a 304: the header would
/// speak of the 200 that is not sent (RFC 9110, 8.6).
pub(super) fn without_false_length<B>(mut response: Response<B>) -> Response<B> {
    if response.status() == StatusCode::NOT_MODIFIED {
        response.headers_mut().remove(CONTENT_LENGTH);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn if_none_match_is_read_as_a_list_with_weak_tags_and_a_star() {
        let etag = HeaderValue::from_static("\"0011\"");
        for (known, named) in [
            (&["\"0011\""][..], true),
            (&["W/\"0011\""], true),
            (&["\"x\", \"0011\""], true),
            (&["\"x\",W/\"0011\" "], true),
            (&["\"x\"", "\"0011\""], true),
            (&["*"], true),
            (&["\"x\""], false),
            (&["0011"], false),
            (&["w/\"0011\""], false),
            (&[""], false),
            (&[], false),
        ] {
            let known = known.iter().map(|known| (IF_NONE_MATCH, HeaderValue::from_static(known)));
            let mut request = HeaderMap::new();
            known.clone().for_each(|(name, value)| {
                request.append(name, value);
            });
            assert_eq!(names(&request, &etag), named, "{request:?}");
        }
    }
}
