//! Certificates and keys out of PEM, with errors that say what the file must hold instead.

use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Every certificate of a file, at least one.
///
/// # Errors
/// What the file holds instead, and what it must hold.
pub(super) fn certificates(file: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    const MUST_BE: &str = "it must be PEM, with `-----BEGIN CERTIFICATE-----`";
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(file).collect();
    match certificates {
        Ok(certificates) if certificates.is_empty() => {
            Err(format!("holds no certificate; {MUST_BE}"))
        }
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(format!("{}; {MUST_BE}", fault(&error))),
    }
}

/// The first private key of a file.
///
/// # Errors
/// As [`certificates`]; nothing of the file is repeated.
pub(super) fn private_key(file: &[u8]) -> Result<PrivateKeyDer<'static>, String> {
    const MUST_BE: &str = "it must be PEM, with `-----BEGIN PRIVATE KEY-----`";
    if is_encrypted(file) {
        return Err("holds a key with a passphrase; it must be one without, as `openssl pkey -in \
                    FILE -out PLAIN-FILE` writes it"
            .to_owned());
    }
    PrivateKeyDer::from_pem_slice(file).map_err(|error| match error {
        pem::Error::NoItemsFound => format!("holds no private key; {MUST_BE}"),
        error => format!("{}; {MUST_BE}", fault(&error)),
    })
}

/// PKCS #8 says so in the first line of a key, the older kinds in a header behind it.
fn is_encrypted(file: &[u8]) -> bool {
    let text = String::from_utf8_lossy(file);
    text.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----")
        || text.contains("Proc-Type: 4,ENCRYPTED")
}

/// In words of our own: the library's show bytes of the file, which may be those of a key.
fn fault(error: &pem::Error) -> &'static str {
    match error {
        pem::Error::MissingSectionEnd { .. } => "is cut short: a part of it has no `-----END`",
        pem::Error::IllegalSectionStart { .. } => "has a line that begins a part of it wrongly",
        pem::Error::Base64Decode(_) => "is damaged: a part of it is no base64",
        _ => "cannot be read as PEM",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_something_else_is_told_what_it_must_be() {
        let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
        let cut = &key[..key.len() - 40];
        for (file, certificate, private) in [
            ("", "holds no certificate", "holds no private key"),
            (key.as_str(), "holds no certificate", ""),
            (cut, "is cut short", "is cut short"),
            (
                "-----BEGIN CERTIFICATE-----\n%%\n-----END CERTIFICATE-----\n",
                "is damaged",
                "is damaged",
            ),
            (
                "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
                "holds no certificate",
                "holds a key with a passphrase",
            ),
            (
                "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n",
                "is cut short",
                "holds a key with a passphrase",
            ),
        ] {
            let told = certificates(file.as_bytes()).unwrap_err();
            assert!(
                told.starts_with(certificate) && told.contains("must be PEM"),
                "{file}: {told}"
            );
            match private_key(file.as_bytes()) {
                Ok(_) => assert!(private.is_empty(), "{file}"),
                Err(told) => {
                    assert!(!private.is_empty() && told.starts_with(private), "{file}: {told}");
                    assert!(told.contains("it must be"), "{told}");
                    assert!(!told.contains(&key[60..90]), "{told}");
                }
            }
        }
    }
}
