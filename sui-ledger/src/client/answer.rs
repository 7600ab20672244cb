//! What a node says of itself with every answer.

use seal::UnixMillis;
use sui_rpc::headers::{X_SUI_CHAIN_ID, X_SUI_CHECKPOINT_HEIGHT, X_SUI_EPOCH, X_SUI_TIMESTAMP_MS};
use tonic::metadata::MetadataMap;

use crate::chain_id::{ChainHint, ChainId};
use crate::error::{AnswerError, LedgerError};

/// How far the node has followed the chain when it answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainHead {
    /// Which chain.
    pub chain: ChainHint,
    /// The newest checkpoint the node has executed.
    pub checkpoint: u64,
    /// That checkpoint's time: an old one means a node that lags.
    pub timestamp: UnixMillis,
    /// The chain's epoch.
    pub epoch: u64,
}

/// An answer and how fresh it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer<T> {
    /// What the node knew when it answered.
    pub head: ChainHead,
    /// The answer.
    pub value: T,
}

impl<T> Answer<T> {
    /// The same freshness with another value.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Answer<U> {
        Answer {
            head: self.head,
            value: f(self.value),
        }
    }
}

impl ChainHead {
    /// Reads the headers. Each is there in every answer of a full node, so one that is
    /// missing means that something else answered.
    pub(crate) fn read(headers: &MetadataMap) -> Result<Self, LedgerError> {
        let chain = text(headers, X_SUI_CHAIN_ID)
            .and_then(ChainHint::parse)
            .ok_or(AnswerError::Header {
                name: X_SUI_CHAIN_ID,
            })?;
        Ok(Self {
            chain,
            checkpoint: number(headers, X_SUI_CHECKPOINT_HEIGHT)?,
            timestamp: UnixMillis(number(headers, X_SUI_TIMESTAMP_MS)?),
            epoch: number(headers, X_SUI_EPOCH)?,
        })
    }

    /// Refuses another chain than the wanted one.
    pub(crate) fn check_chain(&self, want: Option<&ChainId>) -> Result<(), LedgerError> {
        match want {
            Some(want) if !want.matches(&self.chain) => Err(LedgerError::OtherChain {
                want: *want,
                found: self.chain,
            }),
            _ => Ok(()),
        }
    }
}

fn text<'a>(headers: &'a MetadataMap, name: &'static str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn number(headers: &MetadataMap, name: &'static str) -> Result<u64, AnswerError> {
    text(headers, name)
        .and_then(|text| text.parse().ok())
        .ok_or(AnswerError::Header { name })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorded() -> MetadataMap {
        let mut headers = MetadataMap::new();
        for (name, value) in [
            (X_SUI_CHAIN_ID, "976999ae"),
            (X_SUI_EPOCH, "0"),
            (X_SUI_CHECKPOINT_HEIGHT, "48"),
            (X_SUI_TIMESTAMP_MS, "1795364360779"),
        ] {
            headers.insert(name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn reads_the_headers_of_a_real_node() {
        let head = ChainHead::read(&recorded()).unwrap();
        assert_eq!(head.checkpoint, 48);
        assert_eq!(head.timestamp, UnixMillis(1_795_364_360_779));
        let chain: ChainId = "BC3xSQ5SPrNFFgzWatmABviNR3HGP6eMobc9zgjXNefG"
            .parse()
            .unwrap();
        assert!(head.check_chain(Some(&chain)).is_ok());
        assert!(head.check_chain(None).is_ok());
    }

    #[test]
    fn an_answer_of_another_chain_is_refused() {
        let head = ChainHead::read(&recorded()).unwrap();
        let other = ChainId::from_bytes([0; 32]);
        assert!(matches!(
            head.check_chain(Some(&other)),
            Err(LedgerError::OtherChain { .. })
        ));
    }

    #[test]
    fn each_missing_or_malformed_header_is_an_error() {
        for name in [
            X_SUI_CHAIN_ID,
            X_SUI_EPOCH,
            X_SUI_CHECKPOINT_HEIGHT,
            X_SUI_TIMESTAMP_MS,
        ] {
            let mut headers = recorded();
            headers.remove(name);
            assert!(ChainHead::read(&headers).is_err(), "{name} missing");
            headers.insert(name, "-1".parse().unwrap());
            assert!(ChainHead::read(&headers).is_err(), "{name} malformed");
        }
    }
}
