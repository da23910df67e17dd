//! `waybill status`: what a replica tells of itself, in a terminal.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use http::uri::{PathAndQuery, Scheme};
use http::{HeaderValue, StatusCode, Uri};
use tokio::time::timeout;

use super::healthcheck::own_port;
use super::output::Output;
use super::tls::TlsArgs;
use super::token::TokenArgs;
use crate::config::Settings;
use crate::http_client::HttpClient;
use crate::status::{Status, Table};
use crate::tls::ClientTls;

/// How long the answer may take; the service itself takes a second at the most.
const WITHIN: Duration = Duration::from_secs(5);

/// Longer than any status.
const MAX_ANSWER: usize = 1 << 20;

/// Show how a replica does: what `/statusz` on its admin port tells
///
/// Phase, session with the broker, lag, Postgres, cache, objectives, last batches, newest rejects
/// and settings. What somebody should look into has an exclamation mark.
///
/// Exits with 0 when the replica has told its status, whatever that is, else with 1.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  waybill status
  waybill status --admin http://10.0.0.7:8081 --output json
  waybill status --admin https://waybill-0.example:8081 --ca-file ca.pem")]
pub(super) struct Args {
    /// The address of the admin port; by default that of admin.listen on this machine
    #[arg(long, value_name = "URL", value_parser = admin_url)]
    admin: Option<Uri>,
    /// How to write it: text for people, or the JSON of /statusz.json
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    output: Output,
    #[command(flatten)]
    tls: TlsArgs,
    #[command(flatten)]
    token: TokenArgs,
}

fn admin_url(text: &str) -> Result<Uri, String> {
    let uri: Option<Uri> = text.parse().ok();
    let is_http =
        |uri: &Uri| [Scheme::HTTP, Scheme::HTTPS].iter().any(|it| uri.scheme() == Some(it));
    let uri = uri.filter(|uri| is_http(uri) && uri.path() == "/");
    uri.ok_or_else(|| "it must be a URL such as http://127.0.0.1:8081".to_owned())
}

/// Asks and prints.
pub(super) async fn run(args: &Args, settings: &Settings) -> anyhow::Result<ExitCode> {
    let address = address(args, settings)?;
    let tls = match &args.admin {
        Some(admin) => args.tls.client(admin.scheme() == Some(&Scheme::HTTPS))?,
        None => args.tls.client_of_this_machine()?,
    };
    let body = ask(&tls, &address, args.token.authorization()?).await;
    let body = body.with_context(|| address.to_string())?;
    let mut stdout = io::stdout().lock();
    match args.output {
        Output::Json => stdout.write_all(&body)?,
        Output::Text => {
            let status = serde_json::from_slice(&body);
            let status: Status = status
                .with_context(|| format!("{address}: not a status that this version knows"))?;
            write(&mut stdout, &status)?;
        }
    }
    if args.output == Output::Json {
        writeln!(stdout)?;
    }
    stdout.flush()?;
    Ok(ExitCode::SUCCESS)
}

fn address(args: &Args, settings: &Settings) -> anyhow::Result<Uri> {
    let Some(admin) = &args.admin else {
        return Ok(format!("{}/statusz.json", own_port(settings)).parse()?);
    };
    let mut parts = admin.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::from_static("/statusz.json"));
    Ok(Uri::from_parts(parts)?)
}

async fn ask(
    tls: &ClientTls,
    address: &Uri,
    authorization: Option<HeaderValue>,
) -> anyhow::Result<Vec<u8>> {
    let client = HttpClient::new(tls, MAX_ANSWER).with_authorization(authorization);
    let response = timeout(WITHIN, client.get(&address.to_string())).await;
    let response = response.with_context(|| format!("no answer within {WITHIN:?}"))??;
    let status = response.status();
    if [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].contains(&status) {
        bail!("{status}; --token-file must name a file with a token of the scope admin");
    }
    ensure!(status == StatusCode::OK, "{status}; it must be the admin port of a replica");
    Ok(response.into_body().into())
}

fn write(out: &mut impl Write, status: &Status) -> io::Result<()> {
    for section in status.sections() {
        writeln!(out, "{}", section.title)?;
        let width = section.facts.iter().map(|fact| fact.name.chars().count()).max().unwrap_or(0);
        for fact in &section.facts {
            let sign = if fact.is_bad { '!' } else { ' ' };
            writeln!(out, "{sign} {:<width$}  {}", fact.name, fact.value)?;
        }
        writeln!(out)?;
    }
    let tables = status.tables();
    for (number, table) in tables.iter().enumerate() {
        write_table(out, table)?;
        if number + 1 < tables.len() {
            writeln!(out)?;
        }
    }
    Ok(())
}

/// Columns as wide as the widest cell, but for the last.
fn write_table(out: &mut impl Write, table: &Table) -> io::Result<()> {
    writeln!(out, "{}", table.title)?;
    if table.rows.is_empty() {
        return writeln!(out, "  {}", table.none);
    }
    let head: Vec<String> = table.columns.iter().map(|name| name.to_uppercase()).collect();
    let mut widths: Vec<usize> = vec![0; head.len()];
    for row in std::iter::once(&head).chain(&table.rows) {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    for row in std::iter::once(&head).chain(&table.rows) {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        let line = cells.collect::<Vec<_>>().join("  ");
        writeln!(out, "  {}", line.trim_end())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_that_of_an_admin_port() {
        for right in ["http://127.0.0.1:8081", "http://pod:1/", "https://pod:1"] {
            assert!(admin_url(right).is_ok(), "{right}");
        }
        for wrong in ["127.0.0.1:8081", "ftp://h:1", "https://h:1/statusz", "", "http://"] {
            assert!(admin_url(wrong).is_err(), "{wrong}");
        }
    }
}
