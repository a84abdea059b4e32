//! The picture of turns over time: a run of `proxylm serve --demo` under a small crowd, drawn from its own history.
//!
//! `cargo run --release -p bench -- turns docs/turns.svg` draws it anew. It takes about a minute.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::task::JoinSet;

use crate::sketch::Sketch;
use crate::target::Demo;
use crate::trouble::{Trouble, within};

/// Where to draw, and what.
#[derive(Args)]
pub(crate) struct Turns {
    /// The picture's file.
    file: PathBuf,
    /// The proxylm binary to run.
    #[arg(long, value_name = "PATH", default_value = "target/release/proxylm")]
    proxylm: PathBuf,
    /// The strategy to watch.
    #[arg(long, default_value = "model_turns")]
    strategy: String,
}

/// A request of the crowd: when it comes, in tenths of a second, for which model, how many.
const CROWD: [(u64, &str, u32); 14] = [
    (0, "demo-small", 3),
    (5, "demo-large", 2),
    (10, "demo-embed", 2),
    (40, "demo-small", 2),
    (60, "demo-large", 3),
    (90, "demo-small", 4),
    (120, "demo-embed", 1),
    (140, "demo-large", 2),
    (180, "demo-small", 3),
    (200, "demo-embed", 2),
    (230, "demo-large", 3),
    (260, "demo-small", 2),
    (300, "demo-embed", 1),
    (310, "demo-large", 1),
];

/// What the picture needs of a row of the history.
#[derive(Clone, Deserialize, Debug)]
pub(crate) struct Row {
    pub(crate) model: String,
    pub(crate) backend: String,
    pub(crate) swap: bool,
    pub(crate) arrived_unix_us: i64,
    pub(crate) started_unix_us: Option<i64>,
    pub(crate) ended_unix_us: Option<i64>,
    pub(crate) load_us: Option<i64>,
}

/// Runs the demo under the crowd and draws what its history says.
pub(crate) async fn draw(options: &Turns) -> Result<(), Trouble> {
    let demo = Demo::start(&options.proxylm, &options.strategy).await?;
    let served = within(180, "the crowd's answers", serve_crowd(demo.authority())).await;
    let rows = match served {
        Ok(()) => history(&options.proxylm, demo.run_dir()).await,
        Err(error) => Err(error),
    };
    demo.stop().await?;
    let sketch = Sketch::of(&rows?, &options.strategy)?;
    std::fs::write(&options.file, sketch.svg())?;
    Ok(())
}

async fn serve_crowd(authority: &str) -> Result<(), Trouble> {
    let mut crowd = JoinSet::new();
    for (tenths, model, count) in CROWD {
        for _ in 0..count {
            let (authority, model) = (authority.to_owned(), model.to_owned());
            crowd.spawn(async move {
                tokio::time::sleep(Duration::from_millis(tenths * 100)).await;
                ask(&authority, &model).await
            });
        }
    }
    while let Some(asked) = crowd.join_next().await {
        asked??;
    }
    Ok(())
}

/// Asks `model` something and reads the whole answer.
async fn ask(authority: &str, model: &str) -> Result<(), Trouble> {
    let body =
        format!(r#"{{"model":"{model}","stream":true,"messages":[{{"role":"user","content":"hello"}}]}}"#);
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: {authority}\r\ncontent-type: application/json\r\n\
         connection: close\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let mut stream = TcpStream::connect(authority).await?;
    stream.write_all(format!("{head}{body}").as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    if answer.starts_with(b"HTTP/1.1 200") {
        Ok(())
    } else {
        Err(format!("asking {model}: {}", String::from_utf8_lossy(&answer)).into())
    }
}

async fn history(program: &Path, run_dir: &Path) -> Result<Vec<Row>, Trouble> {
    let mut command = Command::new(program);
    command.args(["ctl", "history", "--json", "-n", "1000", "--run-dir"]).arg(run_dir);
    let output = command.output().await?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}
