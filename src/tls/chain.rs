//! A server's certificate with those of the authorities behind it.

use rustls::pki_types::CertificateDer;
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;

use super::validity::Validity;

/// When the first of these certificates is valid, if each of them is signed by the one behind it.
///
/// # Errors
/// One is damaged, or is not where it must be.
pub(super) fn check(chain: &[CertificateDer<'_>]) -> Result<Validity, String> {
    let mut parsed = Vec::new();
    for (at, certificate) in chain.iter().enumerate() {
        let (_, certificate) = X509Certificate::from_der(certificate)
            .map_err(|_| format!("certificate {} in it is damaged", at + 1))?;
        parsed.push(certificate);
    }
    for (at, pair) in parsed.windows(2).enumerate() {
        let [certificate, authority] = pair else { continue };
        if certificate.issuer().as_raw() != authority.subject().as_raw() {
            let (number, next, issuer, subject) =
                (at + 1, at + 2, certificate.issuer(), authority.subject());
            return Err(format!(
                "certificate {number} in it was issued by `{issuer}` and is followed by \
                 certificate {next} of `{subject}`; the first must be the server's own, and each \
                 other that of the authority that issued the one before"
            ));
        }
    }
    let first = parsed.first().ok_or("holds no certificate")?;
    let validity = first.validity();
    Ok(Validity {
        not_before: validity.not_before.timestamp(),
        not_after: validity.not_after.timestamp(),
    })
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

    use super::*;

    #[test]
    fn certificates_must_stand_in_the_order_of_their_issuers() {
        let authority = |name: &str| {
            let mut params = CertificateParams::default();
            params.distinguished_name.push(DnType::CommonName, name);
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
        };
        let (ours, another) = (authority("ours"), authority("another"));
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(2040, 1, 1);
        let server = params.signed_by(&KeyPair::generate().unwrap(), &ours).unwrap();
        let (server, ours, another) = (server.der(), ours.der(), another.der());

        assert_eq!(check(std::slice::from_ref(server)).unwrap().not_after, 2_208_988_800);
        assert!(check(&[server.clone(), ours.clone()]).is_ok());
        for wrong in [[ours.clone(), server.clone()], [server.clone(), another.clone()]] {
            let told = check(&wrong).unwrap_err();
            assert!(
                told.contains("certificate 1") && told.contains("issued by `CN=ours`"),
                "{told}"
            );
        }
        let damaged = CertificateDer::from(vec![1, 2, 3]);
        assert_eq!(
            check(&[server.clone(), damaged]).unwrap_err(),
            "certificate 2 in it is damaged"
        );
    }
}
