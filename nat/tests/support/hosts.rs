//! Hosts behind the NAT: threads with a network namespace of their own, joined to ours by a veth pair.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use nix::sched::{CloneFlags, unshare};

use super::run;

type Job = Box<dyn FnOnce() + Send>;

/// A host of its own. Clones are the same host. Its namespace ends with the test program.
#[derive(Clone)]
pub(crate) struct Host {
    jobs: mpsc::Sender<Job>,
}

impl Host {
    /// A host with no link to anybody.
    pub(crate) fn alone() -> Self {
        let (host, _) = Host::new();
        host.call(|| run("ip", "link set lo up"));
        host
    }

    /// The host, and the thread that is in its namespace.
    fn new() -> (Self, nix::unistd::Pid) {
        let (jobs, queue) = mpsc::channel::<Job>();
        let (tell, tid) = mpsc::channel();
        thread::spawn(move || {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            tell.send(nix::unistd::gettid()).unwrap();
            queue.into_iter().for_each(|job| job());
        });
        (Host { jobs }, tid.recv().unwrap())
    }

    /// A host with the address `theirs` on a link to us, where we are `ours`; both with a /24. With `route` we are
    /// its default gateway.
    pub(crate) fn join(name: &str, ours: &str, theirs: &str, route: bool) -> Self {
        let (host, tid) = Host::new();
        run(
            "ip",
            &format!("link add {name} type veth peer name eth0 netns {tid}"),
        );
        run("ip", &format!("addr add {ours}/24 dev {name}"));
        run("ip", &format!("link set {name} up"));
        let (theirs, gateway) = (theirs.to_owned(), ours.to_owned());
        host.call(move || {
            run("ip", "link set lo up");
            run("ip", &format!("addr add {theirs}/24 dev eth0"));
            run("ip", "link set eth0 up");
            if route {
                run("ip", &format!("route add default via {gateway}"));
            }
        });
        host
    }

    /// Does something on the host and waits for the result.
    pub(crate) fn call<R: Send + 'static>(&self, job: impl FnOnce() -> R + Send + 'static) -> R {
        let (tell, result) = mpsc::channel();
        self.jobs
            .send(Box::new(move || tell.send(job()).unwrap()))
            .unwrap();
        result.recv().unwrap()
    }

    /// The hardware address of its end of the link.
    pub(crate) fn mac(&self) -> hub_core::MacAddr {
        let text = self.call(|| run("ip", "-o link show dev eth0"));
        let word = text
            .split_once("link/ether ")
            .unwrap()
            .1
            .split(' ')
            .next()
            .unwrap()
            .to_owned();
        let octets: Vec<u8> = word
            .split(':')
            .map(|octet| u8::from_str_radix(octet, 16).unwrap())
            .collect();
        hub_core::MacAddr::new(octets.try_into().unwrap())
    }

    /// Serves TCP on `address`: see [`serve`].
    pub(crate) fn serve(&self, address: &str) {
        let address = address.to_owned();
        self.call(move || serve(&address));
    }

    /// Echoes UDP on `address`.
    pub(crate) fn echo(&self, address: &str) {
        let address = address.to_owned();
        self.call(move || echo(&address));
    }

    /// Asks a [`serve`]r who it thinks we are.
    pub(crate) fn who_am_i(&self, server: &str) -> Option<String> {
        let server = server.to_owned();
        self.call(move || who_am_i(&server))
    }
}

/// Tells each client its own address, a line end, and then everything that the client sends, until it finishes.
pub(crate) fn serve(address: &str) {
    let listener = TcpListener::bind(address).unwrap();
    thread::spawn(move || {
        for client in listener.incoming() {
            let client = client.unwrap();
            // The thread inherits the namespace of the one that makes it.
            thread::spawn(move || echo_stream(client));
        }
    });
}

fn echo_stream(mut client: TcpStream) {
    let Ok(peer) = client.peer_addr() else { return };
    let _ = writeln!(client, "{}", peer.ip());
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(n @ 1..) = client.read(&mut buffer) {
        if client.write_all(&buffer[..n]).is_err() {
            return;
        }
    }
}

/// Sends every datagram back.
pub(crate) fn echo(address: &str) {
    let socket = UdpSocket::bind(address).unwrap();
    thread::spawn(move || {
        let mut buffer = vec![0; 65_535];
        while let Ok((n, from)) = socket.recv_from(&mut buffer) {
            let _ = socket.send_to(&buffer[..n], from);
        }
    });
}

/// A resolver that answers every question with its own bytes and 203.0.113.99 behind, by UDP and TCP.
pub(crate) fn resolver() {
    let socket = UdpSocket::bind("127.0.0.1:53").unwrap();
    thread::spawn(move || {
        let mut buffer = vec![0; 4096];
        while let Ok((n, from)) = socket.recv_from(&mut buffer) {
            buffer[2] |= 0x80;
            let answer = [&buffer[..n], &[203, 0, 113, 99]].concat();
            let _ = socket.send_to(&answer, from);
        }
    });
    let listener = TcpListener::bind("127.0.0.1:53").unwrap();
    thread::spawn(move || {
        listener
            .incoming()
            .flatten()
            .for_each(|client| drop(thread::spawn(|| echo_stream(client))));
    });
}

/// Who a [`serve`]r says we are; `None` if it cannot be reached.
pub(crate) fn who_am_i(server: &str) -> Option<String> {
    let server: SocketAddr = server.parse().unwrap();
    let mut stream = TcpStream::connect_timeout(&server, Duration::from_millis(800)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    Some(text.trim_end().to_owned())
}
