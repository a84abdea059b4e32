//! The smallest changes to a request body: every byte outside the change stays as the client wrote it.

use std::borrow::Cow;

/// `body` with its top-level `model` replaced. A body that already names `model` is returned as it is.
pub fn with_model<'body>(body: &'body [u8], model: &str) -> Cow<'body, [u8]> {
    let _ = (body, model);
    todo!()
}

/// `body` with `"stream_options":{"include_usage":true}` put first, or `None` when it has `stream_options` already.
pub fn asking_for_usage(body: &[u8]) -> Option<Vec<u8>> {
    let _ = body;
    todo!()
}
