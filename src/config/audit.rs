//! Who is told to have read what, where that is written, and what happens when it cannot be.

use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;

use super::reader::Section;

/// Where audit records go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum AuditTarget {
    /// Nothing is recorded.
    #[default]
    None,
    /// Standard output, which has nothing else.
    Stdout,
    /// The file `audit.file`.
    File,
    /// The table `audit_records`.
    Postgres,
}

/// What becomes of a request that cannot be recorded now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnOverflow {
    /// It is answered once its record is written, or refused.
    #[default]
    Refuse,
    /// It waits for room in the queue.
    Block,
    /// It is answered, and its record lost and counted.
    Drop,
}

/// `[audit]`: a record of who read or changed what.
#[derive(Debug, Clone)]
pub struct Audit {
    /// Where records go.
    pub target: AuditTarget,
    /// The file that they are appended to; needed for [`AuditTarget::File`].
    pub file: Option<PathBuf>,
    /// Records that may wait to be written.
    pub queue_records: usize,
    /// What becomes of a request when that many wait.
    pub on_overflow: OnOverflow,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
}

impl Audit {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        Self {
            target: section.required(
                "target",
                "`none`, `stdout`, `file` or `postgres`",
                AuditTarget::None,
                |text| match text {
                    "none" => Some(AuditTarget::None),
                    "stdout" => Some(AuditTarget::Stdout),
                    "file" => Some(AuditTarget::File),
                    "postgres" => Some(AuditTarget::Postgres),
                    _ => None,
                },
            ),
            file: section
                .optional_text("file", "the path of a file", |text| !text.contains('\0'))
                .map(PathBuf::from),
            queue_records: section.number("queue_records", 1..=1_000_000),
            on_overflow: section.required(
                "on_overflow",
                "`refuse`, `block` or `drop`",
                OnOverflow::Refuse,
                |text| match text {
                    "refuse" => Some(OnOverflow::Refuse),
                    "block" => Some(OnOverflow::Block),
                    "drop" => Some(OnOverflow::Drop),
                    _ => None,
                },
            ),
            trusted_proxies: section
                .optional(
                    "trusted_proxies",
                    "addresses and networks divided by commas, such as `127.0.0.1, 10.0.0.0/8`",
                    networks,
                )
                .unwrap_or_default(),
        }
    }
}

/// Addresses and networks divided by commas.
fn networks(text: &str) -> Option<Vec<IpNet>> {
    let network = |part: &str| {
        let part = part.trim();
        part.parse().ok().or_else(|| part.parse::<IpAddr>().ok().map(IpNet::from))
    };
    text.split(',').map(network).collect()
}
