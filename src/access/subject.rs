//! Whom a request is from.

use super::scope::{Scope, Scopes};

/// Who sent a request, as its token tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// What vouches for it.
    pub kind: SubjectKind,
    /// The name of the listed token, or the `sub` of the JWT; empty if that has none.
    pub name: String,
    /// What it may do.
    pub scopes: Scopes,
}

/// What vouches for a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubjectKind {
    /// A token of `access.tokens_file`.
    Token,
    /// A JSON Web Token of the issuer.
    Jwt,
}

impl SubjectKind {
    /// Its name, for logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Jwt => "jwt",
        }
    }
}

impl Subject {
    /// Whether it has at least one of these scopes.
    #[must_use]
    pub fn has_any(&self, scopes: &[Scope]) -> bool {
        scopes.iter().any(|scope| self.scopes.has(*scope))
    }
}
