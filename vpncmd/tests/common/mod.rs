//! A tool in memory: what it prints is kept, what it calls is answered by the test.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

use std::cell::RefCell;
use std::io::{self, Cursor, Write};
use std::rc::Rc;

use protocol::error::ErrorCode;
use protocol::pack::Pack;
use vpncmd::calendar::Calendar;
use vpncmd::console::{Console, Lines, Style};
use vpncmd::shell::{Server, Shell, Target};

/// What was printed.
#[derive(Clone, Default)]
pub(crate) struct Screen(Rc<RefCell<Vec<u8>>>);

impl Screen {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.borrow().clone()).unwrap()
    }
}

impl Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A server that is a function.
pub(crate) struct Answers<F>(pub(crate) F);

impl<F: FnMut(&str, &Pack) -> Result<Pack, ErrorCode>> Server for Answers<F> {
    fn call(&mut self, method: &str, request: &Pack) -> Result<Pack, ErrorCode> {
        (self.0)(method, request)
    }
}

/// A tool that talks to this server, whose user has typed `typed` and left.
pub(crate) fn shell(
    server: impl Server + 'static,
    hub: Option<&str>,
    style: Style,
    typed: &str,
) -> (Shell, Screen) {
    start(Target::Server(Box::new(server)), hub, style, typed)
}

/// As [`shell`], with a client service.
pub(crate) fn client_shell(service: impl Server + 'static, style: Style, typed: &str) -> (Shell, Screen) {
    start(Target::Client(Box::new(service)), None, style, typed)
}

fn start(target: Target, hub: Option<&str>, style: Style, typed: &str) -> (Shell, Screen) {
    let screen = Screen::default();
    let input = Box::new(Lines::new(Cursor::new(typed.as_bytes().to_vec())));
    let console = Console::new(Box::new(screen.clone()), None, input, style);
    (
        Shell::new(console, Calendar::utc(), target, hub.map(str::to_owned)),
        screen,
    )
}

/// A tool whose server gives the same answer to everything.
pub(crate) fn answering(answer: Pack, style: Style) -> (Shell, Screen) {
    shell(
        Answers(move |_: &str, _: &Pack| Ok(answer.clone())),
        Some("HUB1"),
        style,
        "",
    )
}

pub(crate) fn words(line: &str) -> Vec<String> {
    vpncmd::line::words(line)
}
