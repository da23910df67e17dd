//! The stream and the consumer that a session needs: made where they are absent, refused where
//! messages could be lost.

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::api::Api;
use crate::error::{CONSUMER_EXISTS, Error, NO_CONSUMER, NO_STREAM, RequestKind, STREAM_EXISTS};
use crate::info::{ConsumerAnswer, ConsumerConfig, Led, StreamAnswer, StreamConfig};
use crate::options::{ConsumerOptions, StreamOptions};

/// A stream and a consumer that lose nothing.
#[derive(Debug)]
pub(crate) struct Ensured {
    /// When each was made. Under others the same sequence numbers mean other messages.
    pub(crate) created: (String, String),
    pub(crate) consumer: ConsumerConfig,
}

/// Asks for stream and consumer, makes what is absent if it may, and judges both.
pub(crate) async fn ensure(api: &Api, options: &ConsumerOptions) -> Result<Ensured, Error> {
    let stream = ensure_stream(api, &options.stream_options(), options.create).await?;
    let consumer = match consumer_info(api, &options.stream, &options.consumer).await {
        Err(error) if error.code() == Some(NO_CONSUMER) && options.create => {
            create_consumer(api, options).await?
        }
        answered => answered?,
    };
    judge_consumer(&consumer.config, &stream.config, options)?;
    Ok(Ensured { created: (stream.created, consumer.created), consumer: consumer.config })
}

/// Asks for a stream, makes it if it is absent and `create` says so, and judges it.
pub(crate) async fn ensure_stream(
    api: &Api,
    options: &StreamOptions,
    create: bool,
) -> Result<StreamAnswer, Error> {
    let stream = match stream_info(api, &options.name).await {
        Err(error) if error.code() == Some(NO_STREAM) && create => {
            create_stream(api, options).await?
        }
        answered => answered?,
    };
    judge_stream(&stream.config, options)?;
    Ok(stream)
}

pub(crate) async fn stream_info(api: &Api, stream: &str) -> Result<StreamAnswer, Error> {
    led(api, RequestKind::StreamInfo, &format!("STREAM.INFO.{stream}")).await
}

pub(crate) async fn consumer_info(
    api: &Api,
    stream: &str,
    consumer: &str,
) -> Result<ConsumerAnswer, Error> {
    let operation = format!("CONSUMER.INFO.{stream}.{consumer}");
    led(api, RequestKind::ConsumerInfo, &operation).await
}

/// Asks for what a leader knows. A cluster that has lost its majority answers too, with what one of
/// the servers that are left has.
async fn led<A: DeserializeOwned + Led>(
    api: &Api,
    request: RequestKind,
    operation: &str,
) -> Result<A, Error> {
    let answer: A = api.call(request, operation, &Value::Null).await?;
    match answer.cluster() {
        Some(cluster) if cluster.leader.is_none() => Err(Error::NoLeader(request)),
        _ => Ok(answer),
    }
}

async fn create_stream(api: &Api, options: &StreamOptions) -> Result<StreamAnswer, Error> {
    let config = json!({
        "name": options.name,
        "subjects": options.subjects,
        "first_seq": options.first_sequence,
        "deny_purge": options.deny_purge,
        "retention": "limits",
        "storage": "file",
        "discard": "new",
        "max_msgs": -1,
        "max_bytes": -1,
        "max_age": 0,
        "max_msgs_per_subject": -1,
        "max_consumers": -1,
        "num_replicas": options.replicas,
    });
    let operation = format!("STREAM.CREATE.{}", options.name);
    match api.call(RequestKind::CreateStream, &operation, &config).await {
        // Another member was faster.
        Err(error) if error.code() == Some(STREAM_EXISTS) => stream_info(api, &options.name).await,
        created => created,
    }
}

async fn create_consumer(api: &Api, options: &ConsumerOptions) -> Result<ConsumerAnswer, Error> {
    let config = json!({
        "stream_name": options.stream,
        "action": "create",
        "config": {
            "name": options.consumer,
            "durable_name": options.consumer,
            "deliver_policy": "all",
            "ack_policy": "explicit",
            "ack_wait": nanoseconds(options.ack_wait),
            "max_deliver": -1,
            "max_ack_pending": options.max_ack_pending,
            "filter_subject": options.subject,
            "replay_policy": "instant",
            "num_replicas": 0,
        },
    });
    let ConsumerOptions { stream, consumer, subject, .. } = options;
    let operation = format!("CONSUMER.CREATE.{stream}.{consumer}.{subject}");
    match api.call(RequestKind::CreateConsumer, &operation, &config).await {
        // Another member was faster.
        Err(error) if error.code().is_some_and(|code| CONSUMER_EXISTS.contains(&code)) => {
            consumer_info(api, stream, consumer).await
        }
        created => created,
    }
}

