//! Packet sockets in a network namespace.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod namespace;

use std::cell::Cell;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::BytesMut;
use namespace::in_namespace;
use netdev::{Error, Links, PacketSocket, Tap, TapOptions, VnetHeader, sysctl};
use nix::unistd::Pid;
use rtnetlink::{LinkUnspec, LinkVeth};

const A: [u8; 6] = [2, 0, 0, 0, 0, 0xa];
const B: [u8; 6] = [2, 0, 0, 0, 0, 0xb];

fn frame(to: [u8; 6], from: [u8; 6], rest: &[u8]) -> Vec<u8> {
    let mut frame = [&to[..], &from, rest].concat();
    frame.resize(64, 0x55);
    frame
}

async fn tap_up(links: &Links, name: &str) -> Tap {
    let tap = Tap::create(&TapOptions::new(name)).unwrap();
    sysctl::write(&format!("net.ipv6.conf.{name}.disable_ipv6"), "1").unwrap();
    links.set_up(name).await.unwrap();
    tap
}

async fn next(socket: &PacketSocket) -> Vec<u8> {
    let mut buf = BytesMut::new();
    let (header, len) = tokio::time::timeout(Duration::from_secs(5), socket.recv(&mut buf))
        .await
        .expect("no frame")
        .unwrap();
    assert_eq!(len, buf.len());
    assert!(header.is_finished());
    buf.to_vec()
}

#[test]
fn frames_for_anyone_are_received_and_sent_frames_leave() {
    in_namespace(|| async {
        let links = Links::new().unwrap();
        let tap = tap_up(&links, "tap0").await;
        let socket = PacketSocket::open("tap0").unwrap();
        assert_eq!(socket.index(), tap.index());

        let inbound = frame(B, A, &[0x88, 0xb5]);
        tap.send(&VnetHeader::NONE, &inbound).await.unwrap();
        assert_eq!(next(&socket).await, inbound);

        let outbound = frame(A, B, &[0x88, 0xb5]);
        socket.send(&VnetHeader::NONE, &outbound).await.unwrap();
        let mut buf = BytesMut::new();
        tap.recv(&mut buf).await.unwrap();
        assert_eq!(buf, outbound);
    });
}

#[test]
fn a_batch_is_taken_frame_by_frame_until_nothing_is_left() {
    in_namespace(|| async {
        let links = Links::new().unwrap();
        let tap = tap_up(&links, "tap0").await;
        let socket = PacketSocket::open("tap0").unwrap();
        for _ in 0..3 {
            tap.send(&VnetHeader::NONE, &frame(B, A, &[0x88, 0xb5]))
                .await
                .unwrap();
        }

        let (mut buf, mut lens) = (BytesMut::new(), Vec::new());
        while lens.len() < 3 {
            socket.readable().await.unwrap();
            while let Ok((_, len)) = socket.try_recv(&mut buf) {
                lens.push(len);
            }
        }
        assert_eq!(lens, [64; 3]);
        let end = socket.try_recv(&mut buf).unwrap_err();
        assert_eq!(end.kind(), std::io::ErrorKind::WouldBlock);
    });
}

#[test]
fn a_vlan_tag_is_kept() {
    in_namespace(|| async {
        let links = Links::new().unwrap();
        let tap = tap_up(&links, "tap0").await;
        let socket = PacketSocket::open("tap0").unwrap();
        let tagged = frame(B, A, &[0x81, 0, 0x60, 100, 0x88, 0xb5]);
        let twice = frame(B, A, &[0x88, 0xa8, 0, 7, 0x81, 0, 0, 100, 0x88, 0xb5]);
        for frame in [tagged, twice] {
            tap.send(&VnetHeader::NONE, &frame).await.unwrap();
            assert_eq!(next(&socket).await, frame);
            socket.send(&VnetHeader::NONE, &frame).await.unwrap();
            let mut buf = BytesMut::new();
            tap.recv(&mut buf).await.unwrap();
            assert_eq!(buf, frame);
        }
    });
}

#[test]
fn neither_own_frames_nor_the_hosts_are_received() {
    in_namespace(|| async {
        let links = Links::new().unwrap();
        let tap = tap_up(&links, "tap0").await;
        links
            .add_address("tap0", Ipv4Addr::new(10, 1, 0, 1).into(), 24)
            .await
            .unwrap();
        let socket = PacketSocket::open("tap0").unwrap();

        socket
            .send(&VnetHeader::NONE, &frame([0xff; 6], B, &[0x88, 0xb5]))
            .await
            .unwrap();
        let host = std::net::UdpSocket::bind("10.1.0.1:0").unwrap();
        host.set_broadcast(true).unwrap();
        host.send_to(b"from the host", "10.1.0.255:9").unwrap();
        tap.send(&VnetHeader::NONE, &frame(tap.mac(), A, &[0x88, 0xb5]))
            .await
            .unwrap();
        let wanted = frame([0xff; 6], A, &[0x88, 0xb5]);
        tap.send(&VnetHeader::NONE, &wanted).await.unwrap();

        assert_eq!(next(&socket).await, wanted);
    });
}

#[test]
fn a_closed_socket_leaves_nothing_behind() {
    in_namespace(|| async {
        let links = Links::new().unwrap();
        let _tap = tap_up(&links, "tap0").await;
        // One line per packet socket of the namespace, below a heading.
        let sockets = || {
            std::fs::read_to_string("/proc/thread-self/net/packet")
                .unwrap()
                .lines()
                .count()
                - 1
        };
        let socket = PacketSocket::open("tap0").unwrap();
        assert_eq!(sockets(), 1);
        drop(socket);
        assert_eq!(sockets(), 0);
    });
}

