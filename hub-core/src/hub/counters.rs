//! What a hub counts.

use std::fmt;
use std::ops::AddAssign;

use crate::frame::OnWire;

/// Frames and their bytes, apart for one receiver and for many. A super-frame counts as the frames that a wire would carry
/// for it ([`Frame::on_wire`](crate::Frame::on_wire)), so that the numbers do not tell whether offload is on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Frames to one station's address.
    pub unicast_frames: u64,
    /// Their bytes, Ethernet header included.
    pub unicast_bytes: u64,
    /// Frames to a group address, broadcast or multicast.
    pub broadcast_frames: u64,
    /// Their bytes, Ethernet header included.
    pub broadcast_bytes: u64,
}

impl Traffic {
    /// Frames of both kinds.
    pub fn frames(&self) -> u64 {
        self.unicast_frames + self.broadcast_frames
    }

    /// Bytes of both kinds.
    pub fn bytes(&self) -> u64 {
        self.unicast_bytes + self.broadcast_bytes
    }

    pub(super) fn count(&mut self, to_group: bool, on_wire: OnWire) {
        let (frames, bytes) = self.of_kind(to_group);
        *frames += on_wire.frames;
        *bytes += on_wire.bytes;
    }

    /// Undoes [`count`](Self::count).
    pub(super) fn take_back(&mut self, to_group: bool, on_wire: OnWire) {
        let (frames, bytes) = self.of_kind(to_group);
        *frames = frames.saturating_sub(on_wire.frames);
        *bytes = bytes.saturating_sub(on_wire.bytes);
    }

    fn of_kind(&mut self, to_group: bool) -> (&mut u64, &mut u64) {
        if to_group {
            (&mut self.broadcast_frames, &mut self.broadcast_bytes)
        } else {
            (&mut self.unicast_frames, &mut self.unicast_bytes)
        }
    }
}

impl AddAssign for Traffic {
    fn add_assign(&mut self, other: Self) {
        self.unicast_frames += other.unicast_frames;
        self.unicast_bytes += other.unicast_bytes;
        self.broadcast_frames += other.broadcast_frames;
        self.broadcast_bytes += other.broadcast_bytes;
    }
}

/// The counters of a port, or of a whole hub.
///
/// Every frame that a port sends is either in `received` or once in `dropped`; a frame that was received goes
/// to any number of ports, and for each of them is either in its `sent` or once in its `dropped`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Frames that came from the port and kept the rules.
    pub received: Traffic,
    /// Frames handed to the port.
    pub sent: Traffic,
    /// Frames that went nowhere, on the way in or on the way out.
    pub dropped: Drops,
}

/// Frames dropped, by reason; a super-frame is one.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Drops([u64; DropReason::ALL.len()]);

impl Drops {
    /// Frames dropped for `reason`.
    pub fn of(&self, reason: DropReason) -> u64 {
        self.0[reason as usize]
    }

    /// Frames dropped for any reason.
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// The reasons that occurred, with their counts.
    pub fn iter(&self) -> impl Iterator<Item = (DropReason, u64)> + '_ {
        DropReason::ALL
            .into_iter()
            .map(|reason| (reason, self.of(reason)))
            .filter(|(_, count)| *count > 0)
    }

    pub(super) fn add(&mut self, reason: DropReason, frames: u64) {
        self.0[reason as usize] += frames;
    }
}

impl fmt::Debug for Drops {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// One row per reason: the variant, its name in metrics, and what it says to people.
macro_rules! drop_reasons {
    ($($reason:ident $name:literal $text:literal,)*) => {
        /// Why a frame went nowhere.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum DropReason {
            $(#[doc = concat!("The frame was dropped: ", $text, ".")] $reason,)*
        }

        impl DropReason {
            /// Every reason.
            pub const ALL: [Self; [$($name),*].len()] = [$(Self::$reason),*];

            /// A short name for metrics and logs: lower case, words joined by `_`.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$reason => $name),* }
            }
        }

        impl fmt::Display for DropReason {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$reason => $text),* })
            }
        }
    };
}

drop_reasons! {
    // On the way in, in the order of the checks.
    UnknownPort "unknown_port" "the port it came from is not attached",
    Offline "offline" "the hub is offline",
    MonitorPort "monitor_port" "a monitoring port may only listen",
    TooShort "too_short" "it is shorter than an Ethernet header",
    TooLong "too_long" "it is longer than its offload description allows",
    BadOffload "bad_offload" "its offload description points outside it or makes no sense",
    BadSource "bad_source" "its source address is a group or zero",
    BadDestination "bad_destination" "its destination address is zero",
    ForeignVlan "foreign_vlan" "it carries a VLAN tag on a port that belongs to one VLAN",
    BrokenPacket "broken_packet" "its IP or transport header is broken or cut short",
    Family "family" "its family of protocols is kept out",
    Dhcp "dhcp" "DHCP is kept out, or nobody there may be a DHCP server",
    TcpServer "tcp_server" "nobody there may be a TCP server",
    RouterMessage "router_message" "messages of IPv6 routers are kept out",
    Broadcast "broadcast" "it goes to a group and is not one that stations need",
    Storm "storm" "there are too many broadcasts",
    UploadRate "upload_rate" "the port has sent as much as it may",
    AccessList "access_list" "a rule of the access list discards it",
    MacInUse "mac_in_use" "its source address belongs to another port, which is in use",
    MacLimit "mac_limit" "the port has as many MAC addresses as it may",
    MacTableFull "mac_table_full" "the hub's MAC table is full",
    NotLeased "not_leased" "no DHCP server gave its source address to the port",
    IpInUse "ip_in_use" "its source IP address belongs to another port, which is in use",
    IpLimit "ip_limit" "the port has as many IP addresses as it may",
    SamePort "same_port" "its destination is behind the port it came from",
    Lost "lost" "a rule of the access list loses some frames",
    Redirected "redirected" "a rule of the access list answers it with a redirection",
    // On the way out.
    Privacy "privacy" "neither port may see the other",
    DownloadRate "download_rate" "the receiving port has got as much as it may",
    DelayLineFull "delay_line_full" "too much is held back already",
    OffloadRefused "offload_refused" "the receiving port takes finished frames only",
    QueueFull "queue_full" "the receiving port's queue is full",
}
