//! What is wrong with the settings, all of it at once.

/// Every mistake found in the settings, one line each.
#[derive(Debug, thiserror::Error)]
#[error("{}", problems.join("\n"))]
pub struct SettingsError {
    /// One sentence a mistake: which setting, from where, and what is valid.
    pub problems: Vec<String>,
}

impl SettingsError {
    /// A command is to use a stream of JetStream, and no setting says where.
    pub(crate) fn no_stream() -> Self {
        let problem = "`jetstream.url` is not set and must name the servers of the stream";
        Self { problems: vec![problem.to_owned()] }
    }
}

/// `text` as it may be shown on a terminal: control characters are escaped, and
/// the end of a long text is cut off.
pub(super) fn printable(text: &str) -> String {
    const LONGEST: usize = 100;
    let mut shown = String::new();
    for (position, character) in text.chars().enumerate() {
        if position == LONGEST {
            shown.push('…');
            break;
        }
        if character.is_control() {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}
