//! Neighbour discovery on a hub: messages that ask for an address and messages that tell it (RFC 4861 §4.3, §4.4).

use std::net::Ipv6Addr;

use hub_core::MacAddr;

use super::packet::{ALL_NODES, ICMP, ON_LINK, Packet, Written, solicited_node};

pub(super) const SOLICITATION: u8 = 135;
pub(super) const ADVERTISEMENT: u8 = 136;
/// Options that tell the sender's and the target's hardware address (RFC 4861 §4.6.1).
pub(super) const SOURCE_ADDRESS: u8 = 1;
const TARGET_ADDRESS: u8 = 2;

/// Flags of an advertisement.
const ROUTER: u8 = 0x80;
const SOLICITED: u8 = 0x40;
const OVERRIDE: u8 = 0x20;
/// Header and target of both messages.
const LENGTH: usize = 24;

/// What a station says about an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// It asks who has the address.
    WhoHas(Ipv6Addr),
    /// It wants the address for itself, and asks whether somebody has it (RFC 4862 §5.4.3).
    MayITake(Ipv6Addr),
    /// It has the address.
    Mine(Ipv6Addr),
}

impl Said {
    /// Reads a message that holds up against RFC 4861 §7.1.
    pub(super) fn read(packet: &Packet<'_>) -> Option<Self> {
        let message = packet.payload;
        let options = message.get(LENGTH..)?;
        let sound = packet.protocol == ICMP && packet.hop_limit == ON_LINK && message[1] == 0;
        let target: [u8; 16] = *message.get(8..)?.first_chunk()?;
        let target = Ipv6Addr::from(target);
        if !sound || target.is_multicast() || !options_are_sound(options) {
            return None;
        }
        match message[0] {
            SOLICITATION if packet.source.is_unspecified() => {
                let told = find(options, SOURCE_ADDRESS).is_some();
                let to_group = packet.destination == solicited_node(target);
                (to_group && !told).then_some(Said::MayITake(target))
            }
            SOLICITATION => Some(Said::WhoHas(target)),
            ADVERTISEMENT => {
                let answers = message[4] & SOLICITED != 0;
                (!answers || !packet.destination.is_multicast()).then_some(Said::Mine(target))
            }
            _ => None,
        }
    }
}

/// Whether options fill their room and none is empty.
pub(super) fn options_are_sound(mut options: &[u8]) -> bool {
    while let [_, length, ..] = options {
        let length = usize::from(*length) * 8;
        if length == 0 {
            return false;
        }
        let Some(rest) = options.get(length..) else {
            return false;
        };
        options = rest;
    }
    options.is_empty()
}

/// The content of the first option of this kind, in options that are sound.
pub(super) fn find(mut options: &[u8], kind: u8) -> Option<&[u8]> {
    while let [found, length, ..] = options {
        let (option, rest) = options.split_at_checked(usize::from(*length).max(1) * 8)?;
        if *found == kind {
            return option.get(2..);
        }
        options = rest;
    }
    None
}

/// An option that tells a hardware address.
pub(super) fn address_option(kind: u8, mac: MacAddr) -> [u8; 8] {
    let [a, b, c, d, e, f] = mac.octets();
    [kind, 1, a, b, c, d, e, f]
}

/// The question whether somebody has `address` already.
pub(super) fn probe(address: Ipv6Addr) -> Written {
    let mut message = vec![SOLICITATION, 0, 0, 0, 0, 0, 0, 0];
    message.extend_from_slice(&address.octets());
    Written::icmp(Ipv6Addr::UNSPECIFIED, solicited_node(address), ON_LINK, message)
}

