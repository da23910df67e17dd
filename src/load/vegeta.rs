//! The results that vegeta writes: a stream of its struct `Result` in Go's gob encoding.
//!
//! Fields are found by their names in the definition that the stream begins with, so that a
//! version of vegeta which has more of them is read too. Bodies and headers are passed over.

use std::borrow::Cow;
use std::io::Read;

use super::gob::{Message, Messages, Type, TypeId, Types, Value};

pub use super::gob::Error;

const NOT_VEGETA: Error = Error::Malformed("holds something else than results of vegeta");

/// Seconds from 1 January of year 1, where Go begins, to 1970.
const SECONDS_TO_1970: i64 = 62_135_596_800;

/// The outcome of one request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outcome<'a> {
    /// Its number within the attack, from 0.
    pub sequence: u64,
    /// The status of the answer; 0 without one.
    pub code: u16,
    /// When it was sent, in nanoseconds since 1970.
    pub start: i64,
    /// From then to the end of the answer, in nanoseconds.
    pub latency: u64,
    /// What went wrong, empty if nothing; for a status below 200 or from 400 on, that status.
    pub error: Cow<'a, str>,
    /// What was asked for.
    pub url: Cow<'a, str>,
}

/// Which member of [`Outcome`] a field is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Member {
    Sequence,
    Code,
    Start,
    Latency,
    Error,
    Url,
}

impl Member {
    /// The name in Go, and the type that it must have.
    const ALL: [(Self, &'static str, Type); 6] = [
        (Self::Sequence, "Seq", Type::Uint),
        (Self::Code, "Code", Type::Uint),
        (Self::Start, "Timestamp", Type::Encoded),
        (Self::Latency, "Latency", Type::Int),
        (Self::Error, "Error", Type::String),
        (Self::Url, "URL", Type::String),
    ];
}

/// Reads outcomes from a file.
#[derive(Debug)]
pub struct Outcomes<R> {
    messages: Messages<R>,
    types: Types,
    layout: Option<Layout>,
    streams: u64,
}

/// What the fields of the struct are, in the order of their numbers.
#[derive(Debug)]
struct Layout {
    of: TypeId,
    fields: Vec<(Option<Member>, TypeId)>,
}

impl<R: Read> Outcomes<R> {
    /// Reads nothing yet. `input` should be buffered.
    pub fn new(input: R) -> Self {
        Self { messages: Messages::new(input), types: Types::default(), layout: None, streams: 0 }
    }

    /// How many encoders have written what was read so far, one after the other.
    #[must_use]
    pub fn streams(&self) -> u64 {
        self.streams
    }

    /// The next outcome; none at the end of the file.
    ///
    /// # Errors
    /// The file cannot be read, ends within an outcome, or is not one of vegeta's.
    pub fn advance(&mut self) -> Result<Option<Outcome<'_>>, Error> {
        let (id, at) = loop {
            if !self.messages.advance()? {
                return Ok(None);
            }
            match self.types.read(self.messages.current())? {
                Message::Definition { begins } => {
                    self.layout = None;
                    self.streams += u64::from(begins);
                }
                Message::Value(id, at) => break (id, at),
            }
        };
        if self.layout.as_ref().is_none_or(|layout| layout.of != id) {
            self.layout = Some(Layout::new(id, &self.types)?);
        }
        let fields = self.layout.as_ref().map(|layout| &*layout.fields).unwrap_or_default();
        read(Value::new(&self.messages.current()[at..]), fields, &self.types).map(Some)
    }
}

impl Layout {
    fn new(of: TypeId, types: &Types) -> Result<Self, Error> {
        let Type::Struct(fields) = types.get(of)? else { return Err(NOT_VEGETA) };
        let fields: Vec<_> = fields
            .iter()
            .map(|(name, id)| {
                let known = Member::ALL.iter().find(|(_, known, _)| known == name);
                match known {
                    None => Ok((None, *id)),
                    Some((member, _, expected)) if types.get(*id)? == expected => {
                        Ok((Some(*member), *id))
                    }
                    Some(_) => Err(NOT_VEGETA),
                }
            })
            .collect::<Result<_, Error>>()?;
        let has = |member| fields.iter().any(|(known, _)| *known == Some(member));
        let is_vegeta = Member::ALL.into_iter().all(|(member, ..)| has(member));
        if is_vegeta { Ok(Self { of, fields }) } else { Err(NOT_VEGETA) }
    }
}

/// Reads a value by the fields of its struct. One that is zero is not sent.
fn read<'a>(
    mut value: Value<'a>,
    fields: &[(Option<Member>, TypeId)],
    types: &Types,
) -> Result<Outcome<'a>, Error> {
    let mut outcome = Outcome::default();
    let mut at = None;
    while let Some(number) = value.field(at)? {
        let field = usize::try_from(number).ok().and_then(|number| fields.get(number));
        let (member, id) = field.ok_or(Error::Malformed("a result has an unknown field"))?;
        match member {
            None => value.skip(*id, types)?,
            Some(Member::Sequence) => outcome.sequence = value.uint()?,
            Some(Member::Code) => {
                let code = u16::try_from(value.uint()?);
                outcome.code =
                    code.map_err(|_| Error::Malformed("a status is no 16-bit number"))?;
            }
            Some(Member::Start) => outcome.start = nanoseconds(value.bytes()?)?,
            Some(Member::Latency) => {
                let latency = u64::try_from(value.int()?);
                outcome.latency = latency.map_err(|_| Error::Malformed("a latency is negative"))?;
            }
            Some(Member::Error) => outcome.error = String::from_utf8_lossy(value.bytes()?),
            Some(Member::Url) => outcome.url = String::from_utf8_lossy(value.bytes()?),
        }
        at = Some(number);
    }
    if value.len() > 0 {
        return Err(Error::Malformed("a result is followed by something in its message"));
    }
    if outcome.start == 0 {
        return Err(Error::Malformed("a result has no time"));
    }
    Ok(outcome)
}

