use std::time::SystemTime;

use proptest::prelude::*;
use zeroize::Zeroizing;

use super::*;
use crate::pack::{Limits, Pack};
use crate::password::{admin_hash, user_hash};
use crate::policy::Policy;
use crate::tunnel::Direction;

const NOW: SystemTime = SystemTime::UNIX_EPOCH;

fn hello() -> Hello {
    Hello {
        product: "Hubward".to_owned(),
        version: 501,
        build: 9674,
        random: [7; 20],
        wants_password: true,
    }
}

fn server() -> ServerHandshake {
    ServerHandshake::new(hello(), NOW)
}

fn login(auth: Auth) -> Login {
    Login {
        hub: "LAB".to_owned(),
        user: "alice".to_owned(),
        auth,
        options: SessionOptions {
            max_connection: 8,
            ..SessionOptions::default()
        },
        client: ClientVersion {
            product: "Hubward client".to_owned(),
            version: 501,
            build: 9674,
        },
        client_id: 0,
        unique_id: Some([1; 20]),
        node: Some(NodeInfo {
            server_ip: "2001:db8::1".parse().unwrap(),
            server_port: 443,
            ..NodeInfo::default()
        }),
        os: None,
    }
}

fn welcome() -> Welcome {
    Welcome {
        session_name: "SID-ALICE-1".to_owned(),
        connection_name: "CID-1".to_owned(),
        session_key: [9; 20],
        session_key_32: 1,
        max_connection: 8,
        use_encrypt: true,
        use_compress: false,
        half_connection: false,
        qos: false,
        timeout_ms: 20_000,
        vlan_id: 0,
        policy: Policy::default(),
        message: "Grüß Gott".to_owned(),
        no_update_notice: false,
        udp: None,
        super_frames: false,
    }
}

/// Everything the server has to say.
fn output(server: &mut ServerHandshake) -> String {
    let mut all = Vec::new();
    while let Some(bytes) = server.poll_output() {
        all.extend(bytes);
    }
    String::from_utf8_lossy(&all).into_owned()
}

/// The PACK in the server's one answer.
fn answer(server: &mut ServerHandshake) -> Pack {
    let bytes = server.poll_output().unwrap();
    let body = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    Pack::decode(&bytes[body..], &Limits::REPLY).unwrap()
}

