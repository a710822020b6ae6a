use proptest::prelude::*;

use super::*;

fn target(text: &str) -> Target {
    text.parse().unwrap()
}

fn proxy(text: &str) -> Proxy {
    text.parse().unwrap()
}

/// What is said to a proxy that answers with `answers`, one after the other.
fn converse(proxy: &str, server: &str, answers: &[&[u8]]) -> Result<Vec<Vec<u8>>, ProxyError> {
    let mut conversation = Conversation::new(&self::proxy(proxy), &target(server))?;
    let mut said = Vec::new();
    for answer in answers {
        said.extend(conversation.poll_output().map(|bytes| bytes.to_vec()));
        assert!(!conversation.is_open());
        // Byte by byte: nothing may depend on how it arrives.
        for byte in *answer {
            conversation.handle_input(&[*byte])?;
        }
    }
    assert!(conversation.is_open(), "not open after {answers:?}");
    assert_eq!(conversation.poll_output(), None);
    Ok(said)
}

fn refusal(proxy: &str, answers: &[&[u8]]) -> String {
    converse(proxy, "vpn.example.org", answers)
        .unwrap_err()
        .to_string()
}

#[test]
fn places_are_read_as_users_and_environments_write_them() {
    for (text, kind, server) in [
        ("http://proxy", Kind::Http, "proxy:8080"),
        ("http://proxy:3128/", Kind::Http, "proxy:3128"),
        ("proxy.example.org:443", Kind::Http, "proxy.example.org:443"),
        ("SOCKS5://[2001:db8::1]", Kind::Socks5, "[2001:db8::1]:1080"),
        ("socks5h://[2001:db8::1]:443", Kind::Socks5, "[2001:db8::1]:443"),
        ("socks4a://10.0.0.1", Kind::Socks4, "10.0.0.1:1080"),
    ] {
        let proxy = proxy(text);
        assert_eq!(
            (proxy.kind, proxy.server.to_string()),
            (kind, server.to_owned()),
            "{text}"
        );
        assert_eq!(proxy.login, None);
    }
    let login = proxy("http://al%40ice:pa:ss%25@proxy").login.unwrap();
    assert_eq!(
        (login.user.as_str(), login.password.as_str()),
        ("al@ice", "pa:ss%")
    );
    for text in [
        "",
        "ftp://proxy",
        "http://",
        "http://proxy:0",
        "http://@proxy",
        "http://a%0d%0ab@proxy",
        "http://a%zz@proxy",
        "http://pro xy",
    ] {
        assert!(text.parse::<Proxy>().is_err(), "{text}");
    }
}

#[test]
fn neither_a_password_nor_a_header_is_shown() {
    let mut proxy = proxy("http://alice:Fuji@proxy");
    proxy.headers = Header::lines("X-Token: Ume\n").unwrap();
    for shown in [format!("{proxy}"), format!("{proxy:?}")] {
        assert!(!shown.contains("Fuji") && !shown.contains("Ume"), "{shown}");
    }
}

#[test]
fn headers_are_one_line_each_and_none_of_ours() {
    let headers = Header::lines("X-One: 1\r\n\r\n  X-Two:two \n").unwrap();
    let pairs: Vec<_> = headers.iter().map(|h| (h.name(), h.value())).collect();
    assert_eq!(pairs, [("X-One", "1"), ("X-Two", "two")]);
    for text in [
        "none",
        ": x",
        "a b: x",
        "Host: other",
        "proxy-authorization: Basic x",
        "X: a\rb",
    ] {
        assert!(text.parse::<Header>().is_err(), "{text}");
    }
}

#[test]
fn http_is_asked_by_name_with_credentials_and_headers() {
    let mut proxy = proxy("http://alice:Fuji-3776@proxy");
    proxy.headers = Header::lines("X-Site: lab").unwrap();
    let mut conversation = Conversation::new(&proxy, &target("vpn.example.org:992")).unwrap();
    let said = conversation.poll_output().unwrap();
    assert_eq!(
        String::from_utf8_lossy(&said),
        "CONNECT vpn.example.org:992 HTTP/1.1\r\nHost: vpn.example.org:992\r\n\
         Proxy-Authorization: Basic YWxpY2U6RnVqaS0zNzc2\r\nX-Site: lab\r\n\r\n"
    );
    conversation
        .handle_input(b"HTTP/1.0 200 Connection established\r\nProxy-Agent: x\r\n\r\n")
        .unwrap();
    assert!(conversation.is_open());
}

