//! The seal token, the join credential derived from it, and the hash of both.
//!
//! Shape:  a seal token `T` is 32 bytes, written as 64 lowercase hex digits. A
//!         join credential `J` is `[a-z0-9]{6}\.[a-z0-9]{16}`, the shape of a
//!         kubeadm bootstrap token, because a K3s agent sends such a token as
//!         `Authorization: Bearer` (k3s `pkg/clientaccess/token.go`). The
//!         credential hash `H` is 32 bytes.
//! Source: `n = HKDF-SHA256(ikm = T, salt = "k3s-daas/v1", info = "join", 32 bytes)`
//!         read big-endian, modulo 36^22, as 22 base-36 digits, most significant
//!         first, with a dot after the sixth; `H = SHA-256(J as ASCII)`. RFC 5869.
//! Errors: a malformed credential; the text is never part of the error.

use std::fmt;
use std::sync::LazyLock;

use hkdf::Hkdf;
use hkdf::hmac::digest::KeyInit;
use hkdf::hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

const SALT: &[u8] = b"k3s-daas/v1";
const INFO: &[u8] = b"join";

/// The key of the first half of HKDF, taken in: the same for every token, and a third of
/// the work of that half.
static EXTRACT: LazyLock<Hmac<Sha256>> = LazyLock::new(|| {
    // HMAC fills a key up to a block with zeros itself (RFC 2104).
    let mut block = [0u8; 64];
    for (place, byte) in block.iter_mut().zip(SALT) {
        *place = *byte;
    }
    <Hmac<Sha256> as KeyInit>::new(&block.into())
});

/// Half of the 22 digits: 36^11 is about 2^56.9, so it fits a u64.
const HALF: u64 = 36u64.pow(11);
const HALF_DIGITS: usize = 11;
const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
const JOIN_LENGTH: usize = 23;
const JOIN_DOT: usize = 6;

/// Why a text is no credential. Says nothing of the text itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseCredentialError {
    /// Not 64 lowercase hex digits.
    #[error("a seal token is 64 lowercase hex digits")]
    SealToken,
    /// Not six and sixteen lowercase letters or digits with a dot between.
    #[error("a join credential is 6 lowercase letters or digits, a dot, and 16 more")]
    JoinCredential,
    /// Not 64 lowercase hex digits.
    #[error("a credential hash is 64 lowercase hex digits")]
    CredentialHash,
}

/// A holder's secret: the bearer token for the Kubernetes API.
///
/// Zeroised when dropped; its `Debug` shows nothing.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct SealToken([u8; 32]);

impl SealToken {
    /// Takes 32 random bytes as a token.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Reads the written form: exactly 64 lowercase hex digits.
    ///
    /// Uppercase is refused, so that a token has one written form only.
    pub fn parse(text: &str) -> Result<Self, ParseCredentialError> {
        decode_lower_hex(text)
            .map(Self)
            .ok_or(ParseCredentialError::SealToken)
    }

    /// The written form, zeroised when dropped.
    #[must_use]
    pub fn reveal(&self) -> Zeroizing<String> {
        Zeroizing::new(hex::encode(self.0))
    }

    /// Derives the join credential, which can do nothing but join a node.
    #[must_use]
    pub fn join_credential(&self) -> JoinCredential {
        let mut okm = Zeroizing::new([0u8; 32]);
        let mut key = EXTRACT.clone().chain_update(self.0).finalize().into_bytes();
        // The key has the length of a hash, and 32 bytes are one block of HKDF-SHA256, far
        // below its limit of 255 blocks.
        let expanded = Hkdf::<Sha256>::from_prk(&key)
            .is_ok_and(|hkdf| hkdf.expand(INFO, okm.as_mut_slice()).is_ok());
        debug_assert!(expanded);
        key.as_mut_slice().zeroize();

        JoinCredential(to_base_36(&okm))
    }

