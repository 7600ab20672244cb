//! Certificates for development: a CA, a server and a client certificate.
//!
//! Shape:  `ca.crt`, `server.crt`, `server.key`, `client.crt`, `client.key`, all PEM,
//!         all of mode 0600 in a directory of mode 0700. ECDSA P-256.
//! Units:  valid for 365 days; made anew with less than 30 days left.
//! Errors: the operator is to blame (the directory can't be written, a name is no
//!         DNS name or IP address).
//!
//! The CA's key is never written: it signs two certificates and is forgotten, so
//! nobody can steal it, and whatever is stale is made anew as a whole.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType, date_time_ymd,
};
use x509_parser::pem::Pem;
use zeroize::Zeroizing;

const DAY: Duration = Duration::from_hours(24);
const VALIDITY: Duration = Duration::from_hours(365 * 24);
const RENEW_BEFORE: Duration = Duration::from_hours(30 * 24);
/// Clocks of the machines that check may be behind.
const BACKDATED: Duration = DAY;

/// Why the certificates can't be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PkiError {
    /// A file or the directory can't be written.
    #[error("can't write {path}")]
    Write {
        /// What.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A certificate can't be made, for instance because a name is no DNS name.
    #[error("can't make a certificate")]
    Certificate(#[from] rcgen::Error),
}

/// The files of a development PKI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DevPki {
    /// The CA's certificate: what clients trust, and what signed the client's.
    pub ca: PathBuf,
    /// The server's certificate.
    pub server_certificate: PathBuf,
    /// The server's key.
    pub server_key: PathBuf,
    /// The client's certificate.
    pub client_certificate: PathBuf,
    /// The client's key.
    pub client_key: PathBuf,
}

impl DevPki {
    /// Makes the files in `dir` for a server of these DNS names and IP addresses.
    ///
    /// Files that are there, fit together, name all of `names` and are valid for
    /// another 30 days stay as they are.
    pub fn generate(dir: &Path, names: &[String]) -> Result<Self, PkiError> {
        let pki = Self::at(dir);
        if pki.is_usable(names) {
            return Ok(pki);
        }
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(|source| PkiError::Write {
                path: dir.to_owned(),
                source,
            })?;

        let ca_key = KeyPair::generate()?;
        let mut params = params("k3s-daas development CA", &[])?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let ca = params.self_signed(&ca_key)?;
        let issuer = Issuer::new(params, ca_key);
        let server = Pair::sign(
            "k3s-daas webhooks",
            names,
            ExtendedKeyUsagePurpose::ServerAuth,
            &issuer,
        )?;
        let client = Pair::sign(
            "kube-apiserver",
            &[],
            ExtendedKeyUsagePurpose::ClientAuth,
            &issuer,
        )?;

        // The CA last: without it the set counts as unfinished and is made anew.
        write(&pki.server_key, server.key.as_bytes())?;
        write(&pki.server_certificate, server.certificate.as_bytes())?;
        write(&pki.client_key, client.key.as_bytes())?;
        write(&pki.client_certificate, client.certificate.as_bytes())?;
        write(&pki.ca, ca.pem().as_bytes())?;
        Ok(pki)
    }

    fn at(dir: &Path) -> Self {
        Self {
            ca: dir.join("ca.crt"),
            server_certificate: dir.join("server.crt"),
            server_key: dir.join("server.key"),
            client_certificate: dir.join("client.crt"),
            client_key: dir.join("client.key"),
        }
    }

    fn is_usable(&self, names: &[String]) -> bool {
        let pair = |certificate: &Path, key: &Path| -> Option<Pem> {
            let certificate = read_pem(certificate)?;
            let key = Zeroizing::new(fs::read_to_string(key).ok()?);
            let key = KeyPair::from_pem(&key).ok()?;
            let parsed = certificate.parse_x509().ok()?;
            let of_key = parsed.public_key().subject_public_key.data.as_ref();
            (of_key == rcgen::PublicKeyData::der_bytes(&key)).then_some(())?;
            Some(certificate)
        };
        let check = || -> Option<bool> {
            let ca = read_pem(&self.ca)?;
            let server = pair(&self.server_certificate, &self.server_key)?;
            let client = pair(&self.client_certificate, &self.client_key)?;
            let (ca, server, client) = (
                ca.parse_x509().ok()?,
                server.parse_x509().ok()?,
                client.parse_x509().ok()?,
            );
            let enough = unix_now()? + RENEW_BEFORE;
            let lasts = [&ca, &server, &client].into_iter().all(|certificate| {
                u64::try_from(certificate.validity().not_after.timestamp())
                    .is_ok_and(|end| end > enough.as_secs())
            });
            let signed = [&server, &client]
                .into_iter()
                .all(|certificate| certificate.verify_signature(Some(ca.public_key())).is_ok());
            Some(lasts && signed && names_all(&server, names))
        };
        check().unwrap_or(false)
    }
}

struct Pair {
    certificate: String,
    key: Zeroizing<String>,
}

