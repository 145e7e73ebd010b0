//! What a program of a way to the cloud says, line by line.

use std::time::Duration;

use tokio::io::{AsyncRead, BufReader, Lines};
use tokio::time::timeout;

/// The longest that a person waits for one step.
pub(crate) const STEP: Duration = Duration::from_secs(60);

/// Waits for a line with these words.
pub(crate) async fn wait_for<R>(lines: &mut Lines<BufReader<R>>, words: &str) -> String
where
    R: AsyncRead + Unpin,
{
    let mut heard = String::new();
    let waiting = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if line.contains(words) {
                return Some(line);
            }
            heard.push_str(&line);
            heard.push('\n');
        }
        None
    };
    match timeout(STEP, waiting).await {
        Ok(Some(line)) => line,
        _ => panic!("{words} is not said:\n{heard}"),
    }
}