#[test]
fn an_ipv6_server_has_brackets_in_http() {
    let said = converse("http://proxy", "[2001:db8::1]:443", &[b"HTTP/1.1 200 OK\r\n\r\n"]).unwrap();
    assert!(said[0].starts_with(b"CONNECT [2001:db8::1]:443 HTTP/1.1\r\n"));
}

#[test]
fn refusals_of_http_proxies_are_told_apart() {
    let wanted =
        b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"x\"\r\n\r\n";
    let ntlm = b"HTTP/1.1 407 No\r\nProxy-Authenticate: NTLM\r\nProxy-Authenticate: Negotiate x\r\n\r\n";
    for (proxy, answer, words) in [
        (
            "http://proxy",
            &wanted[..],
            "wants a user name and a password; give them",
        ),
        (
            "http://a:b@proxy",
            wanted,
            "does not take this user name and password",
        ),
        ("http://a:b@proxy", ntlm, "it offers NTLM, Negotiate"),
        (
            "http://proxy",
            b"HTTP/1.1 403 Forbidden\r\n\r\n",
            "does not let us through to vpn.example.org:443 (HTTP status 403, Forbidden)",
        ),
        (
            "http://proxy",
            b"HTTP/1.1 503 Down\x1b[2J\r\n\r\n",
            "cannot reach vpn.example.org:443 (HTTP status 503, Down[2J)",
        ),
        (
            "http://proxy",
            b"HTTP/1.1 302 Found\r\n\r\n",
            "refused (HTTP status 302, Found)",
        ),
        (
            "http://proxy",
            b"SSH-2.0-OpenSSH\r\n",
            "does not answer like a proxy",
        ),
        ("http://proxy", b"\x05\x00", "does not answer like a proxy"),
        ("http://proxy", b"HTTP/2 200\r\n\r\n", "its answer is not HTTP"),
        ("http://proxy", b"HTTP/1.1 200 OK\r\n\r\n!", "goes on talking"),
    ] {
        let said = refusal(proxy, &[answer]);
        assert!(said.contains(words), "{said:?} lacks {words:?}");
    }
}

#[test]
fn a_head_without_an_end_is_not_read_for_ever() {
    let endless = |line: &[u8]| [b"HTTP/1.1 200 OK\r\n".as_slice(), &line.repeat(20_000)].concat();
    for head in [endless(b"x"), endless(b"X-Padding: xxxxxxxx\r\n")] {
        let said = refusal("http://proxy", &[&head]);
        assert!(said.contains("too long"), "{said}");
    }
}

#[test]
fn socks5_is_asked_by_name_after_the_password() {
    let said = converse(
        "socks5://alice:Fuji@proxy",
        "vpn.example.org",
        &[&[5, 2], &[1, 0], &[5, 0, 0, 3, 2, b'a', b'b', 0, 80]],
    )
    .unwrap();
    assert_eq!(said[0], [5, 2, 0, 2]);
    assert_eq!(said[1], b"\x01\x05alice\x04Fuji");
    assert_eq!(said[2], b"\x05\x01\x00\x03\x0fvpn.example.org\x01\xbb");
}

#[test]
fn socks5_takes_addresses_as_they_are_and_needs_no_password_where_none_is_wanted() {
    let ipv4 = converse(
        "socks5://proxy",
        "203.0.113.1:992",
        &[&[5, 0], &[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]],
    );
    assert_eq!(
        ipv4.unwrap(),
        [&[5, 1, 0][..], &[5, 1, 0, 1, 203, 0, 113, 1, 3, 0xe0]]
    );
    let zeros = [[5, 0, 0, 4].as_slice(), &[0; 18]].concat();
    let ipv6 = converse("socks5://a:b@proxy", "2001:db8::1", &[&[5, 0], &zeros]).unwrap();
    assert_eq!(ipv6[1][3..8], [4, 0x20, 1, 0x0d, 0xb8]);
}