#[test]
fn a_missing_interface_is_named() {
    in_namespace(|| async {
        let error = PacketSocket::open("eth7").unwrap_err();
        assert!(matches!(error, Error::NoDevice { .. }), "{error:?}");
        assert!(error.to_string().contains("eth7"));
    });
}

#[test]
fn an_interface_that_goes_down_is_reported_and_one_that_comes_back_is_heard_again() {
    in_namespace(|| async {
        let links = Links::new().unwrap();
        let tap = tap_up(&links, "tap0").await;
        let socket = PacketSocket::open("tap0").unwrap();
        links.set_down("tap0").await.unwrap();
        let error = socket.recv(&mut BytesMut::new()).await.unwrap_err();
        assert_eq!(error.raw_os_error(), Some(nix::libc::ENETDOWN));

        links.set_up("tap0").await.unwrap();
        let wanted = frame(B, A, &[0x88, 0xb5]);
        tap.send(&VnetHeader::NONE, &wanted).await.unwrap();
        assert_eq!(next(&socket).await, wanted);
    });
}

/// A TCP client in a network namespace of its own: a thread that has left ours, holding one end of a veth.
fn client(server: SocketAddr, ready: Receiver<()>, task: Sender<Pid>) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
        task.send(nix::unistd::gettid()).unwrap();
        ready.recv().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let links = Links::new().unwrap();
            links
                .add_address("c", IpAddr::V4(Ipv4Addr::new(10, 1, 0, 1)), 24)
                .await
                .unwrap();
            links.set_up("c").await.unwrap();
        });
        let mut stream = TcpStream::connect_timeout(&server, Duration::from_secs(10)).unwrap();
        stream.write_all(&payload()).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        answer
    })
}

fn payload() -> Vec<u8> {
    (0..2_000_000u32).map(|n| (n % 251) as u8).collect()
}

/// Carries frames both ways for ever; notes the longest each way.
async fn bridge(socket: &PacketSocket, tap: &Tap, longest: &Cell<(usize, usize)>) {
    let (mut from_socket, mut from_tap) = (BytesMut::new(), BytesMut::new());
    loop {
        let (inward, outward) = longest.get();
        tokio::select! {
            received = socket.recv(&mut from_socket) => {
                let (header, len) = received.unwrap();
                longest.set((inward.max(len), outward));
                tap.send(&header, &from_socket.split_to(len)).await.unwrap();
            }
            received = tap.recv(&mut from_tap) => {
                let (header, len) = received.unwrap();
                longest.set((inward, outward.max(len)));
                socket.send(&header, &from_tap.split_to(len)).await.unwrap();
            }
        }
    }
}

/// Client, veth with offload, packet socket, this test, TAP, server, and back: what the one side leaves undone the other
/// side takes so, in super-frames.
#[test]
fn a_bulk_transfer_over_an_offloading_link_arrives_in_super_frames() {
    in_namespace(|| transfer(true));
}

/// The stream arrives only if every checksum was completed and every super-frame was cut up before the device.
#[test]
fn a_bulk_transfer_reaches_a_device_without_offload_frame_by_frame() {
    in_namespace(|| transfer(false));
}

async fn transfer(offload: bool) {
    let links = Links::new().unwrap();
    let tap = Tap::create(&TapOptions {
        offload,
        ..TapOptions::new("tap0")
    })
    .unwrap();
    assert_eq!(tap.has_offload(), offload);
    sysctl::write("net.ipv6.conf.tap0.disable_ipv6", "1").unwrap();
    links.set_up("tap0").await.unwrap();
    links
        .add_address("tap0", IpAddr::V4(Ipv4Addr::new(10, 1, 0, 2)), 24)
        .await
        .unwrap();
    // Or this host would answer on the veth for the address of the TAP.
    sysctl::write("net.ipv4.conf.all.arp_ignore", "1").unwrap();
    let listener = TcpListener::bind("10.1.0.2:0").unwrap();
    let (task, their_task) = std::sync::mpsc::channel();
    let (ready, is_ready) = std::sync::mpsc::channel();
    let client = client(listener.local_addr().unwrap(), is_ready, task);
    let pid = their_task.recv().unwrap();
    let (connection, netlink, _) = rtnetlink::new_connection().unwrap();
    tokio::spawn(connection);
    netlink
        .link()
        .add(LinkVeth::new("b", "c").build())
        .execute()
        .await
        .unwrap();
    let index = links.index("c").await.unwrap();
    let away = LinkUnspec::new_with_index(index)
        .setns_by_pid(pid.as_raw().cast_unsigned())
        .build();
    netlink.link().change(away).execute().await.unwrap();
    sysctl::write("net.ipv6.conf.b.disable_ipv6", "1").unwrap();
    links.set_up("b").await.unwrap();
    let socket = PacketSocket::open("b").unwrap();
    ready.send(()).unwrap();

    let server = tokio::task::spawn_blocking(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        stream.write_all(&all).unwrap();
        all
    });
    let longest = Cell::default();
    let received = tokio::select! {
        received = async {
            let received = server.await.unwrap();
            let echoed = tokio::task::spawn_blocking(move || client.join().unwrap()).await.unwrap();
            assert!(echoed == received);
            received
        } => received,
        () = bridge(&socket, &tap, &longest) => unreachable!(),
    };
    assert!(received == payload());
    let (inward, outward) = longest.get();
    assert!(inward > 10_000, "the veth's frames are whole: {inward}");
    assert_eq!(outward > 10_000, offload, "{outward}");
}
