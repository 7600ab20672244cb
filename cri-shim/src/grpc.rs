//! The little of gRPC that a relay has to know: statuses and deadlines.
//!
//! Source: gRPC over HTTP/2, `PROTOCOL-HTTP2.md` of gRPC.

use std::fmt::Write as _;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// How a call ended.
#[allow(missing_docs, reason = "gRPC's own names")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    Ok,
    Cancelled,
    Unknown,
    InvalidArgument,
    DeadlineExceeded,
    NotFound,
    AlreadyExists,
    PermissionDenied,
    ResourceExhausted,
    FailedPrecondition,
    Aborted,
    OutOfRange,
    Unimplemented,
    Internal,
    Unavailable,
    DataLoss,
    Unauthenticated,
}

impl Code {
    /// In the order of their numbers.
    pub const ALL: [Self; 17] = [
        Self::Ok,
        Self::Cancelled,
        Self::Unknown,
        Self::InvalidArgument,
        Self::DeadlineExceeded,
        Self::NotFound,
        Self::AlreadyExists,
        Self::PermissionDenied,
        Self::ResourceExhausted,
        Self::FailedPrecondition,
        Self::Aborted,
        Self::OutOfRange,
        Self::Unimplemented,
        Self::Internal,
        Self::Unavailable,
        Self::DataLoss,
        Self::Unauthenticated,
    ];

    /// Its name, as gRPC of Go has it in metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Cancelled => "Canceled",
            Self::Unknown => "Unknown",
            Self::InvalidArgument => "InvalidArgument",
            Self::DeadlineExceeded => "DeadlineExceeded",
            Self::NotFound => "NotFound",
            Self::AlreadyExists => "AlreadyExists",
            Self::PermissionDenied => "PermissionDenied",
            Self::ResourceExhausted => "ResourceExhausted",
            Self::FailedPrecondition => "FailedPrecondition",
            Self::Aborted => "Aborted",
            Self::OutOfRange => "OutOfRange",
            Self::Unimplemented => "Unimplemented",
            Self::Internal => "Internal",
            Self::Unavailable => "Unavailable",
            Self::DataLoss => "DataLoss",
            Self::Unauthenticated => "Unauthenticated",
        }
    }

    /// Its number on the wire.
    fn number(self) -> usize {
        self as usize
    }

    /// What trailers say.
    pub fn of(trailers: &HeaderMap) -> Option<Self> {
        let number: usize = trailers.get(STATUS)?.to_str().ok()?.parse().ok()?;
        Some(Self::ALL.get(number).copied().unwrap_or(Self::Unknown))
    }

    /// What an answer without a body says.
    pub fn of_answer(status: StatusCode, headers: &HeaderMap) -> Self {
        Self::of(headers).unwrap_or(if status == StatusCode::OK {
            Self::Unknown
        } else {
            Self::Internal
        })
    }

    /// What the reset of a stream means to gRPC.
    pub fn of_reset(reason: h2::Reason) -> Self {
        match reason {
            h2::Reason::CANCEL => Self::Cancelled,
            h2::Reason::REFUSED_STREAM => Self::Unavailable,
            h2::Reason::ENHANCE_YOUR_CALM => Self::ResourceExhausted,
            h2::Reason::INADEQUATE_SECURITY => Self::PermissionDenied,
            _ => Self::Internal,
        }
    }
}

/// A status of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// What kind of end it is.
    pub code: Code,
    /// What a person is told.
    pub message: String,
}

impl Status {
    /// With this text.
    pub fn new(code: Code, message: &str) -> Self {
        Self {
            code,
            message: message.to_owned(),
        }
    }

    /// Writes it into headers or trailers.
    pub fn write(&self, to: &mut HeaderMap) {
        to.insert(STATUS, HeaderValue::from(self.code.number()));
        if let Ok(message) = HeaderValue::from_str(&percent_encoded(&self.message)) {
            to.insert(MESSAGE, message);
        }
    }
}

/// Printable ASCII but the percent sign goes as it is.
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => encoded.push(char::from(byte)),
            // Writing to a string can't fail.
            _ => drop(write!(encoded, "%{byte:02X}")),
        }
    }
    encoded
}

/// How long the caller waits, where it says so and can be understood: at most eight digits and a
/// unit.
pub fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(TIMEOUT)?.to_str().ok()?;
    let unit = text.chars().last()?;
    let digits = text.strip_suffix(unit)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    Some(match unit {
        'H' => Duration::from_secs(number * 3_600),
        'M' => Duration::from_secs(number * 60),
        'S' => Duration::from_secs(number),
        'm' => Duration::from_millis(number),
        'u' => Duration::from_micros(number),
        'n' => Duration::from_nanos(number),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn timeout_of(text: &str) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(TIMEOUT, HeaderValue::from_str(text).ok()?);
        timeout(&headers)
    }

    #[test]
    fn deadlines_are_read_in_their_units() {
        for (text, wanted) in [
            ("1S", Some(Duration::from_secs(1))),
            ("120000m", Some(Duration::from_mins(2))),
            ("99999999H", Some(Duration::from_hours(99_999_999))),
            ("5u", Some(Duration::from_micros(5))),
            ("7n", Some(Duration::from_nanos(7))),
            ("2M", Some(Duration::from_mins(2))),
            ("", None),
            ("S", None),
            ("1", None),
            ("1s", None),
            ("-1S", None),
            ("123456789S", None),
        ] {
            assert_eq!(timeout_of(text), wanted, "{text}");
        }
    }

    #[test]
    fn codes_have_their_numbers() {
        for (number, code) in Code::ALL.iter().enumerate() {
            assert_eq!(code.number(), number, "{}", code.label());
        }
        assert_eq!(Code::PermissionDenied.number(), 7);
        assert_eq!(Code::Unavailable.number(), 14);
    }

    #[test]
    fn statuses_are_read_as_they_are_written() {
        for code in Code::ALL {
            let mut headers = HeaderMap::new();
            Status::new(code, "100 % \u{e4}\n").write(&mut headers);
            assert_eq!(Code::of(&headers), Some(code));
            assert_eq!(headers[MESSAGE], "100 %25 %C3%A4%0A");
        }
        let mut headers = HeaderMap::new();
        assert_eq!(Code::of(&headers), None);
        headers.insert(STATUS, HeaderValue::from_static("99"));
        assert_eq!(Code::of(&headers), Some(Code::Unknown));
    }

    proptest! {
        #[test]
        fn no_header_panics(text in "[ -~]{0,20}") {
            let _ = timeout_of(&text);
        }

        #[test]
        fn every_message_is_a_header(text in ".*") {
            let mut headers = HeaderMap::new();
            Status::new(Code::Internal, &text).write(&mut headers);
            prop_assert!(headers.contains_key(MESSAGE));
        }
    }
}
