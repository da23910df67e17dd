//! The token that a command sends to a service where `access.mode` asks for one.

use std::path::PathBuf;

use anyhow::Context as _;
use http::HeaderValue;

/// Where the token is. Never the token itself: others see the command line.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct TokenArgs {
    /// A file with the token to send, where the service needs one
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

impl TokenArgs {
    /// The value of `Authorization`, if a file was named. Blanks and line ends around the token do
    /// not count.
    ///
    /// # Errors
    /// The file cannot be read, or holds no token.
    pub(in crate::cli) fn authorization(&self) -> anyhow::Result<Option<HeaderValue>> {
        let Some(path) = &self.token_file else { return Ok(None) };
        let name = path.display();
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {name}, named by --token-file"))?;
        let token = text.trim();
        let is_token = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
        anyhow::ensure!(
            is_token,
            "{name}, named by --token-file, must hold one token: ASCII without blanks"
        );
        let mut authorization = HeaderValue::try_from(format!("Bearer {token}"))?;
        // So that no log of a request shows it.
        authorization.set_sensitive(true);
        Ok(Some(authorization))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(content: &str) -> anyhow::Result<Option<HeaderValue>> {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), content).expect("written");
        TokenArgs { token_file: Some(file.path().to_owned()) }.authorization()
    }

    #[test]
    fn a_token_is_read_from_its_file_and_never_shown() {
        let value = of(" a.b-c\n").expect("a token").expect("a file");
        assert_eq!(value, "Bearer a.b-c");
        assert!(!format!("{value:?}").contains("a.b"), "{value:?}");
        for wrong in ["", "\n", "two tokens", "two\ntokens", "é"] {
            let refused = of(wrong).expect_err(wrong).to_string();
            assert!(
                refused.contains("must hold one token") && !refused.contains("two"),
                "{refused}"
            );
        }
        let none = TokenArgs { token_file: None };
        assert_eq!(none.authorization().expect("nothing to read"), None);
    }
}
