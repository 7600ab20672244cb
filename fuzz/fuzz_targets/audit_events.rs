//! Promise: no body sent to the audit receiver panics, and what is kept of an event is bounded: names
//! are no longer than Kubernetes' own, however long what was sent.
#![no_main]

use api_gate::Who;
use api_gate::audit::read_events;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    let mut heard = 0;
    let read = read_events(body, |event| {
        heard += 1;
        match event.who {
            Some(Who::Account {
                namespace,
                name,
                node,
            }) => {
                let node = node.unwrap_or_default();
                assert!(namespace.len() <= 253 && name.len() <= 253 && node.len() <= 253);
            }
            Some(Who::Node(name)) => assert!(!name.is_empty() && name.len() <= 253),
            Some(Who::Other(name)) => assert!(name.len() <= 256),
            Some(Who::Seal { .. }) | None => {}
        }
    });
    if let Ok(count) = read {
        assert_eq!(count, heard);
    }
});
