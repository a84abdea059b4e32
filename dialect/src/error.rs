//! Errors as each dialect words them: bodies, and events inside a stream.
//!
//! The error's type follows from the HTTP status alone; what the client is told, and which status, is decided by
//! whoever reports.

use serde::Serialize;

use crate::{Dialect, Framing};

/// What is to be told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ErrorReport<'a> {
    /// The HTTP status; from it follows the dialect's error type.
    pub status: u16,
    /// The stable code, for example `model_not_found`.
    pub code: &'a str,
    /// One sentence for the person who called.
    pub message: &'a str,
    /// The field at fault.
    pub param: Option<&'a str>,
    /// The request's `X-Request-Id`.
    pub request_id: &'a str,
}

/// The JSON body of an error response.
pub fn body(dialect: Dialect, report: &ErrorReport<'_>) -> Vec<u8> {
    match dialect {
        Dialect::OpenAi | Dialect::Responses | Dialect::Gemini | Dialect::Ollama => written(&OpenAiBody {
            error: OpenAiError {
                message: report.message,
                r#type: openai_type(report.status),
                param: report.param,
                code: report.code,
            },
        }),
        Dialect::Anthropic => written(&AnthropicBody {
            r#type: "error",
            error: AnthropicError { r#type: anthropic_type(report.status), message: report.message },
            request_id: report.request_id,
        }),
    }
}

/// The server-sent event that ends a stream which had begun.
///
/// No end marker follows it: a broken stream must not look like a finished one.
pub fn event(dialect: Dialect, framing: Framing, is_first: bool, report: &ErrorReport<'_>) -> Vec<u8> {
    let _ = (framing, is_first);
    let field: &[u8] = match dialect {
        Dialect::OpenAi | Dialect::Responses | Dialect::Gemini | Dialect::Ollama => b"data: ",
        Dialect::Anthropic => b"event: error\ndata: ",
    };
    [field, &body(dialect, report), b"\n\n"].concat()
}

#[derive(Serialize)]
struct OpenAiBody<'a> {
    error: OpenAiError<'a>,
}

#[derive(Serialize)]
struct OpenAiError<'a> {
    message: &'a str,
    r#type: &'static str,
    param: Option<&'a str>,
    code: &'a str,
}

#[derive(Serialize)]
struct AnthropicBody<'a> {
    r#type: &'static str,
    error: AnthropicError<'a>,
    request_id: &'a str,
}

#[derive(Serialize)]
struct AnthropicError<'a> {
    r#type: &'static str,
    message: &'a str,
}

fn written<T: Serialize>(body: &T) -> Vec<u8> {
    serde_json::to_vec(body).expect("strings are always JSON")
}

/// OpenAI's own API says `invalid_request_error` for a wrong key, and tells it by its code; its clients go by the
/// status.
fn openai_type(status: u16) -> &'static str {
    match status {
        403 => "permission_error",
        429 => "rate_limit_error",
        // Cancelled by an operator: nothing is wrong with the request.
        499 | 500.. => "server_error",
        _ => "invalid_request_error",
    }
}

fn anthropic_type(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        503 | 529 => "overloaded_error",
        504 => "timeout_error",
        499 | 500.. => "api_error",
        _ => "invalid_request_error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(status: u16) -> ErrorReport<'static> {
        ErrorReport {
            status,
            code: "model_not_found",
            message: "no \"m\"\n here",
            param: Some("model"),
            request_id: "r-1",
        }
    }

    #[test]
    fn api_16_bodies_have_the_shape_of_their_dialect() {
        assert_eq!(
            String::from_utf8(body(Dialect::OpenAi, &report(404))).unwrap(),
            r#"{"error":{"message":"no \"m\"\n here","type":"invalid_request_error","param":"model","code":"model_not_found"}}"#
        );
        assert_eq!(
            String::from_utf8(body(Dialect::Anthropic, &report(404))).unwrap(),
            r#"{"type":"error","error":{"type":"not_found_error","message":"no \"m\"\n here"},"request_id":"r-1"}"#
        );
        let without = ErrorReport { param: None, ..report(500) };
        assert!(String::from_utf8(body(Dialect::OpenAi, &without)).unwrap().contains(r#""param":null"#));
    }

    #[test]
    fn the_type_follows_from_the_status() {
        for (status, openai, anthropic) in [
            (400, "invalid_request_error", "invalid_request_error"),
            (401, "invalid_request_error", "authentication_error"),
            (403, "permission_error", "permission_error"),
            (404, "invalid_request_error", "not_found_error"),
            (408, "invalid_request_error", "invalid_request_error"),
            (413, "invalid_request_error", "request_too_large"),
            (422, "invalid_request_error", "invalid_request_error"),
            (429, "rate_limit_error", "rate_limit_error"),
            (499, "server_error", "api_error"),
            (500, "server_error", "api_error"),
            (502, "server_error", "api_error"),
            (503, "server_error", "overloaded_error"),
            (504, "server_error", "timeout_error"),
            (529, "server_error", "overloaded_error"),
        ] {
            assert_eq!((openai_type(status), anthropic_type(status)), (openai, anthropic), "{status}");
        }
    }

    #[test]
    fn str_06_events_are_one_line_of_data_and_no_end_marker() {
        let openai = String::from_utf8(event(Dialect::OpenAi, Framing::Events, true, &report(502))).unwrap();
        assert!(openai.starts_with("data: {\"error\":{") && openai.ends_with("}}\n\n"));
        let anthropic = String::from_utf8(event(Dialect::Anthropic, Framing::Events, true, &report(502))).unwrap();
        assert!(
            anthropic.starts_with("event: error\ndata: {\"type\":\"error\"") && anthropic.ends_with("}\n\n")
        );
        assert_eq!((openai.matches('\n').count(), anthropic.matches('\n').count()), (2, 3));
    }
}
