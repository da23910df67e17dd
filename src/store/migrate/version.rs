//! Refusing servers that are too old.

use crate::store::Error;

/// The first version that can be told how to compress a column, which the first migration does.
const OLDEST: u32 = 14;

/// `version_num` is the server's `server_version_num`, such as 150004 for 15.4; a server that
/// does not tell it is given the benefit of the doubt.
pub(super) fn refuse_old_servers(version_num: Option<u32>) -> Result<(), Error> {
    match version_num.map(|number| number / 10_000) {
        Some(found) if found < OLDEST => Err(Error::OldServer { found, oldest: OLDEST }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_from_14_on_are_taken() {
        for new in [Some(140_000), Some(150_004), Some(190_000), None] {
            assert!(refuse_old_servers(new).is_ok(), "{new:?}");
        }
        let error = refuse_old_servers(Some(130_023)).expect_err("13 is too old");
        assert_eq!(error.to_string(), "postgres is version 13 and must be 14 or later");
    }
}
