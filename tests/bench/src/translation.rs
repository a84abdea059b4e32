//! What a translated stream costs beside a copied one: CPU time of all of proxylm's processes for each chunk.
//!
//! `cargo run --release -p bench -- translation` prints it. The upstream speaks OpenAI chat; a client of each dialect reads the
//! same stream, in turns, so that what disturbs one disturbs all.

use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use clap::Args;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::order::{Address, MODEL};
use crate::process;
use crate::report::{note, say};
use crate::target::Target;
use crate::trouble::{Trouble, within};

/// How to measure.
#[derive(Args)]
pub(crate) struct Translation {
    /// The proxylm binary to measure.
    #[arg(long, value_name = "PATH", default_value = "target/release/proxylm")]
    proxylm: PathBuf,
    /// Rounds: each measures every dialect once.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Microseconds between two chunks of a stream; 0: as fast as they can be made, many in one piece.
    #[arg(long, default_value_t = 5000, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    gap_us: u32,
    /// Chunks of a stream.
    #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u32).range(10..=100_000))]
    chunks: u32,
}

/// Streams at once.
const STREAMS: u32 = 50;
/// The most that translation may cost, as a multiple of copying.
const LIMIT: f64 = 3.0;
/// How much of the end of a stream is looked at, in bytes: the last event of Responses repeats the whole answer.
const KEPT: usize = 256 * 1024;
/// What a stream may take beyond its chunks.
const SPARE: Duration = Duration::from_secs(30);

/// A client's way to ask for a stream.
struct Tongue {
    name: &'static str,
    path: String,
    body: String,
    /// What the last piece of a good stream holds.
    end: &'static str,
}

fn tongues() -> Vec<Tongue> {
    let tongue = |name, path: &str, body: &str, end| Tongue {
        name,
        path: path.replace("MODEL", MODEL),
        body: body.replace("MODEL", MODEL),
        end,
    };
    vec![
        tongue(
            "OpenAI chat (copied)",
            "/v1/chat/completions",
            r#"{"model":"MODEL","stream":true,"messages":[{"role":"user","content":"Go on."}]}"#,
            "[DONE]",
        ),
        tongue(
            "Anthropic",
            "/v1/messages",
            r#"{"model":"MODEL","stream":true,"max_tokens":9999,"messages":[{"role":"user","content":"Go on."}]}"#,
            "message_stop",
        ),
        tongue(
            "OpenAI Responses",
            "/v1/responses",
            r#"{"model":"MODEL","stream":true,"input":"Go on."}"#,
            "response.completed",
        ),
        tongue(
            "Gemini",
            "/v1beta/models/MODEL:streamGenerateContent?alt=sse",
            r#"{"contents":[{"role":"user","parts":[{"text":"Go on."}]}]}"#,
            "finishReason",
        ),
        tongue(
            "Ollama",
            "/api/chat",
            r#"{"model":"MODEL","messages":[{"role":"user","content":"Go on."}]}"#,
            "\"done\":true",
        ),
    ]
}

/// Measures and prints; false if some dialect costs more than the limit.
pub(crate) async fn measure(options: &Translation) -> Result<bool, Trouble> {
    let upstream = Target::upstream().await?;
    let program = options.proxylm.canonicalize().map_err(|error| {
        format!(
            "{}: {error}; build it with cargo build --release, or name it with --proxylm",
            options.proxylm.display()
        )
    })?;
    let proxylm = Target::proxylm(&program, &upstream.address.authority).await?;
    let tongues = tongues();
    let mut costs = vec![Vec::new(); tongues.len()];
    for round in 0..options.rounds {
        note(&format!("round {} of {}", round + 1, options.rounds));
        for (tongue, costs) in tongues.iter().zip(&mut costs) {
            costs.push(cost_us(&proxylm, tongue, options).await?);
        }
    }
    proxylm.stop().await?;
    upstream.stop().await?;
    let medians: Vec<f64> = costs.iter_mut().map(|costs| median(costs)).collect();
    say("| client of an OpenAI upstream | CPU per chunk, µs | × copied |\n|---|---|---|");
    for (tongue, cost) in tongues.iter().zip(&medians) {
        say(&format!("| {} | {cost:.1} | {:.2} |", tongue.name, cost / medians[0]));
    }
    let Translation { chunks, gap_us, .. } = options;
    let worst = medians.iter().fold(0.0_f64, |worst, cost| worst.max(cost / medians[0]));
    say(&format!(
        "\n{STREAMS} streams of {chunks} chunks, one each {gap_us} µs; the limit is {LIMIT} × copied."
    ));
    Ok(worst <= LIMIT)
}

/// CPU time of all processes for one chunk, in microseconds.
async fn cost_us(proxylm: &Target, tongue: &Tongue, options: &Translation) -> Result<f64, Trouble> {
    let pids = proxylm.pids();
    let before = process::cpu_us(&pids);
    let mut streams = JoinSet::new();
    for _ in 0..STREAMS {
        let (address, request, end) =
            (proxylm.address.clone(), request(&proxylm.address, tongue, options), tongue.end);
        streams
            .spawn(async move { read(&address, request, end).await.map_err(|trouble| trouble.to_string()) });
    }
    let longest = Duration::from_micros(u64::from(options.chunks) * u64::from(options.gap_us)) + SPARE;
    within(longest.as_secs(), "the streams", async {
        while let Some(ended) = streams.join_next().await {
            ended??;
        }
        Ok(())
    })
    .await?;
    Ok((process::cpu_us(&pids) - before) / f64::from(STREAMS * options.chunks))
}

fn request(to: &Address, tongue: &Tongue, options: &Translation) -> Bytes {
    let Translation { chunks, gap_us, .. } = options;
    let key = to.key.as_deref().unwrap_or_default();
    let length = tongue.body.len();
    format!(
        "POST {} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\n\
         x-bench-chunks: {chunks}\r\nx-bench-gap-us: {gap_us}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{}",
        tongue.path, to.authority, tongue.body
    )
    .into()
}

/// Reads a stream to its end; fails unless it has one.
async fn read(to: &Address, request: Bytes, end: &str) -> Result<(), Trouble> {
    let mut stream = TcpStream::connect(&to.authority).await?;
    stream.write_all(&request).await?;
    let (mut piece, mut last, mut first) = (vec![0; 16 * 1024], Vec::new(), Vec::new());
    loop {
        let length = stream.read(&mut piece).await?;
        if length == 0 {
            break;
        }
        if first.is_empty() {
            first.extend_from_slice(&piece[..length]);
        }
        last.extend_from_slice(&piece[..length]);
        let spare = last.len().saturating_sub(KEPT);
        last.drain(..spare);
    }
    let text = String::from_utf8_lossy(&last);
    if first.starts_with(b"HTTP/1.1 200") && text.contains(end) {
        return Ok(());
    }
    let begin = String::from_utf8_lossy(&first[..first.len().min(400)]).into_owned();
    Err(format!("a stream without its end: {begin}").into())
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tongue_asks_for_the_model_in_json() {
        for tongue in tongues() {
            let body: serde_json::Value = serde_json::from_str(&tongue.body).expect("JSON");
            assert!(body["model"] == MODEL || tongue.path.contains(MODEL), "{}", tongue.name);
        }
        assert!(median(&mut [3.0, 1.0, 2.0]) > 1.9);
    }
}
