//! Streams: passed on event by event, as they are or translated, and honest about how they end.

use dialect::Framing;
use dialect::watch::StreamWatch;
use ipc_proto::failure::FailureKind;
use ipc_proto::stream::Header;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Interrupt, Pump, Verdict};
use crate::course::{Flow, Translated};
use crate::headers;
use crate::source::Source;
use crate::upstream::Reply;

/// So many bytes of a stream without any content, and it is no answer.
const SILENCE: usize = 1 << 20;
/// The same for a stream that is translated, of which one event may be as long.
const SILENCE_TRANSLATED: u64 = 65 << 20;

impl<S: AsyncRead + AsyncWrite + Unpin> Pump<'_, S> {
    /// An answer that nobody here can look into.
    pub(super) async fn opaque(&mut self, mut reply: Reply) -> Result<Verdict, Interrupt> {
        while let Some(piece) = self.piece(&mut reply.body).await? {
            match piece {
                Err(failure) => return Ok(Verdict::Failed(failure)),
                Ok(piece) => {
                    if !self.progress.has_begun() {
                        self.commit(reply.status, headers::for_client(&reply.headers), None, false);
                    }
                    self.put_chunk(&piece);
                }
            }
            self.report_progress();
            self.flush().await?;
            self.wait_for_next_piece();
        }
        if self.progress.has_begun() {
            return Ok(Verdict::Complete);
        }
        Ok(self.failed_with(FailureKind::Malformed, "closed without an answer"))
    }

    /// A stream that is framed so and passes as it is.
    pub(super) async fn stream_straight(
        &mut self,
        reply: Reply,
        framing: Framing,
        hide_usage: bool,
    ) -> Result<Verdict, Interrupt> {
        let Reply { status, headers, body } = reply;
        let watch = StreamWatch::new(self.open.endpoint, framing, hide_usage);
        let head = headers::of_stream(&headers, framing);
        // They share the buffer that they were read into, which a long stream need not keep.
        drop(headers);
        self.stream(status, head, body, Flow::Watched(Box::new(watch))).await
    }

    /// A stream that is told in the client's dialect.
    pub(super) async fn stream_translated(
        &mut self,
        reply: Reply,
        translated: Translated,
    ) -> Result<Verdict, Interrupt> {
        let Reply { headers, body, .. } = reply;
        let translator = translated.translator;
        let head = headers::of_translated(&headers, translator.content_type());
        drop(headers);
        self.stream(200, head, body, Flow::Translated(translator)).await
    }

    /// A stream of events, under the headers `head`.
    async fn stream(
        &mut self,
        status: u16,
        mut head: Vec<Header>,
        mut body: Source,
        mut flow: Flow,
    ) -> Result<Verdict, Interrupt> {
        loop {
            let piece = self.piece(&mut body).await?;
            let is_end = piece.is_none();
            match piece {
                Some(Ok(bytes)) => flow.feed(&bytes, &mut self.connection.gathered),
                Some(Err(failure)) => return Ok(Verdict::Failed(failure)),
                None => flow.finish(&mut self.connection.gathered),
            }
            self.account.usage = flow.usage();
            self.account.is_inside_event = flow.has_begun() && !flow.is_between_events();
            if !self.progress.has_begun() && flow.has_begun() {
                self.commit(status, std::mem::take(&mut head), None, true);
            }
            if self.progress.has_begun() {
                let mut gathered = std::mem::take(&mut self.connection.gathered);
                self.put_chunk(&gathered);
                gathered.clear();
                self.connection.gathered = gathered;
            }
            if let Some(error) = flow.error() {
                return Ok(self.told_inside(error));
            }
            if is_end || flow.is_complete() || self.is_too_silent(&flow) {
                break;
            }
            self.report_progress();
            self.flush().await?;
            if self.progress.has_begun() {
                self.wait_for_next_piece();
            }
        }
        if !self.progress.has_begun() {
            return Ok(self.failed_with(FailureKind::Malformed, "closed without an answer"));
        }
        if !flow.is_complete() {
            return Ok(self.failed_with(FailureKind::Broken, "closed without the end marker"));
        }
        self.connection.settling = Some(body);
        Ok(Verdict::Complete)
    }

    fn is_too_silent(&self, flow: &Flow) -> bool {
        !self.progress.has_begun()
            && match flow {
                Flow::Watched(_) => self.connection.gathered.len() > SILENCE,
                Flow::Translated(_) => self.account.bytes_received > SILENCE_TRANSLATED,
            }
    }
}
