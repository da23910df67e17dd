//! A stream, to be read, measured and deleted from. Everything is answered by its leader.

use std::ops::RangeInclusive;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use serde::Deserialize;
use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::api::Api;
use crate::ensure::{consumer_info, stream_info};
use crate::error::{Error, NO_MESSAGE, RequestKind};
use crate::info::{ConsumerInfo, StreamInfo};
use crate::name;

/// Requests for messages that are on their way at a time.
const WINDOW: usize = 256;

/// `err_code`s of an answer that a message could not be deleted, be it there or not.
const NOT_DELETED: [u32; 2] = [10043, 10057];

/// A stream, which need not be there. Clones are the same.
#[derive(Debug, Clone)]
pub struct Stream {
    api: Api,
    name: String,
}

/// A message as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredMessage {
    /// Its number within the stream, from 1.
    pub sequence: u64,
    /// When the server stored it, in nanoseconds since 1970.
    pub timestamp: i64,
    /// The subject that it was published to.
    pub subject: String,
    /// The payload, as it was published.
    pub data: Bytes,
}

#[derive(Deserialize)]
struct GetAnswer {
    message: RawMessage,
}

#[derive(Deserialize)]
struct RawMessage {
    subject: String,
    seq: u64,
    #[serde(default)]
    data: String,
    time: String,
}

#[derive(Deserialize)]
struct DeleteAnswer {
    success: bool,
}

impl Stream {
    pub(crate) fn new(api: Api, name: &str) -> Self {
        Self { api, name: name.to_owned() }
    }

    /// What it holds.
    ///
    /// # Errors
    /// [`Error::Refused`] with code 10059 if there is no such stream.
    pub async fn info(&self) -> Result<StreamInfo, Error> {
        stream_info(&self.api, &self.name).await.map(StreamInfo::from)
    }

    /// How far a consumer of it is.
    ///
    /// # Errors
    /// [`Error::Refused`] with code 10014 if there is no such consumer.
    pub async fn consumer_info(&self, consumer: &str) -> Result<ConsumerInfo, Error> {
        name::check_name("consumer", consumer)?;
        consumer_info(&self.api, &self.name, consumer).await.map(ConsumerInfo::from)
    }

    /// The message of a sequence; none if it was deleted or never was.
    ///
    /// # Errors
    /// [`Error::Refused`] with code 10059 if there is no such stream.
    pub async fn get(&self, sequence: u64) -> Result<Option<StoredMessage>, Error> {
        self.find(&json!({ "seq": sequence })).await
    }

    /// The first message of a subject whose sequence is `from` or higher; none if there is none.
    ///
    /// # Errors
    /// [`Error::Refused`] with code 10059 if there is no such stream.
    pub async fn next_of(&self, subject: &str, from: u64) -> Result<Option<StoredMessage>, Error> {
        self.find(&json!({ "seq": from, "next_by_subj": subject })).await
    }

    async fn find(&self, request: &serde_json::Value) -> Result<Option<StoredMessage>, Error> {
        let operation = format!("STREAM.MSG.GET.{}", self.name);
        match self.api.call(RequestKind::GetMessage, &operation, request).await {
            Ok(GetAnswer { message }) => StoredMessage::try_from(message).map(Some),
            Err(error) if error.code() == Some(NO_MESSAGE) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The messages of a range, in order; those that were deleted are left out. It ends with the
    /// first error, after which it can be read on from there.
    pub fn read(
        &self,
        sequences: RangeInclusive<u64>,
    ) -> impl futures_util::Stream<Item = Result<StoredMessage, Error>> + Send + '_ {
        stream::iter(sequences)
            .map(|sequence| self.get(sequence))
            .buffered(WINDOW)
            .filter_map(|got| std::future::ready(got.transpose()))
            .scan(false, |has_failed, got| {
                let ends = std::mem::replace(has_failed, got.is_err());
                std::future::ready((!ends).then_some(got))
            })
    }

    /// Deletes a message and overwrites it on the disk; answers whether it was there.
    ///
    /// # Errors
    /// [`Error::Refused`] if the stream is not there or does not let messages be deleted.
    pub async fn delete(&self, sequence: u64) -> Result<bool, Error> {
        let operation = format!("STREAM.MSG.DELETE.{}", self.name);
        let request = json!({ "seq": sequence, "no_erase": false });
        match self.api.call(RequestKind::DeleteMessage, &operation, &request).await {
            Ok(DeleteAnswer { success }) => Ok(success),
            Err(error) if error.code().is_some_and(|code| NOT_DELETED.contains(&code)) => {
                match self.get(sequence).await? {
                    None => Ok(false),
                    Some(_) => Err(error),
                }
            }
            Err(error) => Err(error),
        }
    }
}

impl TryFrom<RawMessage> for StoredMessage {
    type Error = Error;

    fn try_from(raw: RawMessage) -> Result<Self, Error> {
        let RawMessage { subject, seq: sequence, data, time } = raw;
        let invalid = RequestKind::GetMessage;
        let data = BASE64.decode(data).map_err(|error| Error::invalid_answer(invalid, error))?;
        let time = OffsetDateTime::parse(&time, &Rfc3339)
            .map_err(|error| Error::invalid_answer(invalid, error))?;
        let timestamp = i64::try_from(time.unix_timestamp_nanos())
            .map_err(|error| Error::invalid_answer(invalid, error))?;
        Ok(Self { sequence, timestamp, subject, data: data.into() })
    }
}