    /// The hash under which the chain knows this seal.
    #[must_use]
    pub fn credential_hash(&self) -> CredentialHash {
        self.join_credential().credential_hash()
    }
}

impl fmt::Debug for SealToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealToken([redacted])")
    }
}

/// What a stock `k3s agent` takes as its token.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct JoinCredential([u8; JOIN_LENGTH]);

impl JoinCredential {
    /// Reads the written form.
    pub fn parse(text: &str) -> Result<Self, ParseCredentialError> {
        let bytes: [u8; JOIN_LENGTH] = text
            .as_bytes()
            .try_into()
            .map_err(|_| ParseCredentialError::JoinCredential)?;
        let well_formed = bytes.iter().enumerate().all(|(position, byte)| {
            if position == JOIN_DOT {
                *byte == b'.'
            } else {
                DIGITS.contains(byte)
            }
        });
        if well_formed {
            Ok(Self(bytes))
        } else {
            Err(ParseCredentialError::JoinCredential)
        }
    }

    /// The written form, zeroised when dropped.
    #[must_use]
    pub fn reveal(&self) -> Zeroizing<String> {
        Zeroizing::new(self.0.iter().copied().map(char::from).collect())
    }

    /// The hash under which the chain knows the seal of this credential.
    #[must_use]
    pub fn credential_hash(&self) -> CredentialHash {
        CredentialHash(Sha256::digest(self.0).into())
    }
}

impl fmt::Debug for JoinCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JoinCredential([redacted])")
    }
}

/// SHA-256 of a join credential: the key of a seal's record on chain. No secret.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CredentialHash([u8; 32]);

impl CredentialHash {
    /// Takes the 32 bytes as they stand on chain.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Reads 64 lowercase hex digits.
    pub fn parse(text: &str) -> Result<Self, ParseCredentialError> {
        decode_lower_hex(text)
            .map(Self)
            .ok_or(ParseCredentialError::CredentialHash)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Compares in constant time, for callers who hold a hash of a secret.
    #[must_use]
    pub fn ct_eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl fmt::Display for CredentialHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        crate::hex_id::write_hex(f, &self.0)
    }
}

impl fmt::Debug for CredentialHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CredentialHash({self})")
    }
}

