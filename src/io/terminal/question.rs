//! Asks the person at the terminal before something is done.

use std::io::{self, BufRead, IsTerminal, Write};

/// What the person at the terminal says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It is to be done.
    Yes,
    /// It is not to be done, or nothing was said.
    No,
    /// There is no terminal, so no user was asked.
    NoTerminal,
}

/// Asks a question of yes or no on standard error, so that the output of the tool stays apart,
/// and waits for a line of the person.
///
/// # Errors
/// The terminal's error.
pub fn decide(question: &str) -> io::Result<Decision> {
    let mut error = io::stderr();
    let input = io::stdin();
    if !(input.is_terminal() && error.is_terminal()) {
        return Ok(Decision::NoTerminal);
    }
    error.write_all(question.as_bytes())?;
    error.flush()?;
    decision(&mut input.lock())
}

/// Reads a line: `y` or `yes`, in any case of letters, is a yes, and all else is a no.
fn decision(from: &mut impl BufRead) -> io::Result<Decision> {
    let mut line = String::new();
    from.read_line(&mut line)?;
    let word = line.trim();
    let is_yes = ["y", "yes"]
        .iter()
        .any(|yes| word.eq_ignore_ascii_case(yes));
    Ok(if is_yes { Decision::Yes } else { Decision::No })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clear_yes_is_one() {
        for (typed, decided) in [
            ("y\n", Decision::Yes),
            ("YES\n", Decision::Yes),
            (" yes \r\n", Decision::Yes),
            ("n\n", Decision::No),
            ("\n", Decision::No),
            ("", Decision::No),
            ("yesterday\n", Decision::No),
            ("y\u{1b}[A\n", Decision::No),
        ] {
            assert_eq!(
                decision(&mut typed.as_bytes()).unwrap(),
                decided,
                "{typed:?}"
            );
        }
    }
}
