//! The upstream: a fast server in a process of its own that answers as each request asks.
//!
//! It speaks enough of the OpenAI API for a proxy to take it for a backend. Each chunk of a stream carries the
//! time at which it was made. It ends when its standard input does.

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt as _, Either, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{Instant, Sleep};

use crate::clock::now_ns;
use crate::order::{Answer, MODEL};
use crate::report::say;
use crate::trouble::Trouble;

/// Serves until standard input ends; the first line of standard output is the address.
pub(crate) async fn serve() -> Result<(), Trouble> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    say(&listener.local_addr()?.to_string());
    let mut end = end_of_input();
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                connections.spawn(converse(accepted?.0));
            }
            Some(_) = connections.join_next() => {}
            _ = &mut end => return Ok(()),
        }
    }
}

/// Resolves when the parent is gone. Standard input blocks, so a thread waits for it.
fn end_of_input() -> oneshot::Receiver<()> {
    let (sender, receiver) = oneshot::channel();
    std::thread::spawn(move || {
        let read = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        drop(read);
        drop(sender);
    });
    receiver
}

async fn converse(stream: TcpStream) {
    let nodelay = stream.set_nodelay(true);
    let served = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service_fn(respond))
        .await;
    // A client that leaves in the middle is part of some measurements.
    drop((nodelay, served));
}

type Reply = Response<Either<Full<Bytes>, Ticker>>;

async fn respond(request: Request<Incoming>) -> Result<Reply, Infallible> {
    if request.method() == Method::GET {
        let list = format!("{{\"object\":\"list\",\"data\":[{{\"id\":\"{MODEL}\",\"object\":\"model\"}}]}}");
        return Ok(json(list.into()));
    }
    let answer = Answer::asked_by(request.headers());
    let mut body = request.into_body();
    while let Some(Ok(_)) = body.frame().await {}
    Ok(match answer {
        Answer::Whole { bytes } => json(whole(bytes)),
        Answer::Stream { chunks, gap_us } => {
            let mut reply = Response::new(Either::Right(Ticker::new(chunks, Duration::from_micros(gap_us))));
            reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
            reply
        }
    })
}

fn json(body: Bytes) -> Reply {
    let mut reply = Response::new(Either::Left(Full::new(body)));
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    reply
}

fn whole(bytes: usize) -> Bytes {
    let head = format!(
        "{{\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion\",\"created\":1700000000,\"model\":\"{MODEL}\",\
         \"usage\":{{\"prompt_tokens\":200,\"completion_tokens\":150,\"total_tokens\":350}},\
         \"choices\":[{{\"index\":0,\"finish_reason\":\"stop\",\"message\":{{\"role\":\"assistant\",\"content\":\""
    );
    let tail = "\"}}]}";
    let padding = bytes.saturating_sub(head.len() + tail.len());
    [head.as_bytes(), "word ".repeat(padding / 5).as_bytes(), tail.as_bytes()].concat().into()
}

/// A stream: one chunk at once, the others in steps, then usage and the end marker together.
struct Ticker {
    chunks: u32,
    made: u32,
    gap: Duration,
    due: Instant,
    sleep: Pin<Box<Sleep>>,
    ended: bool,
}

impl Ticker {
    fn new(chunks: u32, gap: Duration) -> Self {
        let sleep = Box::pin(tokio::time::sleep(Duration::ZERO));
        Self { chunks, made: 0, gap, due: sleep.deadline(), sleep, ended: false }
    }

    fn chunk() -> Bytes {
        let stamp = now_ns();
        format!(
            "data: {{\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\
             \"model\":\"{MODEL}\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"@{stamp} some words of an \
             answer\"}},\"finish_reason\":null}}]}}\n\n"
        )
        .into()
    }

    fn last(&self) -> Bytes {
        let words = self.chunks;
        format!(
            "data: {{\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\
             \"model\":\"{MODEL}\",\"choices\":[],\"usage\":{{\"prompt_tokens\":200,\"completion_tokens\":{words},\
             \"total_tokens\":{}}}}}\n\ndata: [DONE]\n\n",
            words + 200
        )
        .into()
    }
}

impl Body for Ticker {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        if self.made > 0 {
            ready!(self.sleep.as_mut().poll(context));
        }
        if self.made == self.chunks {
            self.ended = true;
            return Poll::Ready(Some(Ok(Frame::data(self.last()))));
        }
        self.made += 1;
        // Steps are counted from the first chunk on, so that a late one does not shift the rest.
        let due = self.due + self.gap;
        self.due = due;
        self.sleep.as_mut().reset(due);
        Poll::Ready(Some(Ok(Frame::data(Self::chunk()))))
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
