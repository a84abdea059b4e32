//! A backend with TLS: trusted by the system's store, or not at all.
//!
//! Which store that is can be said only by a variable of the environment, before the process starts: so the test that
//! is trusted runs in a process of its own, as a child of the one that made the certificate.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;

use ipc_proto::control::{Ending, ProbeFailureKind};
use ipc_proto::failure::FailureKind;
use ipc_proto::spec::BackendKind;
use rcgen::CertifiedKey;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::support::{Supervisor, must, spec};

/// Where the child finds the certificate and its key.
const PLACE: &str = "PROXYLM_TEST_TLS";

/// Makes `cert.pem` and `key.pem` in `dir`, for a server on this machine.
fn make_certificate(dir: &Path) {
    let CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(dir.join("cert.pem"), cert.pem()).unwrap();
    std::fs::write(dir.join("key.pem"), signing_key.serialize_pem()).unwrap();
}

/// A server with the certificate in `dir` that answers everything with `{"data":[]}`; its address.
async fn serve(dir: &Path, tasks: &mut JoinSet<()>) -> String {
    let chain = vec![CertificateDer::from_pem_file(dir.join("cert.pem")).unwrap()];
    let key = PrivateKeyDer::from_pem_file(dir.join("key.pem")).unwrap();
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("localhost:0").await.unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    tasks.spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            // Who does not trust us leaves in the middle.
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") && !request.ends_with(b"}") {
                if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
                    break;
                }
            }
            let answer = "HTTP/1.1 200 OK\r\ncontent-length: 11\r\nconnection: close\r\n\r\n{\"data\":[]}";
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    });
    url
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_not_trusted() {
    let dir = tempfile::tempdir().unwrap();
    make_certificate(dir.path());
    let mut tasks = JoinSet::new();
    let url = serve(dir.path(), &mut tasks).await;
    let mut supervisor = Supervisor::start(spec(BackendKind::OpenAi, &url)).await;
    let failure = supervisor.probed().await.models.unwrap_err();
    assert_eq!(failure.kind, ProbeFailureKind::Unreachable);
    assert!(failure.detail.to_lowercase().contains("certificate"), "{}", failure.detail);
    let mut frontend = supervisor.frontend().await;
    frontend.chat(1).await;
    let failure = frontend.failure().await;
    assert_eq!(failure.kind, FailureKind::Unreachable);
    assert!(failure.detail.to_lowercase().contains("certificate"), "{}", failure.detail);
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_certificate_in_the_systems_store_is_trusted() {
    let dir = tempfile::tempdir().unwrap();
    make_certificate(dir.path());
    let mut child = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "tls::inside_the_child", "--ignored", "--nocapture"])
        .env(PLACE, dir.path())
        .env("SSL_CERT_FILE", dir.path().join("cert.pem"))
        .env_remove("SSL_CERT_DIR")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    drop(child.stdin.take());
    let output = must("the end of the child", child.wait_with_output()).await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("1 passed"), "{said}\n{complained}");
}

#[tokio::test]
#[ignore = "runs as a child of the test before it"]
async fn inside_the_child() {
    let Some(dir) = std::env::var_os(PLACE) else { return };
    let mut tasks = JoinSet::new();
    let url = serve(Path::new(&dir), &mut tasks).await;
    let mut supervisor = Supervisor::start(spec(BackendKind::OpenAi, &url)).await;
    let report = supervisor.probed().await;
    assert_eq!(report.models, Ok(Vec::new()));
    let mut frontend = supervisor.frontend().await;
    frontend.chat(1).await;
    assert_eq!(frontend.answer().await.text(), r#"{"data":[]}"#);
    assert_eq!(supervisor.ending().await, Ending::Complete);
}
