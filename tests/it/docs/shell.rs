//! The commands in blocks of code, taken apart as a shell would, as far as the pages need it.

use super::page::Block;

/// What is typed at a prompt, and what is shown beneath it.
#[derive(Debug, PartialEq)]
pub(super) struct Typed {
    pub(super) text: String,
    pub(super) shown: Vec<String>,
}

impl Block {
    /// What is typed in this block: lines behind `$ ` in one of the language `console`, with those
    /// behind `> ` and up to the end of a here-document; every line in one of the language `sh`
    /// or of no language.
    pub(super) fn typed(&self) -> Vec<Typed> {
        let mut typed: Vec<Typed> = Vec::new();
        let mut here: Option<String> = None;
        for line in self.text.lines() {
            let is_console = match &*self.language {
                "console" => true,
                "sh" | "" => false,
                _ => return Vec::new(),
            };
            let begun = if is_console { line.strip_prefix("$ ") } else { Some(line) };
            if let (Some(end), Some(last)) = (&here, typed.last_mut()) {
                last.text.extend(["\n", line]);
                if line == end {
                    here = None;
                }
            } else if let Some(text) = begun {
                here = text.split_once("<<'").map(|(_, end)| end.trim_end_matches('\'').to_owned());
                typed.push(Typed { text: text.to_owned(), shown: Vec::new() });
            } else if let Some(last) = typed.last_mut() {
                match line.strip_prefix("> ") {
                    Some(more) if last.shown.is_empty() => last.text.extend(["\n", more]),
                    _ => last.shown.push(line.to_owned()),
                }
            }
        }
        typed
    }
}

/// A program with its arguments, and the variables set before it.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Call {
    pub(super) variables: Vec<(String, String)>,
    pub(super) words: Vec<String>,
}

/// The calls in a line; `Err` when its quotes do not match.
pub(super) fn calls(typed: &str) -> Result<Vec<Call>, String> {
    // Of a here-document the first line is the command.
    let command = typed.split_once("<<'").map_or(typed, |(command, _)| command);
    let words = shlex::split(command).ok_or_else(|| format!("`{typed}`: quotes do not match"))?;
    let mut calls = Vec::new();
    let mut call = Call::default();
    let mut words = words.into_iter();
    while let Some(mut word) = words.next() {
        let ends_here = ["|", "&&", "&", ";"].contains(&&*word) || word.ends_with(';');
        if call.words.is_empty() {
            if let Some((name, inner)) = word.split_once("=$(") {
                // The call in the parentheses is looked at, not the variable.
                assert!(is_name(name), "{typed}");
                word = inner.to_owned();
            } else if let Some((name, value)) =
                word.split_once('=').filter(|(name, _)| is_name(name))
            {
                call.variables.push((name.to_owned(), value.to_owned()));
                continue;
            }
        }
        match &*word {
            "|" | "&&" | "&" | ";" | "do" | "done" => {}
            ">" | "<" => drop(words.next()),
            redirected if redirected.starts_with(['>', '<']) => {}
            word => call.words.push(word.trim_end_matches(';').to_owned()),
        }
        if ends_here && !call.words.is_empty() {
            calls.push(std::mem::take(&mut call));
        }
    }
    if !call.words.is_empty() {
        calls.push(call);
    }
    Ok(calls)
}

/// Whether this is the name of a variable.
fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[test]
fn lines_are_taken_apart_as_a_shell_does() {
    let words = |line| {
        let calls: Vec<_> = calls(line).expect(line).into_iter().map(|call| call.words).collect();
        calls.iter().map(|words| words.join(" ")).collect::<Vec<_>>()
    };
    assert_eq!(words("a 'b | c' > d | e && f -g  # h"), ["a b | c", "e", "f -g"]);
    assert_eq!(words("for x in 1 2; do\na $x >y\ndone"), ["for x in 1 2", "a $x"]);
    assert_eq!(words("X=$(a b | c -d)"), ["a b", "c -d)"]);
    assert_eq!(words("a -f - <<'E'\nkind: 'Pod\nE"), ["a -f -"]);
    let with_variable = &calls("A_B=c d e=f").expect("calls")[0];
    assert_eq!(with_variable.variables, [("A_B".to_owned(), "c".to_owned())]);
    assert_eq!(with_variable.words, ["d", "e=f"]);
    assert!(calls("a 'b").is_err());
}

#[test]
fn what_is_typed_is_told_from_what_is_shown() {
    let text = "$ a\nb\n$ c <<'E'\nd\nE\n$ for\n> e\nf\n".to_owned();
    let block = Block { language: "console".to_owned(), text, not_run: None };
    let typed = block.typed();
    let typed: Vec<_> = typed.iter().map(|it| (&*it.text, it.shown.join(" "))).collect();
    let expected = [("a", "b"), ("c <<'E'\nd\nE", ""), ("for\ne", "f")];
    assert_eq!(typed, expected.map(|(text, shown)| (text, shown.to_owned())));
}
