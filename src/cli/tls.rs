//! How commands speak to replicas over TLS.

use std::path::PathBuf;

use crate::config::SettingsError;
use crate::tls::{ClientFiles, ClientTls};

// No doc comment: clap would show it in place of the command's own.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct TlsArgs {
    /// Trust the authorities in this file (PEM) for https:// URLs, in place of those of the system
    #[arg(long = "ca-file", value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Show this certificate (PEM) to a server that asks for one
    #[arg(long = "cert-file", value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// The private key (PEM) of --cert-file
    #[arg(long = "key-file", value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
}

impl TlsArgs {
    /// For URLs of which some begin with `https://`, or none; without one no file is read.
    ///
    /// # Errors
    /// A file that is wrong.
    pub(super) fn client(&self, is_https: bool) -> Result<ClientTls, SettingsError> {
        if !is_https {
            return Ok(ClientTls::none());
        }
        ClientTls::load(&self.files()).map_err(settings_error)
    }

    /// For the own port of a service on this machine, whatever its certificate says, unless
    /// authorities are named.
    ///
    /// # Errors
    /// A file that is wrong.
    pub(super) fn client_of_this_machine(&self) -> Result<ClientTls, SettingsError> {
        let files = self.files();
        let client = match files.ca {
            Some(_) => ClientTls::load(&files),
            None => ClientTls::of_this_machine(&files),
        };
        client.map_err(settings_error)
    }

    fn files(&self) -> ClientFiles {
        let pair = self.cert.clone().zip(self.key.clone());
        ClientFiles { ca: self.ca.clone(), pair }
    }
}

fn settings_error(problem: String) -> SettingsError {
    SettingsError { problems: vec![problem] }
}
