//! TAP devices in a network namespace.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod namespace;

use std::net::Ipv4Addr;

use bytes::BytesMut;
use namespace::in_namespace;
use netdev::{Error, Links, Tap, TapOptions, VnetHeader, mac, segment, sysctl};
use nix::libc;

const ARP_REQUEST: u16 = 1;
const ARP_REPLY: u16 = 2;
const THEIR_MAC: [u8; 6] = [2, 0, 0, 0, 0, 9];

fn arp(operation: u16, sender: ([u8; 6], Ipv4Addr), target: ([u8; 6], Ipv4Addr)) -> Vec<u8> {
    let destination = if operation == ARP_REQUEST {
        [0xff; 6]
    } else {
        target.0
    };
    let mut frame = [&destination[..], &sender.0, &[8, 6, 0, 1, 8, 0, 6, 4]].concat();
    frame.extend(operation.to_be_bytes());
    for (mac, ip) in [sender, target] {
        frame.extend(mac);
        frame.extend(ip.octets());
    }
    frame
}

/// The next frame that `wanted` accepts; the kernel sends multicast of its own in between.
async fn recv_matching(tap: &Tap, wanted: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let mut buf = BytesMut::new();
    loop {
        let (header, len) = tap.recv(&mut buf).await.unwrap();
        let mut frame = buf.split_to(len);
        assert!(buf.is_empty());
        assert!(segment::complete(&header, &mut frame));
        if wanted(&frame) {
            return frame.to_vec();
        }
    }
}

fn is_arp(frame: &[u8]) -> bool {
    frame.get(12..14) == Some(&[8, 6])
}

#[test]
fn the_host_answers_a_frame_sent_through_the_device() {
    in_namespace(|| async {
        let links = Links::new().unwrap();
        let tap = Tap::create(&TapOptions::new("tap0")).unwrap();
        let (ours, theirs) = (Ipv4Addr::new(10, 1, 0, 1), Ipv4Addr::new(10, 1, 0, 2));
        links.add_address("tap0", ours.into(), 24).await.unwrap();
        links.set_up("tap0").await.unwrap();

        tap.send(
            &VnetHeader::NONE,
            &arp(ARP_REQUEST, (THEIR_MAC, theirs), ([0; 6], ours)),
        )
        .await
        .unwrap();

        let answer = recv_matching(&tap, is_arp).await;
        assert_eq!(answer, arp(ARP_REPLY, (tap.mac(), ours), (THEIR_MAC, theirs)));
    });
}

#[test]
fn an_answer_of_the_host_is_there_before_the_runtime_hears_of_it() {
    in_namespace(|| async {
        sysctl::write("net.ipv6.conf.default.disable_ipv6", "1").unwrap();
        let links = Links::new().unwrap();
        let tap = Tap::create(&TapOptions::new("tap0")).unwrap();
        let (ours, theirs) = (Ipv4Addr::new(10, 1, 0, 1), Ipv4Addr::new(10, 1, 0, 2));
        links.add_address("tap0", ours.into(), 24).await.unwrap();
        links.set_up("tap0").await.unwrap();
        let mut buf = BytesMut::new();
        let nothing = tap.recv_now(&mut buf).unwrap_err();
        assert_eq!(nothing.kind(), std::io::ErrorKind::WouldBlock);

        let request = arp(ARP_REQUEST, (THEIR_MAC, theirs), ([0; 6], ours));
        tap.try_send(&VnetHeader::NONE, &request).unwrap();
        // Nothing was awaited meanwhile, so nobody can have heard anything.
        let (_, len) = tap.recv_now(&mut buf).unwrap();
        assert_eq!(&buf[..len][..6], &THEIR_MAC);
        assert!(is_arp(&buf[..len]));
    });
}

#[test]
fn a_batch_is_taken_frame_by_frame_until_nothing_is_left() {
    in_namespace(|| async {
        let links = Links::new().unwrap();
        let tap = Tap::create(&TapOptions::new("tap0")).unwrap();
        sysctl::write("net.ipv6.conf.tap0.disable_ipv6", "1").unwrap();
        links
            .add_address("tap0", Ipv4Addr::new(10, 1, 0, 1).into(), 24)
            .await
            .unwrap();
        links.set_up("tap0").await.unwrap();
        let socket = std::net::UdpSocket::bind("10.1.0.1:0").unwrap();
        socket.set_broadcast(true).unwrap();
        for n in 1..=3u8 {
            socket.send_to(&[n; 100], "10.1.0.255:9").unwrap();
        }

        let (mut buf, mut lens) = (BytesMut::new(), Vec::new());
        // The kernel may need a moment for the later ones.
        while lens.len() < 3 {
            tap.readable().await.unwrap();
            while let Ok((_, len)) = tap.try_recv(&mut buf) {
                lens.push(len);
            }
        }
        let end = tap.try_recv(&mut buf).unwrap_err();
        assert_eq!(end.kind(), std::io::ErrorKind::WouldBlock);
        assert_eq!(lens, [142; 3]);
        assert_eq!(buf.len(), 3 * 142);
        assert_eq!([buf[141], buf[2 * 142 - 1], buf[3 * 142 - 1]], [1, 2, 3]);
    });
}

