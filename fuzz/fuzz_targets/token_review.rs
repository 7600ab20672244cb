//! Promise: no body panics. A token that is 64 lowercase hex digits, for an audience of ours, goes on
//! to a look-up as a user's; a join credential for no audience as a node's; each under its own hash.
//! Nothing else does, and a JWT never.
#![no_main]

use authn_webhook::screen::{Screened, screen};
use authn_webhook::token_review::{Presented, TokenReview};
use authn_webhook::{Audiences, Policy};
use libfuzzer_sys::fuzz_target;
use seal::{ElevatedOwners, JoinCredential, SealToken};
use serde_json::Value;
use webhook_server::parse_review;

const DEFAULT: &str = "https://kubernetes.default.svc.cluster.local";

fuzz_target!(|body: &[u8]| {
    let text = String::from_utf8_lossy(body);
    let jwt = Presented::classify(&format!("e{}.{}.c2ln", text.len(), text.replace('.', "")));
    assert!(matches!(jwt, Presented::Other), "a JWT became a credential");

    let Ok(review) = parse_review::<TokenReview>(body) else {
        return;
    };
    let policy = Policy {
        audiences: Audiences::default(),
        elevated: ElevatedOwners::None,
    };
    let screened = screen(&policy, review.spec);
    // A second reader of the same body; it refuses some that are fine, such as huge numbers.
    let Ok(read) = serde_json::from_slice::<Value>(body) else {
        return;
    };
    let text = read["spec"]["token"].as_str().unwrap_or_default();
    let user = SealToken::parse(text).map(|token| token.credential_hash());
    let node = JoinCredential::parse(text).map(|credential| credential.credential_hash());
    let asked = read["spec"]["audiences"].as_array().filter(|all| !all.is_empty());
    let ours = asked.is_some_and(|all| all.iter().any(|one| one == "k3s" || one == DEFAULT));
    match screened {
        Ok(Screened::User { hash, audiences }) => {
            assert!(ours && !audiences.is_empty());
            assert_eq!(Ok(hash), user);
        }
        Ok(Screened::Node { hash }) => {
            assert!(asked.is_none());
            assert_eq!(Ok(hash), node);
        }
        Err(_) => assert!(!(user.is_ok() && ours || node.is_ok() && asked.is_none())),
    }
});
