//! System calls of a tree of processes, counted by `strace -c` while some load runs.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::trouble::{Trouble, within};

/// A counter attached to some processes.
pub(crate) struct Counter {
    strace: Child,
    summary: std::path::PathBuf,
}

impl Counter {
    /// Attaches to all threads of `pids`; fails where strace is missing or may not attach.
    pub(crate) async fn attach(pids: &[u32], scratch: &Path) -> Result<Self, Trouble> {
        let summary = scratch.join("strace.txt");
        let mut command = Command::new("strace");
        command.args(["-c", "-f", "-o"]).arg(&summary);
        for pid in pids {
            command.args(["-p", &pid.to_string()]);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut strace = command.spawn().map_err(|error| format!("strace: {error}"))?;
        let stderr = strace.stderr.take().expect("standard error is piped");
        within(10, "strace", async {
            let mut lines = BufReader::new(stderr).lines();
            let mut attached = 0;
            while attached < pids.len() {
                let Some(line) = lines.next_line().await? else { return Err("strace ended at once".into()) };
                if line.contains("attached") {
                    attached += 1;
                } else {
                    return Err(line.into());
                }
            }
            Ok(())
        })
        .await?;
        // It says so before the processes have come round to it.
        tokio::time::sleep(Duration::from_millis(300)).await;
        Ok(Self { strace, summary })
    }

    /// Detaches and says how many calls were made meanwhile.
    pub(crate) async fn stop(mut self) -> Result<u64, Trouble> {
        if let Some(pid) = self.strace.id() {
            kill(Pid::from_raw(i32::try_from(pid)?), Signal::SIGINT)?;
        }
        within(10, "the end of strace", async { Ok(self.strace.wait().await?) }).await?;
        let summary = std::fs::read_to_string(&self.summary)?;
        total(&summary).ok_or_else(|| "strace's summary has no total".into())
    }
}

/// The number of calls in the last line of a summary: `% time, seconds, usecs/call, calls, [errors], total`.
fn total(summary: &str) -> Option<u64> {
    let line = summary.lines().rev().find(|line| line.trim_end().ends_with(" total"))?;
    line.split_whitespace().nth(3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_read_with_and_without_errors() {
        let rows =
            "% time     seconds  usecs/call     calls    errors syscall\n 60.00    0.000012  1  12  read\n";
        assert_eq!(
            total(&format!("{rows}100.00    0.000020           1        20         3 total\n")),
            Some(20)
        );
        assert_eq!(
            total(&format!("{rows}100.00    0.000020           1        21           total\n")),
            Some(21)
        );
        assert_eq!(total(rows), None);
    }
}
