//! Counters of frames.

use super::message::message;

message! {
    /// Frames and bytes of a hub, user, group or session, in both directions as seen from it.
    pub struct Traffic {
        recv_broadcast_bytes: u64 "Recv.BroadcastBytes",
        recv_broadcast_count: u64 "Recv.BroadcastCount",
        recv_unicast_bytes: u64 "Recv.UnicastBytes",
        recv_unicast_count: u64 "Recv.UnicastCount",
        send_broadcast_bytes: u64 "Send.BroadcastBytes",
        send_broadcast_count: u64 "Send.BroadcastCount",
        send_unicast_bytes: u64 "Send.UnicastBytes",
        send_unicast_count: u64 "Send.UnicastCount",
    }
}

impl Traffic {
    /// Bytes both ways, as the lists of the administration tool show them.
    pub fn bytes(&self) -> u64 {
        self.recv_broadcast_bytes
            .saturating_add(self.recv_unicast_bytes)
            .saturating_add(self.send_broadcast_bytes)
            .saturating_add(self.send_unicast_bytes)
    }

    /// Frames both ways.
    pub fn packets(&self) -> u64 {
        self.recv_broadcast_count
            .saturating_add(self.recv_unicast_count)
            .saturating_add(self.send_broadcast_count)
            .saturating_add(self.send_unicast_count)
    }
}
