//! The first record of a TLS connection: nobody is let through to K3s before it is whole.
//!
//! Shape:  [`first_record`] looks at the bytes that have come. It reads no more of the record than
//!         its head: what a ClientHello says is K3s's to judge.
//! Source: RFC 8446, section 5.1 (TLSPlaintext).

/// Type, version and length.
pub const HEAD: usize = 5;
/// The longest record in the clear.
pub const LONGEST: usize = 1 << 14;
/// Of a record with handshake messages.
const HANDSHAKE: u8 = 22;
/// Of every version of TLS.
const MAJOR: u8 = 3;

/// What has come so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hello {
    /// So many bytes more are needed, at least.
    Partial(usize),
    /// The record is whole; it has so many bytes, its head included.
    Whole(usize),
    /// No TLS client begins so.
    NotTls,
}

/// Looks at the beginning of a connection.
#[must_use]
pub fn first_record(bytes: &[u8]) -> Hello {
    match bytes {
        [] => Hello::Partial(HEAD),
        [kind, ..] if *kind != HANDSHAKE => Hello::NotTls,
        [_, major, ..] if *major != MAJOR => Hello::NotTls,
        [_, _, _, high, low, ..] => {
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            // The head of a message has four bytes; ClientHellos are never split below that.
            if !(4..=LONGEST).contains(&length) {
                return Hello::NotTls;
            }
            let whole = HEAD + length;
            match whole.checked_sub(bytes.len()) {
                None | Some(0) => Hello::Whole(whole),
                Some(missing) => Hello::Partial(missing),
            }
        }
        few => Hello::Partial(HEAD - few.len()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record(length: u16) -> Vec<u8> {
        let [high, low] = length.to_be_bytes();
        let mut record = vec![HANDSHAKE, MAJOR, 1, high, low];
        record.resize(HEAD + usize::from(length), 7);
        record
    }

    #[test]
    fn what_is_no_tls_is_known_by_its_first_bytes() {
        for bytes in [
            &b"G"[..],
            b"GET / HTTP/1.1",
            &[0x80, 0x2e],
            &[22, 2],
            &[22, 3, 1, 0, 0],
            &[22, 3, 1, 255, 255],
        ] {
            assert_eq!(first_record(bytes), Hello::NotTls, "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn a_record_is_whole_with_its_last_byte_and_not_before(
            length in 4u16..=16_384,
            cut in any::<prop::sample::Index>(),
            more in prop::collection::vec(any::<u8>(), 0..9),
        ) {
            let mut record = record(length);
            let whole = record.len();
            let some = cut.index(whole);
            match first_record(&record[..some]) {
                Hello::Partial(missing) => prop_assert!(missing >= 1 && some + missing <= whole),
                other => prop_assert!(false, "{other:?}"),
            }
            record.extend(more);
            prop_assert_eq!(first_record(&record), Hello::Whole(whole));
        }

        #[test]
        fn any_bytes_are_looked_at(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Hello::Partial(missing) = first_record(&bytes) {
                prop_assert!(missing > 0);
            }
        }
    }
}
