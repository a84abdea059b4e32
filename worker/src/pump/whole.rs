//! Whole answers: passed on as they are, or translated when all of one is there.

use dialect::watch::usage_in_body;
use dialect::{Dialect, Endpoint};
use http::header;
use ipc_proto::failure::FailureKind;
use serde::de::IgnoredAny;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Interrupt, Pump, READ_AT_ONCE, Verdict};
use crate::course::Translated;
use crate::headers;
use crate::source::Packing;
use crate::upstream::Reply;

/// A whole answer up to this size is held back until it is complete.
const WHOLE: usize = 256 * 1024;
/// A whole answer up to this size is kept to read its usage; longer ones have none that matters this much.
const READ_FOR_USAGE: usize = 8 << 20;
/// The longest answer that is translated.
const TRANSLATED: usize = 128 << 20;

impl<S: AsyncRead + AsyncWrite + Unpin> Pump<'_, S> {
    /// A whole answer: all of it in one piece if it is small.
    pub(super) async fn whole(
        &mut self,
        mut reply: Reply,
        good: Verdict,
        must_be_json: bool,
    ) -> Result<Verdict, Interrupt> {
        let announced = announced_length(&reply);
        let mut is_kept = true;
        let mut total = 0_u64;
        while !reply.body.is_over() {
            self.wait_for_next_piece();
            let Some(piece) = self.piece(&mut reply.body).await? else { break };
            let piece = match piece {
                Ok(piece) => piece,
                Err(failure) => return Ok(Verdict::Failed(failure)),
            };
            total += piece.len() as u64;
            if is_kept {
                self.connection.gathered.extend_from_slice(&piece);
            }
            if self.progress.has_begun() {
                self.put_chunk(&piece);
                self.flush().await?;
            } else if total > WHOLE as u64 {
                if must_be_json && self.connection.gathered.trim_ascii_start().first() != Some(&b'{') {
                    return Ok(self.failed_with(FailureKind::Malformed, "the answer is no JSON object"));
                }
                self.commit(reply.status, headers::for_client(&reply.headers), announced, false);
                let gathered = std::mem::take(&mut self.connection.gathered);
                self.put_chunk(&gathered);
                self.connection.gathered = gathered;
                self.flush().await?;
            }
            if is_kept && total > READ_FOR_USAGE as u64 {
                is_kept = false;
                self.connection.gathered = Vec::new();
            }
        }
        Ok(self.end_whole(&reply, good, must_be_json && is_kept, total))
    }

    fn end_whole(&mut self, reply: &Reply, good: Verdict, must_be_json: bool, total: u64) -> Verdict {
        let gathered = std::mem::take(&mut self.connection.gathered);
        if must_be_json {
            let is_answer =
                is_json_object(&gathered) || self.open.stream && is_of_lines(self.open.endpoint, &gathered);
            if !is_answer {
                return self.failed_with(self.kind_of_break(), "the answer is no JSON object");
            }
            self.account.usage = usage_in_body(self.open.endpoint, &gathered);
        }
        if !self.progress.has_begun() {
            let hidden = self.without_our_key(&good, &gathered);
            let (body, total) = hidden.as_ref().map_or((&gathered, total), |body| (body, body.len() as u64));
            self.commit(reply.status, headers::for_client(&reply.headers), Some(total), false);
            self.put_chunk(body);
        }
        self.connection.gathered = gathered;
        good
    }

    /// What a refusal comes to that repeats our key: some do, and it is none of the client's business.
    fn without_our_key(&self, good: &Verdict, body: &[u8]) -> Option<Vec<u8>> {
        let text = std::str::from_utf8(body).ok().filter(|_| matches!(good, Verdict::Declined))?;
        let hidden = self.upstream.hiding_key(text);
        (hidden != text).then(|| hidden.into_owned().into_bytes())
    }

    /// A whole answer, told in the client's dialect when all of it is there; as a stream if the client `wants_stream`.
    pub(super) async fn translated(
        &mut self,
        mut reply: Reply,
        translated: Translated,
        wants_stream: bool,
    ) -> Result<Verdict, Interrupt> {
        while !reply.body.is_over() {
            self.wait_for_next_piece();
            let Some(piece) = self.piece(&mut reply.body).await? else { break };
            match piece {
                Ok(piece) => self.connection.gathered.extend_from_slice(&piece),
                Err(failure) => return Ok(Verdict::Failed(failure)),
            }
            if self.connection.gathered.len() > TRANSLATED {
                return Ok(
                    self.failed_with(FailureKind::Malformed, "the answer is too long to be translated")
                );
            }
        }
        self.wait_for_next_piece();
        let body = std::mem::take(&mut self.connection.gathered);
        let mut translator = translated.translator;
        let content_type = translator.content_type();
        let told = if body.len() <= READ_AT_ONCE {
            let told = translator.whole(&body);
            self.connection.gathered = body;
            told
        } else {
            self.aside(move || translator.whole(&body)).await?
        };
        let (told, usage) = match told {
            Ok(told) => told,
            Err(error) => return Ok(self.told_in_whole(&error)),
        };
        self.account.usage = usage;
        let headers = headers::of_translated(&reply.headers, content_type);
        let length = (!wants_stream).then_some(told.len() as u64);
        self.commit(200, headers, length, wants_stream);
        self.put_chunk(&told);
        Ok(Verdict::Complete)
    }
}

/// The length that the client will see, if the backend announced it and the body comes as it was sent.
fn announced_length(reply: &Reply) -> Option<u64> {
    let length = reply.headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok();
    length.filter(|_| reply.body.packing() != Packing::Known)
}

/// Whether `body` is a stream of lines of Ollama's that came in one piece.
fn is_of_lines(endpoint: Endpoint, body: &[u8]) -> bool {
    let is_line = |line: &[u8]| line.trim_ascii().is_empty() || is_json_object(line);
    endpoint.dialect() == Dialect::Ollama
        && body.starts_with(b"{")
        && body.split(|&byte| byte == b'\n').all(is_line)
}

fn is_json_object(body: &[u8]) -> bool {
    body.trim_ascii_start().first() == Some(&b'{') && serde_json::from_slice::<IgnoredAny>(body).is_ok()
}
