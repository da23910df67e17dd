//! Hears what Postgres says of a commit only in a warning.
//!
//! A commit that waits for a synchronous standby and is cut short by `pg_cancel_backend`
//! succeeds, with a warning that it may not be replicated. sqlx hands warnings to nobody: it
//! logs them. So what it logs is listened to while a statement runs, whatever the log's filter.

use std::cell::Cell;
use std::fmt;

use tracing::dispatcher::{Dispatch, get_default};
use tracing::instrument::WithSubscriber as _;
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::{Interest, Subscriber};
use tracing::{Event, Level, Metadata};

tokio::task_local! {
    /// Whether Postgres has warned of something during the statement that runs.
    static WARNED: Cell<bool>;
}

/// Hears warnings; what else is logged goes on to where it went when this was made.
#[derive(Clone)]
pub(super) struct Warnings(Dispatch);

impl Warnings {
    pub(super) fn new() -> Self {
        let log = get_default(Dispatch::clone);
        let most_verbose = LevelFilter::current().max(LevelFilter::WARN);
        // Once: every dispatch that is made has all of the program's log statements sorted anew.
        Self(Dispatch::new(NoticeSubscriber { log, most_verbose }))
    }

    /// What `statement` answers, and whether Postgres warned of anything before its end.
    pub(super) async fn capture<T>(&self, statement: impl Future<Output = T>) -> (T, bool) {
        let captured = async {
            let answer = statement.await;
            (answer, WARNED.with(Cell::get))
        };
        WARNED.scope(Cell::new(false), captured.with_subscriber(self.0.clone())).await
    }
}

impl fmt::Debug for Warnings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Warnings")
    }
}

struct NoticeSubscriber {
    log: Dispatch,
    most_verbose: LevelFilter,
}

fn is_warning(metadata: &Metadata<'_>) -> bool {
    metadata.target() == "sqlx::postgres::notice" && *metadata.level() == Level::WARN
}

impl Subscriber for NoticeSubscriber {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        let interest = self.log.register_callsite(metadata);
        if is_warning(metadata) { Interest::always() } else { interest }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        is_warning(metadata) || self.log.enabled(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.most_verbose)
    }

    fn event(&self, event: &Event<'_>) {
        if is_warning(event.metadata()) {
            // Outside of a statement there is nobody to tell.
            let _ = WARNED.try_with(|warned| warned.set(true));
            if !self.log.enabled(event.metadata()) {
                return;
            }
        }
        self.log.event(event);
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        self.log.new_span(span)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        self.log.record(span, values);
    }

    fn record_follows_from(&self, span: &Id, follows: &Id) {
        self.log.record_follows_from(span, follows);
    }

    fn enter(&self, span: &Id) {
        self.log.enter(span);
    }

    fn exit(&self, span: &Id) {
        self.log.exit(span);
    }

    fn clone_span(&self, span: &Id) -> Id {
        self.log.clone_span(span)
    }

    fn try_close(&self, span: Id) -> bool {
        self.log.try_close(span)
    }
}
