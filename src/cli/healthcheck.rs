//! `waybill healthcheck`: for containers without a shell.

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use http::StatusCode;
use tokio::time::timeout;

use crate::config::Settings;
use crate::http_client::HttpClient;
use crate::tls::{ClientFiles, ClientTls};

/// How long the whole check may take.
const WITHIN: Duration = Duration::from_secs(2);

/// The answers are one line.
const MAX_ANSWER: usize = 4096;

/// Ask the service on this machine how it is: exit code 0 when it is well, else 1
///
/// It asks the port of admin.listen, on the loopback address when that listens on all addresses,
/// and waits for two seconds at most. With a certificate for that port it asks over TLS,
/// and takes whatever certificate is shown.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  waybill healthcheck
  waybill healthcheck --ready")]
pub(super) struct Args {
    /// Ask whether it is ready for lookups, not only whether it is alive
    #[arg(long)]
    ready: bool,
}

/// Asks, says in one line what came of it, and tells it by the exit code.
pub(super) async fn run(args: &Args, settings: &Settings) -> anyhow::Result<ExitCode> {
    let path = if args.ready { "/readyz" } else { "/livez" };
    let address = format!("{}{path}", own_port(settings));
    // The certificate is for the name that others know the service by, and may be older than the
    // file: nothing is told but the path, and nothing is believed but that it answers.
    let tls = match settings.admin.tls.pair() {
        None => ClientTls::none(),
        Some(_) => {
            ClientTls::of_this_machine(&ClientFiles::default()).map_err(anyhow::Error::msg)?
        }
    };
    let outcome = timeout(WITHIN, ask(&tls, &address)).await;
    let outcome = outcome.unwrap_or_else(|_| Err(format!("no answer within {WITHIN:?}")));
    let (code, what) = match &outcome {
        Ok(what) => (ExitCode::SUCCESS, what),
        Err(what) => (ExitCode::FAILURE, what),
    };
    writeln!(io::stdout(), "{address}: {what}")?;
    Ok(code)
}

/// The last line of the answer; an error if it is not a 200.
async fn ask(tls: &ClientTls, address: &str) -> Result<String, String> {
    let response = HttpClient::new(tls, MAX_ANSWER).get(address).await;
    // With its causes, which a client's own error text leaves out.
    let response = response.map_err(|error| format!("{error:#}"))?;
    let status = response.status();
    let text = String::from_utf8_lossy(response.body());
    let line = text.lines().last().unwrap_or_default();
    if status == StatusCode::OK { Ok(line.to_owned()) } else { Err(format!("{status}, {line}")) }
}

/// Where the admin port of the service on this machine is.
pub(super) fn own_port(settings: &Settings) -> String {
    let scheme = if settings.admin.tls.pair().is_some() { "https" } else { "http" };
    format!("{scheme}://{}", reachable(settings.admin.listen))
}

/// Where a service that listens here is reached from the same machine.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_that_listens_everywhere_is_asked_on_the_loopback() {
        for (listen, asked) in [
            ("0.0.0.0:8081", "127.0.0.1:8081"),
            ("[::]:8081", "[::1]:8081"),
            ("127.0.0.2:1", "127.0.0.2:1"),
            ("[fe80::1]:1", "[fe80::1]:1"),
        ] {
            let listen = listen.parse().expect("an address");
            assert_eq!(reachable(listen).to_string(), asked);
        }
    }
}
