//! The way out: handing a frame to everybody it goes to.

use std::sync::Arc;
use std::time::Instant;

use super::admit::{Admitted, Route};
use super::delay::delay_of;
use super::port::{PortId, PortState};
use super::vlan::{self, Shapes};
use super::{DropReason, Hub, Verdict};
use crate::access::{Action, Treatment, answer};
use crate::frame::Transport;
use crate::guard::{with_segment_size, without_default_router};
use crate::{Frame, FrameView};

/// A frame on its way out.
struct Passage<'a> {
    now: Instant,
    admitted: &'a Admitted,
    /// As it came in, which is what `admitted` was read from.
    original: &'a Frame,
    shapes: Shapes<'a>,
    deliver: &'a mut dyn FnMut(PortId, &Frame),
}

impl Hub {
    /// Forwards a frame that came from port `from`: calls `deliver` for every port that it goes to. A port in
    /// a VLAN may be given the frame in another shape than one that sees all VLANs.
    ///
    /// A super-frame reaches only ports that take it; toward others it is dropped and counted.
    pub fn forward(
        &mut self,
        now: Instant,
        from: PortId,
        frame: &Frame,
        deliver: &mut dyn FnMut(PortId, &Frame),
    ) -> Verdict {
        let admitted = match self.admit(now, from, frame) {
            Ok(admitted) => admitted,
            Err(reason) => {
                self.count_drop(from, reason);
                return Verdict::Dropped(reason);
            }
        };
        if let Some(reply) = redirection(&admitted, frame) {
            self.count_drop(from, DropReason::Redirected);
            self.count_sent(from, &reply);
            deliver(from, &reply);
            return Verdict::Dropped(DropReason::Redirected);
        }
        let clamped = self
            .segment_size(from)
            .and_then(|most| with_segment_size(frame, &admitted.view, admitted.transport, most));
        let frame = clamped.as_ref().unwrap_or(frame);
        let to_group = admitted.view.destination.is_multicast();
        if let Some(port) = self.ports.get_mut(from) {
            port.counters.received.count(to_group, admitted.on_wire);
        }
        self.counters.received.count(to_group, admitted.on_wire);

        self.tap(now, &admitted, frame);

        let mut passage = Passage {
            now,
            shapes: Shapes::new(frame, &admitted.view, admitted.vlan, self.config.vlan_type),
            admitted: &admitted,
            original: frame,
            deliver,
        };
        match admitted.route {
            Route::Port(to) => {
                let outcome = self.hand_over(&mut passage, to);
                for place in 0..self.monitors.len() {
                    self.hand_over(&mut passage, self.monitors[place]);
                }
                match outcome {
                    Some(Err(reason)) => Verdict::Dropped(reason),
                    _ => Verdict::Unicast(to),
                }
            }
            Route::Flood => {
                let mut reached = 0;
                for place in 0..self.ports.count() {
                    if let Some(to) = self.ports.at(place).filter(|to| *to != from)
                        && let Some(Ok(())) = self.hand_over(&mut passage, to)
                    {
                        reached += 1;
                    }
                }
                Verdict::Flood(reached)
            }
        }
    }

    /// Hands an admitted frame to port `to`, unless something keeps it from there. Nothing at all happens if it belongs to
    /// another VLAN.
    fn hand_over(&mut self, passage: &mut Passage<'_>, to: PortId) -> Option<Result<(), DropReason>> {
        let receiver = self.ports.get(to)?;
        let vlan = receiver.config.vlan;
        let no_default_router = receiver.config.no_default_router
            || receiver.config.over_ipv6 && self.config.no_default_router_over_ipv6;
        let Passage {
            now,
            admitted,
            original,
            shapes,
            deliver,
        } = passage;
        let frame = shapes.seen_from(vlan)?;
        let allowed = if vlan::hides_headers(frame, self.config.vlan_type) {
            Err(DropReason::OffloadRefused)
        } else {
            self.may_have(*now, admitted, original, to)
        };
        let treatment = match allowed {
            Ok(treatment) => treatment,
            Err(reason) => {
                self.count_drop(to, reason);
                return Some(Err(reason));
            }
        };
        // A tag that was put on or taken off has moved everything behind it.
        let view = || FrameView::parse_tagged(&frame.bytes, self.config.vlan_type);
        let changed = match (admitted.transport, self.segment_size(to)) {
            (Transport::Icmpv6 { .. }, _) if no_default_router => {
                view().and_then(|view| without_default_router(frame, &view, admitted.transport))
            }
            (Transport::Tcp { flags, .. }, Some(most)) if flags.syn() => {
                view().and_then(|view| with_segment_size(frame, &view, admitted.transport, most))
            }
            _ => None,
        };
        let frame = changed.as_ref().unwrap_or(frame);
        match treatment {
            Some(treatment) if treatment.delay_ms > 0 => {
                let due = *now + delay_of(&treatment, &mut self.dice);
                if !self.delayed.hold(due, to, frame) {
                    self.count_drop(to, DropReason::DelayLineFull);
                    return Some(Err(DropReason::DelayLineFull));
                }
            }
            _ => {
                self.count_sent(to, frame);
                deliver(to, frame);
            }
        }
        Some(Ok(()))
    }