fn post(target: &str, kind: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST {target} HTTP/1.1\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

fn signed() -> ServerHandshake {
    let mut server = server();
    server
        .handle_input(&post("/vpnsvc/connect.cgi", "image/jpeg", b"VPNCONNECT"))
        .unwrap();
    assert!(server.is_vpn_client());
    server.poll_output().unwrap();
    server
}

fn send(server: &mut ServerHandshake, pack: &Pack) -> Result<(), HandshakeError> {
    server.handle_input(&post(
        "/vpnsvc/vpn.cgi",
        "application/octet-stream",
        &pack.encode(),
    ))
}

/// Carries bytes both ways in pieces of `cut` until nobody has any.
fn exchange(server: &mut ServerHandshake, client: &mut ClientHandshake, cut: usize) {
    loop {
        let mut quiet = true;
        while let Some(bytes) = client.poll_output() {
            quiet = false;
            bytes
                .chunks(cut)
                .for_each(|piece| server.handle_input(piece).unwrap());
        }
        while let Some(bytes) = server.poll_output() {
            quiet = false;
            bytes
                .chunks(cut)
                .for_each(|piece| client.handle_input(piece).unwrap());
        }
        if quiet {
            return;
        }
    }
}

#[test]
fn a_client_logs_in_whatever_the_network_cuts() {
    for cut in [1, 2, 7, 100, 100_000] {
        let (mut server, mut client) = (server(), ClientHandshake::new("vpn.example", NOW));
        exchange(&mut server, &mut client, cut);
        let Some(ClientEvent::Hello(seen)) = client.poll_event() else {
            panic!("a hello")
        };
        assert_eq!(seen, hello());

        let login = login(Auth::Plain(Zeroizing::new("microsoft".to_owned())));
        client.send(&login.to_pack());
        exchange(&mut server, &mut client, cut);
        assert_eq!(server.poll_request(), Some(Request::Login(Box::new(login))));
        assert!(client.poll_event().is_none());

        server.reply(&welcome().to_pack());
        exchange(&mut server, &mut client, cut);
        let Some(ClientEvent::Reply(reply)) = client.poll_event() else {
            panic!("a reply")
        };
        assert_eq!(Welcome::from_pack(&reply), Ok(welcome()));
        assert!(server.is_established());
    }
}

#[test]
fn bytes_behind_the_last_message_belong_to_the_next_stage() {
    let mut server = signed();
    let mut bytes = post(
        "/vpnsvc/vpn.cgi",
        "application/octet-stream",
        &login(Auth::Anonymous).to_pack().encode(),
    );
    bytes.extend_from_slice(b"early frames");
    server.handle_input(&bytes).unwrap();
    assert!(server.poll_request().is_some());
    server.handle_input(b" and more").unwrap();
    server.reply(&welcome().to_pack());
    assert_eq!(server.into_rest(), b"early frames and more");

    let (mut server, mut client) = (self::server(), ClientHandshake::new("vpn.example", NOW));
    exchange(&mut server, &mut client, 10);
    client.send(&login(Auth::Anonymous).to_pack());
    exchange(&mut server, &mut client, 10);
    server.reply(&welcome().to_pack());
    let mut bytes = server.poll_output().unwrap();
    bytes.extend_from_slice(&[0xff; 8]);
    client.handle_input(&bytes).unwrap();
    assert_eq!(client.into_rest(), [0xff; 8]);
}

#[test]
fn the_probe_of_older_clients_finds_its_tag() {
    let mut server = server();
    server
        .handle_input(b"GET / HTTP/1.1\r\nX-VPN: 1\r\nHost: 10.91.1.1\r\n\r\n")
        .unwrap();
    let page = output(&mut server);
    let body = page.split_once("\r\n\r\n").unwrap().1;
    assert!(body[..body.len().min(1023)].contains("9C37197CA7C2428388C2E6E59B829B30"));
    assert!(page.contains(&format!("Content-Length: {}\r\n", body.len())));
    server
        .handle_input(&post("/vpnsvc/connect.cgi", "image/jpeg", b"VPNCONNECT"))
        .unwrap();
    assert_eq!(Hello::from_pack(&answer(&mut server)), Ok(hello()));
}

#[test]
fn strangers_get_pages() {
    let wrong_picture = vec![0; 1411];
    for (request, status, closes) in [
        (b"GET / HTTP/1.0\r\n\r\n".to_vec(), "200 OK", false),
        (
            b"GET /robots.txt HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
            "404 Not Found",
            false,
        ),
        (
            b"PUT / HTTP/1.1\r\n\r\n".to_vec(),
            "501 Method Not Implemented",
            false,
        ),
        (
            post("/vpnsvc/connect.cgi", "image/jpeg", &[0; 9]),
            "403 Forbidden",
            true,
        ),
        (
            post("/vpnsvc/connect.cgi", "image/jpeg", &wrong_picture),
            "403 Forbidden",
            false,
        ),
        (
            post("/elsewhere", "image/jpeg", &wrong_picture),
            "404 Not Found",
            false,
        ),
    ] {
        let mut server = server();
        server.handle_input(&request).unwrap();
        assert!(
            output(&mut server).starts_with(&format!("HTTP/1.1 {status}\r\n")),
            "{status}"
        );
        assert_eq!(server.is_closing(), closes, "{status}");
        assert!(!server.is_vpn_client());
    }
}

#[test]
fn a_head_request_gets_no_body() {
    let mut server = server();
    server
        .handle_input(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    assert!(output(&mut server).ends_with("\r\n\r\n"));
}

#[test]
fn nineteen_pages_may_come_before_the_signature() {
    let mut server = server();
    for _ in 0..19 {
        server
            .handle_input(b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
            .unwrap();
    }
    let mut twin = self::server();
    for _ in 0..19 {
        twin.handle_input(b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    }
    twin.handle_input(&post("/vpnsvc/connect.cgi", "image/jpeg", b"VPNCONNECT"))
        .unwrap();
    assert!(twin.is_vpn_client());
    assert_eq!(
        server.handle_input(b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n"),
        Err(HandshakeError::TooManyRequests)
    );
}

#[test]
fn a_message_in_the_wrong_wrapping_gets_error_3() {
    let body = login(Auth::Anonymous).to_pack().encode();
    let right = post("/vpnsvc/vpn.cgi", "application/octet-stream", &body);
    let text = String::from_utf8_lossy(&right).into_owned();
    let replaced = |from: &str, to: &str| {
        let head = text.split_once("\r\n\r\n").unwrap().0.replacen(from, to, 1);
        [head.as_bytes(), b"\r\n\r\n", &body].concat()
    };
    for wrong in [
        replaced("POST", "GET"),
        replaced("/vpnsvc/vpn.cgi", "/vpnsvc/connect.cgi"),
        replaced("HTTP/1.1", "HTTP/1.0"),
        replaced("application/octet-stream", "application/octet-stream; charset=x"),
        replaced(&format!("Content-Length: {}", body.len()), "Content-Length: 0"),
        replaced(
            &format!("Content-Length: {}", body.len()),
            "Content-Length: 65537",
        ),
        post("/vpnsvc/vpn.cgi", "application/octet-stream", b"no pack"),
    ] {
        let mut server = signed();
        server.handle_input(&wrong).unwrap();
        assert_eq!(answer(&mut server).error(), Some(ErrorCode::Disconnected));
        assert!(server.is_closing());
        assert_eq!(server.poll_request(), None);
    }
}

#[test]
fn noops_are_answered_and_limited() {
    let mut server = signed();
    let mut noop = Pack::new();
    noop.set_int("error", 0).set_int("noop", 1);
    for _ in 0..30 {
        send(&mut server, &noop).unwrap();
        assert_eq!(answer(&mut server).int("noop"), Some(1));
    }
    let mut twin = signed();
    send(&mut twin, &noop).unwrap();
    send(&mut twin, &Request::EnumHub.to_pack()).unwrap();
    assert_eq!(twin.poll_request(), Some(Request::EnumHub));
    assert_eq!(send(&mut server, &noop), Err(HandshakeError::TooManyRequests));
}

#[test]
fn requests_that_make_no_sense_are_refused_unseen() {
    let base = || {
        let mut pack = login(Auth::Challenge([3; 20])).to_pack();
        pack.set_data("pencore", b"xyz");
        pack
    };
    let edited = |edit: &dyn Fn(&mut Pack) -> &mut Pack| {
        let mut pack = base();
        edit(&mut pack);
        pack
    };
    for (pack, code) in [
        (edited(&|p| p.remove("method")), ErrorCode::Protocol),
        (edited(&|p| p.set_str("method", "dance")), ErrorCode::Protocol),
        (edited(&|p| p.remove("hubname")), ErrorCode::Protocol),
        (edited(&|p| p.remove("username")), ErrorCode::Protocol),
        (
            edited(&|p| p.set_str("username", &"x".repeat(256))),
            ErrorCode::Protocol,
        ),
        (
            edited(&|p| p.set_data("secure_password", &[0; 19])),
            ErrorCode::Protocol,
        ),
        (
            edited(&|p| p.set_int("authtype", 96)),
            ErrorCode::AuthTypeNotSupported,
        ),
        (
            edited(&|p| p.set_int("authtype", 97)),
            ErrorCode::AuthTypeNotSupported,
        ),
        (
            edited(&|p| p.set_int("authtype", 98)),
            ErrorCode::AuthTypeNotSupported,
        ),
        (
            edited(&|p| p.set_int("authtype", 4)),
            ErrorCode::AuthTypeNotSupported,
        ),
        (edited(&|p| p.set_int("error", 52)), ErrorCode::NotEnoughRights),
        (
            edited(&|p| p.set_str("method", "farm_connect")),
            ErrorCode::NotFarmController,
        ),
        (
            edited(&|p| p.set_str("method", "admin").remove("secure_password")),
            ErrorCode::Protocol,
        ),
        (
            edited(&|p| p.set_str("method", "additional_connect")),
            ErrorCode::Protocol,
        ),
    ] {
        let mut server = signed();
        send(&mut server, &pack).unwrap();
        assert_eq!(server.poll_request(), None, "{pack:?}");
        assert_eq!(answer(&mut server).error(), Some(code), "{pack:?}");
        assert!(server.is_closing());
    }
}

#[test]
fn every_request_survives_the_wire() {
    let client = ClientVersion {
        product: "tool".to_owned(),
        version: 501,
        build: 9674,
    };
    let requests = [
        Request::Login(Box::new(login(Auth::Anonymous))),
        Request::Login(Box::new(login(Auth::Challenge([1; 20])))),
        Request::Login(Box::new(login(Auth::Certificate {
            cert: vec![1, 2],
            signature: vec![3; 256],
        }))),
        Request::Login(Box::new(login(Auth::Ticket([4; 20])))),
        Request::AdditionalConnect {
            session_key: [5; 20],
            client: client.clone(),
            alone: false,
        },
        Request::AdditionalConnect {
            session_key: [5; 20],
            client: client.clone(),
            alone: true,
        },
        Request::EnumHub,
        Request::ChangePassword(ChangePassword {
            hub: "LAB".to_owned(),
            user: "alice".to_owned(),
            old_proof: Proof([1; 20]),
            new_password: user_hash(b"new", "alice"),
            new_password_nt: Proof([2; 16]),
            client: client.clone(),
        }),
        Request::Admin(AdminLogin {
            hub: Some("LAB".to_owned()),
            proof: Proof(admin_hash(b"labpw").prove(&[7; 20])),
            accept_empty_password: true,
            client,
            os: Some(OsInfo {
                title: "Debian".to_owned(),
                ..OsInfo::default()
            }),
        }),
    ];
    for request in requests {
        let bytes = request.to_pack().encode();
        let pack = Pack::decode(&bytes, &Limits::BEFORE_LOGIN).unwrap();
        assert_eq!(Request::from_pack(&pack), Ok(request));
    }
}

#[test]
fn answers_survive_the_wire() {
    let redirect = Redirect {
        ip: "10.0.0.2".parse().unwrap(),
        ports: vec![443, 992],
        ticket: [1; 20],
        cert: vec![1, 2, 3],
        message: String::new(),
    };
    assert_eq!(Redirect::from_pack(&redirect.to_pack()), Ok(redirect.clone()));
    assert_eq!((redirect.port(992), redirect.port(5555)), (992, 443));
    for direction in [
        Direction::Both,
        Direction::ServerToClient,
        Direction::ClientToServer,
    ] {
        let attached = Attached { direction };
        assert_eq!(Attached::from_pack(&attached.to_pack()), Ok(attached));
    }
    for names in [vec![], vec!["A".to_owned(), "B".to_owned()]] {
        let list = HubList { names };
        assert_eq!(HubList::from_pack(&list.to_pack()), Ok(list));
    }
    assert_eq!(
        Welcome::from_pack(&refusal(ErrorCode::AuthFailed)),
        Err(ErrorCode::AuthFailed)
    );
}

#[test]
fn one_answer_ends_what_is_not_a_stream() {
    for (request, reply, goes_on) in [
        (Request::EnumHub, HubList::default().to_pack(), false),
        (
            Request::Login(Box::new(login(Auth::Anonymous))),
            welcome().to_pack(),
            true,
        ),
        (
            Request::Login(Box::new(login(Auth::Anonymous))),
            refusal(ErrorCode::HubNotFound),
            false,
        ),
        (
            Request::AdditionalConnect {
                session_key: [0; 20],
                client: ClientVersion::default(),
                alone: false,
            },
            Attached {
                direction: Direction::Both,
            }
            .to_pack(),
            true,
        ),
    ] {
        let mut server = signed();
        send(&mut server, &request.to_pack()).unwrap();
        server.poll_request().unwrap();
        server.reply(&reply);
        server.reply(&reply);
        assert_eq!(
            (server.is_established(), server.is_closing()),
            (goes_on, !goes_on)
        );
        assert!(server.poll_output().is_some());
        assert!(server.poll_output().is_none(), "answered once");
    }
}

#[test]
fn a_stranger_makes_us_hold_64_kib() {
    let mut server = signed();
    send(&mut server, &login(Auth::Anonymous).to_pack()).unwrap();
    let flood = vec![0; 1024];
    let taken = (0..200)
        .take_while(|_| server.handle_input(&flood).is_ok())
        .count();
    assert_eq!(taken, 64);

    let mut server = signed();
    let mut login = login(Auth::Anonymous).to_pack();
    login.set_data("pencore", &vec![0; 65_536 - login.encoded_len() - 23]);
    assert_eq!(login.encoded_len(), 65_536, "the largest message passes");
    send(&mut server, &login).unwrap();
    assert!(server.poll_request().is_some());
}

#[test]
fn a_web_server_is_no_vpn_server() {
    for (answer, error) in [
        (
            "HTTP/1.1 403 Forbidden\r\nContent-Length: 3\r\n\r\nno!",
            HandshakeError::NotVpnServer { status: 403 },
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 3\r\n\r\nhi!",
            HandshakeError::NotVpnServer { status: 200 },
        ),
        ("SSH-2.0-OpenSSH\r\n", HandshakeError::Http(HttpError::StartLine)),
    ] {
        let mut client = ClientHandshake::new("vpn.example", NOW);
        assert_eq!(client.handle_input(answer.as_bytes()), Err(error));
    }
}

#[test]
fn a_host_name_cannot_add_headers() {
    let mut client = ClientHandshake::new("vpn\r\nX-Evil: 1", NOW);
    let request = String::from_utf8(client.poll_output().unwrap()).unwrap();
    assert!(request.contains("Host: vpnX-Evil:1\r\n"), "{request}");
}

#[test]
fn a_busy_server_may_say_noop() {
    let (mut server, mut client) = (signed(), ClientHandshake::new("vpn.example", NOW));
    let mut hello = ServerHandshake::new(hello(), NOW);
    exchange(&mut hello, &mut client, 1000);
    client.poll_event().unwrap();
    client.send(&login(Auth::Anonymous).to_pack());
    let mut noop = Pack::new();
    noop.set_int("error", 0).set_int("noop", 1);
    send(&mut server, &noop).unwrap();
    client.handle_input(&server.poll_output().unwrap()).unwrap();
    assert!(client.poll_event().is_none());
    send(&mut server, &login(Auth::Anonymous).to_pack()).unwrap();
    server.refuse(ErrorCode::HubNotFound);
    client.handle_input(&server.poll_output().unwrap()).unwrap();
    let Some(ClientEvent::Reply(reply)) = client.poll_event() else {
        panic!("a reply")
    };
    assert_eq!(reply.error(), Some(ErrorCode::HubNotFound));
}

#[test]
fn secrets_are_not_shown() {
    let login = login(Auth::Plain(Zeroizing::new("microsoft".to_owned())));
    let shown = format!("{login:?} {:?} {:?}", login.to_pack(), welcome());
    assert!(
        !shown.contains("microsoft") && !shown.contains("[9, 9"),
        "{shown}"
    );
}

proptest! {
    #[test]
    fn random_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..600), head in "[ -~\r\n]{0,300}") {
        for stage in [server as fn() -> ServerHandshake, signed] {
            let _ = stage().handle_input(&bytes);
            let _ = stage().handle_input(head.as_bytes());
        }
        let _ = ClientHandshake::new("x", NOW).handle_input(&bytes);
        let _ = ClientHandshake::new("x", NOW).handle_input(head.as_bytes());
    }

    #[test]
    fn random_messages_do_no_harm(body in prop::collection::vec(any::<u8>(), 1..600)) {
        let mut server = signed();
        server.handle_input(&post("/vpnsvc/vpn.cgi", "application/octet-stream", &body)).unwrap();
    }
}

/// Protocol §14.3: offered by a version or a later one, granted by exactly this one.
#[test]
fn super_frames_are_agreed_on_by_version() {
    let mut offer = login(Auth::Anonymous);
    let plain = offer.to_pack();
    assert!(!plain.contains("hubward_super_frames"));
    offer.options.super_frames = true;
    assert_eq!(offer.to_pack().int("hubward_super_frames"), Some(1));
    for (version, offered) in [(0, false), (1, true), (2, true)] {
        let mut pack = plain.clone();
        pack.set_int("hubward_super_frames", version);
        assert_eq!(Login::from_pack(&pack).unwrap().options.super_frames, offered);
    }

    let mut grant = welcome();
    let plain = grant.to_pack();
    assert!(!plain.contains("hubward_super_frames"));
    grant.super_frames = true;
    assert_eq!(grant.to_pack().int("hubward_super_frames"), Some(1));
    for (version, granted) in [(0, false), (1, true), (2, false)] {
        let mut pack = plain.clone();
        pack.set_int("hubward_super_frames", version);
        assert_eq!(Welcome::from_pack(&pack).unwrap().super_frames, granted);
    }
}
