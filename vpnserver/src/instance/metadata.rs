//! The instance metadata service, version 2 (IMDSv2): which networks the cloud has around this machine.
//!
//! A session token is had by PUT and given with every GET. Facts: the EC2 user guide, "Use the Instance Metadata Service to access
//! instance metadata" and "Instance metadata categories". What answers is at a link-local address that anybody on the host's
//! network could take, so nothing it says is believed before it was looked at, and nothing it says is waited for long.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::BytesMut;
use nat::Ipv4Net;
use protocol::http::{HeadReader, HttpError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use zeroize::Zeroizing;

/// How long a connection, and then an answer, may take. The service is on the host: it answers in milliseconds, or not at all.
const PATIENCE: Duration = Duration::from_secs(2);
/// The longest body that is read; a list of networks is some hundred bytes.
const BODY_BYTES: usize = 64 * 1024;
/// How long a token is asked for, and how long it is used: less, so that none runs out under way.
const TOKEN_SECONDS: u64 = 21_600;
const TOKEN_USE: Duration = Duration::from_secs(TOKEN_SECONDS / 2);
const TOKEN_BYTES: usize = 1024;
/// Interfaces and networks of one machine at most.
const MOST: usize = 256;

const TOKEN_PATH: &str = "/latest/api/token";
const MACS_PATH: &str = "/latest/meta-data/network/interfaces/macs/";

/// Why the networks are not known.
#[derive(Debug, thiserror::Error)]
pub enum MetadataError {
    /// Nobody is there.
    #[error(
        "no metadata service at {address} ({source}); on a machine outside such a cloud give the networks with --cidr"
    )]
    Absent {
        /// Where it should be.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// It takes connections and says nothing.
    #[error(
        "the metadata service at {address} does not answer; in a container its answers may travel one hop too few: raise \
         the instance's HttpPutResponseHopLimit to 2, or use the host's network"
    )]
    Silent {
        /// Where it is.
        address: SocketAddr,
    },
    /// It was told not to.
    #[error(
        "the metadata service at {address} is switched off for this instance (403); switch HttpEndpoint on, or give the \
         networks with --cidr and --no-metadata"
    )]
    Forbidden {
        /// Where it is.
        address: SocketAddr,
    },
    /// It says no.
    #[error("the metadata service answers {status} to {path}")]
    Status {
        /// The HTTP status.
        status: u16,
        /// What was asked.
        path: String,
    },
    /// It answers something else than what it should.
    #[error("the metadata service answers {path} with what is not understood: {what}")]
    Nonsense {
        /// What was asked.
        path: String,
        /// What is wrong.
        what: String,
    },
}

/// What the service says of this machine's surroundings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Surroundings {
    /// The IPv4 networks of the cloud's private network, secondary ones too.
    pub networks: Vec<Ipv4Net>,
    /// The networks of this machine's own subnets.
    pub subnets: Vec<Ipv4Net>,
}

/// One metadata service.
#[derive(Debug)]
pub struct Metadata {
    address: SocketAddr,
    token: Option<(Zeroizing<String>, Instant)>,
}

impl Metadata {
    /// The one at this address; it is not asked yet.
    #[must_use]
    pub fn at(address: SocketAddr) -> Self {
        Self { address, token: None }
    }

    /// Asks for the networks around each of this machine's interfaces.
    ///
    /// # Errors
    /// When the service does not say.
    pub async fn surroundings(&mut self) -> Result<Surroundings, MetadataError> {
        let macs = read(MACS_PATH, &self.get(MACS_PATH).await?, mac)?;
        let mut found = Surroundings {
            networks: Vec::new(),
            subnets: Vec::new(),
        };
        for mac in macs {
            for (item, into) in [
                ("vpc-ipv4-cidr-blocks", &mut found.networks),
                ("subnet-ipv4-cidr-block", &mut found.subnets),
            ] {
                let path = format!("{MACS_PATH}{mac}/{item}");
                into.extend(read(&path, &self.get(&path).await?, |line| {
                    line.parse::<Ipv4Net>().ok()
                })?);
            }
        }
        found.networks.sort();
        found.networks.dedup();
        found.subnets.sort();
        found.subnets.dedup();
        Ok(found)
    }

    /// A text of the service. A token that it does not take any more is replaced once.
    async fn get(&mut self, path: &str) -> Result<String, MetadataError> {
        for _ in 0..2 {
            let token = self.token().await?;
            let header = format!("X-aws-ec2-metadata-token: {}", token.as_str());
            match self.ask("GET", path, &header).await? {
                (200, body) => return Ok(body),
                (401, _) => self.token = None,
                (status, _) => return Err(self.refusal(status, path)),
            }
        }
        Err(self.refusal(401, path))
    }

