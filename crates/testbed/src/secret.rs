//! Passwords nobody can guess.

use std::fmt::Write;
use std::fs::File;
use std::io::Read;

use anyhow::{Context, Result};

/// 32 hexadecimal digits: 128 random bits that need no escaping in a URL, TOML or SQL.
pub(crate) fn random() -> Result<String> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")
        .and_then(|mut urandom| urandom.read_exact(&mut bytes))
        .context("cannot read /dev/urandom")?;
    Ok(bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a String cannot fail");
        text
    }))
}
