//! Promise: no first bytes of a connection panic. More bytes never make less of a record: what is whole
//! stays whole, what is no TLS stays none, and what is missing is said within the record's bounds.
#![no_main]

use api_gate::hello::{HEAD, Hello, LONGEST, first_record};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut before = Hello::Partial(HEAD);
    for end in 0..=bytes.len().min(HEAD + LONGEST) {
        let now = first_record(&bytes[..end]);
        match (before, now) {
            (Hello::Partial(missing), Hello::Whole(whole)) => {
                assert!(missing >= 1 && whole <= HEAD + LONGEST);
            }
            (Hello::Partial(_), Hello::Partial(missing)) => {
                assert!(missing >= 1 && missing <= HEAD + LONGEST);
            }
            (Hello::Partial(_), Hello::NotTls) => {}
            (before, now) => assert_eq!(before, now),
        }
        before = now;
    }
});
