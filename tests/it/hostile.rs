//! Messages that are no friends.

pub(crate) mod table;
