//! What the files of a port may hold, and what becomes of files that change.

use std::fs;
use std::path::PathBuf;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, PKCS_ED25519,
};
use tempfile::TempDir;

use super::port::{ServerTls, WithoutCertificate};
use crate::config::PortTls;

/// A folder with files for a port.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    fn settings(&self) -> PortTls {
        let path = |name: &str| Some(self.0.path().join(name));
        PortTls { cert_file: path("crt"), key_file: path("key"), client_ca_file: path("ca") }
    }

    fn write_all(&self, certificate: &str, key: &str, authorities: &str) {
        self.write("crt", certificate);
        self.write("key", key);
        self.write("ca", authorities);
    }

    fn load(&self) -> Result<ServerTls, String> {
        let loaded = ServerTls::load("http", &self.settings(), WithoutCertificate::Refused);
        loaded.map(|tls| tls.expect("a pair"))
    }
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate that is valid until this year, and its key.
fn pair(authority: &CertifiedIssuer<'_, KeyPair>, until: i32) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(2000, 1, 1);
    params.not_after = rcgen::date_time_ymd(until, 1, 1);
    (params.signed_by(&key, authority).unwrap().pem(), key.serialize_pem())
}

#[test]
fn what_is_wrong_with_a_file_is_told_by_setting_file_and_remedy() {
    let (folder, authority) = (Folder::new(), authority());
    let (certificate, key) = pair(&authority, 2040);
    let ca = authority.pem();
    let chain = format!("{certificate}{ca}");
    let reversed = format!("{ca}{certificate}");
    let (_, other) = pair(&authority, 2040);
    let ed25519 = KeyPair::generate_for(&PKCS_ED25519).unwrap().serialize_pem();
    let encrypted = key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    for (certificate, key, ca, setting, why) in [
        ("", &*key, &*ca, "tls_cert_file", "holds no certificate; it must be PEM"),
        (&*key, &*key, &*ca, "tls_cert_file", "holds no certificate; it must be PEM"),
        (&*reversed, &*key, &*ca, "tls_cert_file", "the first must be the server's own"),
        (&*chain, &*certificate, &*ca, "tls_key_file", "holds no private key; it must be PEM"),
        (&*chain, &*encrypted, &*ca, "tls_key_file", "holds a key with a passphrase; it must be"),
        (&*chain, &*other, &*ca, "tls_key_file", "is not the key of the first certificate in"),
        (&*chain, &*ed25519, &*ca, "tls_key_file", "is not the key of the first certificate in"),
        (&*chain, &*key, "", "tls_client_ca_file", "holds no certificate; it must be PEM"),
        (&*chain, &*key, &*key, "tls_client_ca_file", "holds no certificate; it must be PEM"),
    ] {
        folder.write_all(certificate, key, ca);
        let told = folder.load().unwrap_err();
        let name = match setting {
            "tls_cert_file" => "crt",
            "tls_key_file" => "key",
            _ => "ca",
        };
        let path = folder.0.path().join(name);
        assert!(told.starts_with(&format!("`http.{setting}` {} ", path.display())), "{told}");
        assert!(told.contains(why), "{told}");
    }
    folder.write_all(&chain, &key, &ca);
    folder.load().unwrap();
    fs::remove_file(folder.0.path().join("key")).unwrap();
    let told = folder.load().unwrap_err();
    assert!(
        told.contains("`http.tls_key_file`") && told.contains("cannot be read: No such"),
        "{told}"
    );
}

#[test]
fn files_that_change_are_used_if_they_fit_and_are_valid_now() {
    let (folder, authority) = (Folder::new(), authority());
    let (first, first_key) = pair(&authority, 2040);
    folder.write_all(&first, &first_key, &authority.pem());
    let tls = folder.load().unwrap();
    assert_eq!(tls.note(), None);
    assert_eq!(tls.reload(), Ok(false));
    let config = tls.config();

    let (second, second_key) = pair(&authority, 2041);
    folder.write("crt", &second);
    let told = tls.reload().unwrap_err();
    assert!(told.contains("is not the key of the first certificate"), "{told}");
    let (expired, expired_key) = pair(&authority, 2001);
    folder.write_all(&expired, &expired_key, &authority.pem());
    let told = tls.reload().unwrap_err();
    assert!(told.contains("is not valid now, but from 2000-01-01T00:00:00Z to 2001-"), "{told}");
    assert!(std::sync::Arc::ptr_eq(&config, &tls.config()), "the first stays in force");

    folder.write_all(&second, &second_key, &authority.pem());
    assert_eq!(tls.reload(), Ok(true));
    assert_eq!(tls.validity().end(), "2041-01-01T00:00:00Z");
    assert!(!std::sync::Arc::ptr_eq(&config, &tls.config()));
    assert_eq!(tls.reload(), Ok(false));

    // At the start there is nothing better, so it is used, and told.
    folder.write_all(&expired, &expired_key, &authority.pem());
    let note = folder.load().unwrap().note().unwrap();
    assert!(note.contains("`http.tls_cert_file` is not valid now: it is valid from"), "{note}");
}
