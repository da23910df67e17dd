//! What a person sees of a run: a bar or lines, and the summary.

use std::fmt;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use indicatif::HumanCount;
use tokio::time::Instant;

use crate::cli::progress::{Progress, counted};
use crate::ranges::Ranges;
use crate::reconcile::{End, Finding, Kind as FindingKind, Observer, Tally, Waiting};
use crate::signals::Signal;
use crate::source::Kind;

/// Without a terminal, the time between two lines that tell how far it is.
const BETWEEN_LINES: Duration = Duration::from_secs(10);

/// Where everything is told: a bar or lines, the report, and what the summary names.
pub(super) struct Screen {
    kind: Kind,
    from: u64,
    last: Option<u64>,
    progress: Progress,
    shown: u64,
    told: Instant,
    report: Option<BufWriter<File>>,
    names: Names,
}

/// The sequences of each kind; the first ranges of them are named.
#[derive(Default)]
pub(super) struct Names {
    missing: Ranges,
    differing: Ranges,
    gone: Ranges,
}

impl Screen {
    pub(super) fn new(kind: Kind, from: u64, report: Option<&Path>) -> anyhow::Result<Self> {
        let create = |path: &Path| {
            let file = File::create(path)
                .with_context(|| format!("cannot write the report {}", path.display()));
            file.map(BufWriter::new)
        };
        Ok(Self {
            kind,
            from,
            last: None,
            progress: Progress::start(None),
            shown: from,
            told: Instant::now(),
            report: report.map(create).transpose()?,
            names: Names::default(),
        })
    }

    fn tell(&self, line: fmt::Arguments<'_>) {
        // Who does not listen misses nothing that counts.
        let _ = self.progress.write_line(line);
    }

    pub(super) fn finish(mut self) -> anyhow::Result<Names> {
        self.progress.finish();
        if let Some(report) = &mut self.report {
            report.flush().context("cannot write the report")?;
        }
        Ok(self.names)
    }
}

impl Observer for Screen {
    fn begin(&mut self, last: Option<u64>) {
        self.last = last;
        match last {
            Some(last) => {
                self.tell(format_args!("looking at sequences {} to {last}", self.from));
                self.progress = Progress::start(Some(last - self.from + 1));
            }
            None => {
                self.tell(format_args!("nothing in the {} from {} on", self.kind, self.from));
            }
        }
    }

    fn finding(&mut self, finding: &Finding) -> anyhow::Result<()> {
        let ranges = match finding.kind {
            FindingKind::Missing => &mut self.names.missing,
            FindingKind::Differing => &mut self.names.differing,
            FindingKind::Gone => &mut self.names.gone,
        };
        ranges.add(finding.from, finding.to);
        if let Some(report) = &mut self.report {
            let line = serde_json::to_string(finding).context("cannot write the report")?;
            writeln!(report, "{line}").context("cannot write the report")?;
        }
        Ok(())
    }

    fn progress(&mut self, tally: &Tally) {
        self.progress.advance_by(tally.next - self.shown);
        self.shown = tally.next;
        if self.progress.is_hidden() && self.told.elapsed() >= BETWEEN_LINES {
            self.told = Instant::now();
            let Tally { next, missing, differing, .. } = tally;
            let last = self.last.unwrap_or_default();
            let so_far = next - 1;
            self.tell(format_args!(
                "looked at {so_far} of {last}; missing {missing}, differing {differing}"
            ));
        }
    }
}

impl Waiting for Screen {
    fn waiting(&mut self, trouble: &dyn fmt::Display, pause: Duration) {
        self.tell(format_args!("{trouble}; trying again in {pause:?}"));
    }
}

impl Names {
    pub(super) fn summarize(
        &self,
        kind: Kind,
        tally: &Tally,
        end: &End,
        interrupted: Option<Signal>,
    ) -> anyhow::Result<ExitCode> {
        let mut stdout = io::stdout().lock();
        let Tally { present, missing, differing, gone, stored, duplicates, rejected, .. } = *tally;
        let erased = match tally.erased + tally.erased_meanwhile {
            0 => String::new(),
            erased => format!(", {} erased", HumanCount(erased)),
        };
        writeln!(
            stdout,
            "{} present, {} missing, {} differing, {} gone{erased}",
            HumanCount(present),
            HumanCount(missing),
            HumanCount(differing),
            HumanCount(gone)
        )?;
        for (ranges, what) in [
            (&self.missing, "missing"),
            (&self.differing, "differing"),
            (&self.gone, &*format!("not in the {kind} any more")),
        ] {
            if !ranges.is_empty() {
                writeln!(stdout, "{what}: sequences {ranges}")?;
            }
        }
        if stored + duplicates + rejected > 0 {
            writeln!(
                stdout,
                "put back: {}, {}; stored meanwhile: {}",
                counted(stored, "order", "orders"),
                counted(rejected, "reject", "rejects"),
                counted(duplicates, "order", "orders")
            )?;
        }
        stdout.flush()?;
        let why = match end {
            End::Complete if tally.is_whole() => return Ok(ExitCode::SUCCESS),
            End::Complete => return Ok(ExitCode::FAILURE),
            End::Interrupted => "interrupted".to_owned(),
            End::Failed(error) => format!("error: {error:#}"),
        };
        writeln!(io::stderr(), "{why}; go on with --from {}", tally.next)?;
        Ok(match (end, interrupted) {
            (End::Interrupted, Some(signal)) => ExitCode::from(signal.exit_code()),
            _ => ExitCode::FAILURE,
        })
    }
}
