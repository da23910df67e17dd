//! Runs SQL through psql.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// Runs the statements one by one; answers the rows, unaligned.
///
/// Neither SQL nor password are arguments: those can be read by everyone on the machine.
pub(crate) async fn run(bin: &Path, url: &str, sql: &str) -> Result<String> {
    let (url, password) = without_password(url)?;
    let mut psql = Command::new(bin.join("psql"));
    psql.args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-d", &url]);
    psql.env("PGPASSWORD", password).env("PGCONNECT_TIMEOUT", "10");
    psql.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = psql.spawn().context("cannot start psql")?;
    let mut stdin = child.stdin.take().context("psql has no standard input")?;
    let feed = async move {
        // A psql that fails before it has read everything says why on its own.
        let _ = stdin.write_all(sql.as_bytes()).await;
    };
    let (output, ()) = tokio::join!(child.wait_with_output(), feed);
    let output = output.context("cannot wait for psql")?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "psql failed at {url}: {}", complaint.trim());
    Ok(String::from_utf8_lossy(&output.stdout).trim_end_matches('\n').to_owned())
}

/// Splits `postgres://user:password@host/db`.
pub(crate) fn without_password(url: &str) -> Result<(String, &str)> {
    let (scheme, rest) = url.split_once("://").context("a database URL needs a scheme")?;
    let (login, place) = rest.split_once('@').context("a database URL needs a user")?;
    let (user, password) = login.split_once(':').unwrap_or((login, ""));
    Ok((format!("{scheme}://{user}@{place}"), password))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_taken_out_of_a_url() {
        let (url, password) = without_password("postgres://ann:s3cret@127.0.0.1:1/db").unwrap();
        assert_eq!((url.as_str(), password), ("postgres://ann@127.0.0.1:1/db", "s3cret"));
        assert_eq!(without_password("postgres://ann@h/db").unwrap().1, "");
    }
}
