//! Page, API and admin port over TLS.

mod clients;
mod commands;
mod limits;
mod mutual;
mod reload;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use testbed::eventually;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::service::{PATIENCE, Replica, Reply, World};

/// Issues certificates.
struct Authority(CertifiedIssuer<'static, KeyPair>);

/// Files of a certificate and its key.
struct Pair {
    certificate: String,
    key: String,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("an authority"))
    }

    /// A certificate for 127.0.0.1 and localhost, for servers and clients, and its key, as PEM.
    fn issue(&self, change: impl FnOnce(&mut CertificateParams)) -> (String, String) {
        let key = KeyPair::generate().expect("a key");
        let names = ["127.0.0.1".to_owned(), "localhost".to_owned()];
        let mut params = CertificateParams::new(names).expect("names");
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        change(&mut params);
        let certificate = params.signed_by(&key, &self.0).expect("a certificate");
        (certificate.pem(), key.serialize_pem())
    }

    /// The same in files of `folder` that begin with `name`.
    fn issue_files(&self, folder: &Path, name: &str) -> Pair {
        let (certificate, key) = self.issue(|_| ());
        let write = |ending: &str, text: String| {
            let path = folder.join(format!("{name}.{ending}"));
            fs::write(&path, text).expect("written");
            path.display().to_string()
        };
        Pair { certificate: write("crt", certificate), key: write("key", key) }
    }

    fn file(&self, folder: &Path, name: &str) -> String {
        let path: PathBuf = folder.join(name);
        fs::write(&path, self.0.pem()).expect("written");
        path.display().to_string()
    }

    /// Trusts this authority, and shows a certificate if asked for one and given one.
    fn client_config(&self, pair: Option<&Pair>) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).expect("an authority");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots);
        let config = match pair {
            None => builder.with_no_client_auth(),
            Some(pair) => {
                let chain = CertificateDer::pem_file_iter(&pair.certificate).expect("a file");
                let chain = chain.collect::<Result<Vec<_>, _>>().expect("certificates");
                let key = PrivateKeyDer::from_pem_file(&pair.key).expect("a key");
                builder.with_client_auth_cert(chain, key).expect("a pair")
            }
        };
        Arc::new(config)
    }
}

/// Asks over HTTPS.
struct Https(Client<HttpsConnector<HttpConnector>, Empty<Bytes>>);

impl Https {
    fn new(config: &Arc<ClientConfig>) -> Self {
        let config = ClientConfig::clone(config);
        let connector = HttpsConnectorBuilder::new().with_tls_config(config).https_only();
        let connector = connector.enable_http1().build();
        Self(Client::builder(TokioExecutor::new()).build(connector))
    }

    async fn get(&self, address: SocketAddr, path: &str) -> Option<Reply> {
        let url = format!("https://{address}{path}").parse().expect("a URL");
        let (head, body) = self.0.get(url).await.ok()?.into_parts();
        let body = body.collect().await.ok()?.to_bytes();
        Some(Reply { status: head.status, headers: head.headers, body })
    }

    async fn status(&self, address: SocketAddr, path: &str) -> Option<u16> {
        Some(self.get(address, path).await?.status.as_u16())
    }
}

/// A connection of its own, after the handshake.
async fn connect(
    config: &Arc<ClientConfig>,
    address: SocketAddr,
) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::from(address.ip());
    TlsConnector::from(Arc::clone(config)).connect(name, stream).await
}

/// Waits until a replica with TLS on the admin port is ready.
async fn until_ready(https: &Https, replica: &Replica) {
    eventually("the replica is ready", PATIENCE, async || {
        (https.status(replica.admin, "/readyz").await? == 200).then_some(())
    })
    .await;
}

/// The settings of a port's pair.
fn settings<'a>(port: &str, pair: &'a Pair) -> [(String, &'a str); 2] {
    [
        (format!("WAYBILL_{port}__TLS_CERT_FILE"), &pair.certificate),
        (format!("WAYBILL_{port}__TLS_KEY_FILE"), &pair.key),
    ]
}

/// A replica with these settings, bound and perhaps not ready.
async fn start(world: &World, name: &str, settings: &[(String, &str)]) -> Replica {
    let settings: Vec<_> = settings.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    world.start(name, &settings).await
}

/// Runs a program of the system to its end.
async fn run(program: &str, arguments: &[&str]) -> Output {
    let mut command = tokio::process::Command::new(program);
    command.args(arguments).stdin(std::process::Stdio::null()).kill_on_drop(true);
    command.output().await.unwrap_or_else(|error| panic!("{program}: {error}"))
}
