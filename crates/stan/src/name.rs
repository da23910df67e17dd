//! What names of channels and clusters must be.

use crate::error::Error;

/// In a line of the NATS protocol a name shares 4,096 bytes with others; a server cuts the link
/// over a longer line.
const LONGEST: usize = 1_024;

/// What is wrong with a name, if anything; `what` is what it names. The rules are those of the
/// streaming server for channels, and those of NATS.
fn fault(what: &str, name: &str) -> Option<String> {
    let allowed = |c: char| !c.is_control() && !c.is_whitespace() && !matches!(c, '*' | '>' | '/');
    let is_valid = name.len() <= LONGEST
        && name.chars().all(allowed)
        && name.split('.').all(|p| !p.is_empty());
    (!is_valid).then(|| {
        let start: String = name.chars().take(64).collect();
        format!(
            "{what} {start:?} must be 1 to {LONGEST} bytes, with no empty part between dots and \
             no '*', '>', '/', blanks or control characters"
        )
    })
}

/// The text says what a channel must be.
pub(crate) fn check_channel(name: &str) -> Result<(), String> {
    fault("channel", name).map_or(Ok(()), Err)
}

pub(crate) fn check_cluster(name: &str) -> Result<(), Error> {
    fault("cluster id", name).map_or(Ok(()), |fault| Err(Error::InvalidOption(fault)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_judged_as_the_servers_do() {
        for valid in ["orders", "orders.new.1", "a-b_c", "Bestellungen.für.heute", "$x", "{a}:b"] {
            assert_eq!(check_channel(valid), Ok(()), "{valid}");
        }
        let long = "x".repeat(LONGEST + 1);
        let invalid = [
            "", ".", "a.", ".a", "a..b", "a.*", "*", "a.>", "a/b", "a b", "a\tb", "a\r\nb", "\0",
            &long,
        ];
        for invalid in invalid {
            let text = check_channel(invalid).expect_err(invalid);
            assert!(text.contains("must be 1 to 1024 bytes") && text.len() < 250, "{text}");
        }
    }
}
