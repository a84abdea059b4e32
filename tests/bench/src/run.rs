//! One run: start everybody, measure in interleaved rounds, stop everybody, print.

use std::path::{Path, PathBuf};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::process::Command;

use crate::Options;
use crate::book::{Book, Metric};
use crate::clock::now_ns;
use crate::line::Line;
use crate::measure::{self, Scale};
use crate::order::Order;
use crate::report::{self, Setting, note};
use crate::statistics::figure;
use crate::target::{self, Side, Target};
use crate::trouble::Trouble;

/// The whole run; false if some measurement failed.
pub(crate) async fn run(options: &Options) -> Result<bool, Trouble> {
    if !cfg!(target_os = "linux") {
        return Err("the benchmark reads /proc: it runs on Linux only".into());
    }
    raise_open_files()?;
    let mut scale = if options.quick { Scale::QUICK } else { Scale::FULL };
    scale.rounds = options.rounds.unwrap_or(scale.rounds);
    let mut book = Book::default();
    let mut programs = Vec::new();
    let proxylm = if options.without_proxylm { None } else { Some(proxylm_binary(options).await?) };
    match &proxylm {
        Some(program) => programs.extend(target::version(program, "--version").await),
        None => book.notes.push("proxylm: skipped, as asked".to_owned()),
    }
    let nginx = options.nginx.clone().or_else(target::find_nginx);
    match &nginx {
        Some(program) => programs.extend(target::version(program, "-v").await),
        None => {
            book.notes.push("nginx: skipped, it is not installed; figures relative to it are missing".into());
        }
    }

    let targets = start(nginx.as_deref(), proxylm.as_deref()).await?;
    measure_all(&targets, scale, &mut book).await;
    if let Some(program) = &proxylm {
        let started = starts(program, &targets[0].address.authority, scale.starts, &mut book).await;
        book.check(Side::Proxylm, "start", started);
    }
    for target in targets {
        target.stop().await?;
    }

    book.notes.push("keys, history and scheduling are on; they cannot be measured switched off".to_owned());
    let setting = Setting {
        command: command_line(),
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        kernel: std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned(),
        programs,
        scale,
    };
    report::say(&report::markdown(&book, &setting));
    if let Some(path) = &options.json {
        report::write_json(path, &book, &setting)?;
    }
    Ok(book.failures.is_empty())
}

async fn start(nginx: Option<&Path>, proxylm: Option<&Path>) -> Result<Vec<Target>, Trouble> {
    let mut targets = vec![Target::upstream().await?];
    let upstream = targets[0].address.authority.clone();
    if let Some(program) = nginx {
        targets.push(Target::nginx(program, &upstream).await?);
    }
    if let Some(program) = proxylm {
        targets.push(Target::proxylm(program, &upstream).await?);
    }
    Ok(targets)
}

async fn measure_all(targets: &[Target], scale: Scale, book: &mut Book) {
    let proxies = || targets.iter().filter(|target| target.is_proxy());
    for target in proxies() {
        note(&format!("memory: {}", target.side.as_str()));
        let outcome = measure::memory(target, scale, book).await;
        book.check(target.side, "memory", outcome);
    }
    for round in 0..scale.rounds {
        note(&format!("round {} of {}", round + 1, scale.rounds));
        measure_round(targets, scale, round, book).await;
    }
    for target in proxies() {
        note(&format!("1,000 streams: {}", target.side.as_str()));
        let outcome = measure::crowd(target, scale, book).await;
        book.check(target.side, "1,000 streams", outcome);
    }
    for target in proxies() {
        measure::loaded_memory(target, book).await;
    }
    for target in proxies() {
        note(&format!("system calls: {}", target.side.as_str()));
        if let Err(error) = measure::system_calls(target, scale, book).await {
            book.notes.push(format!("system calls of {}: not measured ({error})", target.side.as_str()));
        }
    }
}

/// Every measurement of a round on every target; who begins changes from round to round.
async fn measure_round(targets: &[Target], scale: Scale, round: u32, book: &mut Book) {
    let first = usize::try_from(round).unwrap_or(0) % targets.len();
    let turn = || targets[first..].iter().chain(&targets[..first]);
    for target in turn() {
        let outcome = measure::latency(target, scale, round, book).await;
        book.check(target.side, "latency", outcome);
    }
    for target in turn() {
        let outcome = measure::closed_loop(target, scale, round, book).await;
        book.check(target.side, "closed loop", outcome);
    }
    for target in turn() {
        let outcome = measure::streams(target, scale, round, book).await;
        book.check(target.side, "streams", outcome);
    }
    for target in turn() {
        let outcome = measure::sizes(target, scale, round, book).await;
        book.check(target.side, "body sizes", outcome);
    }
}

/// Starts fresh instances, one after another, and takes the time to the first answer of each.
async fn starts(program: &Path, upstream: &str, count: u32, book: &mut Book) -> Result<(), Trouble> {
    for turn in 0..count {
        note(&format!("start {} of {count}", turn + 1));
        let begun = now_ns();
        let target = Target::proxylm(program, upstream).await?;
        Line::open(&target.address).await?.ask(&Order::small()).await?;
        book.keep(Metric::Start, Side::Proxylm, turn, figure(now_ns() - begun) / 1e6);
        target.stop().await?;
    }
    Ok(())
}

/// The binary to measure: the given one, or the one this builds beside the benchmark's own.
async fn proxylm_binary(options: &Options) -> Result<PathBuf, Trouble> {
    if let Some(path) = &options.proxylm {
        return path.canonicalize().map_err(|error| format!("{}: {error}", path.display()).into());
    }
    note("building proxylm");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let built = Command::new(cargo)
        .args(["build", "--release", "--package", "proxylm", "--bin", "proxylm"])
        .current_dir(root)
        .status()
        .await?;
    if !built.success() {
        return Err("proxylm cannot be built; --proxylm PATH measures another binary".into());
    }
    // This program lies in TARGET/debug or TARGET/release.
    let target = std::env::current_exe()?;
    let target =
        target.parent().and_then(Path::parent).ok_or("the benchmark has no target folder around it")?;
    let path = target.join("release/proxylm");
    path.is_file()
        .then_some(path)
        .ok_or_else(|| "the built proxylm is not where it should be: name it with --proxylm".into())
}

/// A thousand streams need more than the usual 1,024 open files; the children inherit the limit.
fn raise_open_files() -> Result<(), Trouble> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
    if most < 4096 {
        return Err(format!("the limit of open files is {most}; 4096 are needed (ulimit -Hn)").into());
    }
    Ok(())
}

fn command_line() -> String {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.is_empty() {
        return "cargo run --release -p bench".to_owned();
    }
    format!("cargo run --release -p bench -- {}", arguments.join(" "))
}