impl Pair {
    fn sign(
        common_name: &str,
        names: &[String],
        usage: ExtendedKeyUsagePurpose,
        issuer: &Issuer<'_, KeyPair>,
    ) -> Result<Self, PkiError> {
        let key = KeyPair::generate()?;
        let mut params = params(common_name, names)?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        params.use_authority_key_identifier_extension = true;
        Ok(Self {
            certificate: params.signed_by(&key, issuer)?.pem(),
            key: Zeroizing::new(key.serialize_pem()),
        })
    }
}

fn params(common_name: &str, names: &[String]) -> Result<CertificateParams, PkiError> {
    let mut params = CertificateParams::new(names.to_vec())?;
    params.distinguished_name.remove(DnType::CommonName);
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    let now = date_time_ymd(1970, 1, 1) + unix_now().unwrap_or_default();
    params.not_before = now - BACKDATED;
    params.not_after = now + VALIDITY;
    Ok(params)
}

fn names_all(server: &x509_parser::certificate::X509Certificate<'_>, names: &[String]) -> bool {
    let Ok(Some(found)) = server.subject_alternative_name() else {
        return names.is_empty();
    };
    let has = |wanted: &SanType| {
        found
            .value
            .general_names
            .iter()
            .any(|name| match (name, wanted) {
                (x509_parser::extensions::GeneralName::DNSName(name), SanType::DnsName(wanted)) => {
                    *name == wanted.as_str()
                }
                (
                    x509_parser::extensions::GeneralName::IPAddress(bytes),
                    SanType::IpAddress(ip),
                ) => match ip {
                    IpAddr::V4(ip) => *bytes == ip.octets(),
                    IpAddr::V6(ip) => *bytes == ip.octets(),
                },
                _ => false,
            })
    };
    CertificateParams::new(names.to_vec())
        .is_ok_and(|params| params.subject_alt_names.iter().all(has))
}

fn read_pem(path: &Path) -> Option<Pem> {
    let text = fs::read(path).ok()?;
    x509_parser::pem::parse_x509_pem(&text)
        .ok()
        .map(|(_, pem)| pem)
}

/// Writes beside the file and renames, so that no reader finds half of it, and
/// with its mode from the start, so that nobody else ever reads a key.
fn write(path: &Path, contents: &[u8]) -> Result<(), PkiError> {
    let unfinished = path.with_extension("new");
    let attempt = || -> io::Result<()> {
        match fs::remove_file(&unfinished) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file: File = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&unfinished)?;
        file.write_all(contents)?;
        file.sync_all()?;
        fs::rename(&unfinished, path)
    };
    attempt().map_err(|source| PkiError::Write {
        path: path.to_owned(),
        source,
    })
}

fn unix_now() -> Option<Duration> {
    SystemTime::now().duration_since(UNIX_EPOCH).ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn all(pki: &DevPki) -> [&PathBuf; 5] {
        [
            &pki.ca,
            &pki.server_certificate,
            &pki.server_key,
            &pki.client_certificate,
            &pki.client_key,
        ]
    }

    fn contents(pki: &DevPki) -> Vec<Vec<u8>> {
        all(pki)
            .iter()
            .map(|path| fs::read(path).unwrap())
            .collect()
    }

    #[test]
    fn only_the_owner_can_read_what_is_made() {
        let dir = tempfile::tempdir().unwrap();
        let pki = DevPki::generate(&dir.path().join("pki"), &names(&["localhost"])).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        for path in all(&pki) {
            assert_eq!(mode(path), 0o600, "{}", path.display());
        }
        assert_eq!(mode(&dir.path().join("pki")), 0o700);
        assert_eq!(
            fs::read_dir(dir.path().join("pki")).unwrap().count(),
            5,
            "no CA key, no leftovers"
        );
    }

    #[test]
    fn what_is_good_stays_and_what_is_not_is_made_anew() {
        let dir = tempfile::tempdir().unwrap();
        let two = names(&["localhost", "127.0.0.1", "::1"]);
        let pki = DevPki::generate(dir.path(), &two).unwrap();
        let first = contents(&pki);
        DevPki::generate(dir.path(), &two).unwrap();
        DevPki::generate(dir.path(), &names(&["127.0.0.1"])).unwrap();
        assert_eq!(contents(&pki), first, "good for all of these names");

        DevPki::generate(dir.path(), &names(&["10.0.0.1"])).unwrap();
        let second = contents(&pki);
        assert_ne!(second, first, "a new name");
        fs::write(&pki.server_key, "").unwrap();
        DevPki::generate(dir.path(), &names(&["10.0.0.1"])).unwrap();
        let third = contents(&pki);
        assert_ne!(third[0], second[0], "a broken key");
        fs::copy(&pki.client_key, &pki.server_key).unwrap();
        DevPki::generate(dir.path(), &names(&["10.0.0.1"])).unwrap();
        assert_ne!(contents(&pki)[0], third[0], "another's key");
    }

    #[test]
    fn a_name_that_is_none_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(
            DevPki::generate(dir.path(), &names(&["käse"])),
            Err(PkiError::Certificate(_))
        ));
    }
}
