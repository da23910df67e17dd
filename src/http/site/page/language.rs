//! The languages of the pages, and which of them a reader wants.

use http::{HeaderMap, HeaderValue, header};

use super::texts::{self, Texts};

/// The cookie that keeps what a reader has chosen.
const COOKIE: &str = "waybill_language";

/// A language that the pages are written in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::http::site) enum Language {
    /// For whoever asks for neither.
    #[default]
    English,
    /// Russian, in Cyrillic letters.
    Russian,
}

impl Language {
    const ALL: [Self; 2] = [Self::English, Self::Russian];

    /// What the reader has chosen; else the first of `Accept-Language` by weight that there is;
    /// else English.
    pub(in crate::http::site) fn of(headers: &HeaderMap) -> Self {
        chosen(headers).or_else(|| accepted(headers)).unwrap_or_default()
    }

    /// By its tag alone, such as `en`, or with a region: `en-GB`.
    pub(in crate::http::site) fn from_tag(tag: &str) -> Option<Self> {
        let primary = tag.trim().split('-').next()?;
        Self::ALL.into_iter().find(|language| primary.eq_ignore_ascii_case(language.tag()))
    }

    /// As in `<html lang>` and `Content-Language` (BCP 47).
    pub(in crate::http::site) fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Russian => "ru",
        }
    }

    /// `Set-Cookie` that keeps this choice for a year, for the pages below `path`.
    pub(in crate::http::site) fn cookie(self, path: &str) -> HeaderValue {
        let tag = self.tag();
        let cookie =
            format!("{COOKIE}={tag}; Path={path}; Max-Age=31536000; SameSite=Lax; HttpOnly");
        // A base path has letters, digits and `-._~/` only.
        cookie.parse().expect("a header of ASCII letters")
    }

    pub(super) fn texts(self) -> &'static Texts {
        match self {
            Self::English => &texts::ENGLISH,
            Self::Russian => &texts::RUSSIAN,
        }
    }

    pub(super) fn other(self) -> Self {
        match self {
            Self::English => Self::Russian,
            Self::Russian => Self::English,
        }
    }
}

fn chosen(headers: &HeaderMap) -> Option<Language> {
    let cookies = headers.get_all(header::COOKIE).into_iter().filter_map(|it| it.to_str().ok());
    let mut pairs = cookies.flat_map(|it| it.split(';')).filter_map(|it| it.split_once('='));
    let (_, tag) = pairs.find(|(name, _)| name.trim() == COOKIE)?;
    Language::from_tag(tag)
}

/// RFC 9110, section 12.5.4; what has the weight 0 is not wanted.
fn accepted(headers: &HeaderMap) -> Option<Language> {
    let lists = headers.get_all(header::ACCEPT_LANGUAGE).into_iter();
    let wanted = lists.filter_map(|it| it.to_str().ok()).flat_map(|it| it.split(','));
    let mut best: Option<(Language, f32)> = None;
    for range in wanted {
        let (tag, parameters) = range.split_once(';').unwrap_or((range, ""));
        let weight = parameters.trim().strip_prefix("q=").map_or(Some(1.0), |q| q.parse().ok());
        let (Some(language), Some(weight)) = (Language::from_tag(tag), weight) else { continue };
        if weight > best.map_or(0.0, |(_, weight)| weight) {
            best = Some((language, weight));
        }
    }
    best.map(|(language, _)| language)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(accept: &str, cookie: &str) -> &'static str {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_LANGUAGE, accept.parse().unwrap());
        headers.insert(header::COOKIE, cookie.parse().unwrap());
        Language::of(&headers).tag()
    }

    #[test]
    fn a_reader_gets_the_first_language_by_weight_that_there_is() {
        for (accept, language) in [
            ("", "en"),
            ("ru", "ru"),
            ("RU-ru", "ru"),
            ("de, ru;q=0.5, en;q=0.4", "ru"),
            ("en;q=0.8,ru;q=0.9", "ru"),
            ("en, ru", "en"),
            ("ru;q=0, *", "en"),
            ("ru;q=much", "en"),
            ("rusyn, *;q=0.1", "en"),
            ("fr-CH, fr;q=0.9", "en"),
        ] {
            assert_eq!(of(accept, ""), language, "{accept}");
        }
    }

    #[test]
    fn what_a_reader_has_chosen_comes_first() {
        for (cookie, language) in [
            ("waybill_language=ru", "ru"),
            ("a=b; waybill_language=en", "en"),
            ("waybill_language=tlh", "ru"),
            ("other_waybill_language=en", "ru"),
            ("waybill_language", "ru"),
        ] {
            assert_eq!(of("ru", cookie), language, "{cookie}");
        }
    }
}
