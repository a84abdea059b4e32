//! Why a measurement could not be made, and the bound on every wait.

use std::time::Duration;

/// What went wrong, with its causes; the benchmark only prints it.
pub(crate) type Trouble = Box<dyn std::error::Error + Send + Sync>;

/// Gives up on `work` after `seconds`, naming `what`: everything in the benchmark ends by itself.
pub(crate) async fn within<T>(
    seconds: u64,
    what: &str,
    work: impl Future<Output = Result<T, Trouble>>,
) -> Result<T, Trouble> {
    tokio::time::timeout(Duration::from_secs(seconds), work)
        .await
        .unwrap_or_else(|_| Err(format!("{what}: not done after {seconds} s").into()))
}
