//! Who may read orders and use the admin port.

use std::path::PathBuf;
use std::time::Duration;

use jsonwebtoken::{Algorithm, AlgorithmFamily};

use super::{reader::Section, url};

/// `[access]`: whether a request needs a token, and what tells a good one.
#[derive(Debug, Clone)]
pub struct Access {
    /// Which tokens there are.
    pub mode: AccessMode,
    /// The tokens of [`AccessMode::Tokens`], as TOML.
    pub tokens_file: Option<PathBuf>,
    /// The `iss` that a JWT must have.
    pub issuer: Option<String>,
    /// What the `aud` of a JWT must be or hold.
    pub audience: Option<String>,
    /// Where the issuer publishes its keys (RFC 7517).
    pub jwks_url: Option<String>,
    /// A file that holds them instead.
    pub jwks_file: Option<PathBuf>,
    /// The algorithms of signatures that are accepted, none of them symmetric.
    pub algorithms: Vec<Algorithm>,
    /// How far the issuer's clock and ours may differ.
    pub leeway: Duration,
    /// The claim of a JWT that lists its scopes.
    pub scope_claim: String,
    /// How long the keys known are used while new ones cannot be had.
    pub keys_max_age: Duration,
    /// Whether `/metrics` needs a token too.
    pub protect_metrics: bool,
}

/// Whether a request needs a token, and of which kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessMode {
    /// Nobody is asked for a token.
    None,
    /// Tokens that a file lists by their digests.
    Tokens,
    /// JSON Web Tokens that an issuer signs.
    Jwt,
}

impl AccessMode {
    fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Tokens => "tokens",
            Self::Jwt => "jwt",
        }
    }
}

impl Access {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let expected = "`none`, `tokens` or `jwt`";
        let modes = [AccessMode::None, AccessMode::Tokens, AccessMode::Jwt];
        let mode = |text: &str| modes.into_iter().find(|mode| mode.as_str() == text);
        Self {
            mode: section.required("mode", expected, AccessMode::None, mode),
            tokens_file: section.file("tokens_file"),
            issuer: section.optional_text("issuer", "the `iss` of the issuer's tokens", |_| true),
            audience: section.optional_text("audience", "a value of the tokens' `aud`", |_| true),
            jwks_url: section.secret_url("jwks_url", JWKS_URL, jwks_url),
            jwks_file: section.file("jwks_file"),
            algorithms: section.required("algorithms", ALGORITHMS, Vec::new(), algorithms),
            leeway: section.duration("leeway", Duration::ZERO..=Duration::from_mins(10)),
            scope_claim: section.text("scope_claim", "the name of a claim", |_| true),
            keys_max_age: section
                .duration("keys_max_age", Duration::from_mins(1)..=Duration::from_hours(30 * 24)),
            protect_metrics: section.flag("protect_metrics"),
        }
    }

    /// Values that are valid each but not together. A file of tokens or keys that nothing reads is
    /// one: whoever names it believes that the service asks for tokens.
    pub(super) fn contradictions(&self) -> Vec<String> {
        let mode = self.mode.as_str();
        let missing = |key: &str| {
            Some(format!(
                "setting `access.{key}` is not set; `access.mode` is `{mode}`, which needs it"
            ))
        };
        let unused = |key: &str, needed: &str| {
            Some(format!(
                "setting `access.{key}` contradicts `access.mode`, which is `{mode}`: the first \
                 is not used; the second must be `{needed}`, or the first be left out"
            ))
        };
        let (is_tokens, is_jwt) = (self.mode == AccessMode::Tokens, self.mode == AccessMode::Jwt);
        let keys = [("jwks_url", self.jwks_url.is_some()), ("jwks_file", self.jwks_file.is_some())];
        let mut found: Vec<Option<String>> = Vec::new();
        match self.tokens_file.is_some() {
            true if !is_tokens => found.push(unused("tokens_file", "tokens")),
            false if is_tokens => found.push(missing("tokens_file")),
            _ => {}
        }
        for (key, is_set) in keys {
            found.push(if is_set && !is_jwt { unused(key, "jwt") } else { None });
        }
        if is_jwt {
            found.push(if self.issuer.is_none() { missing("issuer") } else { None });
            found.push(if self.audience.is_none() { missing("audience") } else { None });
            found.push(match keys.iter().filter(|(_, is_set)| *is_set).count() {
                0 => missing("jwks_url` or `access.jwks_file"),
                1 => None,
                _ => Some(
                    "setting `access.jwks_url` contradicts `access.jwks_file`: only one of the \
                     two may be set"
                        .to_owned(),
                ),
            });
        }
        found.into_iter().flatten().collect()
    }
}

const JWKS_URL: &str =
    "a URL such as `https://issuer.example/jwks.json`, without user and password";

fn jwks_url(text: &str) -> Result<String, String> {
    let parts = url::split(text)?;
    if !["http", "https"].contains(&parts.scheme) {
        return Err("it begins with neither `https://` nor `http://`".to_owned());
    }
    if parts.login.is_some() {
        return Err("it holds a user or a password".to_owned());
    }
    url::check(text)?;
    Ok(text.to_owned())
}

const ALGORITHMS: &str = "a list such as `ES256, EdDSA, RS256`, of ES256, ES384, EdDSA, RS256, \
     RS384, RS512, PS256, PS384 and PS512; `none` and the algorithms of shared secrets (HS256 and \
     the like) are never accepted";

/// Not those with a shared secret: with them, whoever knows the public key can sign.
fn algorithms(text: &str) -> Option<Vec<Algorithm>> {
    let parse = |name: &str| -> Option<Algorithm> {
        let algorithm: Algorithm = name.trim().parse().ok()?;
        (algorithm.family() != AlgorithmFamily::Hmac).then_some(algorithm)
    };
    text.split(',').map(parse).collect()
}
