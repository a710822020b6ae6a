//! A proxy as companies put one before their network: HTTP CONNECT, SOCKS 5 and SOCKS 4a on one port, polite or not.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, bail, ensure};

use crate::host::Host;
use crate::process::IN_TIME;

/// The name under which this proxy knows the VPN server, and nobody else does.
pub const NAME: &str = "vpn.behind.proxy";

/// How a proxy behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// It connects whoever knows the password.
    Serves,
    /// It connects nobody.
    Forbids,
    /// It says something else altogether.
    Garbage,
    /// Its answer never ends.
    Endless,
    /// It takes what it is told and says nothing.
    Stalls,
}

/// A running proxy. It ends with the test's process.
#[derive(Debug)]
pub struct Proxy {
    book: Arc<Book>,
}

#[derive(Debug)]
struct Book {
    manner: Manner,
    login: Option<(String, String)>,
    server: IpAddr,
    asked: Mutex<Vec<String>>,
    open: Mutex<Vec<TcpStream>>,
}

impl Proxy {
    /// Listens on `host`, whose network it connects to; `server` is whom it knows as [`NAME`].
    pub fn start(
        host: &Host,
        listen: SocketAddr,
        server: IpAddr,
        login: Option<(&str, &str)>,
        manner: Manner,
    ) -> Result<Self> {
        let book = Arc::new(Book {
            manner,
            login: login.map(|(user, password)| (user.to_owned(), password.to_owned())),
            server,
            asked: Mutex::default(),
            open: Mutex::default(),
        });
        let keep = Arc::clone(&book);
        // A thread stays on the network of the one that began it.
        host.within(|| -> Result<()> {
            let listener = TcpListener::bind(listen).with_context(|| format!("{listen}"))?;
            std::thread::spawn(move || {
                for client in listener.incoming().flatten() {
                    let book = Arc::clone(&keep);
                    // What fails here fails at the client, which the test sees.
                    std::thread::spawn(move || book.serve(client));
                }
            });
            Ok(())
        })??;
        Ok(Self { book })
    }

