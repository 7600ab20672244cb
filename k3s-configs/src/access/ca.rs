//! The hash of a cluster's CA, as K3s agents pin it.
//!
//! Shape:  with one certificate in the bundle the SHA-256 of the exact PEM bytes; with several the
//!         SHA-256 of the DER of the root that the first one chains to; where it chains to none,
//!         of the exact bytes again. An agent computes the same from `/cacerts`.
//! Source: K3s `pkg/clientaccess/token.go`, `hashCA`, and Go's `x509.Certificate.Verify`: roots
//!         are those after the first that name no other key as their authority's.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use sha2::{Digest, Sha256};
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::{ASN1Time, FromDer, X509Certificate};

/// No real chain is longer.
const LONGEST_CHAIN: usize = 8;
/// No real bundle holds more; each may be looked at once for each link.
const MOST_CERTIFICATES: usize = 32;

/// Why a bundle has no hash. Whoever gave it is to blame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CaError {
    /// It is something else.
    #[error("it is no PEM")]
    NotPem,
    /// It is PEM of something else.
    #[error("it holds no certificate")]
    NoCertificate,
    /// What calls itself a certificate is none.
    #[error("one of its certificates can't be read")]
    Unreadable,
    /// No CA bundle is so large.
    #[error("it holds more than {MOST_CERTIFICATES} certificates")]
    TooMany,
    /// What somebody typed is no hash.
    #[error("a CA hash is 64 lowercase hex digits")]
    NoHash,
}

/// The hash of a CA bundle. Shown as 64 lowercase hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CaHash([u8; 32]);

impl fmt::Display for CaHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl CaHash {
    /// The hash of a bundle. `now` decides which of several chains is valid.
    pub fn of_bundle(bundle: &[u8], now: SystemTime) -> Result<Self, CaError> {
        let ders = CertificateDer::pem_slice_iter(bundle)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| CaError::NotPem)?;
        if ders.len() > MOST_CERTIFICATES {
            return Err(CaError::TooMany);
        }
        let certificates = ders
            .iter()
            .map(|der| X509Certificate::from_der(der).map(|(_, certificate)| certificate))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| CaError::Unreadable)?;
        let Some((first, others)) = certificates.split_first() else {
            return Err(CaError::NoCertificate);
        };
        let root = root_of(first, others, now);
        let hashed = root.map_or(bundle, |root| root.as_raw());
        Ok(Self(Sha256::digest(hashed).into()))
    }

    /// Reads a hash that somebody typed.
    pub fn parse(text: &str) -> Result<Self, CaError> {
        let lower = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let mut hash = [0; 32];
        if text.bytes().all(lower) && hex::decode_to_slice(text, &mut hash).is_ok() {
            Ok(Self(hash))
        } else {
            Err(CaError::NoHash)
        }
    }
}

/// The root that `first` chains to.
fn root_of<'b, 'a>(
    first: &'b X509Certificate<'a>,
    others: &'b [X509Certificate<'a>],
    now: SystemTime,
) -> Option<&'b X509Certificate<'a>> {
    let seconds = now.duration_since(UNIX_EPOCH).ok()?.as_secs();
    let now = ASN1Time::from_timestamp(i64::try_from(seconds).ok()?).ok()?;
    let (roots, between): (Vec<_>, Vec<_>) = others.iter().partition(|one| is_root(one));
    if let Some(root) = roots.iter().find(|root| root.as_raw() == first.as_raw()) {
        return Some(root);
    }
    let mut chain = vec![first];
    search(&mut chain, &roots, &between, now)
}

/// Follows the chain upwards, roots first, and takes the first way that ends at one.
fn search<'b, 'a>(
    chain: &mut Vec<&'b X509Certificate<'a>>,
    roots: &[&'b X509Certificate<'a>],
    between: &[&'b X509Certificate<'a>],
    now: ASN1Time,
) -> Option<&'b X509Certificate<'a>> {
    let last = *chain.last()?;
    if chain.len() > LONGEST_CHAIN || !last.validity().is_valid_at(now) {
        return None;
    }
    let signed = |parent: &X509Certificate<'_>| {
        parent.subject().as_raw() == last.issuer().as_raw()
            && parent.is_ca()
            && parent.validity().is_valid_at(now)
            && last.verify_signature(Some(parent.public_key())).is_ok()
    };
    // A certificate of the same name and key is the same authority again, under another signature.
    let in_chain = |chain: &[&X509Certificate<'_>], parent: &X509Certificate<'_>| {
        chain.iter().any(|one| {
            one.subject().as_raw() == parent.subject().as_raw()
                && one.public_key().raw == parent.public_key().raw
        })
    };
    let found = roots
        .iter()
        .find(|root| !in_chain(chain, root) && signed(root));
    if let Some(root) = found {
        return Some(root);
    }
    for parent in between {
        if !in_chain(chain, parent) && signed(parent) {
            chain.push(parent);
            if let Some(root) = search(chain, roots, between, now) {
                return Some(root);
            }
            chain.pop();
        }
    }
    None
}

