//! A web server of one page, and the fetching of it: what the private host serves in every story.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use anyhow::{Context, Result, ensure};

use crate::host::Host;
use crate::process::IN_TIME;

/// A page.
#[derive(Debug)]
pub struct Page {
    text: String,
}

impl Page {
    /// A page that reads `text`.
    pub fn new(text: &str) -> Self {
        Self { text: text.into() }
    }

    /// Serves it on TCP port 80 of `host` for as long as the laboratory stands.
    pub fn serve(&self, host: &Host) -> Result<()> {
        self.serve_on(host.within(|| TcpListener::bind("0.0.0.0:80"))??);
        Ok(())
    }

    /// Serves it on a listener of its own for as long.
    pub fn serve_on(&self, listener: TcpListener) {
        let text = self.text.clone();
        std::thread::spawn(move || {
            for visitor in listener.incoming().flatten() {
                let text = text.clone();
                // One visitor's broken connection is that visitor's affair; the test sees it at the other end.
                std::thread::spawn(move || answer(visitor, &text).ok());
            }
        });
    }

    /// Fetches `http://address/` from `host` and checks that it is this page.
    pub fn is_seen_from(&self, host: &Host, address: SocketAddr) -> Result<()> {
        let body = fetch(host, address)?;
        ensure!(
            body == self.text,
            "{} got another page from {address}: {body:?}",
            host.name()
        );
        Ok(())
    }
}

fn answer(mut visitor: TcpStream, text: &str) -> std::io::Result<()> {
    visitor.set_read_timeout(Some(IN_TIME))?;
    let mut request = Vec::new();
    let mut part = [0; 1024];
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        let n = visitor.read(&mut part)?;
        if n == 0 {
            return Ok(());
        }
        request.extend_from_slice(&part[..n]);
    }
    let length = text.len();
    write!(
        visitor,
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{text}"
    )
}

/// Fetches `http://address/` from `host` and returns the body.
pub fn fetch(host: &Host, address: SocketAddr) -> Result<String> {
    host.within(|| -> Result<String> {
        let mut stream = TcpStream::connect_timeout(&address, IN_TIME)?;
        stream.set_read_timeout(Some(IN_TIME))?;
        write!(
            stream,
            "GET / HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
        )?;
        let mut response = String::new();
        stream.read_to_string(&mut response)?;
        let (head, body) = response
            .split_once("\r\n\r\n")
            .context("the answer has no head")?;
        ensure!(head.starts_with("HTTP/1.1 200 "), "the answer is {head:?}");
        Ok(body.to_owned())
    })?
    .with_context(|| format!("http://{address}/ from {}", host.name()))
}