#[test]
fn refusals_of_socks5_proxies_are_told_apart() {
    for (proxy, answers, words) in [
        (
            "socks5://proxy",
            &[&[5, 0xff][..]][..],
            "wants a user name and a password",
        ),
        (
            "socks5://a:b@proxy",
            &[&[5, 0xff]],
            "does not take this user name",
        ),
        (
            "socks5://a:b@proxy",
            &[&[5, 2], &[1, 1]],
            "does not take this user name",
        ),
        ("socks5://proxy", &[&[5, 2]], "was not offered"),
        ("socks5://proxy", &[&[5, 0], &[5, 2]], "does not let us through"),
        ("socks5://proxy", &[&[5, 0], &[5, 4]], "host unreachable"),
        ("socks5://proxy", &[&[5, 0], &[5, 5]], "connection refused"),
        ("socks5://proxy", &[&[5, 0], &[5, 1]], "general failure"),
        (
            "socks5://proxy",
            &[&[5, 0], &[5, 0, 0, 9]],
            "address of no known kind",
        ),
        ("socks5://proxy", &[b"HTTP/1.1 400"], "not SOCKS"),
        (
            "socks5://proxy",
            &[&[5, 0], &[5, 0, 0, 1, 0, 0, 0, 0, 0, 0, 9]],
            "goes on talking",
        ),
    ] {
        let said = refusal(proxy, answers);
        assert!(said.contains(words), "{said:?} lacks {words:?}");
    }
}

#[test]
fn socks4_is_asked_by_name_and_knows_no_ipv6() {
    let granted: &[&[u8]] = &[&[0, 90, 0, 0, 0, 0, 0, 0]];
    let said = converse("socks4://alice@proxy", "vpn.example.org", granted).unwrap();
    assert_eq!(
        said[0],
        b"\x04\x01\x01\xbb\x00\x00\x00\x01alice\x00vpn.example.org\x00"
    );
    let said = converse("socks4://proxy", "203.0.113.1", granted).unwrap();
    assert_eq!(said[0], b"\x04\x01\x01\xbb\xcb\x00\x71\x01\x00");
    assert!(converse("socks4://proxy", "2001:db8::1", &[]).is_err());
    assert!(refusal("socks4://proxy", &[&[0, 91]]).contains("cannot reach"));
    assert!(refusal("socks4://proxy", &[&[0, 93]]).contains("does not take"));
    assert!(refusal("socks4://proxy", &[&[0, 1]]).contains("none of SOCKS 4"));
}

#[test]
fn what_cannot_be_said_is_refused_before_anything_is() {
    let long = "x".repeat(256);
    for proxy in [
        format!("socks5://{long}:y@proxy"),
        format!("socks4://{long}@proxy"),
        "http://a%3ab:c@proxy".into(),
    ] {
        assert!(matches!(
            Conversation::new(&self::proxy(&proxy), &target("vpn.example.org")),
            Err(ProxyError::Unspeakable(_))
        ));
    }
}

proptest! {
    #[test]
    fn whatever_a_proxy_says_is_answered_or_refused_in_bounded_memory(
        kind in 0..3_usize,
        parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..64), 0..64),
        starts_well in any::<bool>(),
    ) {
        let text = ["http://a:b@proxy", "socks5://a:b@proxy", "socks4://a@proxy"][kind];
        let start: &[u8] = [&b"HTTP/1.1 200 OK\r\n"[..], &[5, 0], &[0, 90]][kind];
        let mut conversation = Conversation::new(&proxy(text), &target("vpn.example.org")).unwrap();
        let first = if starts_well { start.to_vec() } else { Vec::new() };
        for part in std::iter::once(first).chain(parts) {
            while conversation.poll_output().is_some() {}
            if conversation.handle_input(&part).is_err() {
                prop_assert!(!conversation.is_open());
                break;
            }
        }
    }
}
