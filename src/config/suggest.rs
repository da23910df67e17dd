//! Refuses names that are no settings and says which one was probably meant.

use super::{error::printable, layer::Layer, reader::Reader};

/// Below this likeness a guess would rather mislead.
const ALIKE: f64 = 0.6;

/// One sentence for each setting that nobody reads, in a fixed order.
pub(super) fn unknown_names(reader: &Reader, layers: &[Layer]) -> Vec<String> {
    let mut problems: Vec<String> = Vec::new();
    for (section, key, origin) in reader.unknown() {
        let is_section = reader.known().any(|(known, _)| known == key);
        let origin = if origin == "--set" { "`--set`" } else { origin };
        problems.push(if section.is_empty() && is_section {
            format!("`{key}` in {origin} is a section; write `[{key}]` and its settings below")
        } else {
            let name = join(section, key);
            let guess = nearest(reader, section, key)
                .map_or_else(String::new, |known| format!("; did you mean `{known}`?"));
            format!("unknown setting `{}` in {origin}{guess}", printable(&name))
        });
    }
    for section in layers.iter().flat_map(Layer::empty_sections) {
        let mut sections = reader.known().map(|(known, _)| known);
        if !sections.any(|known| known == section) {
            problems.push(format!("unknown section `{}`", printable(section)));
        }
    }
    problems
}

/// The name most like `name`, if any is.
pub(super) fn most_alike(
    name: &str,
    known: impl Iterator<Item = &'static str>,
) -> Option<&'static str> {
    known
        .map(|known| (strsim::normalized_damerau_levenshtein(name, known), known))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, known)| known)
}

fn join(section: &str, key: &str) -> String {
    if section.is_empty() { key.to_owned() } else { format!("{section}.{key}") }
}

/// The known name most like this one, if any is. A right key in a wrong section
/// counts for a little less than a wrong letter.
fn nearest(reader: &Reader, section: &str, key: &str) -> Option<String> {
    let name = join(section, key);
    let likeness = |known_section: &str, known_key: &str| {
        let whole = strsim::normalized_damerau_levenshtein(&name, &join(known_section, known_key));
        let key = strsim::normalized_damerau_levenshtein(key, known_key);
        whole.max(key * 0.8)
    };
    reader
        .known()
        .map(|(section, key)| (likeness(section, key), join(section, key)))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, known)| known)
}
