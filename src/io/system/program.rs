//! Asks another program of the system, for a bounded time.

use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// Why a program has not answered; shown, it follows the program's name.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    /// The program could not be started.
    #[error("cannot be started: {0}")]
    NotStarted(std::io::Error),
    /// The program was not done in time, and was ended.
    #[error("did not answer within {} s", .0.as_secs())]
    Late(Duration),
}

/// Runs a program in the language of the C locale and returns what it wrote to standard output
/// and, after that, to standard error: at most `largest` bytes of each.
///
/// # Errors
/// When the program cannot be started, or is not done `within` this time. A program that fails
/// is no error: what it wrote says so.
pub fn output_of(
    program: &str,
    arguments: &[&str],
    within: Duration,
    largest: u64,
) -> Result<String, NoAnswer> {
    let mut child = Command::new(program)
        .args(arguments)
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(NoAnswer::NotStarted)?;
    let (tell, told) = mpsc::channel();
    let pipes: [Option<Box<dyn Read + Send>>; 2] = [
        child.stdout.take().map(|pipe| Box::new(pipe) as _),
        child.stderr.take().map(|pipe| Box::new(pipe) as _),
    ];
    // One thread for both, since the unit has few. A program that fills the second pipe while
    // the first is open is late.
    let listening = std::thread::Builder::new().spawn(move || {
        let mut text = String::new();
        for pipe in pipes.into_iter().flatten() {
            let mut bytes = Vec::new();
            // What was read before a fault is all that there is.
            let _ = pipe.take(largest).read_to_end(&mut bytes);
            text.push_str(&String::from_utf8_lossy(&bytes));
        }
        // The caller may have given up.
        let _ = tell.send(text);
    });
    let heard = match listening {
        Ok(_) => told
            .recv_timeout(within)
            .map_err(|_| NoAnswer::Late(within)),
        Err(e) => Err(NoAnswer::NotStarted(e)),
    };
    // It is done, or late, or has more to say than is wanted.
    let _ = child.kill();
    let _ = child.wait();
    heard
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEST_LIMIT: Duration = Duration::from_secs(20);

    #[test]
    fn both_outputs_are_heard_and_bounded() {
        let script = "echo said; echo wrong >&2; exit 3";
        let heard = output_of("sh", &["-c", script], TEST_LIMIT, 100).unwrap();
        assert_eq!(heard, "said\nwrong\n");
        let endless = "yes | head -c 1000000";
        let heard = output_of("sh", &["-c", endless], TEST_LIMIT, 10).unwrap();
        assert_eq!(heard, "y\ny\ny\ny\ny\n");
    }

    #[test]
    fn a_program_that_is_missing_or_late_is_told() {
        let missing = output_of("/nonexistent", &[], TEST_LIMIT, 10).unwrap_err();
        assert!(
            missing.to_string().contains("cannot be started"),
            "{missing}"
        );
        let late = output_of("sleep", &["60"], Duration::from_millis(1), 10).unwrap_err();
        assert_eq!(late.to_string(), "did not answer within 0 s");
    }
}
