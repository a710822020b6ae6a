//! Questions to a person, asked until they are answered.

use std::io::{self, BufRead, Write};

use zeroize::Zeroizing;

/// The longest password that the protocol takes, in bytes (protocol §4.3).
pub(super) const MAX_PASSWORD: usize = 255;

/// Somebody who answers.
pub(super) trait Person {
    /// Tells them something.
    fn say(&mut self, text: &str) -> io::Result<()>;
    /// Asks for a line; nothing when nobody is there any more.
    fn line(&mut self, prompt: &str) -> io::Result<Option<String>>;
    /// Asks for a line that is not shown.
    fn secret(&mut self, prompt: &str) -> io::Result<Option<Zeroizing<String>>>;
}

/// The person at the terminal of this process.
#[derive(Debug)]
pub(super) struct Terminal;

impl Person for Terminal {
    fn say(&mut self, text: &str) -> io::Result<()> {
        writeln!(io::stdout(), "{text}")
    }

    fn line(&mut self, prompt: &str) -> io::Result<Option<String>> {
        let mut screen = io::stdout();
        write!(screen, "{prompt}")?;
        screen.flush()?;
        let mut line = String::new();
        let length = io::stdin().lock().read_line(&mut line)?;
        Ok((length != 0).then_some(line))
    }

    fn secret(&mut self, prompt: &str) -> io::Result<Option<Zeroizing<String>>> {
        let stdin = io::stdin();
        terminal::secret(&stdin, &mut stdin.lock(), &mut io::stdout(), prompt)
    }
}

/// Asks until `read` can read the answer; what is wrong with one is said. Enter alone gives the usual answer.
pub(super) fn ask<T>(
    person: &mut dyn Person,
    question: &str,
    usual: &str,
    read: impl Fn(&str) -> Result<T, String>,
) -> io::Result<T> {
    let prompt = if usual.is_empty() {
        format!("{question}: ")
    } else {
        format!("{question} [{usual}]: ")
    };
    loop {
        let typed = person.line(&prompt)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let answer = match typed.trim() {
            "" => usual,
            typed => typed,
        };
        match read(answer) {
            Ok(meant) => return Ok(meant),
            Err(why) => person.say(&format!("  {why}"))?,
        }
    }
}

/// Asks for a new password, twice. Nothing when one should be made up.
pub(super) fn new_password(person: &mut dyn Person, whose: &str) -> io::Result<Option<Zeroizing<String>>> {
    loop {
        let typed = secret(person, &format!("Password of {whose} (Enter makes one up): "))?;
        if typed.is_empty() {
            return Ok(None);
        }
        if typed.len() > MAX_PASSWORD {
            person.say(&format!("  A password has {MAX_PASSWORD} bytes at most."))?;
        } else if *secret(person, "The same again: ")? == *typed {
            return Ok(Some(typed));
        } else {
            person.say("  They are not the same; once more, please.")?;
        }
    }
}

fn secret(person: &mut dyn Person, prompt: &str) -> io::Result<Zeroizing<String>> {
    Ok(person.secret(prompt)?.ok_or(io::ErrorKind::UnexpectedEof)?)
}
