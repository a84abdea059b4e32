//! What a backend says about a failure of its own: its message, and the status that fits its words.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::watch::BackendError;

/// How much of a message is kept, in bytes: it goes to a log line and a row of the history.
const MAX_MESSAGE: usize = 1024;

/// The failure that the object `data` tells of, if it tells of one.
pub(crate) fn told_in(data: &[u8]) -> Option<BackendError> {
    let told: Told<'_> = serde_json::from_slice(data).ok()?;
    if let Some(error) = told.error.filter(|error| !matches!(error.get(), "\"\"" | "{}" | "false")) {
        return Some(detail(error.get()));
    }
    if let Some(response) = told.response
        && let Ok(Told { error: Some(error), .. }) = serde_json::from_str(response.get())
    {
        return Some(detail(error.get()));
    }
    // The form of older builds of vLLM.
    (told.object.map(RawValue::get) == Some("\"error\"")).then(|| detail_of(&told.detail()))
}

/// The failure that `data` tells of, when the event's name says already that it is one.
pub(crate) fn told_by(data: &[u8]) -> BackendError {
    told_in(data).unwrap_or_else(|| match std::str::from_utf8(data) {
        Ok(text) => detail(text),
        Err(_) => BackendError { message: cut("an error that is no text"), status: None },
    })
}

/// A failure told in an event too long to be held back.
pub(crate) fn too_long() -> BackendError {
    BackendError { message: "an error event too long to be read".to_owned(), status: None }
}

#[derive(Deserialize)]
struct Told<'a> {
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    /// What an event of the Responses API tells of: it failed if it has an error.
    #[serde(borrow)]
    response: Option<&'a RawValue>,
    #[serde(borrow)]
    object: Option<&'a RawValue>,
    #[serde(borrow)]
    message: Option<&'a RawValue>,
    #[serde(borrow)]
    r#type: Option<&'a RawValue>,
    #[serde(borrow)]
    code: Option<&'a RawValue>,
}

impl<'a> Told<'a> {
    fn detail(&self) -> Detail<'a> {
        Detail { message: self.message, r#type: self.r#type, status: None, code: self.code }
    }
}

#[derive(Default, Deserialize)]
struct Detail<'a> {
    #[serde(borrow)]
    message: Option<&'a RawValue>,
    #[serde(borrow)]
    r#type: Option<&'a RawValue>,
    /// Gemini's word for the type.
    #[serde(borrow)]
    status: Option<&'a RawValue>,
    #[serde(borrow)]
    code: Option<&'a RawValue>,
}

/// Reads an error that is an object with a message, or a mere string.
fn detail(error: &str) -> BackendError {
    match serde_json::from_str::<Detail<'_>>(error) {
        Ok(found) => detail_of(&found),
        Err(_) => BackendError { message: cut(&text(error)), status: None },
    }
}

fn detail_of(detail: &Detail<'_>) -> BackendError {
    let code = detail.code.map(|code| text(code.get()));
    let kind = detail.r#type.or(detail.status).map(|kind| text(kind.get()));
    let status = [&code, &kind].into_iter().flatten().find_map(|word| status_of(word));
    let message = match (detail.message, kind.or(code)) {
        (Some(message), _) => text(message.get()),
        (None, Some(word)) => word,
        (None, None) => "an error without a message".to_owned(),
    };
    BackendError { message: cut(&message), status }
}

/// The text of a JSON string; whatever else it is stays as it is written.
fn text(json: &str) -> String {
    serde_json::from_str(json).unwrap_or_else(|_| json.to_owned())
}

fn cut(message: &str) -> String {
    message[..message.floor_char_boundary(MAX_MESSAGE)].to_owned()
}

/// The HTTP status that a backend means by this `type` or `code`.
fn status_of(word: &str) -> Option<u16> {
    if let Ok(status) = word.parse() {
        return (400..=599).contains(&status).then_some(status);
    }
    Some(match word {
        "invalid_request_error"
        | "INVALID_ARGUMENT"
        | "FAILED_PRECONDITION"
        | "invalid_prompt"
        | "BadRequestError"
        | "context_length_exceeded"
        | "exceed_context_size_error" => 400,
        "authentication_error" | "UNAUTHENTICATED" | "invalid_api_key" | "AuthenticationError" => 401,
        "billing_error" => 402,
        "permission_error" | "PERMISSION_DENIED" => 403,
        "not_found_error" | "NOT_FOUND" | "model_not_found" | "NotFoundError" => 404,
        "request_too_large" => 413,
        "rate_limit_error"
        | "rate_limit_exceeded"
        | "rate_limit"
        | "RateLimitError"
        | "insufficient_quota"
        | "RESOURCE_EXHAUSTED"
        | "requests"
        | "tokens" => 429,
        "api_error"
        | "INTERNAL"
        | "server_error"
        | "internal_error"
        | "internal_server_error"
        | "InternalServerError" => 500,
        "unavailable_error" | "UNAVAILABLE" | "service_unavailable" | "ServiceUnavailableError" => 503,
        "timeout_error" | "DEADLINE_EXCEEDED" => 504,
        "overloaded_error" | "overloaded" | "engine_overloaded" => 529,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_many_forms_of_an_error_are_understood() {
        for (data, message, status) in [
            (
                r#"{"error":{"message":"slow down","type":"rate_limit_error","code":null}}"#,
                "slow down",
                Some(429),
            ),
            (r#"{"type":"error","error":{"type":"overloaded_error","message":"busy"}}"#, "busy", Some(529)),
            (r#"{"error":{"message":"oh","type":"server_error","code":503}}"#, "oh", Some(503)),
            (r#"{"error":"model \u0022m\u0022 failed"}"#, "model \"m\" failed", None),
            (
                r#"{"object":"error","message":"too long","type":"BadRequestError","code":400}"#,
                "too long",
                Some(400),
            ),
            (r#"{"error":{"code":503,"message":"full","status":"UNAVAILABLE"}}"#, "full", Some(503)),
            (r#"{"error":{"message":"slow","status":"RESOURCE_EXHAUSTED"}}"#, "slow", Some(429)),
            (
                r#"{"type":"response.failed","response":{"error":{"code":"rate_limit_exceeded","message":"slow"}}}"#,
                "slow",
                Some(429),
            ),
            (r#"{"error":{"type":"api_error"}}"#, "api_error", Some(500)),
            (r#"{"error":{"x":1}}"#, "an error without a message", None),
        ] {
            let expected = BackendError { message: message.to_owned(), status };
            assert_eq!(told_in(data.as_bytes()), Some(expected), "{data}");
        }
    }

    #[test]
    fn what_is_no_error_is_none() {
        for data in [
            r#"{"error":null}"#,
            r#"{"error":{}}"#,
            r#"{"error":""}"#,
            r#"{"object":"chunk"}"#,
            "{",
            "\"error\"",
            "",
        ] {
            assert_eq!(told_in(data.as_bytes()), None, "{data}");
        }
    }

    #[test]
    fn an_event_named_error_always_is_one() {
        assert_eq!(told_by(br#"{"message":"m","code":500}"#).status, Some(500));
        assert_eq!(told_by(b"plain words").message, "plain words");
        assert_eq!(told_by("é".repeat(2000).as_bytes()).message.len(), 1024);
        assert_eq!(told_by(b"\xff").status, None);
    }
}
