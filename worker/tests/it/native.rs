//! Calls of a backend's own API: untouched in both directions.

use dialect::Endpoint;
use ipc_proto::control::Ending;
use ipc_proto::failure::FailureKind;
use ipc_proto::stream::{NativeCall, Open};

use crate::support::{Backend, header, open};

fn call(grant: u64, method: &str, path: &str, body: &[u8]) -> Open {
    let native = NativeCall { method: method.to_owned(), path: path.to_owned() };
    Open { native: Some(Box::new(native)), ..open(grant, Endpoint::Native, false, body) }
}

#[tokio::test]
async fn a_native_call_and_its_answer_pass_untouched() {
    let backend = Backend::start().await;
    let mut supervisor = backend.worker(|spec| spec.dialects.clear()).await;
    let mut frontend = supervisor.frontend().await;
    for (grant, (status, ending)) in (1..).zip([
        (200, Ending::Complete),
        (201, Ending::Complete),
        (302, Ending::Declined),
        (404, Ending::Declined),
    ]) {
        let body = b"--b\r\nno json\r\n--b--";
        let mut asked = call(grant, "PUT", "/v1/files/a%20b", body);
        asked.query = Some("purpose=x&key=theirs&b".to_owned());
        asked.headers.push(header("content-type", "multipart/form-data; boundary=b"));
        asked.headers.push(header("anthropic-beta", "files"));
        frontend.send(asked, body).await;
        let mut exchange = backend.exchange().await;
        assert_eq!(exchange.asked_for(), "PUT /v1/files/a%20b?purpose=x&b");
        assert_eq!(exchange.body, body);
        assert_eq!(exchange.header("content-type"), Some("multipart/form-data; boundary=b"));
        assert_eq!(exchange.header("anthropic-beta"), Some("files"));
        exchange.answer(status, "content-type: audio/mpeg\r\netag: x\r\n", b"\xff\xfb\x00").await;
        let answered = frontend.answer().await;
        assert_eq!(
            (answered.head.as_ref().unwrap().status, &answered.body[..]),
            (status, &b"\xff\xfb\x00"[..])
        );
        assert_eq!(
            (answered.header("content-type"), answered.header("etag")),
            (Some("audio/mpeg"), Some("x"))
        );
        assert_eq!(supervisor.ending().await, ending);
    }
}

#[tokio::test]
async fn a_native_call_without_a_body_says_nothing_of_one() {
    let backend = Backend::start().await;
    let supervisor = backend.worker(|_| {}).await;
    let mut frontend = supervisor.frontend().await;
    frontend.send(call(1, "GET", "/v1/models", b""), b"").await;
    let mut exchange = backend.exchange().await;
    assert_eq!((exchange.asked_for(), exchange.header("content-type")), ("GET /v1/models", None));
    exchange.json(200, "[1]").await;
    assert_eq!(frontend.answer().await.text(), "[1]");
}

#[tokio::test]
async fn a_native_stream_comes_as_it_is_said_and_ends_with_its_bytes() {
    let backend = Backend::start().await;
    let mut supervisor = backend.worker(|_| {}).await;
    let mut frontend = supervisor.frontend().await;
    frontend.send(call(1, "POST", "/v1/odd", b"{}"), b"{}").await;
    let mut exchange = backend.exchange().await;
    exchange.begin_stream().await;
    exchange.write("event: odd\ndata: half").await;
    let ipc_proto::stream::Answer::Head(head) = frontend.next().await.unwrap() else { panic!("no head") };
    assert!(!head.events, "nothing of ours may come between");
    exchange.write(" and half\n\n").await;
    exchange.close().await;
    assert_eq!(frontend.answer().await.text(), "event: odd\ndata: half and half\n\n");
    assert_eq!(supervisor.ending().await, Ending::Complete);
}

#[tokio::test]
async fn a_path_that_leads_out_of_the_backends_is_not_called() {
    let backend = Backend::start().await;
    let supervisor = backend.worker(|_| {}).await;
    let mut frontend = supervisor.frontend().await;
    let refused = ["/v1/../admin", "@elsewhere/", "/v1/%2e%2e/x"].map(|path| call(1, "GET", path, b""));
    let wrong_method = call(1, "G T", "/v1/models", b"");
    let no_call = open(1, Endpoint::Native, false, b"");
    for (grant, asked) in (1..).zip(refused.into_iter().chain([wrong_method, no_call])) {
        let asked = Open { grant: ipc_proto::ids::GrantId(grant), ..asked };
        frontend.send(asked, b"").await;
        let failure = frontend.failure().await;
        assert_eq!(failure.kind, FailureKind::BadRequest);
        assert!(failure.told.is_some());
    }
}