pub(crate) fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// A setting by its name in the API, what it is, and what it must be.
type Setting = (&'static str, String, &'static str);

fn judge(what: &str, name: &str, is_fit: &[(bool, Setting)]) -> Result<(), Error> {
    match is_fit.iter().find(|(fits, _)| !fits) {
        None => Ok(()),
        Some((_, (setting, is, must_be))) => Err(Error::Unsuitable {
            what: format!("{what} {name}"),
            setting,
            is: is.clone(),
            must_be: (*must_be).to_owned(),
        }),
    }
}

fn judge_stream(stream: &StreamConfig, options: &StreamOptions) -> Result<(), Error> {
    const NO_LIMIT: &str = "-1, no limit";
    let limit = |name, value: i64| (value <= 0, (name, value.to_string(), NO_LIMIT));
    let word = |name, value: &String, must_be: &'static str| {
        (value == must_be, (name, value.clone(), must_be))
    };
    judge(
        "stream",
        &options.name,
        &[
            word("retention", &stream.retention, "limits"),
            word("storage", &stream.storage, "file"),
            limit("max_msgs", stream.max_msgs),
            limit("max_bytes", stream.max_bytes),
            limit("max_msgs_per_subject", stream.max_msgs_per_subject),
            (stream.max_age == 0, ("max_age", format!("{} ns", stream.max_age), "0, no limit")),
            word("discard", &stream.discard, "new"),
            (
                stream.deny_purge || !options.deny_purge,
                ("deny_purge", stream.deny_purge.to_string(), "true"),
            ),
        ],
    )?;
    let is_stored =
        |subject: &String| stream.subjects.iter().any(|pattern| matches(pattern, subject));
    let Some(other) = options.subjects.iter().find(|subject| !is_stored(subject)) else {
        return Ok(());
    };
    Err(Error::Unsuitable {
        what: format!("stream {}", options.name),
        setting: "subjects",
        is: stream.subjects.join(", "),
        must_be: format!("such that {other} is one of them"),
    })
}

/// Whether a subject is one of a pattern's, in which `*` is any one token and `>` all that follow.
fn matches(pattern: &str, subject: &str) -> bool {
    let (mut pattern, mut subject) = (pattern.split('.'), subject.split('.'));
    loop {
        match (pattern.next(), subject.next()) {
            (None, None) | (Some(">"), Some(_)) => return true,
            (Some(want), Some(have)) if want == "*" || want == have => {}
            _ => return false,
        }
    }
}

fn judge_consumer(
    consumer: &ConsumerConfig,
    stream: &StreamConfig,
    options: &ConsumerOptions,
) -> Result<(), Error> {
    let none =
        |name, value: &String| (value.is_empty(), (name, value.clone(), "none: it is pulled"));
    judge(
        "consumer",
        &options.consumer,
        &[
            none("deliver_subject", &consumer.deliver_subject),
            none("deliver_group", &consumer.deliver_group),
            (
                consumer.ack_policy == "explicit",
                ("ack_policy", consumer.ack_policy.clone(), "explicit"),
            ),
            (
                consumer.max_deliver == -1,
                ("max_deliver", consumer.max_deliver.to_string(), "-1, no limit"),
            ),
            (!consumer.headers_only, ("headers_only", consumer.headers_only.to_string(), "false")),
        ],
    )?;
    let filters: Vec<&String> =
        consumer.filter_subjects.iter().chain([&consumer.filter_subject]).collect();
    let filters: Vec<&String> = filters.into_iter().filter(|filter| !filter.is_empty()).collect();
    // Without a filter it delivers all that the stream has.
    let wanted = [&options.subject];
    if filters == wanted
        || filters.is_empty() && stream.subjects.iter().collect::<Vec<_>>() == wanted
    {
        return Ok(());
    }
    Err(Error::Unsuitable {
        what: format!("consumer {}", options.consumer),
        setting: "filter_subject",
        is: filters.into_iter().map(String::as_str).collect::<Vec<_>>().join(", "),
        must_be: options.subject.clone(),
    })
}

#[cfg(test)]
mod tests;
