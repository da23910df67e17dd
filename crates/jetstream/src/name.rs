//! What names of streams, consumers and subjects must be.

use crate::error::Error;

/// In a line of the NATS protocol a name shares 4,096 bytes with others; the server's own limit
/// for names of streams and consumers.
const LONGEST: usize = 255;

/// `what` is what the name names. The rules are those of the server.
pub(crate) fn check_name(what: &str, name: &str) -> Result<(), Error> {
    let allowed = |c: char| {
        !c.is_control() && !c.is_whitespace() && !matches!(c, '.' | '*' | '>' | '/' | '\\')
    };
    if !name.is_empty() && name.len() <= LONGEST && name.chars().all(allowed) {
        return Ok(());
    }
    Err(Error::InvalidOption(format!(
        "{what} {:?} must be 1 to {LONGEST} bytes without '.', '*', '>', '/', '\\', blanks or \
         control characters",
        start(name)
    )))
}

/// A subject that messages are published to.
pub(crate) fn check_subject(subject: &str) -> Result<(), Error> {
    let allowed = |c: char| !c.is_control() && !c.is_whitespace() && !matches!(c, '*' | '>');
    let is_valid = subject.len() <= LONGEST
        && subject.chars().all(allowed)
        && subject.split('.').all(|token| !token.is_empty());
    if is_valid {
        return Ok(());
    }
    Err(Error::InvalidOption(format!(
        "subject {:?} must be 1 to {LONGEST} bytes, with no empty part between dots and no '*', \
         '>', blanks or control characters",
        start(subject)
    )))
}

fn start(name: &str) -> String {
    name.chars().take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_subjects_are_judged_as_the_server_does() {
        for valid in ["ORDERS", "a-b_c", "für", "$x"] {
            assert!(check_name("stream", valid).is_ok(), "{valid}");
            assert!(check_subject(valid).is_ok(), "{valid}");
        }
        assert!(check_subject("orders.new.1").is_ok());
        let long = "x".repeat(LONGEST + 1);
        for invalid in ["", "a b", "a\tb", "*", ">", "a\r\nb", &long] {
            let text = check_name("stream", invalid).expect_err(invalid).to_string();
            assert!(text.starts_with("stream ") && text.len() < 250, "{text}");
            check_subject(invalid).expect_err(invalid);
        }
        for invalid in [".", "a.", ".a", "a..b", "a.*"] {
            check_subject(invalid).expect_err(invalid);
            check_name("consumer", invalid).expect_err(invalid);
        }
        check_name("consumer", "a/b").expect_err("a folder");
    }
}