#[test]
fn a_jumbo_frame_arrives_whole() {
    in_namespace(|| async {
        let links = Links::new().unwrap();
        let tap = Tap::create(&TapOptions::new("tap0")).unwrap();
        links.set_mtu("tap0", 9000).await.unwrap();
        links
            .add_address("tap0", Ipv4Addr::new(10, 1, 0, 1).into(), 24)
            .await
            .unwrap();
        links.set_up("tap0").await.unwrap();
        let socket = std::net::UdpSocket::bind("10.1.0.1:0").unwrap();
        socket.set_broadcast(true).unwrap();
        let payload: Vec<u8> = (0..8000u32).map(|n| (n % 251) as u8).collect();
        socket.send_to(&payload, "10.1.0.255:9").unwrap();

        let frame = recv_matching(&tap, |frame| frame.get(12..14) == Some(&[8, 0])).await;
        assert_eq!(frame[42..], payload);
    });
}

#[test]
fn a_name_that_is_in_use_is_refused_with_a_remedy() {
    in_namespace(|| async {
        let _first = Tap::create(&TapOptions::new("tap0")).unwrap();

        let error = Tap::create(&TapOptions::new("tap0")).unwrap_err();
        assert!(matches!(error, Error::Busy { .. }), "{error:?}");
        assert_eq!(
            error.to_string(),
            "tap0 is in use by another program; stop that program or choose another name"
        );

        let error = Tap::create(&TapOptions::new("lo")).unwrap_err();
        assert!(matches!(error, Error::NotATap { .. }), "{error:?}");
    });
}

#[test]
fn a_device_vanishes_when_it_is_closed_and_a_persistent_one_is_taken_over() {
    in_namespace(|| async {
        let links = Links::new().unwrap();
        let mut options = TapOptions::new("tap0");
        drop(Tap::create(&options).unwrap());
        assert!(!links.exists("tap0").await.unwrap());

        options.persist = true;
        options.mac = Some([2, 0, 0, 0, 0, 7]);
        let index = Tap::create(&options).unwrap().index();
        assert!(links.exists("tap0").await.unwrap());

        // Whoever takes it over without saying more leaves it as it is.
        drop(Tap::create(&TapOptions::new("tap0")).unwrap());
        let again = Tap::create(&TapOptions::new("tap0")).unwrap();
        assert_eq!((again.index(), Some(again.mac())), (index, options.mac));
        again.set_persist(false).unwrap();
        drop(again);
        assert!(!links.exists("tap0").await.unwrap());
    });
}

#[test]
fn the_hardware_address_is_the_given_one_or_always_the_same() {
    in_namespace(|| async {
        let links = Links::new().unwrap();
        let given = [0x5e, 1, 2, 3, 4, 5];
        let tap = Tap::create(&TapOptions {
            mac: Some(given),
            ..TapOptions::new("tap0")
        })
        .unwrap();
        assert_eq!(tap.mac(), given);
        assert_eq!(links.link("tap0").await.unwrap().mac, Some(given));
        drop(tap);

        let stable = mac::of_device("tap0");
        let tap = Tap::create(&TapOptions::new("tap0")).unwrap();
        assert!(stable.is_none_or(|mac| mac == tap.mac()));

        let group = TapOptions {
            mac: Some([1, 0, 0, 0, 0, 1]),
            ..TapOptions::new("tap1")
        };
        assert!(matches!(Tap::create(&group), Err(Error::BadMac { .. })));
    });
}

#[test]
fn a_device_that_is_down_loses_frames_with_an_error() {
    in_namespace(|| async {
        let tap = Tap::create(&TapOptions::new("tap0")).unwrap();
        let error = tap.send(&VnetHeader::NONE, &[0xff; 60]).await.unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EIO));
    });
}

