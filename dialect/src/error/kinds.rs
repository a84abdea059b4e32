//! The word that each dialect has for the kind of an error, by the HTTP status.

/// OpenAI's own API says `invalid_request_error` for a wrong key, and tells it by its code; its clients go by the
/// status.
pub(super) fn openai_type(status: u16) -> &'static str {
    match status {
        402 => "insufficient_quota",
        403 => "permission_error",
        429 => "rate_limit_error",
        // Cancelled by an operator: nothing is wrong with the request.
        499 | 500.. => "server_error",
        _ => "invalid_request_error",
    }
}

/// The `type` that Anthropic's API has for it.
pub(super) fn anthropic_type(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        402 => "billing_error",
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

/// The `status` that Google's APIs have for it.
pub(super) fn gemini_status(status: u16) -> &'static str {
    match status {
        401 => "UNAUTHENTICATED",
        402 => "FAILED_PRECONDITION",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        408 | 504 => "DEADLINE_EXCEEDED",
        409 => "ABORTED",
        429 => "RESOURCE_EXHAUSTED",
        499 => "CANCELLED",
        501 => "UNIMPLEMENTED",
        502 | 503 | 529 => "UNAVAILABLE",
        500.. => "INTERNAL",
        _ => "INVALID_ARGUMENT",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_follows_from_the_status() {
        for (status, openai, anthropic, gemini) in [
            (400, "invalid_request_error", "invalid_request_error", "INVALID_ARGUMENT"),
            (401, "invalid_request_error", "authentication_error", "UNAUTHENTICATED"),
            (402, "insufficient_quota", "billing_error", "FAILED_PRECONDITION"),
            (403, "permission_error", "permission_error", "PERMISSION_DENIED"),
            (404, "invalid_request_error", "not_found_error", "NOT_FOUND"),
            (408, "invalid_request_error", "invalid_request_error", "DEADLINE_EXCEEDED"),
            (413, "invalid_request_error", "request_too_large", "INVALID_ARGUMENT"),
            (422, "invalid_request_error", "invalid_request_error", "INVALID_ARGUMENT"),
            (429, "rate_limit_error", "rate_limit_error", "RESOURCE_EXHAUSTED"),
            (499, "server_error", "api_error", "CANCELLED"),
            (500, "server_error", "api_error", "INTERNAL"),
            (502, "server_error", "api_error", "UNAVAILABLE"),
            (503, "server_error", "overloaded_error", "UNAVAILABLE"),
            (504, "server_error", "timeout_error", "DEADLINE_EXCEEDED"),
            (529, "server_error", "overloaded_error", "UNAVAILABLE"),
        ] {
            let found = (openai_type(status), anthropic_type(status), gemini_status(status));
            assert_eq!(found, (openai, anthropic, gemini), "{status}");
        }
    }
}
