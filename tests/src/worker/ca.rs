//! The authority that K3s signs agents' certificates with, as it lies beside the API server.

use std::path::Path;

use anyhow::{Context as _, ensure};
use rcgen::{
    CertificateParams, DnType, ExtendedKeyUsagePurpose, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// Where the control planes keep it.
const FOLDERS: [&str; 2] = ["tls", "k3s/server/tls"];

/// The client CA with its key.
pub struct ClientCa {
    issuer: Issuer<'static, KeyPair>,
}

impl ClientCa {
    /// Of the control plane whose folder this is.
    pub fn of(folder: &Path) -> anyhow::Result<Self> {
        let tls = FOLDERS.map(|tls| folder.join(tls));
        let tls = tls.iter().find(|tls| tls.join("client-ca.key").is_file());
        let tls = tls.with_context(|| format!("no client CA below {}", folder.display()))?;
        let certificate = std::fs::read_to_string(tls.join("client-ca.crt"))?;
        let key = key(&tls.join("client-ca.key"))?;
        let issuer = Issuer::from_ca_cert_pem(&certificate, key)?;
        Ok(Self { issuer })
    }

    /// A certificate with its key, PEM, for a user and a group; an empty group is none.
    pub fn sign(&self, user: &str, group: &str) -> anyhow::Result<String> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, user);
        if !group.is_empty() {
            params
                .distinguished_name
                .push(DnType::OrganizationName, group);
        }
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(certificate.pem() + &key.serialize_pem())
    }
}

/// Go writes SEC 1, ring reads PKCS #8.
fn key(path: &Path) -> anyhow::Result<KeyPair> {
    let der = match PrivateKeyDer::from_pem_file(path)? {
        PrivateKeyDer::Pkcs8(key) => key.secret_pkcs8_der().to_vec(),
        PrivateKeyDer::Sec1(key) => pkcs8(key.secret_sec1_der())?,
        _ => anyhow::bail!("{}: not an elliptic curve's key", path.display()),
    };
    let der = PrivatePkcs8KeyDer::from(der);
    Ok(KeyPair::from_pkcs8_der_and_sign_algo(
        &der,
        &PKCS_ECDSA_P256_SHA256,
    )?)
}

/// RFC 5208 around RFC 5915: version 0, id-ecPublicKey with prime256v1, the key.
fn pkcs8(sec1: &[u8]) -> anyhow::Result<Vec<u8>> {
    const HEAD: [u8; 24] = [
        0x02, 0x01, 0x00, // version
        0x30, 0x13, // algorithm
        0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, // id-ecPublicKey
        0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, // prime256v1
    ];
    let length = u8::try_from(sec1.len())?;
    // Below, a length is one byte; a P-256 key has 121 with its public key and its curve.
    ensure!(length < 0x80, "not a P-256 key");
    let whole = u8::try_from(HEAD.len() + 2 + sec1.len())?;
    let outer: &[u8] = if whole < 0x80 {
        &[0x30, whole]
    } else {
        &[0x30, 0x81, whole]
    };
    Ok([outer, &HEAD, &[0x04, length], sec1].concat())
}
