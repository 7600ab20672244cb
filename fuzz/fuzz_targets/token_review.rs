//! Promise: no body panics, and only a token that is 64 lowercase hex digits, for an audience of
//! ours, goes on to a look-up, under its own hash. A JWT never does.
#![no_main]

use authn_webhook::screen::screen;
use authn_webhook::token_review::{Presented, TokenReview};
use authn_webhook::{Audiences, Policy};
use libfuzzer_sys::fuzz_target;
use seal::{ElevatedOwners, SealToken};
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
    let token = SealToken::parse(read["spec"]["token"].as_str().unwrap_or_default());
    let asked = read["spec"]["audiences"].as_array();
    let ours = asked.is_some_and(|all| all.iter().any(|one| one == "k3s" || one == DEFAULT));
    assert_eq!(screened.is_ok(), token.is_ok() && ours);
    if let (Ok(screened), Ok(token)) = (screened, token) {
        assert_eq!(screened.hash, token.credential_hash());
    }
});