    /// Delivers what access rules have held back long enough.
    pub fn release(&mut self, now: Instant, deliver: &mut dyn FnMut(PortId, &Frame)) {
        while let Some((to, frame)) = self.delayed.pop_due(now) {
            if self.ports.get(to).is_some() {
                self.count_sent(to, &frame);
                deliver(to, &frame);
            }
        }
    }

    /// Whether port `to` may have the frame, which is as it came in, and what the access list wants done with it.
    fn may_have(
        &mut self,
        now: Instant,
        admitted: &Admitted,
        frame: &Frame,
        to: PortId,
    ) -> Result<Option<Arc<Treatment>>, DropReason> {
        let (Some(sender), Some(receiver)) = (self.ports.get(admitted.from), self.ports.get(to)) else {
            return Ok(None);
        };
        if !receiver.config.offload && !frame.offload.is_finished() {
            return Err(DropReason::OffloadRefused);
        }
        if receiver.config.monitor {
            return Ok(None);
        }
        let guards = &receiver.config.guards;
        guards.check_both(&admitted.view, admitted.transport, &frame.bytes)?;
        if self.keeps_apart(sender, receiver, admitted) {
            return Err(DropReason::Privacy);
        }
        let mut treatment = admitted.treatment.clone();
        if admitted.undecided {
            let (view, transport) = (&admitted.view, admitted.transport);
            match self.access.judge_for(sender, view, transport, receiver) {
                Some(Action::Discard) => return Err(DropReason::AccessList),
                Some(Action::Pass(wanted)) => treatment.clone_from(wanted),
                None => {}
            }
        }
        if let Some(treatment) = &treatment
            && self.dice.percent(treatment.loss_percent)
        {
            return Err(DropReason::Lost);
        }
        let bits = admitted.on_wire.bytes * 8;
        let meter = self.ports.get_mut(to).and_then(|port| port.download.as_mut());
        if meter.is_none_or(|meter| meter.admits(now, bits)) || admitted.view.is_arp() {
            Ok(treatment)
        } else {
            Err(DropReason::DownloadRate)
        }
    }

    /// Whether the privacy filter stands between two ports.
    fn keeps_apart(&self, sender: &PortState, receiver: &PortState, admitted: &Admitted) -> bool {
        let passes = |kind: bool, dropped: bool| kind && !dropped;
        let privacy = self.config.privacy;
        sender.config.private
            && receiver.config.private
            && !passes(admitted.view.is_arp(), privacy.drop_arp)
            && !passes(admitted.view.destination.is_multicast(), privacy.drop_broadcasts)
    }

    /// The largest TCP segment size that passes by a port.
    fn segment_size(&self, port: PortId) -> Option<u16> {
        let of_port = self.ports.get(port).and_then(|port| port.config.segment_size);
        let of_port = of_port.filter(|_| self.config.clamp_ports);
        [self.config.segment_size, of_port].into_iter().flatten().min()
    }

    fn count_sent(&mut self, to: PortId, frame: &Frame) {
        let to_group = frame.bytes.first().is_some_and(|octet| octet & 1 != 0);
        let on_wire = frame.on_wire();
        if let Some(port) = self.ports.get_mut(to) {
            port.counters.sent.count(to_group, on_wire);
        }
        self.counters.sent.count(to_group, on_wire);
    }

    pub(super) fn count_drop(&mut self, port: PortId, reason: DropReason) {
        self.counters.dropped.add(reason, 1);
        if let Some(port) = self.ports.get_mut(port) {
            port.counters.dropped.add(reason, 1);
        }
    }

    /// Takes back the delivery of `frame` to port `by`, whose queue had no room for it.
    pub fn refused(&mut self, by: PortId, frame: &Frame) {
        let to_group = frame.bytes.first().is_some_and(|octet| octet & 1 != 0);
        let on_wire = frame.on_wire();
        self.counters.sent.take_back(to_group, on_wire);
        if let Some(port) = self.ports.get_mut(by) {
            port.counters.sent.take_back(to_group, on_wire);
        }
        self.count_drop(by, DropReason::QueueFull);
    }
}

/// The answer to a frame that a rule sends elsewhere.
fn redirection(admitted: &Admitted, frame: &Frame) -> Option<Frame> {
    let url = admitted.treatment.as_ref()?.redirect_url.as_deref()?;
    answer(frame, &admitted.view, admitted.transport, url)
}
