//! What a token allows.

use std::fmt;
use std::str::FromStr;

/// One thing that a token can allow. None of them includes another, but that whoever may read
/// orders whole is not shown them masked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Orders as they were published.
    OrdersRead,
    /// Orders with the personal fields masked.
    OrdersReadMasked,
    /// What could not become an order, on the admin port.
    RejectsRead,
    /// The rest of the admin port.
    Admin,
}

/// A text that names no scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no scope")]
pub struct UnknownScope;

impl Scope {
    /// All of them.
    pub const ALL: [Self; 4] =
        [Self::OrdersRead, Self::OrdersReadMasked, Self::RejectsRead, Self::Admin];

    /// Its name in tokens.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OrdersRead => "orders:read",
            Self::OrdersReadMasked => "orders:read:masked",
            Self::RejectsRead => "rejects:read",
            Self::Admin => "admin",
        }
    }
}

impl FromStr for Scope {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Self, UnknownScope> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text).ok_or(UnknownScope)
    }
}

/// A set of scopes.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Scopes(u8);

impl Scopes {
    /// Whether the scope is among them.
    #[must_use]
    pub fn has(self, scope: Scope) -> bool {
        self.0 & bit(scope) != 0
    }

    /// Those among them, in the order of [`Scope::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.into_iter().filter(move |scope| self.has(*scope))
    }
}

fn bit(scope: Scope) -> u8 {
    1 << scope as u8
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().fold(0, |bits, scope| bits | bit(scope)))
    }
}

/// Their names, divided by blanks.
impl fmt::Display for Scopes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, scope) in self.iter().enumerate() {
            let blank = if place == 0 { "" } else { " " };
            write!(formatter, "{blank}{}", scope.as_str())?;
        }
        Ok(())
    }
}

impl fmt::Debug for Scopes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Scopes({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_read_and_written_by_their_names() {
        for scope in Scope::ALL {
            assert_eq!(scope.as_str().parse(), Ok(scope));
            let one = Scopes::from_iter([scope]);
            assert_eq!(one.to_string(), scope.as_str());
            assert_eq!(one.iter().collect::<Vec<_>>(), [scope]);
        }
        assert_eq!("orders".parse::<Scope>(), Err(UnknownScope));
        assert_eq!(Scopes::from_iter(Scope::ALL).iter().count(), 4);
        assert_eq!(Scopes::default().to_string(), "");
    }
}
