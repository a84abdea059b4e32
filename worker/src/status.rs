//! What a backend's status means for an attempt.

use http::{HeaderMap, header};
use ipc_proto::failure::FailureKind;

use crate::clock;

/// The longest that a backend is believed when it names a time, in milliseconds: a week. Clients read the number too,
/// and what is beyond any quota's period is a mistake.
const LONGEST_RETRY_AFTER_MS: u64 = 7 * 24 * 3_600_000;

/// The classes of answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Class {
    /// An answer.
    Good,
    /// A refusal of this request: the client is to see it as it is.
    Declined,
    /// A failure of the backend: another attempt may go better.
    Failed(FailureKind),
}

/// The class of an answer with `status`.
pub(crate) fn class(status: u16, headers: &HeaderMap) -> Class {
    match status {
        200..=299 => Class::Good,
        429 | 529 => Class::Failed(FailureKind::Overloaded),
        503 if headers.contains_key(header::RETRY_AFTER) => Class::Failed(FailureKind::Overloaded),
        408 | 425 | 500..=599 => Class::Failed(FailureKind::ServerError),
        400..=499 => Class::Declined,
        // A redirection or worse: whoever is there, it is not the API that the configuration promises.
        _ => Class::Failed(FailureKind::Malformed),
    }
}

/// The class of an error that came inside a stream, by the status that fits its type.
pub(crate) fn class_in_stream(status: Option<u16>) -> Class {
    match status {
        Some(429 | 503 | 529) => Class::Failed(FailureKind::Overloaded),
        Some(408 | 425) => Class::Failed(FailureKind::ServerError),
        Some(400..=499) => Class::Declined,
        _ => Class::Failed(FailureKind::ServerError),
    }
}

/// When the backend wants to be asked again, in milliseconds from now; a week at most.
pub(crate) fn retry_after_ms(headers: &HeaderMap) -> Option<u64> {
    said_ms(headers).map(|said| said.min(LONGEST_RETRY_AFTER_MS))
}

fn said_ms(headers: &HeaderMap) -> Option<u64> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    if let Some(milliseconds) = text("retry-after-ms").and_then(|text| text.parse().ok()) {
        return as_ms(milliseconds);
    }
    let text = text("retry-after")?;
    if let Ok(seconds) = text.parse::<f64>() {
        return as_ms(seconds * 1000.0);
    }
    let date = jiff::fmt::rfc2822::parse(text).ok()?.timestamp().as_millisecond();
    Some(u64::try_from(date).ok()?.saturating_sub(clock::unix_ms()))
}

/// The message in a body that tells of an error, in the forms that backends have for it. Anything else in the body
/// is left alone: it may repeat what the client said.
pub(crate) fn message_in(body: &[u8]) -> Option<String> {
    let body: serde_json::Value = serde_json::from_slice(body).ok()?;
    let error = body.get("error").unwrap_or(&body);
    let message = error.as_str().or_else(|| error.get("message")?.as_str());
    message.map(str::to_owned)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "finite, positive and checked")]
fn as_ms(milliseconds: f64) -> Option<u64> {
    (milliseconds.is_finite() && milliseconds >= 0.0).then_some(milliseconds as u64)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn with(name: &'static str, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(http::HeaderName::from_static(name), HeaderValue::from_static(value))])
    }

    #[test]
    fn statuses_fall_into_their_classes() {
        let none = HeaderMap::new();
        let overloaded = Class::Failed(FailureKind::Overloaded);
        let failed = Class::Failed(FailureKind::ServerError);
        for (status, expected) in [
            (200, Class::Good),
            (301, Class::Failed(FailureKind::Malformed)),
            (400, Class::Declined),
            (401, Class::Declined),
            (404, Class::Declined),
            (422, Class::Declined),
            (408, failed),
            (425, failed),
            (429, overloaded),
            (529, overloaded),
            (500, failed),
            (502, failed),
            (503, failed),
        ] {
            assert_eq!(class(status, &none), expected, "{status}");
        }
        assert_eq!(class(503, &with("retry-after", "1")), overloaded);
    }

    #[test]
    fn only_messages_are_taken_from_bodies() {
        let message = |body: &str| message_in(body.as_bytes());
        for body in [r#"{"error":{"message":"m"}}"#, r#"{"error":"m"}"#, r#"{"message":"m"}"#] {
            assert_eq!(message(body).as_deref(), Some("m"));
        }
        for body in ["m", "\"m", r#"{"prompt":"m"}"#, "[]", ""] {
            assert_eq!(message(body), None, "{body}");
        }
    }

    #[test]
    fn retry_after_is_read_in_all_its_forms() {
        assert_eq!(retry_after_ms(&with("retry-after", "7")), Some(7000));
        assert_eq!(retry_after_ms(&with("retry-after", "0.5")), Some(500));
        assert_eq!(retry_after_ms(&with("retry-after-ms", "120")), Some(120));
        assert_eq!(retry_after_ms(&with("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT")), Some(0));
        for beyond in ["Fri, 31 Dec 2100 23:59:59 GMT", "99999999999999999999", "1e300"] {
            assert_eq!(
                retry_after_ms(&with("retry-after", beyond)),
                Some(LONGEST_RETRY_AFTER_MS),
                "{beyond}"
            );
        }
        for nonsense in ["-1", "soon", "NaN", "inf", ""] {
            assert_eq!(retry_after_ms(&with("retry-after", nonsense)), None, "{nonsense}");
        }
        assert_eq!(retry_after_ms(&HeaderMap::new()), None);
    }
}
