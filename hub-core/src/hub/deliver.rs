//! The way out: handing a frame to everybody it goes to.

use std::time::Instant;

use super::admit::{Admitted, Route};
use super::port::PortId;
use super::vlan::Shapes;
use super::{DropReason, Hub, Verdict};
use crate::Frame;
use crate::access::Action;

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
        let to_group = admitted.view.destination.is_multicast();
        if let Some(port) = self.ports.get_mut(from) {
            port.counters.received.count(to_group, frame.len());
        }
        self.counters.received.count(to_group, frame.len());

        self.tap(now, &admitted, frame);

        let mut shapes = Shapes::new(frame, &admitted.view, admitted.vlan);
        match admitted.route {
            Route::Port(to) => {
                let outcome = self.hand_over(&admitted, to, &mut shapes, deliver);
                for place in 0..self.monitors.len() {
                    self.hand_over(&admitted, self.monitors[place], &mut shapes, deliver);
                }
                match outcome {
                    Some(Err(reason)) => Verdict::Dropped(reason),
                    _ => Verdict::Unicast(to),
                }
            }
            Route::Flood => {
                let mut reached = 0;
                for slot in 0..self.ports.slots() {
                    if let Some(to) = self.ports.in_slot(slot).filter(|to| *to != from)
                        && let Some(Ok(())) = self.hand_over(&admitted, to, &mut shapes, deliver)
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
    fn hand_over(
        &mut self,
        admitted: &Admitted,
        to: PortId,
        shapes: &mut Shapes<'_>,
        deliver: &mut dyn FnMut(PortId, &Frame),
    ) -> Option<Result<(), DropReason>> {
        let receiver = self.ports.get(to)?;
        let frame = shapes.seen_from(receiver.config.vlan)?;
        if !receiver.config.offload && !frame.offload.is_finished() {
            self.count_drop(to, DropReason::OffloadRefused);
            return Some(Err(DropReason::OffloadRefused));
        }
        if admitted.undecided
            && !receiver.config.monitor
            && let Some(sender) = self.ports.get(admitted.from)
            && let Some(Action::Discard) =
                self.access
                    .judge_for(sender, &admitted.view, admitted.transport, receiver)
        {
            self.count_drop(to, DropReason::AccessList);
            return Some(Err(DropReason::AccessList));
        }
        let to_group = admitted.view.destination.is_multicast();
        if let Some(port) = self.ports.get_mut(to) {
            port.counters.sent.count(to_group, frame.len());
        }
        self.counters.sent.count(to_group, frame.len());
        deliver(to, frame);
        Some(Ok(()))
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
        self.counters.sent.take_back(to_group, frame.len());
        if let Some(port) = self.ports.get_mut(by) {
            port.counters.sent.take_back(to_group, frame.len());
        }
        self.count_drop(by, DropReason::QueueFull);
    }
}
