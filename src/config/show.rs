//! Writes the settings in force as TOML, for people.

use super::{
    Settings,
    error::printable,
    reader::{Effective, Shown},
};

impl Settings {
    /// The settings in force as TOML. Passwords are masked; what differs from the
    /// built-in defaults says where it came from. The text can be loaded again.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let mut lines = Vec::new();
        let mut section = "";
        for setting in self.in_force() {
            if setting.section != section {
                if !section.is_empty() {
                    lines.push(String::new());
                }
                section = setting.section;
                lines.push(format!("[{section}]"));
            }
            lines.push(line(setting));
        }
        lines.push(String::new());
        lines.join("\n")
    }

    /// Each setting in force: its name, such as `broker.url`, its value with passwords masked,
    /// and where it came from if that is not the built-in defaults.
    pub fn shown(&self) -> impl Iterator<Item = (String, &str, Option<String>)> {
        self.in_force().map(|setting| {
            let name = format!("{}.{}", setting.section, setting.key);
            (name, setting.text.as_str(), setting.origin.as_deref().map(printable))
        })
    }

    fn in_force(&self) -> impl Iterator<Item = &Effective> {
        self.effective.iter().filter(|setting| {
            // Setting both would be refused.
            let is_url = setting.section == "database" && setting.key == "url";
            !is_url || self.database.url_file.is_none()
        })
    }
}

fn line(setting: &Effective) -> String {
    let key = setting.key;
    let value = if setting.shown == Shown::Bare && is_bare(&setting.text) {
        setting.text.clone()
    } else {
        quoted(&setting.text)
    };
    match &setting.origin {
        None => format!("{key} = {value}"),
        Some(origin) => format!("{key} = {value} # from {}", printable(origin)),
    }
}

/// Whether TOML takes the text without quotes: of numbers, it does not take `007`.
fn is_bare(text: &str) -> bool {
    text.parse::<bool>().is_ok()
        || text.parse::<u64>().is_ok_and(|number| number.to_string() == text)
        || text.parse::<f64>().is_ok_and(|number| number.to_string() == text)
}

/// A basic string of TOML.
fn quoted(text: &str) -> String {
    let mut string = String::from('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => string.extend(['\\', character]),
            _ if character.is_control() => {
                let escape = format!("\\u{:04X}", u32::from(character));
                string.push_str(&escape);
            }
            _ => string.push(character),
        }
    }
    string.push('"');
    string
}