    async fn token(&mut self) -> Result<Zeroizing<String>, MetadataError> {
        if let Some((token, since)) = &self.token
            && since.elapsed() < TOKEN_USE
        {
            return Ok(token.clone());
        }
        let header = format!("X-aws-ec2-metadata-token-ttl-seconds: {TOKEN_SECONDS}");
        let (status, body) = self.ask("PUT", TOKEN_PATH, &header).await?;
        let token = Zeroizing::new(body.trim_end().to_owned());
        if status != 200 {
            return Err(self.refusal(status, TOKEN_PATH));
        }
        // It becomes part of a header.
        if token.is_empty() || token.len() > TOKEN_BYTES || !token.bytes().all(|byte| byte.is_ascii_graphic())
        {
            return Err(nonsense(TOKEN_PATH, "no token"));
        }
        self.token = Some((token.clone(), Instant::now()));
        Ok(token)
    }

    fn refusal(&self, status: u16, path: &str) -> MetadataError {
        match status {
            403 => MetadataError::Forbidden {
                address: self.address,
            },
            _ => MetadataError::Status {
                status,
                path: path.to_owned(),
            },
        }
    }

    /// One request on a connection of its own; the status and the body.
    async fn ask(&self, method: &str, path: &str, header: &str) -> Result<(u16, String), MetadataError> {
        let absent = |source| MetadataError::Absent {
            address: self.address,
            source,
        };
        let stream = timeout(PATIENCE, TcpStream::connect(self.address))
            .await
            .map_err(|_| absent(io::ErrorKind::TimedOut.into()))?
            .map_err(absent)?;
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\n{header}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            self.address
        );
        match timeout(PATIENCE, exchange(stream, &Zeroizing::new(request), path)).await {
            Ok(answer) => answer,
            Err(_) => Err(MetadataError::Silent {
                address: self.address,
            }),
        }
    }
}

async fn exchange(mut stream: TcpStream, request: &str, path: &str) -> Result<(u16, String), MetadataError> {
    let broken = |error: io::Error| nonsense(path, &error.to_string());
    let not_http = |error: HttpError| nonsense(path, &error.to_string());
    stream.write_all(request.as_bytes()).await.map_err(broken)?;
    let (mut reader, mut input) = (HeadReader::new(), BytesMut::new());
    let head = loop {
        if let Some(head) = reader.read(&mut input).map_err(not_http)? {
            break head;
        }
        if stream.read_buf(&mut input).await.map_err(broken)? == 0 {
            return Err(nonsense(path, "it ends within its head"));
        }
    };
    let status = head.status().map_err(not_http)?;
    if head.header("Transfer-Encoding").is_some() {
        return Err(nonsense(path, "its body is in pieces"));
    }
    let length = match head.header("Content-Length") {
        Some(_) => Some(head.content_length().map_err(not_http)?),
        None => None, // then it ends with the connection
    };
    if length.is_some_and(|length| length > BODY_BYTES) {
        return Err(nonsense(path, "its body is too long"));
    }
    while length.is_none_or(|length| input.len() < length) {
        if input.len() > BODY_BYTES {
            return Err(nonsense(path, "its body is too long"));
        }
        if stream.read_buf(&mut input).await.map_err(broken)? == 0 {
            if length.is_none() {
                break;
            }
            return Err(nonsense(path, "it ends within its body"));
        }
    }
    input.truncate(length.unwrap_or(input.len()));
    let body = String::from_utf8(input.to_vec()).map_err(|_| nonsense(path, "its body is no text"))?;
    Ok((status, body))
}

/// One value a line.
fn read<T>(path: &str, body: &str, value: impl Fn(&str) -> Option<T>) -> Result<Vec<T>, MetadataError> {
    let lines: Vec<_> = body
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    if lines.is_empty() || lines.len() > MOST {
        return Err(nonsense(path, &format!("{} lines", lines.len())));
    }
    lines
        .into_iter()
        .map(|line| value(line).ok_or_else(|| nonsense(path, &format!("{:?}", shortened(line)))))
        .collect()
}

/// The name of an interface's folder, which becomes part of a path.
fn mac(line: &str) -> Option<String> {
    let name = line.strip_suffix('/').unwrap_or(line);
    let parts: Vec<_> = name.split(':').collect();
    let is_pair = |part: &&str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    (parts.len() == 6 && parts.iter().all(is_pair)).then(|| name.to_owned())
}

fn shortened(line: &str) -> String {
    line.chars().take(40).collect()
}

fn nonsense(path: &str, what: &str) -> MetadataError {
    MetadataError::Nonsense {
        path: path.to_owned(),
        what: what.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_one_value_a_line_and_nothing_else() {
        let networks = |body| read("p", body, |line| line.parse::<Ipv4Net>().ok());
        let found = networks("10.0.0.0/16\n10.1.0.0/16\n").unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!(
            read("p", "06:1a:2b:3c:4d:5e/\n", mac).unwrap(),
            ["06:1a:2b:3c:4d:5e"]
        );
        for body in [
            "",
            "\n",
            "10.0.0.0/16\n<html>",
            "10.0.0.0/99",
            &"10.0.0.0/8\n".repeat(257),
        ] {
            assert!(networks(body).is_err(), "{}", shortened(body));
        }
        for line in [
            "06:1a:2b:3c:4d/",
            "06:1a:2b:3c:4d:5e:6f/",
            "../../user-data",
            "06:1a:2b:3c:4d:zz/",
        ] {
            assert!(read("p", line, mac).is_err(), "{line}");
        }
    }
}
