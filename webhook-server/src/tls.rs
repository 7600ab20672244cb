//! TLS 1.3 from PEM files.
//!
//! Errors: all mean "these files can't be served"; the operator is to blame. At the
//!         start that ends the server, at a reload the old files stay in use.
//! Source: RFC 8446; rustls with the ring provider.

pub(crate) mod reload;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::server::{NoServerSessionStorage, VerifierBuilderError, WebPkiClientVerifier};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest, Sha256};
use x509_parser::prelude::{FromDer, X509Certificate};
use zeroize::Zeroizing;

use crate::config::TlsFiles;

/// Chains and keys are a few KiB; a path to something endless must not fill memory.
const MAX_FILE: u64 = 1024 * 1024;

/// Why TLS files can't be served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The file can't be read.
    #[error("can't read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is larger than any chain of certificates.
    #[error("{path} is larger than {MAX_FILE} bytes")]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// No certificate in the file, or one that is broken.
    #[error("{path} holds no usable PEM certificate")]
    Certificate {
        /// The file.
        path: PathBuf,
    },
    /// No private key in the file, or one that is broken.
    #[error("{path} holds no usable PEM private key")]
    Key {
        /// The file.
        path: PathBuf,
    },
    /// The certificate's time is over.
    #[error("the certificate in {path} has expired")]
    Expired {
        /// The file.
        path: PathBuf,
    },
    /// Certificate and key don't belong together, or are of no kind that is supported.
    #[error("certificate and key can't be used together")]
    Pair(#[source] rustls::Error),
    /// The client CA can't be used.
    #[error("the client CA in {path} can't be used")]
    ClientCa {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: VerifierBuilderError,
    },
    /// TLS 1.3 is not available: our own fault.
    #[error("tls 1.3 can't be set up")]
    Protocol(#[source] rustls::Error),
}

/// The contents of the files at one time.
pub(crate) struct Contents {
    certificate: Vec<u8>,
    key: Zeroizing<Vec<u8>>,
    client_ca: Option<Vec<u8>>,
}

/// Identifies contents, so that a change is seen without keeping the key's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fingerprint([u8; 32]);

/// Files made ready for handshakes.
#[derive(Debug, Clone)]
pub(crate) struct Prepared {
    pub(crate) config: Arc<rustls::ServerConfig>,
    /// Unix seconds.
    pub(crate) expires_at: i64,
}

impl Contents {
    pub(crate) fn read(files: &TlsFiles) -> Result<Self, TlsError> {
        Ok(Self {
            certificate: read(&files.certificate)?,
            key: Zeroizing::new(read(&files.key)?),
            client_ca: files.client_ca.as_deref().map(read).transpose()?,
        })
    }

    pub(crate) fn fingerprint(&self) -> Fingerprint {
        let mut hash = Sha256::new();
        let parts = [
            Some(&self.certificate),
            Some(&*self.key),
            self.client_ca.as_ref(),
        ];
        for part in parts.into_iter().flatten() {
            hash.update(Sha256::digest(part));
        }
        Fingerprint(hash.finalize().into())
    }

    pub(crate) fn prepare(&self, files: &TlsFiles) -> Result<Prepared, TlsError> {
        let chain = certificates(&self.certificate, &files.certificate)?;
        let expires_at = expiry(&chain, &files.certificate)?;
        if expires_at <= unix_seconds() {
            return Err(TlsError::Expired {
                path: files.certificate.clone(),
            });
        }
        let key = PrivateKeyDer::from_pem_slice(&self.key).map_err(|_| TlsError::Key {
            path: files.key.clone(),
        })?;

        let provider = provider();
        let builder = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(TlsError::Protocol)?;
        let builder = match (&self.client_ca, &files.client_ca) {
            (Some(pem), Some(path)) => {
                let client_ca = |source| TlsError::ClientCa {
                    path: path.clone(),
                    source,
                };
                let mut roots = RootCertStore::empty();
                for certificate in certificates(pem, path)? {
                    roots
                        .add(certificate)
                        .map_err(|_| TlsError::Certificate { path: path.clone() })?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider)
                    .build()
                    .map_err(client_ca)?;
                builder.with_client_cert_verifier(verifier)
            }
            _ => builder.with_no_client_auth(),
        };
        let mut config = builder
            .with_single_cert(chain, key)
            .map_err(TlsError::Pair)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        // A resumed session would not look at the client's certificate again. Our
        // clients keep their connections, so resumption gains nothing.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Prepared {
            config: Arc::new(config),
            expires_at,
        })
    }
}

pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    let failed = |source| TlsError::Read {
        path: path.to_owned(),
        source,
    };
    let mut contents = Vec::new();
    File::open(path)
        .map_err(failed)?
        .take(MAX_FILE + 1)
        .read_to_end(&mut contents)
        .map_err(failed)?;
    if u64::try_from(contents.len()).is_ok_and(|length| length <= MAX_FILE) {
        Ok(contents)
    } else {
        Err(TlsError::TooLarge {
            path: path.to_owned(),
        })
    }
}

fn certificates(pem: &[u8], path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let unusable = || TlsError::Certificate {
        path: path.to_owned(),
    };
    let chain = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| unusable())?;
    if chain.is_empty() {
        return Err(unusable());
    }
    Ok(chain)
}

/// When the first of the chain to expire does so, in Unix seconds.
fn expiry(chain: &[CertificateDer<'_>], path: &Path) -> Result<i64, TlsError> {
    let mut earliest = i64::MAX;
    for certificate in chain {
        let (_, parsed) =
            X509Certificate::from_der(certificate).map_err(|_| TlsError::Certificate {
                path: path.to_owned(),
            })?;
        earliest = earliest.min(parsed.validity().not_after.timestamp());
    }
    Ok(earliest)
}

fn unix_seconds() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_secs()).ok())
        .unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