/// The answer that the router at `mac` has `address`: to who asked, or to all if they have no address yet.
pub(super) fn answer(address: Ipv6Addr, mac: MacAddr, asked_by: Ipv6Addr) -> Written {
    let (flags, to) = if asked_by.is_unspecified() {
        (ROUTER | OVERRIDE, ALL_NODES)
    } else {
        (ROUTER | SOLICITED | OVERRIDE, asked_by)
    };
    let mut message = vec![ADVERTISEMENT, 0, 0, 0, flags, 0, 0, 0];
    message.extend_from_slice(&address.octets());
    message.extend_from_slice(&address_option(TARGET_ADDRESS, mac));
    Written::icmp(address, to, ON_LINK, message)
}

#[cfg(test)]
mod tests {
    use hub_core::frame::{Frame, FrameView};

    use super::*;

    const STATION: MacAddr = MacAddr::new([2, 0, 0, 0, 0, 9]);
    const US: MacAddr = MacAddr::new([0x5e, 1, 2, 3, 4, 5]);

    fn frame(written: Written) -> Frame {
        written.into_frames(STATION, US, 1500, 0).remove(0)
    }

    fn read(frame: &Frame) -> Option<Said> {
        Said::read(&Packet::read(frame, &FrameView::parse(&frame.bytes).unwrap())?)
    }

    #[test]
    fn a_probe_is_the_bytes_that_rfc_4862_wants() {
        let address: Ipv6Addr = "fe80::5c01:2ff:fe03:405".parse().unwrap();
        let probe = frame(probe(address));
        assert_eq!(probe.bytes[..6], [0x33, 0x33, 0xff, 3, 4, 5]);
        assert_eq!(probe.bytes[14..22], [0x60, 0, 0, 0, 0, 24, 58, 255]);
        assert_eq!(probe.bytes[22..38], [0; 16]);
        assert_eq!(probe.bytes[54..56], [135, 0]);
        assert_eq!(probe.bytes[58..62], [0; 4]);
        assert_eq!(probe.bytes[62..], address.octets());
        assert_eq!(read(&probe), Some(Said::MayITake(address)));
    }

    #[test]
    fn an_answer_tells_the_router_and_its_hardware_address() {
        let address: Ipv6Addr = "fd00::1".parse().unwrap();
        let asked_by: Ipv6Addr = "fe80::9".parse().unwrap();
        let told = frame(answer(address, US, asked_by));
        assert_eq!(told.bytes[38..54], asked_by.octets());
        assert_eq!((told.bytes[54], told.bytes[58]), (136, 0xe0));
        assert_eq!(told.bytes[78..], [2, 1, 0x5e, 1, 2, 3, 4, 5]);
        assert_eq!(read(&told), Some(Said::Mine(address)));
        let to_all = frame(answer(address, US, Ipv6Addr::UNSPECIFIED));
        assert_eq!(to_all.bytes[..6], [0x33, 0x33, 0, 0, 0, 1]);
        assert_eq!(to_all.bytes[58], 0xa0);
    }

    #[test]
    fn messages_that_passed_a_router_or_do_not_hold_together_say_nothing() {
        let target: Ipv6Addr = "fd00::1".parse().unwrap();
        let message = |first: &[u8], options: &[u8]| [first, &target.octets(), options].concat();
        let ask = |hops: u8, message: Vec<u8>| {
            let from = "fd00::9".parse().unwrap();
            read(&frame(Written::icmp(from, solicited_node(target), hops, message)))
        };
        let head = [135, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(ask(255, message(&head, &[])), Some(Said::WhoHas(target)));
        assert_eq!(ask(64, message(&head, &[])), None);
        assert_eq!(
            ask(255, message(&head, &[1, 0, 0, 0, 0, 0, 0, 0])),
            None,
            "an option without length"
        );
        assert_eq!(
            ask(255, message(&head, &[1, 2, 0, 0, 0, 0, 0, 0])),
            None,
            "an option that is cut short"
        );
        assert_eq!(ask(255, message(&[135, 1, 0, 0, 0, 0, 0, 0], &[])), None);
        assert_eq!(ask(255, head.to_vec()), None);
    }
}
