//! What to send: files, folders and standard input, read piece by piece.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use bytes::Bytes;

use self::folder::{Folder, LeftOut, has_extension};
use self::lines::Lines;
use order::OrderUid;
use order::generate::{Expected, Generated};

mod folder;
mod lines;

/// No NATS server takes more in one message, so that no more need be read into memory.
const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// One message to send, or why it cannot be read.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) origin: Origin,
    pub(super) payload: io::Result<Bytes>,
    /// Its id and what must become of it, if that is known beforehand.
    pub(super) known: Option<(Option<OrderUid>, Expected)>,
}

/// Where a message comes from, for people.
#[derive(Debug, Clone)]
pub(super) enum Origin {
    File(Arc<Path>),
    /// A file and a line of it, counted from 1.
    Line(Arc<Path>, u64),
    /// A made-up message, counted from 1.
    Generated(u64),
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(formatter, "{}", path.display()),
            Self::Line(path, line) => write!(formatter, "{}:{line}", path.display()),
            Self::Generated(number) => write!(formatter, "made-up message {number}"),
        }
    }
}

impl Message {
    pub(super) fn generated((number, generated): (u64, Generated)) -> Self {
        Self {
            origin: Origin::Generated(number),
            payload: Ok(generated.payload),
            known: Some((generated.uid, generated.expected)),
        }
    }

    pub(super) fn from_file(path: &Path, payload: io::Result<Bytes>) -> Self {
        Self { origin: Origin::File(path.into()), payload, known: None }
    }
}

/// The files to read, in order.
#[derive(Debug)]
pub(super) struct Files {
    sources: Vec<Source>,
    left_out: Vec<LeftOut>,
}

#[derive(Debug, PartialEq, Eq)]
enum Source {
    File(PathBuf),
    LinesOfFile(PathBuf),
    Stdin,
    LinesOfStdin,
}

impl Files {
    /// Finds what `paths` name. Whatever is missing is named before anything is sent.
    pub(super) fn find(paths: &[PathBuf], stdin_has_lines: bool) -> anyhow::Result<Self> {
        let (mut sources, mut left_out) = (Vec::new(), Vec::new());
        for path in paths {
            if path.as_os_str() == "-" {
                sources.push(if stdin_has_lines { Source::LinesOfStdin } else { Source::Stdin });
            } else if fs::metadata(path).with_context(|| cannot_read(path))?.is_dir() {
                let folder = Folder::read(path)?;
                sources.extend(folder.files.into_iter().map(Source::of_file));
                left_out.push(folder.left_out);
            } else {
                sources.push(Source::of_file(path.clone()));
            }
        }
        let from_stdin = |source: &&Source| matches!(source, Source::Stdin | Source::LinesOfStdin);
        if sources.iter().filter(from_stdin).count() > 1 {
            bail!("standard input (-) can be read only once");
        }
        left_out.retain(|left_out| !left_out.is_empty());
        Ok(Self { sources, left_out })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// What the folders hold besides, for people.
    pub(super) fn left_out(&self) -> &[LeftOut] {
        &self.left_out
    }

    /// Every message in them; a file is opened when its turn comes.
    pub(super) fn messages(self) -> impl Iterator<Item = Message> + Send {
        self.sources.into_iter().flat_map(Source::messages)
    }
}

impl Source {
    fn of_file(path: PathBuf) -> Self {
        if has_extension(&path, &["ndjson", "jsonl"]) {
            Self::LinesOfFile(path)
        } else {
            Self::File(path)
        }
    }

