//! The keys of an issuer (RFC 7517) that can verify a signature here.

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;

/// Keys that are of use for at least one of the accepted algorithms.
#[derive(Debug)]
pub(super) struct KeySet(Vec<Key>);

#[derive(Debug)]
struct Key {
    id: Option<String>,
    algorithms: Vec<Algorithm>,
    decoding: DecodingKey,
}

/// What a set has for a token.
#[derive(Debug)]
pub(super) enum Found {
    /// The key.
    Key(DecodingKey),
    /// A key with its id that is not for its algorithm.
    OtherAlgorithm,
    /// No key with its id.
    Unknown,
}

#[derive(Deserialize)]
struct Document {
    /// Each is read for itself, so that one of a kind yet unknown does not spoil the others.
    keys: Vec<Value>,
}

impl KeySet {
    /// Those keys of a document that can be used for `accepted` algorithms.
    ///
    /// # Errors
    /// It is not a set of keys, or none of them can be used.
    pub(super) fn parse(document: &[u8], accepted: &[Algorithm]) -> Result<Self, String> {
        let document: Document = serde_json::from_slice(document).map_err(|error| {
            // Its own text may quote the document, and somebody may have put a private key there.
            let (kind, line) = (error.classify(), error.line());
            format!(
                "not a JSON Web Key Set ({kind:?} error in line {line}); it must be an object as \
                 in {{\"keys\": […]}} (RFC 7517)"
            )
        })?;
        let count = document.keys.len();
        let keys = document.keys.into_iter().filter_map(|value| Key::new(value, accepted));
        let keys: Vec<Key> = keys.collect();
        if keys.is_empty() {
            return Err(format!(
                "none of its {count} keys can verify a signature; at least one must be a public \
                 key for one of access.algorithms"
            ));
        }
        Ok(Self(keys))
    }

    /// The key for a token whose header names this id and algorithm. A token without an id is for
    /// the only key of its algorithm, if there is just one.
    pub(super) fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Found {
        let fits = |key: &&Key| key.algorithms.contains(&algorithm);
        let Some(id) = id else {
            let mut fitting = self.0.iter().filter(fits);
            return match (fitting.next(), fitting.next()) {
                (Some(only), None) => Found::Key(only.decoding.clone()),
                _ => Found::Unknown,
            };
        };
        let named = || self.0.iter().filter(|key| key.id.as_deref() == Some(id));
        match named().find(fits) {
            Some(key) => Found::Key(key.decoding.clone()),
            None if named().next().is_some() => Found::OtherAlgorithm,
            None => Found::Unknown,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

impl Key {
    fn new(value: Value, accepted: &[Algorithm]) -> Option<Self> {
        let jwk: Jwk = serde_json::from_value(value).ok()?;
        let mut algorithms = for_key(&jwk);
        algorithms.retain(|algorithm| accepted.contains(algorithm));
        let decoding = DecodingKey::from_jwk(&jwk).ok()?;
        let is_whole =
            decoding.try_get_as_bytes().map_or(true, |point| [32, 65, 97].contains(&point.len()));
        let is_usable = !algorithms.is_empty() && is_whole;
        is_usable.then_some(Self { id: jwk.common.key_id, algorithms, decoding })
    }
}

/// The algorithms that a key is for: by its kind, and by what it says itself.
fn for_key(jwk: &Jwk) -> Vec<Algorithm> {
    let common = &jwk.common;
    let is_for_others = common
        .public_key_use
        .as_ref()
        .is_some_and(|it| *it != PublicKeyUse::Signature)
        || common.key_operations.as_ref().is_some_and(|it| !it.contains(&KeyOperations::Verify));
    if is_for_others {
        return Vec::new();
    }
    let mut algorithms = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => vec![
            Algorithm::RS256,
            Algorithm::RS384,
            Algorithm::RS512,
            Algorithm::PS256,
            Algorithm::PS384,
            Algorithm::PS512,
        ],
        AlgorithmParameters::EllipticCurve(key) => match key.curve {
            EllipticCurve::P256 => vec![Algorithm::ES256],
            EllipticCurve::P384 => vec![Algorithm::ES384],
            _ => Vec::new(),
        },
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
            vec![Algorithm::EdDSA]
        }
        // A secret that is published is none.
        _ => Vec::new(),
    };
    if let Some(only) = common.key_algorithm {
        algorithms
            .retain(|algorithm| Algorithm::try_from(only).is_ok_and(|only| only == *algorithm));
    }
    algorithms
}
