//! Errors as each dialect words them: bodies, events inside a stream, and a backend's words said again for a client of
//! another dialect.
//!
//! The error's type follows from the HTTP status alone; what the client is told, and which status, is decided by
//! whoever reports.

mod kinds;
mod told;

use serde::Serialize;

use crate::{Dialect, Framing};
use kinds::{anthropic_type, gemini_status, openai_type};

pub use told::{Told, read, retold};

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
    Words::of(report).body(dialect)
}

/// What ends a stream that had begun, in the stream's framing. `is_first` says that nothing of the answer, which may
/// be a list that is to be closed, has been sent.
///
/// No end marker follows it: a broken stream must not look like a finished one.
pub fn event(dialect: Dialect, framing: Framing, is_first: bool, report: &ErrorReport<'_>) -> Vec<u8> {
    let words = Words::of(report);
    let body = words.body(dialect);
    match (framing, dialect) {
        (Framing::Events, Dialect::OpenAi | Dialect::Gemini | Dialect::Ollama) => {
            [b"data: ", &body[..], b"\n\n"].concat()
        }
        (Framing::Events, Dialect::Anthropic) => [b"event: error\ndata: ", &body[..], b"\n\n"].concat(),
        (Framing::Events, Dialect::Responses) => {
            let event = ResponsesEvent {
                r#type: "error",
                code: words.code,
                message: words.message,
                param: words.param,
                sequence_number: 0,
                error: words.openai(),
            };
            [b"event: error\ndata: ", &written(&event)[..], b"\n\n"].concat()
        }
        (Framing::Lines, _) => [&body[..], b"\n"].concat(),
        (Framing::List, _) => [if is_first { b"[" } else { b"," }, &body[..], b"]"].concat(),
    }
}

/// The status that a client of `to` gets for an answer with `status`: 529 is Anthropic's own, and elsewhere is 503.
pub fn status_for(to: Dialect, status: u16) -> u16 {
    if status == 529 && to != Dialect::Anthropic { 503 } else { status }
}

/// An error before it is worded.
#[derive(Clone, Copy)]
struct Words<'a> {
    status: u16,
    code: Option<&'a str>,
    message: &'a str,
    param: Option<&'a str>,
    request_id: &'a str,
}

impl<'a> Words<'a> {
    fn of(report: &ErrorReport<'a>) -> Self {
        let ErrorReport { status, code, message, param, request_id } = *report;
        Self { status, code: Some(code), message, param, request_id }
    }

    fn body(&self, dialect: Dialect) -> Vec<u8> {
        match dialect {
            Dialect::OpenAi | Dialect::Responses => written(&OpenAiBody { error: self.openai() }),
            Dialect::Anthropic => written(&AnthropicBody {
                r#type: "error",
                error: AnthropicError { r#type: anthropic_type(self.status), message: self.message },
                request_id: self.request_id,
            }),
            Dialect::Gemini => {
                let metadata = ErrorMetadata { field: self.param, request_id: self.request_id };
                let info = self.code.map(|reason| ErrorInfo {
                    r#type: "type.googleapis.com/google.rpc.ErrorInfo",
                    reason,
                    domain: "proxylm",
                    metadata,
                });
                written(&GeminiBody {
                    error: GeminiError {
                        code: self.status,
                        message: self.message,
                        status: gemini_status(self.status),
                        details: info.into_iter().collect(),
                    },
                })
            }
            Dialect::Ollama => written(&OllamaBody { error: self.message }),
        }
    }

    fn openai(&self) -> OpenAiError<'a> {
        OpenAiError {
            message: self.message,
            r#type: openai_type(self.status),
            param: self.param,
            code: self.code,
        }
    }
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
    code: Option<&'a str>,
}

/// The members on top are the documented ones; `error` is what OpenAI's own clients look for to raise an error.
#[derive(Serialize)]
struct ResponsesEvent<'a> {
    r#type: &'static str,
    code: Option<&'a str>,
    message: &'a str,
    param: Option<&'a str>,
    sequence_number: u64,
    error: OpenAiError<'a>,
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

#[derive(Serialize)]
struct GeminiBody<'a> {
    error: GeminiError<'a>,
}

#[derive(Serialize)]
struct GeminiError<'a> {
    code: u16,
    message: &'a str,
    status: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    details: Vec<ErrorInfo<'a>>,
}