impl serde::Serialize for CredentialHash {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for CredentialHash {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// The last 22 base-36 digits of a big-endian number, with the dot in its place.
///
/// In halves, so that the long divisions are by a 64-bit number, which the processor does itself:
/// this runs for every review.
fn to_base_36(number: &[u8; 32]) -> [u8; JOIN_LENGTH] {
    let mut limbs = [0u64; 4];
    for (limb, bytes) in limbs.iter_mut().zip(number.as_chunks().0) {
        *limb = u64::from_be_bytes(*bytes);
    }
    let low = divide(&mut limbs);
    let high = divide(&mut limbs);
    limbs.zeroize();

    let mut text = [b'.'; JOIN_LENGTH];
    let slots = text.iter_mut().rev().enumerate();
    let (mut high, mut low) = (high, low);
    // From the last digit to the first, the dot left out.
    let digits = slots.filter(|(from_end, _)| *from_end != JOIN_LENGTH - 1 - JOIN_DOT);
    for (place, (_, slot)) in digits.enumerate() {
        let half = if place < HALF_DIGITS {
            &mut low
        } else {
            &mut high
        };
        // The remainder of 36 indexes 36 digits.
        *slot = DIGITS.get((*half % 36) as usize).copied().unwrap_or(b'0');
        *half /= 36;
    }
    text
}

/// Divides a number, most significant limb first, by 36^11 in place; gives the remainder.
fn divide(limbs: &mut [u64; 4]) -> u64 {
    let half = u128::from(HALF);
    let mut remainder = 0u128;
    for limb in limbs {
        let part = (remainder << 64) | u128::from(*limb);
        // The remainder is below the divisor, so the quotient fits a limb.
        *limb = u64::try_from(part / half).unwrap_or(u64::MAX);
        remainder = part % half;
    }
    u64::try_from(remainder).unwrap_or(u64::MAX)
}

fn decode_lower_hex(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return None;
    }
    let mut bytes = [0u8; 32];
    hex::decode_to_slice(text, &mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const VECTORS: [(&str, &str, &str); 2] = [
        (
            "0000000000000000000000000000000000000000000000000000000000000000",
            "kttzp4.v3u4vjuklklsf889",
            "2745a3451aac76eeb840dabfc0c2f5f945a638039ad995b049b80e5f3abd823e",
        ),
        (
            "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
            "xh5g4g.98bigncycpcjpj15",
            "a0059ad2a65d3c11ea4140fee3e7f0edd58653c361217eb3c94116f56c3c242d",
        ),
    ];

    #[test]
    fn derives_the_published_vectors() {
        for (token, join, hash) in VECTORS {
            let token = SealToken::parse(token).unwrap();
            assert_eq!(*token.join_credential().reveal(), join);
            assert_eq!(token.credential_hash().to_string(), hash);
            let join = JoinCredential::parse(join).unwrap();
            assert_eq!(join.credential_hash().to_string(), hash);
        }
    }

    #[test]
    fn refuses_other_spellings_of_a_token() {
        let good = VECTORS[1].0;
        for bad in [
            "",
            &good[1..],
            &format!("{good}0"),
            &good.to_uppercase(),
            &format!(" {}", &good[1..]),
            &format!("g{}", &good[1..]),
            &format!("0x{}", &good[2..]),
            &format!("é{}", &good[2..]),
        ] {
            assert_eq!(
                SealToken::parse(bad).unwrap_err(),
                ParseCredentialError::SealToken
            );
        }
    }

    #[test]
    fn refuses_other_spellings_of_a_join_credential() {
        for bad in [
            "",
            "kttzp4v3u4vjuklklsf889",
            "kttzp4.v3u4vjuklklsf88",
            "Kttzp4.v3u4vjuklklsf889",
            "kttzp4-v3u4vjuklklsf889",
            "kttzp.4v3u4vjuklklsf889",
            "kttzp4.v3u4vjuklklsf88.",
            "kttzp4.v3u4vjuklklsf8é",
        ] {
            assert!(JoinCredential::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let token = SealToken::parse(VECTORS[1].0).unwrap();
        let shown = format!("{token:?} {:?}", token.join_credential());
        assert_eq!(shown, "SealToken([redacted]) JoinCredential([redacted])");
    }

    proptest! {
        #[test]
        fn every_token_round_trips_and_derives_a_well_formed_credential(bytes: [u8; 32]) {
            let token = SealToken::from_bytes(bytes);
            let again = SealToken::parse(&token.reveal()).unwrap();
            let join = again.join_credential();
            prop_assert_eq!(join.credential_hash(), token.credential_hash());
            let parsed = JoinCredential::parse(&join.reveal()).unwrap();
            prop_assert_eq!(parsed.credential_hash(), token.credential_hash());
        }

        #[test]
        fn digits_agree_with_plain_long_division(number: [u8; 32]) {
            let mut digits = Vec::new();
            let mut rest = number.to_vec();
            for _ in 0..22 {
                let mut remainder = 0u32;
                for byte in &mut rest {
                    let part = remainder * 256 + u32::from(*byte);
                    *byte = u8::try_from(part / 36).unwrap();
                    remainder = part % 36;
                }
                digits.push(DIGITS[remainder as usize]);
            }
            digits.insert(16, b'.');
            digits.reverse();
            prop_assert_eq!(to_base_36(&number).to_vec(), digits);
        }

        #[test]
        fn no_text_panics(text in ".{0,80}") {
            let _ = SealToken::parse(&text);
            let _ = JoinCredential::parse(&text);
            let _ = CredentialHash::parse(&text);
        }
    }
}
