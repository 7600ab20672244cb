//! Promise: a quota or a suffix has one meaning. What parses is written in a form that reads as the
//! same again, and a suffix always gives the name of a namespace.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tenancy::namespaces::{Quota, Suffix};

fuzz_target!(|text: &str| {
    if let Ok(quota) = text.parse::<Quota>() {
        assert_eq!(quota.to_string().parse::<Quota>(), Ok(quota));
    }
    if let Ok(suffix) = text.parse::<Suffix>() {
        assert_eq!(suffix.to_string(), text);
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        assert!(!text.is_empty() && text.len() <= 41 && text.bytes().all(allowed));
    }
});
