//! The file of tokens: TOML, a `[[token]]` for each.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::access::scope::{Scope, Scopes};
use crate::access::subject::{Subject, SubjectKind};
use crate::access::verified::Verified;
use crate::digest::Sha256Digest;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    token: Vec<Entry>,
}

/// Texts, so that each mistake can be told with the name of its token.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    sha256: String,
    scopes: Vec<String>,
    expires: Option<toml::Value>,
}

/// Subjects by the SHA-256 of their tokens.
#[derive(Debug, Default)]
pub(super) struct TokenList(HashMap<Sha256Digest, Verified>);

impl TokenList {
    /// # Errors
    /// The first mistake: in which token, and what it must be. No digest is repeated.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let document: Document = toml::from_str(text).map_err(|error| {
            let line = error.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
            format!("line {line}: {}", error.message())
        })?;
        let mut list = Self::default();
        for (place, entry) in document.token.into_iter().enumerate() {
            let (name, number) = (entry.name.clone(), place + 1);
            let at = |why: String| format!("token {number} (`{}`): {why}", name.escape_debug());
            let (digest, verified) = entry.read().map_err(at)?;
            if list.0.values().any(|other| other.subject.name == verified.subject.name) {
                return Err(at("its `name` is another's too; each must have its own".to_owned()));
            }
            if list.0.insert(digest, verified).is_some() {
                return Err(at("its `sha256` is another's too; each must have its own".to_owned()));
            }
        }
        Ok(list)
    }

    pub(super) fn get(&self, digest: &Sha256Digest) -> Option<&Verified> {
        self.0.get(digest)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

impl Entry {
    fn read(self) -> Result<(Sha256Digest, Verified), String> {
        if self.name.is_empty() || self.name.chars().any(char::is_control) {
            return Err("its `name` must be a text without control characters".to_owned());
        }
        let digest: Sha256Digest = self.sha256.parse().map_err(|_| {
            "its `sha256` must be the SHA-256 of the token, 64 hexadecimal digits".to_owned()
        })?;
        if digest == Sha256Digest::of(b"") {
            return Err("its `sha256` is that of nothing; it must be that of the token".to_owned());
        }
        let scopes = self.scopes.iter().map(|name| {
            name.parse::<Scope>().map_err(|_| {
                let known = Scope::ALL.map(Scope::as_str).join(", ");
                format!("`{}` is no scope; it must be one of {known}", name.escape_debug())
            })
        });
        let scopes: Scopes = scopes.collect::<Result<_, _>>()?;
        if scopes == Scopes::default() {
            return Err("its `scopes` must name at least one".to_owned());
        }
        let until = self.expires.map_or(Ok(u64::MAX), |expires| until(&expires))?;
        let subject = Subject { kind: SubjectKind::Token, name: self.name, scopes };
        Ok((digest, Verified { subject: Arc::new(subject), until }))
    }
}

/// The last second in which a token counts that expires then.
fn until(expires: &toml::Value) -> Result<u64, String> {
    let text = match expires {
        toml::Value::Datetime(moment) => moment.to_string(),
        toml::Value::String(text) => text.clone(),
        _ => String::new(),
    };
    let moment = OffsetDateTime::parse(&text, &Rfc3339).map_err(|_| {
        "its `expires` must be a moment as in RFC 3339, such as 2030-01-31T00:00:00Z".to_owned()
    })?;
    Ok(u64::try_from(moment.unix_timestamp()).unwrap_or(0).saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

    #[test]
    fn a_list_says_who_may_what_until_when() {
        let text = format!(
            "[[token]]\nname = \"support\"\nsha256 = \"{}\"\n\
             scopes = [\"orders:read:masked\", \"rejects:read\"]\n\
             expires = \"2030-01-31T00:00:00+02:00\"\n",
            DIGEST.to_uppercase()
        );
        let list = TokenList::parse(&text).expect("tokens");
        let found = list.get(&Sha256Digest::of(b"hello")).expect("listed");
        assert_eq!(found.subject.scopes.to_string(), "orders:read:masked rejects:read");
        assert_eq!(found.until, 1_896_040_799);
        let unquoted = text.replace("\"2030", "2030").replace("02:00\"", "02:00");
        assert_eq!(TokenList::parse(&unquoted).expect("tokens").0, list.0);
        assert_eq!(TokenList::parse("").expect("an empty list").len(), 0);
    }

    #[test]
    fn a_mistake_is_told_with_its_place_and_what_it_must_be() {
        let token = |rest: &str| format!("[[token]]\nname = \"a\"\nsha256 = \"{DIGEST}\"\n{rest}");
        let good = token("scopes = [\"admin\"]\n");
        let nothing = Sha256Digest::of(b"").to_string();
        for (text, told) in [
            (token(""), "line 1: missing field `scopes`"),
            (token("scopes = []"), "token 1 (`a`): its `scopes` must name at least one"),
            (
                token("scopes = [\"orders\"]"),
                "`orders` is no scope; it must be one of orders:read, ",
            ),
            (good.clone() + "expire = 1", "unknown field `expire`"),
            (good.clone() + "expires = \"tomorrow\"", "must be a moment as in RFC 3339"),
            (good.clone() + "expires = 2030-01-31", "must be a moment as in RFC 3339"),
            (good.clone() + "expires = 1", "must be a moment as in RFC 3339"),
            (good.replace(DIGEST, "hello"), "token 1 (`a`): its `sha256` must be the SHA-256"),
            (good.replace(DIGEST, &nothing), "its `sha256` is that of nothing"),
            (good.replace("\"a\"", "\"\""), "its `name` must be a text"),
            (good.clone() + &good, "token 2 (`a`): its `name` is another's too"),
            (good.clone() + &good.replace("\"a\"", "\"b\""), "token 2 (`b`): its `sha256` is"),
            (format!("{good}= \""), "line 5: "),
            ("tokens = 1".to_owned(), "unknown field `tokens`"),
        ] {
            let refused = TokenList::parse(&text).expect_err(&text);
            assert!(refused.contains(told), "{refused}");
            assert!(!refused.contains(DIGEST), "{refused}");
        }
    }
}
