//! The facts about a stream of JetStream.

use indicatif::HumanBytes;

use super::StreamLag;
use super::facts::{Fact, fact, judged};
use super::words::{UNKNOWN, grouped, messages, or_unknown, percent, text};

/// The share of the store that is used, from which on somebody should look into it.
const FULL: f64 = 0.8;

impl StreamLag {
    pub(super) fn facts(&self) -> Vec<Fact> {
        let told = match (self.jetstream.as_str(), &self.silent_since, &self.detail) {
            (_, Some(since), Some(why)) => format!("does not answer since {since}: {why}"),
            ("answers", ..) if self.last_sequence.is_none() => "there is no such stream".to_owned(),
            ("answers", ..) if self.delivered_sequence.is_none() => {
                "there is no such consumer".to_owned()
            }
            (state, ..) => state.replace('_', " "),
        };
        let known = |count: Option<u64>| or_unknown(count, messages);
        let sequence = |number: Option<u64>| or_unknown(number, grouped);
        let lost = |count: u64| (messages(count), count > 0);
        let (replicas, are_behind) = self.replica_words();
        let (store, is_full) = self.store_words();
        let (lost, perhaps) = (lost(self.lost_messages), lost(self.perhaps_lost_messages));
        let mut facts = vec![
            judged("JetStream", text(&told), self.jetstream == "silent"),
            fact("Not delivered yet", known(self.undelivered_messages)),
            fact("Not acknowledged yet", known(self.pending_messages)),
            fact("Delivered again", known(self.redelivered_messages)),
            fact("Oldest sequence", sequence(self.first_sequence)),
            fact("Newest sequence", sequence(self.last_sequence)),
            fact("Newest sequence delivered", sequence(self.delivered_sequence)),
            fact("All acknowledged up to", sequence(self.ack_floor_sequence)),
            judged("Servers", replicas, are_behind),
            judged("Stored", store, is_full),
            judged("Lost to retention", lost.0, lost.1),
            judged("Perhaps lost to retention", perhaps.0, perhaps.1),
        ];
        if let Some(reset) = &self.stream_reset {
            facts.push(judged("The stream began anew", text(reset), true));
        }
        facts
    }

    fn replica_words(&self) -> (String, bool) {
        let numbers = (self.replicas, self.current_replicas, self.offline_replicas);
        let (Some(all), Some(current), Some(offline)) = numbers else {
            return (UNKNOWN.to_owned(), false);
        };
        (format!("{all}, {current} up to date, {offline} away"), current < all)
    }

    #[expect(clippy::cast_precision_loss, reason = "a share of bytes, in per cent")]
    fn store_words(&self) -> (String, bool) {
        let (Some(bytes), Some(limit)) = (self.store_bytes, self.store_limit_bytes) else {
            return ("no limit is known".to_owned(), false);
        };
        let share = bytes as f64 / limit as f64;
        let words = format!("{} of {}, {}", HumanBytes(bytes), HumanBytes(limit), percent(share));
        (words, share > FULL)
    }
}
