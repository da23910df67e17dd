//! The places settings come from, each read into the same shape.

use std::{fs, io, path::Path};

use config::{ConfigError, File, FileFormat, Map, Source, Value, ValueKind};

use super::{error::printable, reader::trimmed};

/// The file that is read from the working directory when no other is named.
const DEFAULT_FILE: &str = "waybill.toml";
const PREFIX: &str = "WAYBILL_";

/// The settings of one source: section → key → value. Each value carries its
/// source in words as the origin; the defaults carry none.
#[derive(Debug, Clone, Default)]
pub(super) struct Layer {
    sections: Map<String, Map<String, Value>>,
}

impl Layer {
    pub(super) fn insert(&mut self, section: &str, key: &str, value: Value) {
        let section = self.sections.entry(section.to_owned()).or_default();
        section.insert(key.to_owned(), value);
    }

    /// Reads TOML. What does not fit the shape is added to `problems`.
    fn from_toml(text: &str, origin: Option<&str>, problems: &mut Vec<String>) -> Self {
        let origin = origin.map(str::to_owned);
        let mut layer = Self::default();
        let sections = match File::from_str(text, FileFormat::Toml).collect() {
            Ok(sections) => sections,
            Err(error) => {
                let name = origin.unwrap_or_default();
                problems.push(format!("{name} is not TOML: {}", without_excerpt(&error)));
                return layer;
            }
        };
        for (section, value) in sections {
            let ValueKind::Table(values) = value.kind else {
                // Not a known name by itself, so it is refused as unknown.
                layer.insert("", &section, Value::new(origin.as_ref(), value.kind));
                continue;
            };
            layer.sections.entry(section.clone()).or_default();
            for (key, value) in values {
                layer.insert(&section, &key, Value::new(origin.as_ref(), value.kind));
            }
        }
        layer
    }

    /// The defaults built into the program.
    pub(super) fn defaults(problems: &mut Vec<String>) -> Self {
        Self::from_toml(super::DEFAULTS, None, problems)
    }

    /// The file named by the user, or else `waybill.toml` if there is one.
    pub(super) fn file(named: Option<&Path>, problems: &mut Vec<String>) -> Self {
        let path = named.unwrap_or(Path::new(DEFAULT_FILE));
        let name = printable(&path.display().to_string());
        match fs::read_to_string(path) {
            Ok(text) => Self::from_toml(&text, Some(&name), problems),
            Err(error) if named.is_none() && error.kind() == io::ErrorKind::NotFound => {
                Self::default()
            }
            Err(error) => {
                problems.push(format!("cannot read {name}: {error}"));
                Self::default()
            }
        }
    }

    /// The variables `WAYBILL_<SECTION>__<KEY>` that are not empty.
    ///
    /// Names with one underscore only are no settings: Kubernetes gives every pod
    /// `WAYBILL_SERVICE_HOST` and the like when a service is called `waybill`.
    pub(super) fn environment(variables: &[(String, String)]) -> Self {
        let mut layer = Self::default();
        for (name, value) in variables {
            let Some((section, key)) =
                name.strip_prefix(PREFIX).and_then(|setting| setting.split_once("__"))
            else {
                continue;
            };
            if trimmed(value).is_empty() {
                continue;
            }
            let origin = format!("environment variable {}", printable(name));
            layer.insert(
                &section.to_lowercase(),
                &key.to_lowercase(),
                Value::new(Some(&origin), value.clone()),
            );
        }
        layer
    }

    /// The `section.key=value` of the command line; of two for the same key, the
    /// last wins.
    pub(super) fn overrides(texts: &[String], problems: &mut Vec<String>) -> Self {
        let origin = "--set".to_owned();
        let mut layer = Self::default();
        for text in texts {
            let assignment =
                text.split_once('=').and_then(|(name, value)| Some((name.split_once('.')?, value)));
            let Some(((section, key), value)) = assignment else {
                // The text is not repeated: it might hold a password.
                let name = text.split_once('=').map_or(text.as_str(), |(name, _)| name);
                problems.push(format!(
                    "--set `{}` is not an assignment; it must be `section.key=value`",
                    printable(name),
                ));
                continue;
            };
            layer.insert(section, key, Value::new(Some(&origin), value));
        }
        layer
    }

    /// Sections with nothing in them, which no unknown key would give away.
    pub(super) fn empty_sections(&self) -> impl Iterator<Item = &str> {
        self.sections
            .iter()
            .filter(|(_, values)| values.is_empty())
            .map(|(section, _)| section.as_str())
    }
}

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        let table = |values: &Map<String, Value>| Value::new(None, values.clone());
        let sections = self.sections.iter();
        Ok(sections.map(|(section, values)| (section.clone(), table(values))).collect())
    }
}

/// The place and the reason of a syntax error, without the line it quotes: that
/// line may hold a password.
fn without_excerpt(error: &ConfigError) -> String {
    let text = error.to_string();
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let place = lines.next().unwrap_or_default();
    let place = place.strip_prefix("TOML parse error at ").unwrap_or(place);
    match lines.next_back() {
        Some(reason) => format!("{place}: {reason}"),
        None => place.to_owned(),
    }
}
