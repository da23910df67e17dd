//! Which names of channels and clusters are legal.

use crate::error::Error;

/// In a line of the NATS protocol a name shares 4,096 bytes with others; a server cuts the link
/// over a longer line.
const LONGEST: usize = 1_024;

/// What is wrong with a name, if anything; `what` is what it names. The rules are those of the
/// streaming server for channels, and those of NATS.
fn fault(what: &str, name: &str) -> Option<String> {
    let legal = |c: char| !c.is_control() && !c.is_whitespace() && !matches!(c, '*' | '>' | '/');
    let is_legal =
        name.len() <= LONGEST && name.chars().all(legal) && name.split('.').all(|p| !p.is_empty());
    (!is_legal).then(|| {
        let start: String = name.chars().take(64).collect();
        format!(
            "{what} {start:?} is not legal: 1 to {LONGEST} bytes, parts that are not empty \
             between dots, no '*', '>', '/', blanks or control characters"
        )
    })
}

/// The text says what is legal.
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
        for legal in ["orders", "orders.new.1", "a-b_c", "Bestellungen.für.heute", "$x", "{a}:b"] {
            assert_eq!(check_channel(legal), Ok(()), "{legal}");
        }
        let long = "x".repeat(LONGEST + 1);
        let illegal = [
            "", ".", "a.", ".a", "a..b", "a.*", "*", "a.>", "a/b", "a b", "a\tb", "a\r\nb", "\0",
            &long,
        ];
        for illegal in illegal {
            let text = check_channel(illegal).expect_err(illegal);
            assert!(text.contains("is not legal: 1 to 1024 bytes") && text.len() < 250, "{text}");
        }
    }
}
