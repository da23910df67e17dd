//! One look at the metrics of a process.

use std::net::SocketAddr;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use http::uri::Scheme;
use http::{StatusCode, Uri};

use crate::http_client::HttpClient;
use crate::load::usage::Line;

/// Where Prometheus would scrape, such as `http://waybill:8081/metrics`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MetricsUrl(Uri);

impl FromStr for MetricsUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let uri: Option<Uri> = text.parse().ok();
        let uri = uri
            .filter(|uri| [Scheme::HTTP, Scheme::HTTPS].iter().any(|it| uri.scheme() == Some(it)));
        let must_be = || "it must be a URL such as http://127.0.0.1:8081/metrics".to_owned();
        uri.map(Self).ok_or_else(must_be)
    }
}

impl MetricsUrl {
    /// Whether it is to be asked over TLS.
    pub(crate) fn is_https(&self) -> bool {
        self.0.scheme() == Some(&Scheme::HTTPS)
    }

    /// The host name or address, without the brackets of IPv6.
    pub(super) fn host(&self) -> &str {
        self.0.host().unwrap_or_default().trim_matches(['[', ']'])
    }

    pub(super) fn port(&self) -> u16 {
        self.0.port_u16().unwrap_or(if self.is_https() { 443 } else { 80 })
    }

    /// The same at one of the addresses of its host.
    fn at(&self, address: SocketAddr) -> String {
        let path = self.0.path_and_query().map_or("/", |path| path.as_str());
        let scheme = self.0.scheme_str().unwrap_or("http");
        format!("{scheme}://{address}{path}")
    }
}

/// Asks the process of `url` at `address` what it has used.
///
/// # Errors
/// Why there is no sample, for people.
pub(super) async fn take(
    client: &HttpClient,
    url: &MetricsUrl,
    address: SocketAddr,
) -> Result<Line, String> {
    let response = client.get(&url.at(address)).await.map_err(|error| format!("{error:#}"))?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    if response.status() != StatusCode::OK {
        return Err(format!("answered {}", response.status()));
    }
    let text = String::from_utf8_lossy(response.body());
    let value = |name| series(&text, name).ok_or_else(|| format!("its metrics have no {name}"));
    Ok(Line {
        time: i64::try_from(now.as_nanos()).unwrap_or(i64::MAX),
        target: address.to_string(),
        cpu_seconds: value("process_cpu_seconds_total")?,
        resident_bytes: whole(value("process_resident_memory_bytes")?),
    })
}

/// The value of a series without labels in the text that Prometheus scrapes.
fn series(text: &str, name: &str) -> Option<f64> {
    let value = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok();
    text.lines().find_map(value)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "bytes of a process are positive and far below 2^52"
)]
fn whole(number: f64) -> u64 {
    number as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_http_addresses_are_taken() {
        for (text, host, port, at) in [
            ("http://waybill:8081/metrics", "waybill", 8081, "http://127.0.0.1:1/metrics"),
            ("http://[::1]/m?a=b", "::1", 80, "http://127.0.0.1:1/m?a=b"),
            ("https://waybill/m", "waybill", 443, "https://127.0.0.1:1/m"),
        ] {
            let url: MetricsUrl = text.parse().unwrap();
            assert_eq!((url.host(), url.port()), (host, port));
            assert_eq!(url.at("127.0.0.1:1".parse().unwrap()), at);
        }
        for text in ["", "127.0.0.1:8081", "ftp://host/metrics", "/metrics"] {
            assert!(text.parse::<MetricsUrl>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_series_is_found_by_its_whole_name() {
        let text = "# HELP a_total x\na_total_more 1\na_total{b=\"c\"} 2\na_total 3.5e3\n";
        assert_eq!(series(text, "a_total"), Some(3500.0));
        assert_eq!(series(text, "a"), None);
    }
}
