//! The system calls that neither std nor nix wraps, one per function. The only `unsafe` of the workspace.
#![allow(unsafe_code)]

use std::io::{self, IoSlice};
use std::mem::{MaybeUninit, size_of, size_of_val};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use bytes::BytesMut;
use nix::libc;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A buffer with less room than this is made larger before it is read into.
const ROOM: usize = 2048;
/// The longest frame the kernel hands out: a 64 KiB super-frame with its headers. What the caller's buffer has no room for
/// takes one copy.
pub(crate) const SPILL: usize = 65_536 + 64;

/// Lets the tokio runtime of this thread watch a file for readiness.
pub(crate) fn watch(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` is open until it is dropped, and `AsyncFd` drops it only after it is done watching.
    // The modules of this crate only borrow it.
    Ok(unsafe { AsyncFd::register(fd) }?)
}

/// Sets from which size on blocks are mapped by themselves, which also keeps the C library from moving that boundary
/// (mallopt(3)).
pub(crate) fn set_mmap_threshold(bytes: i32) {
    #[cfg(target_env = "gnu")]
    // SAFETY: mallopt(3) takes two numbers and changes a parameter of the allocator under its own lock.
    unsafe {
        // It refuses thresholds beyond 32 MiB only; refused, the allocator works as it did.
        libc::mallopt(libc::M_MMAP_THRESHOLD, bytes);
    }
    #[cfg(not(target_env = "gnu"))]
    let _ = bytes;
}

/// Tells the kernel that large pages would be good for the whole pages of this memory (madvise(2), `MADV_HUGEPAGE`).
pub(crate) fn prefer_large_pages<T>(memory: &mut [T]) -> io::Result<()> {
    const PAGE: usize = 4096;
    let begin = memory.as_mut_ptr().cast::<u8>();
    let before = begin.align_offset(PAGE);
    let Some(whole) = size_of_val(memory)
        .checked_sub(before)
        .map(|rest| rest / PAGE * PAGE)
    else {
        return Ok(());
    };
    // SAFETY: the pages lie within `memory`, which is borrowed for the call, so they are mapped. The advice changes neither
    // what is in them nor who may use them. Where pages are larger than we think, the kernel refuses what does not begin at one.
    let done = unsafe { libc::madvise(begin.wrapping_add(before).cast(), whole, libc::MADV_HUGEPAGE) };
    if done == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// The front of what the kernel knows of a TCP connection (tcp(7), `TCP_INFO`); zeros where it knows less.
pub(crate) fn tcp_info<const N: usize>(fd: BorrowedFd<'_>) -> io::Result<[u8; N]> {
    let mut info = [0_u8; N];
    let mut length = libc::socklen_t::try_from(N).unwrap_or(libc::socklen_t::MAX);
    // SAFETY: the kernel writes at most `length` bytes, which is the size of `info`, and any bytes are valid ones of it.
    let done = unsafe {
        libc::getsockopt(
            fd.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if done == 0 {
        Ok(info)
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Something to read, or an error without data: a device that was deleted, an interface that went down.
pub(crate) const READABLE: Interest = Interest::READABLE.add(Interest::ERROR);

/// Reads if there may be something, with `WouldBlock` otherwise.
///
/// `AsyncFd::try_io` knows only one interest at a time (a sum of two is never ready), so each is asked for itself.
pub(crate) fn try_read<R>(
    fd: &AsyncFd<OwnedFd>,
    mut read: impl FnMut(&OwnedFd) -> io::Result<R>,
) -> io::Result<R> {
    match fd.try_io(Interest::READABLE, &mut read) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => fd.try_io(Interest::ERROR, read),
        done => done,
    }
}

mod ioctl {
    use nix::libc;

    nix::ioctl_write_ptr_bad!(tun_set_iff, libc::TUNSETIFF, libc::ifreq);
    nix::ioctl_write_int_bad!(tun_set_persist, libc::TUNSETPERSIST);
    nix::ioctl_write_int_bad!(tun_set_offload, libc::TUNSETOFFLOAD);
    nix::ioctl_write_ptr_bad!(tun_set_vnet_header_size, libc::TUNSETVNETHDRSZ, libc::c_int);
    nix::ioctl_write_ptr_bad!(set_device_flags, libc::SIOCSIFFLAGS, libc::ifreq);
    nix::ioctl_write_ptr_bad!(set_mtu, libc::SIOCSIFMTU, libc::ifreq);
    nix::ioctl_write_ptr_bad!(set_queue_length, libc::SIOCSIFTXQLEN, libc::ifreq);
    nix::ioctl_write_ptr_bad!(set_hw_addr, libc::SIOCSIFHWADDR, libc::ifreq);
    nix::ioctl_read_bad!(get_hw_addr, libc::SIOCGIFHWADDR, libc::ifreq);
}

/// Makes or takes the TAP device `name` with the given `IFF_*` flags and returns the name it has.
pub(crate) fn tun_attach(fd: BorrowedFd<'_>, name: &str, flags: i16) -> io::Result<String> {
    let mut request = ifreq_of(name);
    request.ifr_ifru.ifru_flags = flags;
    // SAFETY: `fd` is open for the whole call; the kernel reads and writes one `ifreq`, which lives on this stack.
    unsafe { ioctl::tun_set_iff(fd.as_raw_fd(), &raw const request) }?;
    Ok(request
        .ifr_name
        .iter()
        .take_while(|c| **c != 0)
        .map(|c| char::from(c.cast_unsigned()))
        .collect())
}

/// Says which frames the device may hand over unfinished (`TUN_F_*`). It holds for the device, not for this file only.
pub(crate) fn tun_offload(fd: BorrowedFd<'_>, features: libc::c_uint) -> io::Result<()> {
    // SAFETY: the argument is an integer; no memory is shared with the kernel.
    unsafe { ioctl::tun_set_offload(fd.as_raw_fd(), features.cast_signed()) }?;
    Ok(())
}

/// Sets the size of the virtio-net header of a device that has one.
pub(crate) fn tun_vnet_header_size(fd: BorrowedFd<'_>, size: usize) -> io::Result<()> {
    let size = size as libc::c_int;
    // SAFETY: `fd` is open for the whole call; the kernel reads one integer from this stack.
    unsafe { ioctl::tun_set_vnet_header_size(fd.as_raw_fd(), &raw const size) }?;
    Ok(())
}

/// Sets the frames that the kernel queues for a device at most.
pub(crate) fn set_queue_length(device: &str, frames: u32) -> io::Result<()> {
    let mut request = ifreq_of(device);
    request.ifr_ifru.ifru_metric = frames.cast_signed();
    let socket = any_socket()?;
    // SAFETY: `socket` is open for the whole call; the kernel reads one `ifreq`, whose union holds an integer, from this
    // stack.
    unsafe { ioctl::set_queue_length(socket.as_raw_fd(), &raw const request) }?;
    Ok(())
}

/// Gives a device its MTU and its `IFF_*` flags.
pub(crate) fn configure(device: &str, mtu: i32, flags: i32) -> io::Result<()> {
    let socket = any_socket()?;
    let mut request = ifreq_of(device);
    request.ifr_ifru.ifru_mtu = mtu;
    // SAFETY: as in `set_queue_length`.
    unsafe { ioctl::set_mtu(socket.as_raw_fd(), &raw const request) }?;
    request.ifr_ifru.ifru_flags = flags as i16;
    // SAFETY: as in `set_queue_length`.
    unsafe { ioctl::set_device_flags(socket.as_raw_fd(), &raw const request) }?;
    Ok(())
}

/// A socket to ask the kernel about devices of this thread's network namespace.
fn any_socket() -> io::Result<OwnedFd> {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
    let flags = SockFlag::SOCK_CLOEXEC;
    Ok(socket(AddressFamily::Unix, SockType::Datagram, flags, None)?)
}

/// Waits until there is something to read, but not for long; whether there is.
pub(crate) fn wait_readable(fd: BorrowedFd<'_>, milliseconds: u16) -> io::Result<bool> {
    use nix::poll::{PollFd, PollFlags, poll};
    let mut fds = [PollFd::new(fd, PollFlags::POLLIN)];
    Ok(poll(&mut fds, milliseconds)? > 0)
}

/// Whether the device stays when its last holder closes it.
pub(crate) fn tun_persist(fd: BorrowedFd<'_>, persist: bool) -> io::Result<()> {
    // SAFETY: the argument is an integer; no memory is shared with the kernel.
    unsafe { ioctl::tun_set_persist(fd.as_raw_fd(), i32::from(persist)) }?;
    Ok(())
}

/// Sets the hardware address of the device behind a TAP file.
pub(crate) fn set_mac(fd: BorrowedFd<'_>, mac: [u8; 6]) -> io::Result<()> {
    let mut request = empty_ifreq();
    let mut address = libc::sockaddr {
        sa_family: libc::ARPHRD_ETHER,
        sa_data: [0; 14],
    };
    for (to, from) in address.sa_data.iter_mut().zip(mac) {
        *to = from.cast_signed();
    }
    request.ifr_ifru.ifru_hwaddr = address;
    // SAFETY: `fd` is open for the whole call; the kernel reads one `ifreq` from this stack.
    unsafe { ioctl::set_hw_addr(fd.as_raw_fd(), &raw const request) }?;
    Ok(())
}

/// The hardware address of the device behind a TAP file.
pub(crate) fn mac(fd: BorrowedFd<'_>) -> io::Result<[u8; 6]> {
    let mut request = empty_ifreq();
    // SAFETY: `fd` is open for the whole call; the kernel writes one `ifreq`, which lives on this stack.
    unsafe { ioctl::get_hw_addr(fd.as_raw_fd(), &raw mut request) }?;
    // SAFETY: SIOCGIFHWADDR filled `ifru_hwaddr`, and the union was zeroed before: any bytes make a `sockaddr`.
    let address = unsafe { request.ifr_ifru.ifru_hwaddr };
    let mut mac = [0; 6];
    for (to, from) in mac.iter_mut().zip(address.sa_data) {
        *to = from.cast_unsigned();
    }
    Ok(mac)
}

/// A request about the device of this name.
fn ifreq_of(name: &str) -> libc::ifreq {
    let mut request = empty_ifreq();
    // One byte is left for the zero that ends the name.
    for (to, from) in request.ifr_name[..libc::IFNAMSIZ - 1]
        .iter_mut()
        .zip(name.bytes())
    {
        *to = from.cast_signed();
    }
    request
}

fn empty_ifreq() -> libc::ifreq {
    // SAFETY: `ifreq` is an array of bytes and a union of integers, addresses and pointers; all zero is valid.
    unsafe { MaybeUninit::<libc::ifreq>::zeroed().assume_init() }
}

/// Reads one frame and appends it to `buf`; returns its length. Never cuts a frame off.
pub(crate) fn read_frame(fd: BorrowedFd<'_>, buf: &mut BytesMut) -> io::Result<usize> {
    scatter(buf, 0, |iov| {
        // SAFETY: `scatter` hands out two live, disjoint, writable buffers for the length of this call.
        unsafe { libc::readv(fd.as_raw_fd(), iov.as_ptr().cast(), 2) }
    })
}

/// As [`read_frame`] from a device with a virtio-net header, which comes apart from the frame.
pub(crate) fn read_with_header(fd: BorrowedFd<'_>, buf: &mut BytesMut) -> io::Result<([u8; 10], usize)> {
    let mut vnet = [0u8; 10];
    let len = scatter(buf, 0, |[first, second]| {
        let header = libc::iovec {
            iov_base: vnet.as_mut_ptr().cast(),
            iov_len: vnet.len(),
        };
        let iov = [header, *first, *second];
        // SAFETY: the buffers of `scatter` and `vnet` are live, disjoint and writable for the length of this call.
        let n = unsafe { libc::readv(fd.as_raw_fd(), iov.as_ptr(), 3) };
        // The header's bytes are counted by the kernel, and are not part of the frame.
        if n < 0 { n } else { (n - 10).max(0) }
    })?;
    Ok((vnet, len))
}

/// What the kernel says about a received packet beside its bytes.
pub(crate) struct PacketNotes {
    /// The virtio-net header (PACKET_VNET_HDR): what is left undone in the frame.
    pub(crate) vnet: [u8; 10],
    /// The 802.1Q tag that the kernel took out of the frame: protocol and control.
    pub(crate) vlan: Option<(u16, u16)>,
    /// Whether the frame is addressed to this interface itself.
    pub(crate) to_host: bool,
}

/// Receives one frame from a packet socket with PACKET_VNET_HDR and PACKET_AUXDATA, as [`read_frame`] does.
pub(crate) fn recv_packet(fd: BorrowedFd<'_>, buf: &mut BytesMut) -> io::Result<(usize, PacketNotes)> {
    let mut vnet = [0u8; 10];
    let mut control = Control { bytes: [0; 128] };
    // SAFETY: all zero is a valid `sockaddr_ll`: plain integers.
    let mut from: libc::sockaddr_ll = unsafe { MaybeUninit::zeroed().assume_init() };
    let mut vlan = None;
    // Four spare bytes: the caller may have to put a VLAN tag back.
    let len = scatter(buf, 4, |[first, second]| {
        let header = libc::iovec {
            iov_base: vnet.as_mut_ptr().cast(),
            iov_len: vnet.len(),
        };
        let mut iov = [header, *first, *second];
        // SAFETY: all zero is a valid `msghdr`: null pointers with zero lengths.
        let mut message: libc::msghdr = unsafe { MaybeUninit::zeroed().assume_init() };
        message.msg_name = (&raw mut from).cast();
        message.msg_namelen = size_of_val(&from) as libc::socklen_t;
        message.msg_iov = iov.as_mut_ptr();
        message.msg_iovlen = iov.len();
        message.msg_control = (&raw mut control).cast();
        message.msg_controllen = size_of_val(&control);
        // SAFETY: every pointer in `message` is to memory that is alive and writable until the call returns:
        // the buffers of `scatter`, `from`, `vnet`, `iov` and `control`.
        let n = unsafe { libc::recvmsg(fd.as_raw_fd(), &raw mut message, libc::MSG_DONTWAIT) };
        if n >= 0 {
            vlan = auxdata_vlan(&message);
        }
        // The header's bytes are counted by the kernel, and are not part of the frame.
        if n < 0 { n } else { (n - 10).max(0) }
    })?;
    Ok((
        len,
        PacketNotes {
            vnet,
            vlan,
            to_host: from.sll_pkttype == libc::PACKET_HOST,
        },
    ))
}

/// Room for control messages, aligned as `cmsghdr` wants.
#[repr(C, align(8))]
struct Control {
    bytes: [u8; 128],
}

/// The VLAN tag in the PACKET_AUXDATA message that recvmsg left behind `message`.
fn auxdata_vlan(message: &libc::msghdr) -> Option<(u16, u16)> {
    // SAFETY: `message` was filled by recvmsg: its control pointer and length span initialised, aligned memory.
    let mut next = unsafe { libc::CMSG_FIRSTHDR(message) };
    while !next.is_null() {
        // SAFETY: the CMSG_* functions return a header that lies inside the control memory, or null.
        let header = unsafe { next.read_unaligned() };
        let long_enough = header.cmsg_len >= size_of::<libc::cmsghdr>() + size_of::<libc::tpacket_auxdata>();
        if header.cmsg_level == libc::SOL_PACKET && header.cmsg_type == libc::PACKET_AUXDATA && long_enough {
            // SAFETY: the length was checked to span a whole `tpacket_auxdata` of plain integers.
            let aux = unsafe {
                libc::CMSG_DATA(next)
                    .cast::<libc::tpacket_auxdata>()
                    .read_unaligned()
            };
            if aux.tp_status & libc::TP_STATUS_VLAN_VALID == 0 {
                return None;
            }
            // Kernels before 3.14 leave the protocol out.
            let named = aux.tp_status & libc::TP_STATUS_VLAN_TPID_VALID != 0;
            return Some((if named { aux.tp_vlan_tpid } else { 0x8100 }, aux.tp_vlan_tci));
        }
        // SAFETY: as for CMSG_FIRSTHDR; `next` came from it.
        next = unsafe { libc::CMSG_NXTHDR(message, next) };
    }
    None
}

/// Runs one reading system call into the spare room of `buf` (keeping `keep` bytes of it free) and a spill
/// buffer for longer frames, and appends what arrived.
fn scatter(
    buf: &mut BytesMut,
    keep: usize,
    call: impl FnOnce(&mut [libc::iovec; 2]) -> libc::ssize_t,
) -> io::Result<usize> {
    buf.reserve(ROOM + keep);
    let spare = buf.spare_capacity_mut();
    let room = spare.len() - keep;
    let mut spill = MaybeUninit::<[u8; SPILL]>::uninit();
    let mut iov = [
        libc::iovec {
            iov_base: spare.as_mut_ptr().cast(),
            iov_len: room,
        },
        libc::iovec {
            iov_base: spill.as_mut_ptr().cast(),
            iov_len: SPILL,
        },
    ];
    let n = usize::try_from(call(&mut iov)).map_err(|_| io::Error::last_os_error())?;
    let in_place = n.min(room);
    // SAFETY: the kernel filled the first `in_place` bytes of the spare room, which is at least that long.
    unsafe { buf.set_len(buf.len() + in_place) };
    if let Some(rest) = n.checked_sub(room).filter(|rest| *rest > 0) {
        // SAFETY: the kernel fills the buffers in order, so what exceeds the first was written to the second,
        // and no more than its length.
        buf.extend_from_slice(unsafe {
            std::slice::from_raw_parts(spill.as_ptr().cast::<u8>(), rest.min(SPILL))
        });
    }
    Ok(n)
}

/// Writes one frame made of `parts` in one call.
pub(crate) fn write_frame(fd: BorrowedFd<'_>, parts: &[IoSlice<'_>]) -> io::Result<usize> {
    Ok(nix::sys::uio::writev(fd, parts)?)
}

/// Binds a packet socket to the device with this index, for all protocols.
pub(crate) fn bind_packet(fd: BorrowedFd<'_>, index: u32) -> io::Result<()> {
    // SAFETY: all zero is a valid `sockaddr_ll`: plain integers.
    let mut address: libc::sockaddr_ll = unsafe { MaybeUninit::zeroed().assume_init() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
    address.sll_ifindex = index.cast_signed();
    // SAFETY: the kernel reads one `sockaddr_ll` of the given size from this stack.
    let r = unsafe {
        libc::bind(
            fd.as_raw_fd(),
            (&raw const address).cast(),
            size_of_val(&address) as libc::socklen_t,
        )
    };
    if r < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// Switches an integer option of a packet socket.
pub(crate) fn packet_option(fd: BorrowedFd<'_>, option: libc::c_int, value: libc::c_int) -> io::Result<()> {
    set_packet_option(fd, option, &value)
}

/// Lets the device pass frames for any address for as long as this socket is open.
pub(crate) fn packet_promiscuous(fd: BorrowedFd<'_>, index: u32) -> io::Result<()> {
    let membership = libc::packet_mreq {
        mr_ifindex: index.cast_signed(),
        mr_type: libc::PACKET_MR_PROMISC as u16,
        mr_alen: 0,
        mr_address: [0; 8],
    };
    set_packet_option(fd, libc::PACKET_ADD_MEMBERSHIP, &membership)
}

fn set_packet_option<T: Copy>(fd: BorrowedFd<'_>, option: libc::c_int, value: &T) -> io::Result<()> {
    // SAFETY: the kernel reads `size_of::<T>()` bytes of a live, initialised value of plain integers.
    let r = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::SOL_PACKET,
            option,
            std::ptr::from_ref(value).cast(),
            size_of::<T>() as libc::socklen_t,
        )
    };
    if r < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}
