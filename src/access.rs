//! Who may do what: a request's bearer token, and the subject that it stands for.
//!
//! A token that was verified is remembered (`verified`), so that a request with it costs a look
//! into a table; what is not remembered is looked up in the list of tokens (`tokens`) or verified
//! as a JSON Web Token (`jwt`). Where nobody is asked for a token there is no [`Access`] at all.

mod bearer;
mod jwt;
mod scope;
mod subject;
mod tokens;
mod verified;
mod watched_file;

use std::sync::Arc;

use http::HeaderMap;
use tokio_util::sync::CancellationToken;

use crate::config::{self, AccessMode, SettingsError};
use crate::metrics::Metrics;
use jwt::Jwt;
pub use scope::{Scope, Scopes};
pub use subject::{Subject, SubjectKind};
use tokens::Tokens;
use verified::{Verified, VerifiedTokens};

/// Why a request is not of a known subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denial {
    /// It has no token.
    Missing,
    /// Its token is none that counts.
    Invalid(Fault),
    /// Its token may be good: the keys of the issuer are not known now.
    Unverifiable,
}

/// What is wrong with a token. Told in metrics and in the log, not to who sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is not one header field of the form `Bearer TOKEN`, or no JSON Web Token.
    Malformed,
    /// It is longer than 8 KiB.
    TooLong,
    /// The list of tokens does not have it.
    Unknown,
    /// It has ended, or has no end at all.
    Expired,
    /// It does not count yet.
    NotYetValid,
    /// Its algorithm is not one of `access.algorithms`.
    Algorithm,
    /// The issuer publishes no key with this id for this algorithm.
    UnknownKey,
    /// The signature is not that of the key.
    Signature,
    /// It is another issuer's.
    Issuer,
    /// It is meant for others.
    Audience,
}

impl Fault {
    /// The value of the label `reason` in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::TooLong => "too_long",
            Self::Unknown => "unknown",
            Self::Expired => "expired",
            Self::NotYetValid => "not_yet_valid",
            Self::Algorithm => "algorithm",
            Self::UnknownKey => "unknown_key",
            Self::Signature => "signature",
            Self::Issuer => "issuer",
            Self::Audience => "audience",
        }
    }
}

/// Tells the subject of a request. Clones share what they know.
#[derive(Debug, Clone)]
pub struct Access(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    verified: Arc<VerifiedTokens>,
    verifier: Verifier,
    protect_metrics: bool,
}

#[derive(Debug)]
enum Verifier {
    Tokens(Tokens),
    Jwt(Box<Jwt>),
}

impl Access {
    /// Nothing when nobody is asked for a token.
    ///
    /// # Errors
    /// A file of tokens or of keys that cannot be used.
    pub fn new(
        settings: &config::Access,
        metrics: &Metrics,
    ) -> Result<Option<Self>, SettingsError> {
        let known = Arc::<VerifiedTokens>::default();
        let of_mode = match settings.mode {
            AccessMode::None => return Ok(None),
            AccessMode::Tokens => Tokens::new(settings, Arc::clone(&known)).map(Verifier::Tokens),
            AccessMode::Jwt => Jwt::new(settings, Arc::clone(&known), metrics)
                .map(|jwt| Verifier::Jwt(Box::new(jwt))),
        };
        let verifier = of_mode.map_err(|problem| SettingsError { problems: vec![problem] })?;
        let protect_metrics = settings.protect_metrics;
        Ok(Some(Self(Arc::new(Inner { verified: known, verifier, protect_metrics }))))
    }

    /// Whether `/metrics` needs a token.
    #[must_use]
    pub fn protects_metrics(&self) -> bool {
        self.0.protect_metrics
    }

    /// The subject of a request whose token was verified before and still counts.
    #[must_use]
    pub fn known(&self, headers: &HeaderMap) -> Option<Arc<Subject>> {
        self.0.verified.get(bearer::token(headers).ok()?)
    }

    /// The subject of a request.
    ///
    /// # Errors
    /// Why it has none.
    pub async fn subject(&self, headers: &HeaderMap) -> Result<Arc<Subject>, Denial> {
        let token = bearer::token(headers)?;
        if let Some(subject) = self.0.verified.get(token) {
            return Ok(subject);
        }
        // Before the look at what tells whether the token is good: what changes meanwhile counts.
        let round = self.0.verified.round();
        let Verified { subject, until } = match &self.0.verifier {
            Verifier::Tokens(tokens) => tokens.verify(token)?,
            Verifier::Jwt(jwt) => jwt.verify(token).await?,
        };
        self.0.verified.insert(round, token, Verified { subject: Arc::clone(&subject), until });
        Ok(subject)
    }

    /// Follows the file of tokens, or the keys of the issuer, until `stop`.
    pub async fn follow(self, stop: CancellationToken) {
        match &self.0.verifier {
            Verifier::Tokens(tokens) => tokens.follow(stop).await,
            Verifier::Jwt(jwt) => jwt.follow(stop).await,
        }
    }
}