#[test]
fn whoever_waits_for_frames_learns_that_the_device_was_deleted() {
    in_namespace(|| async {
        let links = Links::new().unwrap();
        let tap = Tap::create(&TapOptions::new("tap0")).unwrap();
        sysctl::write("net.ipv6.conf.tap0.disable_ipv6", "1").unwrap();
        links.set_up("tap0").await.unwrap();
        let mut buf = BytesMut::new();
        let (received, deleted) = tokio::join!(tap.recv(&mut buf), links.delete_link("tap0"));
        deleted.unwrap();
        assert_eq!(received.unwrap_err().raw_os_error(), Some(libc::EBADFD));
    });
}

#[test]
fn the_hosts_tcp_hands_over_super_frames_and_datagrams_of_one_call_whole() {
    in_namespace(|| async {
        let links = Links::new().unwrap();
        let tap = Tap::create(&TapOptions::new("tap0")).unwrap();
        assert!(tap.has_offload(), "this kernel's offload fails its test");
        sysctl::write("net.ipv6.conf.tap0.disable_ipv6", "1").unwrap();
        links
            .add_address("tap0", Ipv4Addr::new(10, 1, 0, 1).into(), 24)
            .await
            .unwrap();
        links.set_up("tap0").await.unwrap();
        if !tap.has_udp_offload() {
            return; // before Linux 6.2
        }
        let socket = std::net::UdpSocket::bind("10.1.0.1:0").unwrap();
        socket.set_broadcast(true).unwrap();
        let segment = 1000;
        nix::sys::socket::setsockopt(&socket, nix::sys::socket::sockopt::UdpGsoSegment, &segment).unwrap();
        let payload: Vec<u8> = (0..5500u32).map(|n| (n % 251) as u8).collect();
        socket.send_to(&payload, "10.1.0.255:9").unwrap();

        let (mut buf, mut pieces) = (BytesMut::new(), Vec::new());
        let header = loop {
            buf.clear();
            let (header, _) = tap.recv(&mut buf).await.unwrap();
            if buf.get(12..14) == Some(&[8, 0]) {
                break header;
            }
        };
        assert_eq!(buf[42..], payload);
        segment::split(&header, &buf, &mut BytesMut::new(), |piece| pieces.push(piece));
        assert_eq!(pieces.len(), 6);
        assert_eq!(
            pieces
                .iter()
                .flat_map(|piece| piece[42..].to_vec())
                .collect::<Vec<_>>(),
            payload
        );

        // And back: what was cut is joined again for the host, whose socket gets it datagram by datagram.
        let mut joiner = tap.joiner();
        for piece in pieces {
            let mut piece = BytesMut::from(&piece[..]);
            piece[..6].copy_from_slice(&tap.mac());
            joiner.push(
                VnetHeader::NONE,
                from_station(&piece, socket.local_addr().unwrap().port()),
            );
        }
        tap.try_send_joined(&mut joiner).unwrap();
        let mut got: Vec<u8> = Vec::new();
        while got.len() < payload.len() {
            let mut datagram = [0; 2000];
            let len = socket.recv(&mut datagram).unwrap();
            assert_eq!(len, (payload.len() - got.len()).min(1000));
            got.extend(&datagram[..len]);
        }
        assert_eq!(got, payload);
    });
}

/// The datagram as 10.1.0.2 would send it to `port` of the host: addresses turned round, so that the sums stay right but
/// for what is mended here.
fn from_station(frame: &[u8], port: u16) -> bytes::Bytes {
    let mut frame = frame.to_vec();
    frame[26..30].copy_from_slice(&[10, 1, 0, 2]);
    frame[30..34].copy_from_slice(&[10, 1, 0, 1]);
    frame[36..38].copy_from_slice(&port.to_be_bytes());
    frame[24..26].fill(0);
    let ip = VnetHeader::from_bytes([1, 0, 0, 0, 0, 0, 14, 0, 10, 0]);
    assert!(segment::complete(&ip, &mut frame[..34]));
    // The sum over the pseudo-header, by the same means: its bytes before a checksum field of their own.
    let mut pseudo = [&frame[26..34], &[0, 17], &frame[38..40], &[0, 0]].concat();
    let whole = VnetHeader::from_bytes([1, 0, 0, 0, 0, 0, 0, 0, 12, 0]);
    assert!(segment::complete(&whole, &mut pseudo));
    frame[40..42].copy_from_slice(&[!pseudo[12], !pseudo[13]]);
    let udp = VnetHeader::from_bytes([1, 0, 0, 0, 0, 0, 34, 0, 6, 0]);
    assert!(segment::complete(&udp, &mut frame));
    frame.into()
}
