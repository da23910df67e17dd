//! Ids in a file, one a line.

use std::fs;
use std::io::{self, Read as _};
use std::path::Path;

use anyhow::{Context as _, anyhow};
use order::OrderUid;

/// The text of a file, or of standard input for `-`.
pub(super) fn text(path: &Path) -> anyhow::Result<String> {
    if path == Path::new("-") {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text).context("cannot read standard input")?;
        return Ok(text);
    }
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// All ids of a file: one that is none is an error, before anything is erased.
pub(super) fn read(path: &Path) -> anyhow::Result<Vec<OrderUid>> {
    let name =
        if path == Path::new("-") { "standard input".into() } else { path.display().to_string() };
    let text = text(path)?;
    let lines = text.lines().enumerate().map(|(at, line)| (at + 1, line.trim()));
    let uids = lines.filter(|(_, line)| !line.is_empty()).map(|(at, line)| {
        OrderUid::try_from(line).map_err(|error| anyhow!("{name}, line {at}: {error}"))
    });
    let uids: Vec<OrderUid> = uids.collect::<anyhow::Result<_>>()?;
    if uids.is_empty() { Err(anyhow!("{name} holds no id")) } else { Ok(uids) }
}
