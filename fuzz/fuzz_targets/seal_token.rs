//! Promise: a credential, name, id or amount has one meaning. What parses is written back as it was
//! read (amounts and ids: reads as the same again), no text is two kinds of credential, and `Debug`
//! shows no secret.
#![no_main]

use libfuzzer_sys::fuzz_target;
use seal::{Address, CredentialHash, JoinCredential, Mist, NodeName, ObjectId, SealToken};

fuzz_target!(|text: &str| {
    let seal = SealToken::parse(text);
    let join = JoinCredential::parse(text);
    assert!(seal.is_err() || join.is_err(), "both kinds at once");
    if let Ok(token) = seal {
        assert_eq!(*token.reveal(), text);
        assert!(!format!("{token:?}").contains(text));
        let derived = JoinCredential::parse(&token.join_credential().reveal());
        let hash = derived.map(|credential| credential.credential_hash());
        assert_eq!(hash, Ok(token.credential_hash()));
    }
    if let Ok(credential) = join {
        assert_eq!(*credential.reveal(), text);
        assert!(!format!("{credential:?}").contains(text));
    }
    if let Ok(hash) = CredentialHash::parse(text) {
        assert_eq!(hash.to_string(), text);
    }
    if let Ok(name) = text.parse::<NodeName>() {
        assert_eq!(name.as_str(), text);
        assert!(text.len() <= 63 && !text.contains(['.', '/', ':']));
    }
    if let Ok(amount) = text.parse::<Mist>() {
        assert_eq!(Mist::parse_sui(&amount.to_string()), Ok(amount));
    }
    if let (Ok(owner), Ok(object)) = (text.parse::<Address>(), text.parse::<ObjectId>()) {
        assert_eq!(owner.to_string().parse::<Address>(), Ok(owner));
        assert_eq!(object.as_bytes(), owner.as_bytes());
    }
});