/// Names no authority's key, or its own.
fn is_root(certificate: &X509Certificate<'_>) -> bool {
    let mut authority = None;
    let mut subject = None;
    for extension in certificate.extensions() {
        match extension.parsed_extension() {
            ParsedExtension::AuthorityKeyIdentifier(found) => {
                authority = found.key_identifier.as_ref().map(|key| key.0);
            }
            ParsedExtension::SubjectKeyIdentifier(found) => subject = Some(found.0),
            _ => {}
        }
    }
    authority.is_none() || authority == subject
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
        params.use_authority_key_identifier_extension = true;
        (params, KeyPair::generate().unwrap())
    }

    fn hash(bundle: &str) -> CaHash {
        CaHash::of_bundle(bundle.as_bytes(), SystemTime::now()).unwrap()
    }

    fn sha(bytes: &[u8]) -> CaHash {
        CaHash(Sha256::digest(bytes).into())
    }

    #[test]
    fn one_certificate_is_hashed_as_the_file_is() {
        let (params, key) = authority("root");
        let pem = params.self_signed(&key).unwrap().pem();
        assert_eq!(hash(&pem), sha(pem.as_bytes()));
        // The bytes count, not the certificate.
        let changed = format!("{pem}\n");
        assert_ne!(hash(&changed), hash(&pem));
    }

    #[test]
    fn of_several_the_root_of_the_first_is_hashed() {
        let (params, key) = authority("root");
        let root = params.self_signed(&key).unwrap();
        let issuer = Issuer::new(params, key);
        let (middle, middle_key) = authority("middle");
        let signed = middle.signed_by(&middle_key, &issuer).unwrap();
        let issuer = Issuer::new(middle, middle_key);
        let (leaf, leaf_key) = authority("server");
        let leaf = leaf.signed_by(&leaf_key, &issuer).unwrap();
        for bundle in [
            signed.pem() + &root.pem(),
            leaf.pem() + &signed.pem() + &root.pem(),
            leaf.pem() + &root.pem() + &signed.pem(),
        ] {
            assert_eq!(hash(&bundle), sha(root.der()));
        }
    }

    #[test]
    fn where_the_first_chains_to_no_root_after_it_the_file_is_hashed() {
        let (params, key) = authority("root");
        let root = params.self_signed(&key).unwrap();
        let (other, other_key) = authority("root");
        let other = other.self_signed(&other_key).unwrap();
        let issuer = Issuer::new(params, key);
        let (middle, middle_key) = authority("middle");
        let middle = middle.signed_by(&middle_key, &issuer).unwrap();
        for bundle in [
            // A root that is first is no root of its own chain.
            root.pem() + &middle.pem(),
            // The same name, and another key.
            middle.pem() + &other.pem(),
            middle.pem() + &middle.pem(),
        ] {
            assert_eq!(hash(&bundle), sha(bundle.as_bytes()));
        }
        let twice = root.pem() + &root.pem();
        assert_eq!(hash(&twice), sha(root.der()));
    }

    #[test]
    fn a_chain_that_is_not_valid_any_more_is_no_chain() {
        let (params, key) = authority("root");
        let root = params.self_signed(&key).unwrap();
        let issuer = Issuer::new(params, key);
        let (mut middle, middle_key) = authority("middle");
        middle.not_after = rcgen::date_time_ymd(2001, 1, 1);
        let middle = middle.signed_by(&middle_key, &issuer).unwrap();
        let bundle = middle.pem() + &root.pem();
        assert_eq!(hash(&bundle), sha(bundle.as_bytes()));
    }

    #[test]
    fn what_is_no_bundle_is_refused() {
        let of = |bundle: &[u8]| CaHash::of_bundle(bundle, SystemTime::now());
        assert_eq!(of(b""), Err(CaError::NoCertificate));
        assert_eq!(of(b"hello"), Err(CaError::NoCertificate));
        let broken = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert_eq!(of(broken), Err(CaError::Unreadable));
        let (params, key) = authority("root");
        let many = params.self_signed(&key).unwrap().pem().repeat(33);
        assert_eq!(of(many.as_bytes()), Err(CaError::TooMany));
    }

    #[test]
    fn a_hash_is_64_lowercase_hex_digits() {
        let text = "0a".repeat(32);
        assert_eq!(CaHash::parse(&text).unwrap().to_string(), text);
        for bad in [
            "",
            "0a",
            &"0A".repeat(32),
            &"0a".repeat(33),
            &"zz".repeat(32),
        ] {
            assert_eq!(CaHash::parse(bad), Err(CaError::NoHash));
        }
    }
}
