use super::*;

/// The key of the recorded network: 32 bytes of 01, and its address there.
const RECORDED: &str = "0x29dfbf688abce7ab43bb8e70cae158ae961196e721440f515482f8ba1684390f";

fn entry(scheme: u8, secret: &[u8]) -> String {
    STANDARD.encode([&[scheme], secret].concat())
}

fn store(entries: &[String]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sui.keystore");
    std::fs::write(&path, serde_json::to_string(entries).unwrap()).unwrap();
    (folder, path)
}

#[test]
fn derives_the_address_of_a_real_network() {
    let key = WalletKey::from_secret(&[1; 32]);
    assert_eq!(key.address().to_string(), RECORDED);
}

#[test]
fn a_new_file_has_mode_0600_and_loads_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sui.keystore");
    let key = WalletKey::generate().unwrap();
    create(&path, &key).unwrap();
    let loaded = Keystore::load(&path).unwrap();
    assert_eq!(loaded.only_key().unwrap().address(), key.address());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    assert!(matches!(
        create(&path, &key),
        Err(KeystoreError::Write { .. })
    ));
}

#[test]
fn picks_a_key_by_address_and_skips_other_schemes() {
    let (_folder, path) = store(&[entry(1, &[5; 32]), entry(0, &[1; 32]), entry(2, &[6; 32])]);
    let keystore = Keystore::load(&path).unwrap();
    let address: Address = RECORDED.parse().unwrap();
    assert_eq!(keystore.key(&address).unwrap().address(), address);
    let other = WalletKey::from_secret(&[5; 32]).address();
    assert!(matches!(
        keystore.key(&other),
        Err(KeystoreError::NotFound { others: 2, .. })
    ));
}

#[test]
fn two_keys_need_a_name() {
    let (_folder, path) = store(&[entry(0, &[1; 32]), entry(0, &[2; 32])]);
    assert!(matches!(
        Keystore::load(&path).unwrap().only_key(),
        Err(KeystoreError::Ambiguous { found: 2 })
    ));
}

#[test]
fn adding_a_key_keeps_entries_of_other_schemes() {
    let (_folder, path) = store(&[entry(1, &[5; 32])]);
    let key = WalletKey::from_secret(&[1; 32]);
    add(&path, &key).unwrap();
    add(&path, &key).unwrap();
    let entries: Vec<String> =
        serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    assert_eq!(entries, [entry(1, &[5; 32]), entry(0, &[1; 32])]);
}

#[test]
fn a_mistake_is_placed_but_not_shown() {
    for (bad, position) in [
        (entry(0, &[1; 31]), 1),
        (entry(0, &[1; 33]), 1),
        (String::new(), 1),
        ("not base64!".to_owned(), 1),
    ] {
        let (_folder, path) = store(&[entry(0, &[1; 32]), bad.clone()]);
        let error = Keystore::load(&path).unwrap_err();
        assert!(matches!(error, KeystoreError::Entry { position: at } if at == position));
    }
    let (_folder, path) = store(&[]);
    std::fs::write(&path, "{\"secret\": 1}").unwrap();
    let error = Keystore::load(&path).unwrap_err();
    assert!(matches!(error, KeystoreError::Shape { .. }));
    assert!(!error.to_string().contains("secret"));
}

#[test]
fn debug_shows_no_secret() {
    let shown = format!("{:?}", WalletKey::from_secret(&[0xab; 32]));
    assert!(shown.contains("[redacted]"));
    assert!(!shown.contains("171, 171"));
    assert!(!shown.contains("abab"));
}

#[test]
fn reads_the_command_lines_active_address() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("client.yaml");
    std::fs::write(
        &path,
        format!(
            "---\nkeystore:\n  File: /home/a/sui.keystore\nenvs:\n  - alias: local\n    rpc: \
             \"http://127.0.0.1:9000\"\nactive_env: local\nactive_address: \"{RECORDED}\"\n"
        ),
    )
    .unwrap();
    let config = ClientConfig::load(&path).unwrap();
    assert_eq!(config.active_address.to_string(), RECORDED);
    assert_eq!(config.keystore, PathBuf::from("/home/a/sui.keystore"));
    std::fs::write(&path, "keystore:\n  File: /a\nactive_address: ~\n").unwrap();
    assert!(matches!(
        ClientConfig::load(&path),
        Err(KeystoreError::ClientConfig {
            field: "active_address",
            ..
        })
    ));
}