/// Nanoseconds since 1970 of a `time.Time` as Go encodes it: version, seconds since year 1,
/// nanoseconds, and the offset of the time zone, which changes nothing.
fn nanoseconds(time: &[u8]) -> Result<i64, Error> {
    const MALFORMED: Error = Error::Malformed("a time is none of Go's");
    let (version, rest) = time.split_first().ok_or(MALFORMED)?;
    let (seconds, rest) = rest.split_first_chunk().ok_or(MALFORMED)?;
    let (nanoseconds, zone) = rest.split_first_chunk().ok_or(MALFORMED)?;
    if !matches!((version, zone.len()), (1, 2) | (2, 3)) {
        return Err(MALFORMED);
    }
    let since_1970 = i64::from_be_bytes(*seconds).checked_sub(SECONDS_TO_1970);
    let nanoseconds = i64::from(i32::from_be_bytes(*nanoseconds));
    since_1970
        .and_then(|seconds| seconds.checked_mul(1_000_000_000)?.checked_add(nanoseconds))
        .ok_or(Error::Malformed("a time is too far from today"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOOD: &[u8] = include_bytes!("../../tests/data/load/good/50.bin");
    const REFUSED: &[u8] = include_bytes!("../../tests/data/load/refused/50.bin");

    /// Reads to the end: how many outcomes, how many streams, and how it ended.
    fn count(bytes: &[u8]) -> (usize, u64, Result<(), Error>) {
        let mut outcomes = Outcomes::new(bytes);
        let mut count = 0;
        let ended = loop {
            match outcomes.advance() {
                Ok(Some(_)) => count += 1,
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        (count, outcomes.streams(), ended)
    }

    #[test]
    fn what_vegeta_wrote_is_read() {
        let mut outcomes = Outcomes::new(GOOD);
        let first = outcomes.advance().unwrap().unwrap();
        // As `vegeta encode -to json` prints it.
        assert_eq!(
            first,
            Outcome {
                sequence: 0,
                code: 200,
                start: 1_795_786_069_561_020_469,
                latency: 8_551_886,
                error: "".into(),
                url: "http://127.0.0.1:18080/api/v1/orders/a".into(),
            }
        );
        assert!(matches!(count(GOOD), (50, 1, Ok(()))));
        let mut outcomes = Outcomes::new(REFUSED);
        let refused = outcomes.advance().unwrap().unwrap();
        assert_eq!(refused.code, 0);
        assert!(refused.error.ends_with("connect: connection refused"), "{refused:?}");
    }

    #[test]
    fn streams_may_stand_one_after_the_other() {
        let both = [GOOD, REFUSED].concat();
        assert!(matches!(count(&both), (100, 2, Ok(()))));
        assert!(matches!(count(&[]), (0, 0, Ok(()))));
    }

    #[test]
    fn an_end_within_a_message_is_noticed_wherever_it_is() {
        let ends: Vec<usize> = (0..GOOD.len())
            .filter(|end| match count(&GOOD[..*end]) {
                (_, _, Ok(())) => true,
                (_, _, Err(Error::Truncated)) => false,
                (_, _, Err(error)) => panic!("at {end}: {error}"),
            })
            .collect();
        // Between messages: those of 50 results but the last, and of the types before them.
        assert_eq!(ends.len(), 1 + 4 + 49, "{ends:?}");
    }

    #[test]
    fn what_is_not_of_vegeta_is_refused() {
        // Go's own example, a `Point`.
        let point =
            b"\x1f\xff\x81\x03\x01\x01\x05Point\x01\xff\x82\x00\x01\x02\x01\x01X\x01\x04\x00\x01\
            \x01Y\x01\x04\x00\x00\x00\x07\xff\x82\x01\x2c\x01\x42\x00";
        let renamed = [&GOOD[..27], b"Sum", &GOOD[30..]].concat();
        for bytes in [&point[..], b"hello, here are no results", b"{\"attack\":\"\"}\n", &renamed] {
            assert!(matches!(count(bytes), (0, _, Err(_))), "{bytes:?}");
        }
        assert!(matches!(count(point).2, Err(Error::Malformed(text)) if text.contains("vegeta")));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_an_error_at_most(bytes: Vec<u8>) {
            let _ = count(&bytes);
        }

        #[test]
        fn damaged_results_are_an_error_at_most(at in 0..GOOD.len(), byte: u8, cut in 0..200_usize) {
            let mut bytes = GOOD.to_vec();
            bytes[at] = byte;
            bytes.drain(at..(at + cut).min(GOOD.len()));
            let _ = count(&bytes);
        }
    }
}