    /// Whom it was asked for so far, also in vain.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        lock(&self.book.asked).clone()
    }

    /// Cuts every connection that it carries.
    pub fn cut(&self) {
        for stream in lock(&self.book.open).drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

impl Book {
    fn serve(&self, mut client: TcpStream) -> Result<()> {
        client.set_nodelay(true)?;
        match self.manner {
            Manner::Garbage => client.write_all(b"220 mail.example.org ESMTP\r\n")?,
            Manner::Endless => {
                client.write_all(b"HTTP/1.1 200 OK\r\n")?;
                while client.write_all(b"X-Padding: and so on and so on\r\n").is_ok() {}
                return Ok(());
            }
            Manner::Stalls => {}
            Manner::Serves | Manner::Forbids => {
                let mut first = [0];
                ensure!(client.peek(&mut first)? == 1, "it hung up");
                let asked = match first[0] {
                    5 => self.socks5(&mut client)?,
                    4 => self.socks4(&mut client)?,
                    _ => self.http(&mut client)?,
                };
                return match asked {
                    Some((server, yes)) => self.carry(client, server, &yes),
                    None => Ok(()),
                };
            }
        }
        // Until the client has had enough.
        while client.read(&mut [0; 4096])? > 0 {}
        Ok(())
    }

    fn address(&self, host: &str, port: u16) -> Result<SocketAddr> {
        lock(&self.asked).push(format!("{host}:{port}"));
        let ip = match host {
            NAME => self.server,
            other => other.trim_matches(['[', ']']).parse()?,
        };
        Ok(SocketAddr::new(ip, port))
    }

    fn http(&self, client: &mut TcpStream) -> Result<Option<(SocketAddr, Vec<u8>)>> {
        let mut lines = Vec::new();
        let mut reader = BufReader::new(client.try_clone()?);
        loop {
            let mut line = String::new();
            ensure!(reader.read_line(&mut line)? > 0, "it hung up");
            match line.trim_end() {
                "" => break,
                line => lines.push(line.to_owned()),
            }
        }
        let place = lines[0].split(' ').nth(1).context("no place")?;
        let (host, port) = place.rsplit_once(':').context("no port")?;
        let server = self.address(host, port.parse()?)?;
        let wanted = self.login.as_ref().map(|(user, password)| {
            format!(
                "Proxy-Authorization: Basic {}",
                base64(format!("{user}:{password}").as_bytes())
            )
        });
        let refusal = if wanted.is_some_and(|wanted| !lines.contains(&wanted)) {
            "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"lab\"\r\n\r\n"
        } else if self.manner == Manner::Forbids {
            "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"
        } else {
            return Ok(Some((
                server,
                b"HTTP/1.0 200 Connection established\r\nX-Proxy: lab\r\n\r\n".to_vec(),
            )));
        };
        client.write_all(refusal.as_bytes())?;
        Ok(None)
    }

    fn socks5(&self, client: &mut TcpStream) -> Result<Option<(SocketAddr, Vec<u8>)>> {
        let mut head = [0; 2];
        client.read_exact(&mut head)?;
        let mut methods = vec![0; head[1].into()];
        client.read_exact(&mut methods)?;
        if let Some((user, password)) = &self.login {
            if !methods.contains(&2) {
                client.write_all(&[5, 0xff])?;
                return Ok(None);
            }
            client.write_all(&[5, 2])?;
            let mut version = [0];
            client.read_exact(&mut version)?;
            let said = (counted(client)?, counted(client)?);
            let good = (user, password) == (&said.0, &said.1);
            client.write_all(&[1, u8::from(!good)])?;
            if !good {
                return Ok(None);
            }
        } else {
            client.write_all(&[5, 0])?;
        }
        let mut head = [0; 4];
        client.read_exact(&mut head)?;
        let host = match head[3] {
            1 => Ipv4Addr::from(array::<4>(client)?).to_string(),
            3 => counted(client)?,
            4 => Ipv6Addr::from(array::<16>(client)?).to_string(),
            other => bail!("address of kind {other}"),
        };
        let server = self.address(&host, u16::from_be_bytes(array(client)?))?;
        if self.manner == Manner::Forbids {
            client.write_all(&[5, 2, 0, 1, 0, 0, 0, 0, 0, 0])?;
            return Ok(None);
        }
        Ok(Some((server, vec![5, 0, 0, 1, 0, 0, 0, 0, 0, 0])))
    }

    fn socks4(&self, client: &mut TcpStream) -> Result<Option<(SocketAddr, Vec<u8>)>> {
        let head: [u8; 2] = array(client)?;
        ensure!(head == [4, 1], "{head:?}");
        let port = u16::from_be_bytes(array(client)?);
        let ip: [u8; 4] = array(client)?;
        let user = ended(client)?;
        let host = match ip {
            [0, 0, 0, 1..=255] => ended(client)?,
            ip => Ipv4Addr::from(ip).to_string(),
        };
        let server = self.address(&host, port)?;
        if self.login.as_ref().is_some_and(|(wanted, _)| *wanted != user) {
            client.write_all(&[0, 93, 0, 0, 0, 0, 0, 0])?;
            return Ok(None);
        }
        Ok(Some((server, vec![0, 90, 0, 0, 0, 0, 0, 0])))
    }

    /// Connects, says yes and carries bytes both ways until either end is closed.
    fn carry(&self, mut client: TcpStream, server: SocketAddr, yes: &[u8]) -> Result<()> {
        let outward = TcpStream::connect_timeout(&server, IN_TIME)?;
        outward.set_nodelay(true)?;
        client.write_all(yes)?;
        lock(&self.open).extend([client.try_clone()?, outward.try_clone()?]);
        std::thread::scope(|scope| {
            for (from, to) in [(&client, &outward), (&outward, &client)] {
                scope.spawn(move || {
                    let _ = std::io::copy(&mut { from }, &mut { to });
                    let _ = to.shutdown(Shutdown::Both);
                    let _ = from.shutdown(Shutdown::Both);
                });
            }
        });
        Ok(())
    }
}

fn array<const N: usize>(client: &mut TcpStream) -> Result<[u8; N]> {
    let mut bytes = [0; N];
    client.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// A text behind its length.
fn counted(client: &mut TcpStream) -> Result<String> {
    let [length] = array(client)?;
    let mut text = vec![0; length.into()];
    client.read_exact(&mut text)?;
    Ok(String::from_utf8(text)?)
}

/// A text before a zero.
fn ended(client: &mut TcpStream) -> Result<String> {
    let mut text = Vec::new();
    loop {
        match array(client)? {
            [0] => return Ok(String::from_utf8(text)?),
            [byte] => text.push(byte),
        }
    }
}

/// RFC 4648 §4, by hand, so that it is not our client's own.
fn base64(bytes: &[u8]) -> String {
    const SIGNS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let word = (0..3).fold(0_u32, |word, n| {
            word << 8 | u32::from(*chunk.get(n).unwrap_or(&0))
        });
        for n in 0..4 {
            let sign = SIGNS[(word >> (18 - 6 * n) & 63) as usize];
            text.push(if n <= chunk.len() { sign.into() } else { '=' });
        }
    }
    text
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
