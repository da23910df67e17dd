//! JSON Web Tokens (RFC 7519) that an issuer signs, checked as RFC 8725 advises.

mod key_set;
mod keys;
mod ring_provider;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation, decode, decode_header};
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use super::scope::Scopes;
use super::subject::{Subject, SubjectKind};
use super::verified::{Verified, VerifiedTokens};
use super::{Denial, Fault};
use crate::config;
use crate::metrics::Metrics;
use key_set::Found;
use keys::Keys;

/// The types that a token for a resource may say it has (RFC 7519, 5.1, and RFC 9068, 2.1): one
/// that was made for something else, such as a logout, is not taken for it.
const TYPES: [&str; 3] = ["jwt", "at+jwt", "application/at+jwt"];

/// Verifies tokens by the keys of their issuer.
#[derive(Debug)]
pub(super) struct Jwt {
    keys: Keys,
    algorithms: Vec<Algorithm>,
    /// What is checked of each token, but for its algorithm.
    validation: Validation,
    scope_claim: String,
}

impl Jwt {
    /// # Errors
    /// Why the file of keys cannot be used, or why no issuer can be asked.
    pub(super) fn new(
        settings: &config::Access,
        verified: Arc<VerifiedTokens>,
        metrics: &Metrics,
    ) -> Result<Self, String> {
        ring_provider::install();
        let issuer = settings.issuer.as_deref().ok_or("`access.issuer` is not set")?;
        let audience = settings.audience.as_deref().ok_or("`access.audience` is not set")?;
        let mut validation = Validation::default();
        validation.set_issuer(&[issuer]);
        validation.set_audience(&[audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        validation.validate_nbf = true;
        validation.leeway = settings.leeway.as_secs();
        Ok(Self {
            keys: Keys::new(settings, verified, metrics)?,
            algorithms: settings.algorithms.clone(),
            validation,
            scope_claim: settings.scope_claim.clone(),
        })
    }

    /// Follows the keys of the issuer until `stop`.
    pub(super) async fn follow(&self, stop: CancellationToken) {
        self.keys.follow(stop).await;
    }

    /// Whose token this is. What its header says is not believed: it only chooses among the keys
    /// and algorithms that are ours to choose from.
    pub(super) async fn verify(&self, token: &[u8]) -> Result<Verified, Denial> {
        let header = decode_header(token).map_err(|_| Denial::Invalid(Fault::Malformed))?;
        let is_known_type = |typ: &String| TYPES.contains(&typ.to_ascii_lowercase().as_str());
        // Whatever is critical is an extension, of which none is known here (RFC 7515, 4.1.11).
        if header.crit.is_some() || !header.typ.as_ref().is_none_or(is_known_type) {
            return Err(Denial::Invalid(Fault::Malformed));
        }
        if !self.algorithms.contains(&header.alg) {
            return Err(Denial::Invalid(Fault::Algorithm));
        }
        let key = self.key(&header).await?;
        self.check(token, header.alg, &key).map_err(Denial::Invalid)
    }

    /// The key that the token is to be signed with; looked for at the issuer, if it is not known.
    async fn key(&self, header: &Header) -> Result<DecodingKey, Denial> {
        let kid = header.kid.as_deref();
        let look = || self.keys.current().map(|keys| keys.find(kid, header.alg));
        let mut found = look();
        if !matches!(found, Some(Found::Key(_) | Found::OtherAlgorithm)) {
            self.keys.refreshed().await;
            found = look();
        }
        match found {
            Some(Found::Key(key)) => Ok(key),
            Some(Found::OtherAlgorithm) => Err(Denial::Invalid(Fault::Algorithm)),
            // The issuer may have a new key that we could not be told of.
            Some(Found::Unknown) if self.keys.is_failing() => Err(Denial::Unverifiable),
            Some(Found::Unknown) => Err(Denial::Invalid(Fault::UnknownKey)),
            None => Err(Denial::Unverifiable),
        }
    }

    fn check(
        &self,
        token: &[u8],
        algorithm: Algorithm,
        key: &DecodingKey,
    ) -> Result<Verified, Fault> {
        let validation = Validation { algorithms: vec![algorithm], ..self.validation.clone() };
        let token = decode::<Map<String, Value>>(token, key, &validation);
        let claims = token.map_err(|error| fault(&error))?.claims;
        let expires = claims.get("exp").and_then(whole_seconds).ok_or(Fault::Expired)?;
        let name = claims.get("sub").and_then(Value::as_str).unwrap_or_default().to_owned();
        let scopes = scopes(claims.get(&self.scope_claim));
        let subject = Arc::new(Subject { kind: SubjectKind::Jwt, name, scopes });
        Ok(Verified { subject, until: expires.saturating_add(validation.leeway) })
    }
}

/// The scopes of a claim: a text divided by blanks (RFC 8693, 4.2), or a list. Those that mean
/// nothing here are others' business.
fn scopes(claim: Option<&Value>) -> Scopes {
    let names: Vec<&str> = match claim {
        Some(Value::String(text)) => text.split(' ').collect(),
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    names.into_iter().filter_map(|name| name.parse().ok()).collect()
}

/// A moment of a claim as the library reads it: it may have a fraction.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast saturates, and the library has refused what is negative"
)]
fn whole_seconds(moment: &Value) -> Option<u64> {
    moment.as_u64().or_else(|| moment.as_f64().map(|seconds| seconds.round() as u64))
}

fn fault(error: &Error) -> Fault {
    match error.kind() {
        ErrorKind::ExpiredSignature => Fault::Expired,
        ErrorKind::ImmatureSignature => Fault::NotYetValid,
        ErrorKind::InvalidIssuer => Fault::Issuer,
        ErrorKind::InvalidAudience => Fault::Audience,
        ErrorKind::InvalidSignature => Fault::Signature,
        ErrorKind::MissingRequiredClaim(claim) => match claim.as_str() {
            "exp" => Fault::Expired,
            "iss" => Fault::Issuer,
            _ => Fault::Audience,
        },
        ErrorKind::InvalidAlgorithm | ErrorKind::UnsupportedAlgorithm => Fault::Algorithm,
        _ => Fault::Malformed,
    }
}
