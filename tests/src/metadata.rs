//! A metadata service as a cloud has it on every host (EC2's, version 2), with the troubles that one can have.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Result;

use crate::host::Host;

/// The interface of the instance.
const MAC: &str = "06:1a:2b:3c:4d:5e";

/// What the service does.
#[derive(Clone, Debug)]
pub enum Mood {
    /// Answers as it should.
    Well,
    /// The same, byte by byte with a pause before each answer.
    Slow(Duration),
    /// Every answer has this status.
    Status(u16),
    /// Takes connections and says nothing.
    Silent,
    /// Every body is this text.
    Says(String),
    /// Answers these bytes as they are.
    Raw(Vec<u8>),
}

/// The service, for as long as the laboratory stands.
#[derive(Clone, Debug)]
pub struct Metadata {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    mood: Mood,
    networks: Vec<String>,
    /// The token that counts; another one for each that was asked for.
    token: u32,
    /// How often each path was asked for with success.
    served: BTreeMap<String, usize>,
    /// How often anything was asked for without.
    refused: usize,
}

struct Request {
    method: String,
    path: String,
    headers: BTreeMap<String, String>,
}

impl Metadata {
    /// Begins on `address` of a host: around it are these networks.
    pub fn serve(host: &Host, address: SocketAddr, networks: &[&str]) -> Result<Self> {
        let listener = host.within(|| TcpListener::bind(address))??;
        let this = Self {
            address,
            state: Arc::new(Mutex::new(State {
                mood: Mood::Well,
                networks: networks.iter().map(|&text| text.to_owned()).collect(),
                token: 0,
                served: BTreeMap::new(),
                refused: 0,
            })),
        };
        let service = this.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let service = service.clone();
                // Who asks and goes away before the answer is no trouble of the service.
                std::thread::spawn(move || service.answer(stream).ok());
            }
        });
        Ok(this)
    }

    /// Where it is, as `--metadata` wants it.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Changes what it does.
    pub fn set_mood(&self, mood: Mood) {
        self.state().mood = mood;
    }

    /// Changes the networks.
    pub fn set_networks(&self, networks: &[&str]) {
        self.state().networks = networks.iter().map(|&text| text.to_owned()).collect();
    }

    /// Lets no token count that was given so far.
    pub fn forget_tokens(&self) {
        self.state().token += 1;
    }

    /// How often `path` was answered with success.
    pub fn served(&self, path: &str) -> usize {
        self.state().served.get(path).copied().unwrap_or(0)
    }

    /// How often anything was refused.
    pub fn refused(&self) -> usize {
        self.state().refused
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let Some(request) = read(&stream)? else {
            return Ok(());
        };
        let mood = self.state().mood.clone();
        let (status, body) = match &mood {
            Mood::Silent => {
                // The peer goes first.
                let mut rest = String::new();
                BufReader::new(&stream).read_line(&mut rest)?;
                return Ok(());
            }
            Mood::Raw(bytes) => return stream.write_all(bytes),
            Mood::Status(status) => (*status, String::new()),
            Mood::Says(text) => (200, text.clone()),
            Mood::Well | Mood::Slow(_) => self.look_up(&request),
        };
        if status == 200 {
            *self.state().served.entry(request.path).or_default() += 1;
        } else {
            self.state().refused += 1;
        }
        let answer = format!(
            "HTTP/1.1 {status} {}\r\nContent-Type: text/plain\r\nAccept-Ranges: none\r\n\
             Last-Modified: Mon, 30 Nov 2026 00:00:00 GMT\r\nContent-Length: {}\r\n\
             Date: Mon, 30 Nov 2026 00:00:01 GMT\r\nServer: EC2ws\r\nConnection: close\r\n\r\n{body}",
            if status == 200 { "OK" } else { "No" },
            body.len()
        );
        let Mood::Slow(pause) = mood else {
            return stream.write_all(answer.as_bytes());
        };
        std::thread::sleep(pause);
        answer
            .as_bytes()
            .iter()
            .try_for_each(|byte| stream.write_all(std::slice::from_ref(byte)))
    }

    /// Status and body, as the service gives them.
    fn look_up(&self, request: &Request) -> (u16, String) {
        let mut state = self.state();
        let header = |name: &str| request.headers.get(name).map(String::as_str);
        if request.path == "/latest/api/token" {
            let seconds = header("x-aws-ec2-metadata-token-ttl-seconds").and_then(|text| text.parse().ok());
            return match (request.method.as_str(), seconds) {
                ("PUT", Some(1..=21_600)) => {
                    state.token += 1;
                    (200, format!("AQAEAHw2example{:04}==", state.token))
                }
                ("PUT", _) => (400, String::new()),
                _ => (405, String::new()),
            };
        }
        let token = format!("AQAEAHw2example{:04}==", state.token);
        if header("x-aws-ec2-metadata-token") != Some(&token) {
            return (401, String::new());
        }
        let interfaces = "/latest/meta-data/network/interfaces/macs/";
        let Some(rest) = request.path.strip_prefix(interfaces) else {
            return (404, String::new());
        };
        match rest.strip_prefix(MAC) {
            None if rest.is_empty() => (200, format!("{MAC}/")),
            Some("/vpc-ipv4-cidr-blocks") => (200, state.networks.join("\n")),
            Some("/subnet-ipv4-cidr-block") => (200, "10.0.1.0/24".to_owned()),
            _ => (404, String::new()),
        }
    }
}

fn read(stream: &TcpStream) -> std::io::Result<Option<Request>> {
    let mut lines = BufReader::new(stream).lines();
    let Some(first) = lines.next().transpose()? else {
        return Ok(None);
    };
    let mut words = first.split(' ').map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut headers = BTreeMap::new();
    for line in lines {
        let line = line?;
        let Some((name, value)) = line.split_once(':') else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    Ok(Some(Request {
        method,
        path,
        headers,
    }))
}
