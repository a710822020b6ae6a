//! Passwords typed at a terminal. All three programs ask for some, and all of them as it is here: a star is shown for each
//! character, as the stock tool does, and keys do what they do at a shell's prompt.

use std::io::{self, Read, Write};
use std::os::fd::AsFd;

use nix::sys::termios::{LocalFlags, SetArg, SpecialCharacterIndices, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

/// What is typed beyond this is not taken.
const MAX_BYTES: usize = 4096;

/// Asks for a password. `None` at `^D` on an empty line, and when nobody is there any more.
///
/// # Errors
/// [`io::ErrorKind::Interrupted`] at `^C`; what the terminal says.
pub fn secret(
    terminal: &impl AsFd,
    keys: &mut impl Read,
    screen: &mut impl Write,
    prompt: &str,
) -> io::Result<Option<Zeroizing<String>>> {
    let typed = {
        // Before it is asked for: nothing of a fast typist is shown.
        let _hidden = Hidden::begin(terminal)?;
        write!(screen, "{prompt}")?;
        screen.flush()?;
        typed(keys, screen)
    };
    writeln!(screen)?;
    typed
}

/// Reads a password key by key and shows a star for each character.
fn typed(keys: &mut impl Read, screen: &mut impl Write) -> io::Result<Option<Zeroizing<String>>> {
    const CTRL_C: u8 = 3;
    const CTRL_D: u8 = 4;
    const CTRL_U: u8 = 21;
    // Long enough that it is never moved, which would leave a copy.
    let mut typed = Zeroizing::new(Vec::with_capacity(MAX_BYTES));
    // A byte at a time: what is typed behind the line end is the next reader's.
    let mut key = Zeroizing::new([0]);
    loop {
        if keys.read(&mut *key)? == 0 || key[0] == CTRL_D && typed.is_empty() {
            return Ok(None);
        }
        match key[0] {
            b'\r' | b'\n' => break,
            CTRL_C => return Err(io::ErrorKind::Interrupted.into()),
            8 | 127 => erase(&mut typed, screen)?,
            CTRL_U => {
                while !typed.is_empty() {
                    erase(&mut typed, screen)?;
                }
            }
            0..32 => {}
            byte if typed.len() < MAX_BYTES => {
                typed.push(byte);
                // The following bytes of a character in UTF-8 are no characters of their own.
                if byte & 0xc0 != 0x80 {
                    screen.write_all(b"*")?;
                }
            }
            _ => {}
        }
        screen.flush()?;
    }
    match std::str::from_utf8(&typed) {
        Ok(text) => Ok(Some(Zeroizing::new(text.to_owned()))),
        Err(error) => Err(io::Error::new(io::ErrorKind::InvalidData, error)),
    }
}

/// Takes the last character back.
fn erase(typed: &mut Vec<u8>, screen: &mut impl Write) -> io::Result<()> {
    let mut erased = false;
    while let Some(byte) = typed.pop() {
        erased = true;
        if byte & 0xc0 != 0x80 {
            break;
        }
    }
    if erased {
        screen.write_all(b"\x08 \x08")?;
    }
    Ok(())
}

/// The terminal gives every key as it is pressed, and shows none, until this is dropped. It makes no signals either: a `^C` that
/// ended the program in between would leave its user with a terminal that does not echo.
struct Hidden<'a, T: AsFd> {
    terminal: &'a T,
    before: Termios,
}

impl<'a, T: AsFd> Hidden<'a, T> {
    fn begin(terminal: &'a T) -> io::Result<Self> {
        let before = tcgetattr(terminal.as_fd())?;
        let mut hidden = before.clone();
        hidden
            .local_flags
            .remove(LocalFlags::ECHO | LocalFlags::ICANON | LocalFlags::ISIG);
        hidden.control_chars[SpecialCharacterIndices::VMIN as usize] = 1;
        hidden.control_chars[SpecialCharacterIndices::VTIME as usize] = 0;
        tcsetattr(terminal.as_fd(), SetArg::TCSANOW, &hidden)?;
        Ok(Self { terminal, before })
    }
}

impl<T: AsFd> Drop for Hidden<'_, T> {
    fn drop(&mut self) {
        let _ = tcsetattr(self.terminal.as_fd(), SetArg::TCSANOW, &self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_edited_and_never_shown() {
        for (keys, meant, shown) in [
            (&b"abc\r"[..], Some("abc"), "***"),
            (
                "\u{fc}x\u{7f}\u{7f}y\n".as_bytes(),
                Some("y"),
                "**\x08 \x08\x08 \x08*",
            ),
            (b"\x7fa\x15b\n", Some("b"), "*\x08 \x08*"),
            (b"a\x04\n", Some("a"), "*"),
            (b"\x04", None, ""),
            (b"", None, ""),
        ] {
            let mut screen = Vec::new();
            let read = typed(&mut &keys[..], &mut screen).unwrap();
            assert_eq!(read.as_ref().map(|text| text.as_str()), meant, "{keys:?}");
            assert_eq!(String::from_utf8(screen).unwrap(), shown, "{keys:?}");
        }
        let interrupted = typed(&mut &b"a\x03"[..], &mut Vec::new()).unwrap_err();
        assert_eq!(interrupted.kind(), io::ErrorKind::Interrupted);
    }

    #[test]
    fn what_is_typed_behind_the_line_end_is_left_to_the_next_reader() {
        let mut keys = &b"one\ntwo\n"[..];
        typed(&mut keys, &mut Vec::new()).unwrap();
        assert_eq!(keys, b"two\n");
    }
}
