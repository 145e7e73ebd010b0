//! Asks the person at the terminal: before something is done, and for what only they know.

use std::io::{self, BufRead, IsTerminal, Stdin, Write};

use rustix::termios::{self, LocalModes, OptionalActions, Termios};

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

/// What the person at the terminal answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// This, without blanks around it; nothing if only Enter was pressed.
    Text(String),
    /// There is no terminal, so no user was asked.
    NoTerminal,
}

/// Asks a question on standard error and waits for a line of the person.
///
/// # Errors
/// The terminal's error; the end of the input.
pub fn ask(question: &str) -> io::Result<Answer> {
    let input = io::stdin();
    if !(input.is_terminal() && io::stderr().is_terminal()) {
        return Ok(Answer::NoTerminal);
    }
    prompted(question, &input)
}

/// Asks a question whose answer the terminal does not show.
///
/// # Errors
/// As of [`ask`].
pub fn ask_unseen(question: &str) -> io::Result<Answer> {
    let input = io::stdin();
    if !(input.is_terminal() && io::stderr().is_terminal()) {
        return Ok(Answer::NoTerminal);
    }
    let hidden = HiddenInput::of(&input)?;
    let answer = prompted(question, &input);
    drop(hidden);
    // The line end of the user was not shown either.
    let _ = io::stderr().write_all(b"\n");
    answer
}

fn prompted(question: &str, input: &Stdin) -> io::Result<Answer> {
    let mut error = io::stderr();
    error.write_all(question.as_bytes())?;
    error.flush()?;
    let mut line = String::new();
    match input.lock().read_line(&mut line)? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(Answer::Text(line.trim().to_owned())),
    }
}

/// A terminal that does not show what is typed, until this is dropped.
struct HiddenInput<'i> {
    input: &'i Stdin,
    before: Termios,
}

impl HiddenInput<'_> {
    fn of(input: &Stdin) -> io::Result<HiddenInput<'_>> {
        let before = termios::tcgetattr(input)?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        termios::tcsetattr(input, OptionalActions::Flush, &silent)?;
        Ok(HiddenInput { input, before })
    }
}

impl Drop for HiddenInput<'_> {
    fn drop(&mut self) {
        let _ = termios::tcsetattr(self.input, OptionalActions::Now, &self.before);
    }
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
