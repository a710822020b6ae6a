//! What comes back from resolvers, and what they are asked.

use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};

use super::message::tests::{answer, question};
use super::*;

const OWN: Ipv4Addr = Ipv4Addr::new(192, 168, 30, 1);
const SERVER_FAILURE: u8 = 2;
const TRUNCATED: u8 = 2;

/// Resolvers at these addresses: there is no file, as far back as time goes.
fn at(servers: &[SocketAddr]) -> Arc<Resolvers> {
    let resolvers = Resolvers::new(PathBuf::from("/nonexistent/resolv.conf"));
    *resolvers.known.lock().unwrap() = Some((SystemTime::UNIX_EPOCH, servers.to_vec()));
    Arc::new(resolvers)
}

async fn socket() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

async fn asked(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut message = vec![0; 2048];
    let (length, from) = socket.recv_from(&mut message).await.unwrap();
    message.truncate(length);
    (message, from)
}

fn ask(resolvers: &Arc<Resolvers>, message: Vec<u8>) -> tokio::task::JoinHandle<Option<Vec<u8>>> {
    let resolvers = Arc::clone(resolvers);
    tokio::spawn(async move { resolvers.ask(OWN, &message).await })
}

#[tokio::test]
async fn one_question_serves_all_who_ask_it_and_who_asks_later() {
    let (socket, address) = socket().await;
    let resolvers = at(&[address]);
    let askers: Vec<_> = (0..10)
        .map(|id| ask(&resolvers, question(id, "web", None)))
        .collect();
    let (message, from) = asked(&socket).await;
    let waiting = || resolvers.asked().values().map(Vec::len).sum::<usize>();
    while waiting() < 9 {
        tokio::task::yield_now().await;
    }
    let records: &[(usize, u16, u32, &[u8])] = &[(0, 1, 60, &[203, 0, 113, 9])];
    socket.send_to(&answer(&message, 0, records), from).await.unwrap();
    for (id, asker) in (0..).zip(askers) {
        let expected = answer(&question(id, "web", None), 0, records);
        assert_eq!(asker.await.unwrap(), Some(expected));
    }
    let later = resolvers.ask(OWN, &question(99, "WEB", None)).await;
    assert_eq!(later, Some(answer(&question(99, "WEB", None), 0, records)));
    assert!(resolvers.asked().is_empty());
    // The next thing that the resolver hears is another question: with EDNS, as it was asked but for its number.
    let edns = question(5, "web", Some(1232));
    let other = ask(&resolvers, edns.clone());
    let (message, from) = asked(&socket).await;
    assert_eq!(message[2..], edns[2..]);
    socket.send_to(&answer(&message, 0, records), from).await.unwrap();
    assert!(other.await.unwrap().is_some());
}

#[tokio::test]
async fn an_answer_that_does_not_fit_is_fetched_by_tcp() {
    let (socket, address) = socket().await;
    let listener = TcpListener::bind(address).await.unwrap();
    let resolvers = at(&[address]);
    let records: &[(usize, u16, u32, &[u8])] = &[(0, 16, 60, &[7; 2000])];
    let serve = tokio::spawn(async move {
        loop {
            let (message, from) = asked(&socket).await;
            let mut cut = answer(&message, 0, &[]);
            cut[2] |= TRUNCATED;
            socket.send_to(&cut, from).await.unwrap();
            let (mut stream, _) = listener.accept().await.unwrap();
            let length = stream.read_u16().await.unwrap();
            let mut message = vec![0; usize::from(length)];
            stream.read_exact(&mut message).await.unwrap();
            let whole = answer(&message, 0, records);
            stream.write_u16(whole.len() as u16).await.unwrap();
            stream.write_all(&whole).await.unwrap();
        }
    });
    let (small, large) = (question(1, "web", None), question(2, "web", Some(4096)));
    let to_large = resolvers.ask(OWN, &large).await.unwrap();
    assert_eq!(to_large, answer(&large, 0, records));
    let to_small = resolvers.ask(OWN, &small).await.unwrap();
    assert!(
        to_small.len() <= 512 && to_small[2] & TRUNCATED != 0,
        "so that it asks by TCP itself"
    );
    serve.abort();
    assert_eq!(resolvers.ask(OWN, &large).await.unwrap(), to_large, "kept");
    assert_eq!(resolvers.ask(OWN, &small).await.unwrap(), to_small, "kept");
}

