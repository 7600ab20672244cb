//! The hash of a cluster's CA, as K3s agents pin it: `K10<hash>::<credential>`.
//!
//! Source: k3s `pkg/clientaccess/token.go`, `hashCA`: with one certificate in the bundle the
//!         SHA-256 of the exact PEM bytes; with several the SHA-256 of the DER of the root that
//!         the first certificate chains to.

use std::path::Path;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use sha2::{Digest, Sha256};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::failure::{Failure, Kind, OrFail, Outcome};

/// No real chain is longer; a loop in a bundle would be endless.
const LONGEST_CHAIN: usize = 16;

/// The hash of the bundle in a file, in lowercase hex.
pub fn hash_of_file(path: &Path) -> Outcome<String> {
    let doing = format!("can't read the cluster's CA from {}", path.display());
    let bundle = std::fs::read(path).or_fail(Kind::Usage, doing)?;
    hash_of_bundle(&bundle)
        .map_err(|failure| failure.context(format!("{} is no CA bundle", path.display())))
}

/// The hash of a bundle, in lowercase hex.
pub fn hash_of_bundle(bundle: &[u8]) -> Outcome<String> {
    let ders = CertificateDer::pem_slice_iter(bundle)
        .collect::<Result<Vec<_>, _>>()
        .or_fail(Kind::Failed, "it is no PEM")?;
    match ders.as_slice() {
        [] => Err(Failure::message(Kind::Failed, "it holds no certificate")),
        [_] => Ok(hex::encode(Sha256::digest(bundle))),
        [first, ..] => root_of(first, &ders).map(|root| hex::encode(Sha256::digest(root))),
    }
}

/// Follows issuers by name from `first` to a certificate that names itself.
fn root_of<'a>(
    first: &'a CertificateDer<'a>,
    bundle: &'a [CertificateDer<'a>],
) -> Outcome<&'a CertificateDer<'a>> {
    let mut current = first;
    for _ in 0..LONGEST_CHAIN {
        let certificate = parse(current)?;
        let issuer = certificate.issuer().as_raw();
        if certificate.subject().as_raw() == issuer {
            return Ok(current);
        }
        let next = bundle
            .iter()
            .find(|other| parse(other).is_ok_and(|other| other.subject().as_raw() == issuer));
        current = next.ok_or_else(|| {
            Failure::message(
                Kind::Failed,
                "its first certificate chains to no root in it",
            )
        })?;
    }
    Err(Failure::message(
        Kind::Failed,
        "its chain of issuers has no end",
    ))
}

fn parse<'a>(der: &'a CertificateDer<'a>) -> Outcome<X509Certificate<'a>> {
    X509Certificate::from_der(der)
        .map(|(_, certificate)| certificate)
        .or_fail(Kind::Failed, "one of its certificates can't be read")
}

/// Checks a hash that somebody typed.
pub fn parse_hash(text: &str) -> Result<String, String> {
    let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if text.len() == 64 && text.bytes().all(hex) {
        Ok(text.to_owned())
    } else {
        Err("a CA hash is 64 lowercase hex digits".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

    use super::*;

    fn authority(name: &str) -> (CertificateParams, KeyPair) {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        (params, KeyPair::generate().unwrap())
    }

    #[test]
    fn one_certificate_is_hashed_as_the_file_is() {
        let (params, key) = authority("root");
        let pem = params.self_signed(&key).unwrap().pem();
        let expected = hex::encode(Sha256::digest(pem.as_bytes()));
        assert_eq!(hash_of_bundle(pem.as_bytes()).unwrap(), expected);
        // The bytes count, not the certificate.
        let changed = format!("{pem}\n");
        assert_ne!(hash_of_bundle(changed.as_bytes()).unwrap(), expected);
    }

    #[test]
    fn of_several_the_root_of_the_first_is_hashed() {
        let (params, key) = authority("root");
        let root = params.self_signed(&key).unwrap();
        let issuer = Issuer::new(params, key);
        let (middle, middle_key) = authority("middle");
        let middle = middle.signed_by(&middle_key, &issuer).unwrap();
        let expected = hex::encode(Sha256::digest(root.der()));
        for bundle in [root.pem() + &middle.pem(), middle.pem() + &root.pem()] {
            assert_eq!(hash_of_bundle(bundle.as_bytes()).unwrap(), expected);
        }
        let orphan = middle.pem() + &middle.pem();
        assert!(hash_of_bundle(orphan.as_bytes()).is_err());
    }

    #[test]
    fn a_file_without_a_certificate_is_refused() {
        assert!(hash_of_bundle(b"").is_err());
        assert!(hash_of_bundle(b"hello").is_err());
    }
}
