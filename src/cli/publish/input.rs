//! What to send: files, folders and standard input, read piece by piece.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use bytes::Bytes;

use crate::generate::{Expected, Generated};
use crate::order::OrderUid;

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
pub(super) struct Files(Vec<Source>);

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
        let mut sources = Vec::new();
        for path in paths {
            if path.as_os_str() == "-" {
                sources.push(if stdin_has_lines { Source::LinesOfStdin } else { Source::Stdin });
            } else if fs::metadata(path).with_context(|| cannot_read(path))?.is_dir() {
                sources.extend(files_of_folder(path)?.into_iter().map(Source::of_file));
            } else {
                sources.push(Source::of_file(path.clone()));
            }
        }
        let from_stdin = |source: &&Source| matches!(source, Source::Stdin | Source::LinesOfStdin);
        if sources.iter().filter(from_stdin).count() > 1 {
            bail!("standard input (-) can be read only once");
        }
        Ok(Self(sources))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Every message in them; a file is opened when its turn comes.
    pub(super) fn messages(self) -> impl Iterator<Item = Message> + Send {
        self.0.into_iter().flat_map(Source::messages)
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

/// The files of a folder that can be told from their names to hold messages, by name.
fn files_of_folder(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| cannot_read(folder))? {
        let path = entry.with_context(|| cannot_read(folder))?.path();
        if has_extension(&path, &["json", "ndjson", "jsonl"]) && path.is_file() {
            files.push(path);
        }
    }
    if files.is_empty() {
        bail!("no .json, .ndjson or .jsonl files in {}", folder.display());
    }
    files.sort_unstable();
    Ok(files)
}

fn has_extension(path: &Path, extensions: &[&str]) -> bool {
    path.extension().is_some_and(|found| extensions.iter().any(|wanted| found == *wanted))
}

fn cannot_read(path: &Path) -> String {
    format!("cannot read {}", path.display())
}

fn whole(reader: impl Read) -> io::Result<Bytes> {
    let mut payload = Vec::new();
    reader.take(MAX_BYTES + 1).read_to_end(&mut payload)?;
    within_limit(payload)
}

fn within_limit(payload: Vec<u8>) -> io::Result<Bytes> {
    if payload.len() as u64 > MAX_BYTES {
        let text = format!("longer than {MAX_BYTES} bytes, the most that any NATS server takes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
    }
    Ok(payload.into())
}

/// The lines of a file that are not blank, without their ends.
struct Lines<R> {
    reader: R,
    path: Arc<Path>,
    line: u64,
    failed: bool,
}

impl<R: BufRead> Lines<R> {
    fn of(reader: R, path: &Path) -> Self {
        Self { reader, path: path.into(), line: 0, failed: false }
    }

    /// The next line with its end, or nothing at the end of the file.
    fn read_line(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        (&mut self.reader).take(MAX_BYTES + 1).read_until(b'\n', &mut line)?;
        if line.len() as u64 > MAX_BYTES && !line.ends_with(b"\n") {
            self.reader.skip_until(b'\n')?;
        }
        Ok((!line.is_empty()).then_some(line))
    }
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = Message;

    fn next(&mut self) -> Option<Message> {
        while !self.failed {
            self.line += 1;
            let payload = match self.read_line() {
                Ok(Some(line)) if line.trim_ascii().is_empty() => continue,
                Ok(Some(line)) => within_limit(without_end(line)),
                Ok(None) => return None,
                Err(error) => {
                    self.failed = true;
                    Err(error)
                }
            };
            let origin = Origin::Line(Arc::clone(&self.path), self.line);
            return Some(Message { origin, payload, known: None });
        }
        None
    }
}

fn without_end(mut line: Vec<u8>) -> Vec<u8> {
    if line.ends_with(b"\n") {
        line.pop();
        if line.ends_with(b"\r") {
            line.pop();
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &[u8]) -> Vec<(String, Bytes)> {
        Lines::of(text, Path::new("x.ndjson"))
            .map(|message| (message.origin.to_string(), message.payload.unwrap()))
            .collect()
    }

    fn messages(paths: &[&Path]) -> Vec<(String, Vec<u8>)> {
        let paths: Vec<_> = paths.iter().map(|path| path.to_path_buf()).collect();
        let files = Files::find(&paths, false).unwrap();
        files
            .messages()
            .map(|message| (message.origin.to_string(), message.payload.unwrap().to_vec()))
            .collect()
    }

    #[test]
    fn a_line_is_sent_without_its_end_and_blank_lines_are_not() {
        let found = lines(b"{\"a\":1} \n\n \t\r\n{}\r\n\xff\r\r\nlast");
        let expected: [(&str, &[u8]); 4] = [
            ("x.ndjson:1", b"{\"a\":1} "),
            ("x.ndjson:4", b"{}"),
            ("x.ndjson:5", b"\xff\r"),
            ("x.ndjson:6", b"last"),
        ];
        assert_eq!(found.len(), expected.len());
        for ((origin, payload), (expected_origin, expected_payload)) in found.iter().zip(expected) {
            assert_eq!((origin.as_str(), &payload[..]), (expected_origin, expected_payload));
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_named_and_the_next_one_is_read() {
        let long = io::repeat(b'x').take(MAX_BYTES + 5);
        let reader = BufReader::new(long.chain(&b"\nnext\n"[..]));
        let mut lines = Lines::of(reader, Path::new("x"));
        let first = lines.next().unwrap();
        assert_eq!(first.origin.to_string(), "x:1");
        assert!(first.payload.unwrap_err().to_string().starts_with("longer than 67108864 bytes"));
        let second = lines.next().unwrap();
        assert_eq!(second.origin.to_string(), "x:2");
        assert_eq!(second.payload.unwrap(), "next");
        assert!(lines.next().is_none());
    }

    #[test]
    fn a_file_that_cannot_be_read_further_is_named_once() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("disk on fire"))
            }
        }
        let lines = Lines::of(BufReader::new(b"one\n".chain(Broken)), Path::new("x"));
        let found: Vec<_> = lines.map(|message| message.payload.is_ok()).collect();
        assert_eq!(found, [true, false]);
    }

    #[test]
    fn a_folder_is_read_by_name_and_not_below() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("b.json"), "{\n}\n").unwrap();
        fs::write(path("a.ndjson"), "1\n2\n").unwrap();
        fs::write(path("c.jsonl"), "3").unwrap();
        fs::write(path("readme.txt"), "not sent").unwrap();
        fs::create_dir(path("d.json")).unwrap();
        fs::write(path("d.json/e.json"), "not sent").unwrap();
        let found = messages(&[folder.path()]);
        let payloads: Vec<_> = found.iter().map(|(_, payload)| &payload[..]).collect();
        assert_eq!(payloads, [b"1", b"2", &b"{\n}\n"[..], b"3"]);
        assert!(found[1].0.ends_with("a.ndjson:2") && found[2].0.ends_with("b.json"));
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
