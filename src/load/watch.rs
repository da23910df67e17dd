//! Samples what a service uses of its machine while it is under load.

mod sample;
mod server;
mod stages;

use std::collections::{BTreeMap, HashMap};
use std::fs::{File, OpenOptions};
use std::io::{self, LineWriter, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use futures_util::future::join_all;
use http::HeaderValue;
use tokio::net::lookup_host;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::http_client::HttpClient;
use crate::load::usage::Line;
use crate::retry::LastError;
use crate::tls::ClientTls;
pub(crate) use sample::MetricsUrl;
pub(crate) use server::StageServer;

/// The time between two samples of a process.
const EVERY: Duration = Duration::from_secs(1);

/// How long names and processes may take to answer: the next sample is not to come late.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(900);

/// More than all metrics of a process.
const MAX_ANSWER: usize = 8 << 20;

/// Samples every process behind some addresses, and writes a line of JSON for each.
pub(crate) struct Watch {
    /// Each with the client that knows the name in its certificates.
    urls: Vec<(MetricsUrl, HttpClient)>,
    output: LineWriter<File>,
    /// What is wrong with each name or process, told once while it lasts.
    errors: HashMap<String, LastError>,
}

impl Watch {
    /// Will write behind what `output` holds already.
    ///
    /// # Errors
    /// `output` cannot be written, or no certificate can be for the host of a URL.
    pub(crate) fn new(
        urls: &[MetricsUrl],
        tls: &ClientTls,
        output: &Path,
        authorization: Option<&HeaderValue>,
    ) -> anyhow::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).open(output);
        let file = file.with_context(|| format!("cannot write {}", output.display()))?;
        let clients = urls.iter().map(|url| {
            let host = url.host();
            let client = HttpClient::of_host(tls, MAX_ANSWER, host);
            let client = client.map(|it| it.with_authorization(authorization.cloned()));
            Ok((url.clone(), client.with_context(|| format!("`{host}` is no name of a host"))?))
        });
        let urls = clients.collect::<anyhow::Result<_>>()?;
        Ok(Self { urls, output: LineWriter::new(file), errors: HashMap::new() })
    }

    /// Samples once a second, until an error ends it.
    ///
    /// # Errors
    /// The output cannot be written.
    pub(crate) async fn run(&mut self) -> anyhow::Error {
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            ticks.tick().await;
            if let Err(error) = self.sample_all().await {
                return error;
            }
        }
    }

    /// Samples every process once, all at the same time.
    async fn sample_all(&mut self) -> anyhow::Result<()> {
        let targets = self.targets().await;
        let samples = targets.iter().map(|(address, (url, client))| async move {
            let asked = timeout(ANSWER_TIMEOUT, sample::take(client, url, *address)).await;
            asked.unwrap_or_else(|_| Err(format!("no answer within {ANSWER_TIMEOUT:?}")))
        });
        let samples: Vec<Result<Line, String>> = join_all(samples).await;
        for (address, sample) in targets.into_keys().zip(samples) {
            match &sample {
                Ok(sample) => {
                    let line = serde_json::to_string(sample)? + "\n";
                    self.output.write_all(line.as_bytes()).context("cannot write the samples")?;
                    self.errors.remove(&address.to_string());
                }
                Err(why) => self.tell(&address.to_string(), why),
            }
        }
        Ok(())
    }

    /// Every address that the host names have now: pods come and go.
    async fn targets(&mut self) -> BTreeMap<SocketAddr, (MetricsUrl, HttpClient)> {
        let lookups = self.urls.iter().map(|target| async move {
            let url = &target.0;
            match timeout(ANSWER_TIMEOUT, lookup_host((url.host(), url.port()))).await {
                Ok(Ok(addresses)) => (target, Ok(addresses.collect::<Vec<_>>())),
                Ok(Err(error)) => (target, Err(error.to_string())),
                Err(_) => (target, Err(format!("no answer within {ANSWER_TIMEOUT:?}"))),
            }
        });
        let (mut targets, mut failed) = (BTreeMap::new(), Vec::new());
        for (target, found) in join_all(lookups).await {
            match found {
                Ok(addresses) => {
                    targets.extend(addresses.into_iter().map(|address| (address, target.clone())));
                }
                Err(why) => failed.push((target.0.host().to_owned(), why)),
            }
        }
        for (host, why) in failed {
            self.tell(&host, &why);
        }
        targets
    }

    fn tell(&mut self, what: &str, why: &str) {
        if self.errors.entry(what.to_owned()).or_default().changes_to(why) {
            // Who does not listen misses nothing that counts.
            let _ = writeln!(io::stderr(), "no sample of {what}: {why}");
        }
    }
}
