//! What a load test tells of itself; it runs in a process of its own.

use prometheus::Registry;

use super::{Maker, encode};

/// The rates of the stages that run, in requests or orders a second; zero where none does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LoadStages {
    /// Lookups that are asked for.
    pub lookups: u32,
    /// Orders that are published.
    pub ingest: u32,
}

impl LoadStages {
    /// The text that Prometheus scrapes, format 0.0.4.
    #[must_use]
    pub fn render(self) -> String {
        let maker = Maker(Registry::new());
        let help = "Requests or orders a second that the running stage asks for, 0 between stages";
        let rates = maker.gauges("load_stage_rate", help, &["kind"]);
        rates.with_label_values(&["lookups"]).set(self.lookups.into());
        rates.with_label_values(&["ingest"]).set(self.ingest.into());
        encode(&maker.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_stage_has_its_rate() {
        insta::assert_snapshot!(LoadStages { lookups: 500, ingest: 0 }.render(), @r#"
        # HELP waybill_load_stage_rate Requests or orders a second that the running stage asks for, 0 between stages
        # TYPE waybill_load_stage_rate gauge
        waybill_load_stage_rate{kind="ingest"} 0
        waybill_load_stage_rate{kind="lookups"} 500
        "#);
    }
}
