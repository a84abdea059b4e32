//! Errors as each dialect words them: bodies, and events inside a stream.

use crate::Dialect;

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
    let _ = (dialect, report);
    todo!()
}

/// The server-sent event that ends a stream which had begun.
pub fn event(dialect: Dialect, report: &ErrorReport<'_>) -> Vec<u8> {
    let _ = (dialect, report);
    todo!()
}
