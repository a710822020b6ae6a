//! A RADIUS server (RFC 2865) whose users have a password and a list of codes, each of which is good once.

use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use hmac::{Hmac, KeyInit, Mac};
use md5::{Digest, Md5};

use crate::host::Host;

/// What server and client of RADIUS share.
pub const SECRET: &str = "shared-secret";

const ACCEPT: u8 = 2;
const REJECT: u8 = 3;
const PASSWORD: u8 = 2;

/// A running RADIUS server. It ends with the test's process.
#[derive(Debug)]
pub struct Radius {
    codes: Arc<Mutex<Vec<String>>>,
}

impl Radius {
    /// Listens on `host`; every user logs in by `password` and one of `codes` behind it.
    pub fn start(host: &Host, listen: SocketAddr, password: &str, codes: &[&str]) -> Result<Self> {
        let codes: Vec<String> = codes.iter().map(|code| format!("{password}{code}")).collect();
        let codes = Arc::new(Mutex::new(codes));
        let good = Arc::clone(&codes);
        let socket = host.within(|| UdpSocket::bind(listen).with_context(|| format!("{listen}")))??;
        std::thread::spawn(move || {
            let mut packet = [0; 4096];
            // The same question asked again has the same answer: RADIUS loses datagrams.
            let mut last: Option<(Vec<u8>, Vec<u8>)> = None;
            while let Ok((length, from)) = socket.recv_from(&mut packet) {
                let request = &packet[..length];
                let answer = match &last {
                    Some((question, answer)) if question == request => answer.clone(),
                    _ => answer(request, &good),
                };
                let _ = socket.send_to(&answer, from);
                last = Some((request.to_vec(), answer));
            }
        });
        Ok(Self { codes })
    }

    /// How many codes are left.
    #[must_use]
    pub fn left(&self) -> usize {
        self.codes.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

fn answer(request: &[u8], good: &Mutex<Vec<String>>) -> Vec<u8> {
    let mut good = good.lock().unwrap_or_else(PoisonError::into_inner);
    let password = password(request).unwrap_or_default();
    let place = good.iter().position(|known| *known == password);
    let code = match place {
        Some(place) => {
            good.remove(place);
            ACCEPT
        }
        None => REJECT,
    };
    // With a Message-Authenticator (RFC 3579 §3.2), which some clients insist on.
    let mut packet = vec![code, request[1], 0, 38];
    packet.extend(&request[4..20]);
    packet.extend([80, 18]);
    packet.extend([0; 16]);
    if let Ok(mac) = Hmac::<Md5>::new_from_slice(SECRET.as_bytes()) {
        let proof = mac.chain_update(&packet).finalize().into_bytes();
        packet[22..38].copy_from_slice(&proof);
    }
    let hash = Md5::new().chain_update(&packet).chain_update(SECRET).finalize();
    packet[4..20].copy_from_slice(&hash);
    packet
}

/// The password in a request (RFC 2865 §5.2).
fn password(request: &[u8]) -> Option<String> {
    let mut attributes = request.get(20..)?;
    let hidden = loop {
        let (head, _) = attributes.split_first_chunk::<2>()?;
        let value = attributes.get(2..usize::from(head[1]))?;
        if head[0] == PASSWORD {
            break value;
        }
        attributes = attributes.get(usize::from(head[1])..)?;
    };
    let mut before = request[4..20].to_vec();
    let mut password = Vec::new();
    for block in hidden.chunks(16) {
        let key = Md5::new().chain_update(SECRET).chain_update(&before).finalize();
        password.extend(block.iter().zip(key).map(|(byte, key)| byte ^ key));
        before = block.to_vec();
    }
    let text = String::from_utf8(password).ok()?;
    Some(text.trim_end_matches('\0').to_owned())
}