#[derive(Serialize)]
struct ErrorInfo<'a> {
    #[serde(rename = "@type")]
    r#type: &'static str,
    reason: &'a str,
    domain: &'static str,
    metadata: ErrorMetadata<'a>,
}

#[derive(Serialize)]
struct ErrorMetadata<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
    #[serde(rename = "requestId")]
    request_id: &'a str,
}

#[derive(Serialize)]
struct OllamaBody<'a> {
    error: &'a str,
}

fn written<T: Serialize>(body: &T) -> Vec<u8> {
    serde_json::to_vec(body).expect("strings are always JSON")
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

    fn text(dialect: Dialect, framing: Framing, is_first: bool) -> String {
        String::from_utf8(event(dialect, framing, is_first, &report(502))).unwrap()
    }

    #[test]
    fn api_16_bodies_have_the_shape_of_their_dialect() {
        for (dialect, expected) in [
            (
                Dialect::OpenAi,
                r#"{"error":{"message":"no \"m\"\n here","type":"invalid_request_error","param":"model","code":"model_not_found"}}"#,
            ),
            (
                Dialect::Responses,
                r#"{"error":{"message":"no \"m\"\n here","type":"invalid_request_error","param":"model","code":"model_not_found"}}"#,
            ),
            (
                Dialect::Anthropic,
                r#"{"type":"error","error":{"type":"not_found_error","message":"no \"m\"\n here"},"request_id":"r-1"}"#,
            ),
            (
                Dialect::Gemini,
                r#"{"error":{"code":404,"message":"no \"m\"\n here","status":"NOT_FOUND","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"model_not_found","domain":"proxylm","metadata":{"field":"model","requestId":"r-1"}}]}}"#,
            ),
            (Dialect::Ollama, r#"{"error":"no \"m\"\n here"}"#),
        ] {
            assert_eq!(String::from_utf8(body(dialect, &report(404))).unwrap(), expected, "{dialect:?}");
        }
        let without = ErrorReport { param: None, ..report(500) };
        assert!(String::from_utf8(body(Dialect::OpenAi, &without)).unwrap().contains(r#""param":null"#));
    }

    #[test]
    fn str_06_events_are_one_line_of_data_and_no_end_marker() {
        let openai = text(Dialect::OpenAi, Framing::Events, true);
        assert!(openai.starts_with("data: {\"error\":{") && openai.ends_with("}}\n\n"));
        let anthropic = text(Dialect::Anthropic, Framing::Events, true);
        assert!(
            anthropic.starts_with("event: error\ndata: {\"type\":\"error\"") && anthropic.ends_with("}\n\n")
        );
        let gemini = text(Dialect::Gemini, Framing::Events, true);
        assert!(gemini.starts_with("data: {\"error\":{\"code\":502,") && gemini.ends_with("}\n\n"));
        assert_eq!(
            text(Dialect::Responses, Framing::Events, false),
            "event: error\ndata: {\"type\":\"error\",\"code\":\"model_not_found\",\"message\":\"no \\\"m\\\"\\n here\",\"param\":\"model\",\"sequence_number\":0,\"error\":{\"message\":\"no \\\"m\\\"\\n here\",\"type\":\"server_error\",\"param\":\"model\",\"code\":\"model_not_found\"}}\n\n"
        );
        let lines = [&openai, &anthropic, &gemini].map(|event| event.matches('\n').count());
        assert_eq!(lines, [2, 3, 2]);
    }

    #[test]
    fn te_an_error_ends_a_list_that_stays_json() {
        for (sent, is_first) in
            [("", true), (" \n \n", true), ("[{}", false), ("[{\"a\":1}\n,\n{} \n", false)]
        {
            let whole = sent.to_owned() + &text(Dialect::Gemini, Framing::List, is_first);
            let list: Vec<serde_json::Value> = serde_json::from_str(&whole).unwrap();
            assert_eq!(list.last().unwrap()["error"]["status"], "UNAVAILABLE", "{whole}");
        }
    }

    #[test]
    fn te_an_error_is_a_line_of_its_own() {
        assert_eq!(text(Dialect::Ollama, Framing::Lines, false), "{\"error\":\"no \\\"m\\\"\\n here\"}\n");
    }
}
