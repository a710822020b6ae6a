//! The cases: what is in force, which frames are sent, and who got them from the stock server.

mod kinds;
mod policies;
mod rules;

use protocol::rpc::access::AccessRule;

use super::bench::MarkKind;
use super::frames::{ALL_NODES, EVERYBODY, Way, mac};

/// One setting and the frames that show what it does.
#[derive(Clone)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) number: u32,
    /// Of the sessions S, A and B.
    pub(crate) policies: [Vec<(&'static str, u32)>; 3],
    pub(crate) options: Vec<(&'static str, u32)>,
    /// S does not ask to bridge.
    pub(crate) no_bridge: bool,
    /// S listens, and says nothing that anybody hears.
    pub(crate) monitor: bool,
    /// In force once everybody has shown where they are. User names are the sessions' letters.
    pub(crate) rules: Vec<AccessRule>,
    pub(crate) mark: MarkKind,
    pub(crate) steps: Vec<Step>,
}

/// One frame, and who gets it.
#[derive(Clone)]
pub(crate) struct Step {
    pub(crate) what: &'static str,
    pub(crate) from: char,
    pub(crate) frame: Vec<u8>,
    /// How often it is sent; nothing is sent to see what comes late.
    pub(crate) times: usize,
    pub(crate) expected: &'static str,
    /// Where our server does otherwise on purpose.
    pub(crate) ours: Option<&'static str>,
}

impl Case {
    /// Whether no mark passes from one of the sessions to another.
    pub(crate) fn keeps_apart(&self, sender: usize, receiver: usize) -> bool {
        let private = |session: usize| self.policies[session].contains(&("PrivacyFilter", 1));
        let vlan = |session: usize| self.policies[session].iter().find(|(name, _)| *name == "VLanId");
        self.monitor && sender == 0
            || private(sender) && private(receiver)
            || vlan(receiver).is_some() && vlan(receiver) != vlan(sender)
    }

    fn policy(&mut self, name: &'static str) -> &mut Self {
        self.policies[0].push((name, 1));
        self
    }

    fn option(&mut self, name: &'static str, value: u32) -> &mut Self {
        self.options.push((name, value));
        self
    }

    fn way(&self, from: char, to: char) -> Way {
        Way {
            source: mac(from, self.number),
            destination: mac(to, self.number),
        }
    }

    fn all(&self, from: char) -> Way {
        Way {
            source: mac(from, self.number),
            destination: EVERYBODY,
        }
    }

    fn nodes(&self, from: char) -> Way {
        Way {
            source: mac(from, self.number),
            destination: ALL_NODES,
        }
    }

    /// An IPv4 address of a session, the `n`th.
    fn ip(&self, of: char, n: u8) -> [u8; 4] {
        [10, 7, self.number as u8, of as u8 + n]
    }

    /// A link-local IPv6 address of a session, the `n`th.
    fn ip6(&self, of: char, n: u8) -> [u8; 16] {
        let mut address = [0; 16];
        address[..2].copy_from_slice(&[0xfe, 0x80]);
        address[13] = self.number as u8;
        address[14] = of as u8;
        address[15] = n;
        address
    }

    fn udp(&self, from: char, to: char) -> Vec<u8> {
        self.way(from, to)
            .udp4(self.ip(from, 0), self.ip(to, 0), (4000, 5000), b"datagram")
    }

    fn step(&mut self, what: &'static str, from: char, frame: Vec<u8>, expected: &'static str) -> &mut Self {
        self.steps.push(Step {
            what,
            from,
            frame,
            times: 1,
            expected,
            ours: None,
        });
        self
    }

    /// Sends the frame 200 times. Told is who gets it every time, and who less often.
    fn burst(&mut self, what: &'static str, from: char, frame: Vec<u8>, expected: &'static str) {
        self.step(what, from, frame, expected);
        if let Some(step) = self.steps.last_mut() {
            step.times = 200;
        }
    }

    /// Waits for what comes late.
    fn wait(&mut self, what: &'static str, expected: &'static str) {
        self.step(what, 'S', Vec::new(), expected);
        if let Some(step) = self.steps.last_mut() {
            step.times = 0;
        }
    }

    /// Our server does otherwise with the last frame.
    fn ours(&mut self, expected: &'static str) -> &mut Self {
        if let Some(step) = self.steps.last_mut() {
            step.ours = Some(expected);
        }
        self
    }
}

pub(crate) fn everybody6() -> [u8; 16] {
    let mut address = [0; 16];
    (address[0], address[1], address[15]) = (0xff, 2, 1);
    address
}

struct Cases(Vec<Case>);

impl Cases {
    fn case(&mut self, name: &'static str, describe: impl FnOnce(&mut Case)) {
        let mut case = Case {
            name,
            number: self.0.len() as u32 + 1,
            policies: [const { Vec::new() }; 3],
            options: vec![("NoAddressPollingIPv4", 1), ("NoAddressPollingIPv6", 1)],
            no_bridge: false,
            monitor: false,
            rules: Vec::new(),
            mark: MarkKind::Plain,
            steps: Vec::new(),
        };
        describe(&mut case);
        self.0.push(case);
    }
}

pub(crate) fn all() -> Vec<Case> {
    let mut cases = Cases(Vec::new());
    policies::all(&mut cases);
    kinds::all(&mut cases);
    rules::all(&mut cases);
    cases.0
}