#[tokio::test]
async fn a_resolver_that_fails_is_not_the_last_one_asked() {
    let ((bad, first), (good, second)) = (socket().await, socket().await);
    let resolvers = at(&[first, second]);
    let asker = ask(&resolvers, question(1, "web", None));
    let (message, from) = asked(&bad).await;
    bad.send_to(&answer(&message, SERVER_FAILURE, &[]), from)
        .await
        .unwrap();
    let (message, from) = asked(&good).await;
    let mut forged = answer(&message, 0, &[(0, 1, 60, &[6; 4])]);
    forged[0] ^= 1;
    good.send_to(&forged, from).await.unwrap();
    let records: &[(usize, u16, u32, &[u8])] = &[(0, 1, 60, &[203, 0, 113, 9])];
    good.send_to(&answer(&message, 0, records), from).await.unwrap();
    let expected = answer(&question(1, "web", None), 0, records);
    assert_eq!(asker.await.unwrap(), Some(expected));
}

#[tokio::test]
async fn who_waits_for_a_question_that_was_given_up_hears_of_it() {
    let (socket, address) = socket().await;
    let resolvers = at(&[address]);
    let first = ask(&resolvers, question(1, "web", None));
    let _ = asked(&socket).await;
    let second = ask(&resolvers, question(2, "web", None));
    while resolvers.asked().values().map(Vec::len).sum::<usize>() < 1 {
        tokio::task::yield_now().await;
    }
    first.abort();
    let answer = second.await.unwrap().unwrap();
    assert_eq!((answer[1], answer[3] & 0x0f), (2, SERVER_FAILURE));
    assert!(resolvers.asked().is_empty());
}

#[test]
fn the_files_servers_are_found_among_everything_else() {
    let text = "# a comment\nsearch example.org\nnameserver 127.0.0.53\n; nameserver 9.9.9.9\n\
                nameserver  2001:db8::1 \nnameserver nonsense\noptions edns0\nnameserver 1.1.1.1\nnameserver 8.8.8.8";
    let servers = parse_resolv_conf(text);
    assert_eq!(
        servers,
        ["127.0.0.53:53", "[2001:db8::1]:53", "1.1.1.1:53"].map(|s| s.parse().unwrap())
    );
    assert_eq!(parse_resolv_conf(""), ["127.0.0.1:53".parse().unwrap()]);
}

#[test]
fn a_failure_keeps_the_question() {
    let question = [
        0xab, 0xcd, 0x01, 0x20, 0, 1, 0, 0, 0, 0, 0, 0, 1, b'x', 0, 0, 1, 0, 1,
    ];
    let answer = failure(&question);
    assert_eq!(answer[..4], [0xab, 0xcd, 0x81, 0xa2]);
    assert_eq!(answer[4..], question[4..]);
    assert!(is_question(&question) && !is_question(&answer) && !is_question(&question[..11]));
}

#[tokio::test]
async fn a_dead_resolver_gives_a_failure_and_no_silence() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("resolv.conf");
    // Port 53 of this address is closed: the socket learns at once.
    std::fs::write(&path, "nameserver 127.11.22.33\n").unwrap();
    let (resolvers, own) = (Resolvers::new(path.clone()), Ipv4Addr::new(192, 168, 30, 1));
    let question = [0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, b'x', 0, 0, 1, 0, 1];
    let answer = resolvers.ask(own, &question).await.unwrap();
    assert_eq!((answer[1], answer[3] & 0x0f), (7, SERVER_FAILURE));
    std::fs::write(
        &path,
        "# a file of another time\nnameserver 192.168.30.1\nnameserver 9.9.9.9\n",
    )
    .unwrap();
    let changed = std::fs::File::options().append(true).open(&path).unwrap();
    changed
        .set_modified(SystemTime::now() + Duration::from_secs(5))
        .unwrap();
    assert_eq!(
        resolvers.servers(own).await,
        ["9.9.9.9:53".parse().unwrap()],
        "the new file, without ourselves"
    );
    std::fs::remove_dir_all(folder).unwrap();
}
