use std::fs;

use tempfile::TempDir;

use super::*;
use crate::metrics::ServerMetrics;
use crate::pki::DevPki;
use crate::tls::reload::Reloader;

fn pki() -> (TempDir, TlsFiles) {
    let dir = tempfile::tempdir().unwrap();
    let pki = DevPki::generate(dir.path(), &["localhost".to_owned()]).unwrap();
    let files = TlsFiles {
        certificate: pki.server_certificate,
        key: pki.server_key,
        client_ca: Some(pki.ca),
    };
    (dir, files)
}

fn prepare(files: &TlsFiles) -> Result<Prepared, TlsError> {
    Contents::read(files)?.prepare(files)
}

#[test]
fn takes_a_good_pair_and_knows_its_expiry() {
    let (_dir, files) = pki();
    let prepared = prepare(&files).unwrap();
    let days = (prepared.expires_at - unix_seconds()) / 86_400;
    assert!((360..=366).contains(&days), "{days}");
    assert_eq!(
        prepared.config.alpn_protocols,
        [b"h2".to_vec(), b"http/1.1".to_vec()]
    );
}

#[test]
fn refuses_what_can_not_be_served() {
    let (_dir, files) = pki();
    let (_other_dir, other) = pki();
    let missing = TlsFiles {
        key: "/nonexistent".into(),
        ..files.clone()
    };
    assert!(matches!(prepare(&missing), Err(TlsError::Read { .. })));
    let swapped = TlsFiles {
        certificate: files.key.clone(),
        ..files.clone()
    };
    assert!(matches!(
        prepare(&swapped),
        Err(TlsError::Certificate { .. })
    ));
    let no_key = TlsFiles {
        key: files.certificate.clone(),
        ..files.clone()
    };
    assert!(matches!(prepare(&no_key), Err(TlsError::Key { .. })));
    let mismatch = TlsFiles {
        key: other.key.clone(),
        ..files.clone()
    };
    assert!(matches!(prepare(&mismatch), Err(TlsError::Pair(_))));
    let no_ca = TlsFiles {
        client_ca: Some(files.key.clone()),
        ..files.clone()
    };
    assert!(matches!(prepare(&no_ca), Err(TlsError::Certificate { .. })));
    let endless = TlsFiles {
        key: "/dev/zero".into(),
        ..files
    };
    assert!(matches!(prepare(&endless), Err(TlsError::TooLarge { .. })));
}

#[test]
fn refuses_a_certificate_whose_time_is_over() {
    let (dir, files) = pki();
    let expired = dir.path().join("expired.crt");
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    fs::write(&expired, params.self_signed(&key).unwrap().pem()).unwrap();
    let expired_key = dir.path().join("expired.key");
    fs::write(&expired_key, key.serialize_pem()).unwrap();
    let files = TlsFiles {
        certificate: expired,
        key: expired_key,
        ..files
    };
    assert!(matches!(prepare(&files), Err(TlsError::Expired { .. })));
}

#[test]
fn a_reload_takes_a_whole_new_pair_and_keeps_the_old_one_meanwhile() {
    let (_dir, files) = pki();
    let (_new_dir, new) = pki();
    let metrics = ServerMetrics::default().listener("test");
    let mut reloader = Reloader::start(files.clone(), metrics).unwrap();
    let current = reloader.current();
    let first = current.load();

    reloader.look();
    assert!(Arc::ptr_eq(&first, &current.load()), "nothing changed");
    fs::copy(&new.certificate, &files.certificate).unwrap();
    reloader.look();
    assert!(Arc::ptr_eq(&first, &current.load()), "half replaced: kept");
    fs::remove_file(&files.key).unwrap();
    reloader.look();
    assert!(Arc::ptr_eq(&first, &current.load()), "unreadable: kept");
    fs::copy(&new.key, &files.key).unwrap();
    reloader.look();
    let second = current.load();
    assert!(!Arc::ptr_eq(&first, &second), "whole: taken");

    fs::copy(
        new.client_ca.as_ref().unwrap(),
        files.client_ca.as_ref().unwrap(),
    )
    .unwrap();
    reloader.look();
    assert!(
        !Arc::ptr_eq(&second, &current.load()),
        "the client CA alone is a change too"
    );
}