    fn messages(self) -> Box<dyn Iterator<Item = Message> + Send> {
        let stdin = Path::new("standard input");
        match self {
            Self::File(path) => {
                let payload = File::open(&path).and_then(whole);
                Box::new(std::iter::once(Message::from_file(&path, payload)))
            }
            Self::Stdin => {
                let payload = whole(io::stdin());
                Box::new(std::iter::once(Message::from_file(stdin, payload)))
            }
            Self::LinesOfFile(path) => match File::open(&path) {
                Ok(file) => Box::new(Lines::of(BufReader::new(file), &path)),
                Err(error) => Box::new(std::iter::once(Message::from_file(&path, Err(error)))),
            },
            Self::LinesOfStdin => Box::new(Lines::of(BufReader::new(io::stdin()), stdin)),
        }
    }
}

fn cannot_read(path: &Path) -> String {
    format!("cannot read {}", path.display())
}

fn whole(reader: impl Read) -> io::Result<Bytes> {
    let mut payload = Vec::new();
    reader.take(MAX_BYTES + 1).read_to_end(&mut payload)?;
    if payload.is_empty() {
        // A standard input that is closed reads like one that is empty.
        return Err(io::Error::other("it is empty"));
    }
    within_limit(payload)
}

fn within_limit(payload: Vec<u8>) -> io::Result<Bytes> {
    if payload.len() as u64 > MAX_BYTES {
        let text = format!("longer than {MAX_BYTES} bytes, the most that any NATS server takes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
    }
    Ok(payload.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(paths: &[&Path]) -> Vec<(String, Vec<u8>)> {
        let paths: Vec<_> = paths.iter().map(|path| path.to_path_buf()).collect();
        let files = Files::find(&paths, false).unwrap();
        files
            .messages()
            .map(|message| (message.origin.to_string(), message.payload.unwrap().to_vec()))
            .collect()
    }

    #[test]
    fn a_folder_is_read_by_name_and_not_below() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("b.json"), "{\n}\n").unwrap();
        fs::write(path("a.ndjson"), "1\n2\n").unwrap();
        fs::write(path("c.JSONL"), "3").unwrap();
        fs::write(path("readme.txt"), "not sent").unwrap();
        fs::create_dir(path("d.json")).unwrap();
        fs::write(path("d.json/e.json"), "not sent").unwrap();
        let found = messages(&[folder.path()]);
        let payloads: Vec<_> = found.iter().map(|(_, payload)| &payload[..]).collect();
        assert_eq!(payloads, [b"1", b"2", &b"{\n}\n"[..], b"3"]);
        assert!(found[1].0.ends_with("a.ndjson:2") && found[2].0.ends_with("b.json"));
        let files = Files::find(&[folder.path().into()], false).unwrap();
        let left_out = files.left_out()[0].to_string();
        assert!(left_out.ends_with(".json, .ndjson or .jsonl files: 2 (d.json, readme.txt)"));
    }

    #[test]
    fn a_link_that_leads_nowhere_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.json"), "1").unwrap();
        std::os::unix::fs::symlink("nowhere", folder.path().join("b.json")).unwrap();
        let error = Files::find(&[folder.path().into()], false).unwrap_err();
        assert!(format!("{error:#}").contains("b.json: No such file"), "{error:#}");
    }

    #[test]
    fn an_empty_file_is_no_message() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("empty.json");
        fs::write(&path, "").unwrap();
        let mut messages = Files::find(&[path], false).unwrap().messages();
        let error = messages.next().unwrap().payload.unwrap_err();
        assert_eq!(error.to_string(), "it is empty");
        assert!(messages.next().is_none());
    }

    #[test]
    fn any_other_file_is_one_message_exactly_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("anything.txt");
        let bytes = b"\xff\n\n\x00\r\n";
        fs::write(&path, bytes).unwrap();
        assert_eq!(messages(&[&path]), [(path.display().to_string(), bytes.to_vec())]);
    }

    #[test]
    fn what_is_missing_is_named_before_anything_is_sent() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing.json");
        let error = Files::find(&[missing], false).unwrap_err();
        assert!(format!("{error:#}").contains("missing.json: No such file"), "{error:#}");
        let error = Files::find(&[folder.path().into()], false).unwrap_err();
        assert!(error.to_string().starts_with("no .json, .ndjson or .jsonl files in"));
        let error = Files::find(&["-".into(), "-".into()], false).unwrap_err();
        assert_eq!(error.to_string(), "standard input (-) can be read only once");
    }
}
