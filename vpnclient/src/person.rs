//! The person at the terminal: whether there is one, and what they are asked.

use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, IsTerminal, Write};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use zeroize::Zeroizing;

use crate::failure::Failure;

/// Set for a program that asks nobody, wherever it was started.
static UNATTENDED: AtomicBool = AtomicBool::new(false);

/// From now on nobody is there: what runs in the background does not ask on the terminal that it was started from.
pub fn leave() {
    UNATTENDED.store(true, Relaxed);
}

/// Whether somebody can be asked whether to go on. A program whose input is a file or a pipe runs for a script, also where a
/// terminal is somewhere behind it.
pub fn decides() -> bool {
    std::io::stdin().is_terminal() && terminal().is_some()
}

/// Whether there is a terminal to type a secret on.
pub fn is_there() -> bool {
    terminal().is_some()
}

/// Asks for a secret, without showing what is typed; `None` when there is no terminal.
///
/// # Errors
/// [`Failure::Usage`] when nothing is given, [`Failure::Local`] when the terminal fails.
pub fn secret(prompt: &str) -> Result<Option<Zeroizing<String>>, Failure> {
    let Some(terminal) = terminal() else {
        return Ok(None);
    };
    let given_up = || Failure::Usage("nothing was typed".to_owned());
    let (mut keys, mut screen) = (&terminal, &terminal);
    match terminal::secret(&terminal, &mut keys, &mut screen, prompt) {
        Ok(typed) => typed.map(Some).ok_or_else(given_up),
        Err(error) if error.kind() == ErrorKind::Interrupted => Err(given_up()),
        Err(error) => Err(failed(&error)),
    }
}

/// Shows a text and reads whether `yes` is typed, in full; an answer that is something else is asked for again.
///
/// # Errors
/// When there is no terminal, or it fails.
pub fn says_yes(text: &str) -> Result<bool, Failure> {
    let gone = || Failure::Local("there is no terminal to ask on".to_owned());
    let terminal = terminal().ok_or_else(gone)?;
    ask(text, BufReader::new(&terminal), &terminal).map_err(|error| failed(&error))
}

fn failed(error: &io::Error) -> Failure {
    Failure::Local(format!("the terminal does not answer: {error}"))
}

fn terminal() -> Option<File> {
    if UNATTENDED.load(Relaxed) {
        return None;
    }
    let terminal = File::options().read(true).write(true).open("/dev/tty").ok()?;
    terminal.is_terminal().then_some(terminal)
}

fn ask(text: &str, mut keys: impl BufRead, mut screen: impl Write) -> io::Result<bool> {
    writeln!(screen, "{text}")?;
    let mut question = "Do you trust this certificate (yes/no)? ";
    loop {
        write!(screen, "{question}")?;
        screen.flush()?;
        let mut line = String::new();
        if keys.read_line(&mut line)? == 0 {
            return Ok(false);
        }
        match line.trim().to_ascii_lowercase().as_str() {
            "yes" => return Ok(true),
            "no" | "n" => return Ok(false),
            _ => question = "Please type yes or no: ",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_yes_is_one() {
        for (typed, meant, asked) in [
            (&b"yes\n"[..], true, 1),
            (b"YES\r\n", true, 1),
            (b"y\nyes\n", true, 2),
            (b"\nno\n", false, 2),
            (b"n\n", false, 1),
            (b"", false, 1),
            (b"ja\n", false, 2),
        ] {
            let mut screen = Vec::new();
            assert_eq!(ask("?", typed, &mut screen).unwrap(), meant, "{typed:?}");
            let screen = String::from_utf8(screen).unwrap();
            assert_eq!(screen.matches("yes").count(), asked, "{screen}");
        }
    }
}
