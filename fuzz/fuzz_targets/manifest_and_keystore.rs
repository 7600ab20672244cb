//! Promise: the files that an operator hands over never panic. A manifest that is accepted is
//! written back as one that says the same; each key of an accepted keystore is found by its address.
#![no_main]

use std::io::Write;

use libfuzzer_sys::fuzz_target;
use sui_ledger::keystore::{ClientConfig, Keystore, WalletKey};
use sui_ledger::manifest::ContractIds;
use sui_ledger::tx::Artefact;

fuzz_target!(|text: &str| {
    if let Ok(ids) = ContractIds::parse(text) {
        let again = ids.to_toml().map(|text| ContractIds::parse(&text));
        assert!(again.is_ok_and(|again| again.is_ok_and(|again| again == ids)));
    }
    let _ = Artefact::parse(text);
    if let Some(key) = WalletKey::from_base64(text) {
        assert!(!format!("{key:?}").contains(text));
    }
    // The rest is read from files only.
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(text.as_bytes()).expect("room");
    let _ = ClientConfig::load(file.path());
    if let Ok(keystore) = Keystore::load(file.path()) {
        for address in keystore.addresses() {
            assert!(
                keystore
                    .key(&address)
                    .is_ok_and(|key| key.address() == address)
            );
        }
        assert_eq!(
            keystore.only_key().is_ok(),
            keystore.addresses().count() == 1
        );
    }
});
