//! What the resolver's file says while VPNs are up: the name servers of the latest on top, and what was there before in comments.
//!
//! The file is its own journal. What is changed and how to change it back come and go in one step, wherever the file lies and
//! whether or not anything else can be written there; it survives a reboot as the file does; and when somebody else writes
//! the file anew, nothing of ours is left that could undo their work. Several VPNs lie in layers, each of which can be taken out.

use std::net::IpAddr;

use crate::network::plan::Dns;

/// How a layer begins.
const HEAD: &str = "# hubward vpnclient";
/// A line of what was there before.
const BEFORE: &str = "#|";
/// There was nothing before.
const NOTHING: &str = "#-";
/// The resolvers of C libraries ask no more servers than this.
const MAX_SERVERS: usize = 3;

/// Whose a layer is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) device: String,
    /// The client's routing table, whose number says whether it still runs.
    pub(super) table: u32,
    /// The run of the machine.
    pub(super) boot: String,
    /// The network namespace.
    pub(super) network: u64,
}

impl Owner {
    /// Of a device in this namespace.
    pub(super) fn here(device: &str, table: u32) -> Self {
        use std::os::unix::fs::MetadataExt;
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let network = std::fs::metadata("/proc/thread-self/ns/net").map_or(0, |meta| meta.ino());
        Self {
            device: device.to_owned(),
            table,
            boot: boot.trim().to_owned(),
            network,
        }
    }

    fn to_line(&self) -> String {
        let Self {
            device,
            table,
            boot,
            network,
        } = self;
        format!("{HEAD} device={device} table={table} boot={boot} network={network}")
    }

    fn from_line(line: &str) -> Option<Self> {
        let mut words = line.strip_prefix(HEAD)?.split_whitespace();
        let mut value = |key: &str| words.next()?.strip_prefix(key)?.strip_prefix('=');
        Some(Self {
            device: value("device")?.to_owned(),
            table: value("table")?.parse().ok()?,
            boot: value("boot")?.to_owned(),
            network: value("network")?.parse().ok()?,
        })
    }
}

/// One VPN's settings, and what lies below them.
struct Layer {
    owner: Owner,
    body: Vec<u8>,
    below: Option<Vec<u8>>,
}

impl Layer {
    fn parse(content: &[u8]) -> Option<Self> {
        let mut lines = content.split(|byte| *byte == b'\n');
        let owner = Owner::from_line(std::str::from_utf8(lines.next()?).ok()?)?;
        let (mut body, mut below) = (Vec::new(), None::<Vec<u8>>);
        let mut is_empty = false;
        for line in lines {
            if let Some(before) = line.strip_prefix(BEFORE.as_bytes()) {
                match &mut below {
                    Some(below) => {
                        below.push(b'\n');
                        below.extend(before);
                    }
                    None => below = Some(before.to_vec()),
                }
            } else if line == NOTHING.as_bytes() {
                is_empty = true;
            } else if below.is_none() && !is_empty {
                body.extend(line);
                body.push(b'\n');
            }
        }
        // Without what was there before it is not whole, and not ours to take apart.
        (below.is_some() || is_empty).then_some(Self { owner, body, below })
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.owner.to_line().into_bytes();
        bytes.push(b'\n');
        bytes.extend(&self.body);
        match &self.below {
            Some(below) => {
                for line in below.split(|byte| *byte == b'\n') {
                    bytes.extend(BEFORE.as_bytes());
                    bytes.extend(line);
                    bytes.push(b'\n');
                }
            }
            None => bytes.extend(format!("{NOTHING}\n").bytes()),
        }
        bytes
    }
}

/// The content (`None`: no file) without the layers that are `gone`.
pub(super) fn without(content: Option<Vec<u8>>, gone: &dyn Fn(&Owner) -> bool) -> Option<Vec<u8>> {
    let Some(layer) = content.as_deref().and_then(Layer::parse) else {
        return content;
    };
    let below = without(layer.below, gone);
    if gone(&layer.owner) {
        return below;
    }
    Some(Layer { below, ..layer }.to_bytes())
}

/// The content with a VPN's settings on top.
pub(super) fn with(content: Option<Vec<u8>>, owner: &Owner, dns: &Dns) -> Vec<u8> {
    let below = without(content, &|other| other == owner);
    let before = |word: &str| {
        let base = base(below.as_deref());
        words(&base, word).map(str::to_owned).collect::<Vec<_>>()
    };
    let mut body = String::from(
        "# Name servers of a VPN. vpnclient puts back the lines behind \"#|\" when it ends; if it was killed, `vpnclient cleanup` does.\n",
    );
    let mut servers: Vec<_> = dns.servers.iter().map(ToString::to_string).collect();
    let mut search = dns.search.clone();
    if !dns.everything {
        // The VPN's know its names; when they are silent, the others know the rest.
        servers.extend(before("nameserver"));
        search.extend(
            before("search")
                .iter()
                .flat_map(|line| line.split_whitespace().map(str::to_owned)),
        );
    }
    if !search.is_empty() {
        body += &format!("search {}\n", search.join(" "));
    }
    for server in servers.iter().take(MAX_SERVERS) {
        body += &format!("nameserver {server}\n");
    }
    // Nobody says that what the VPN's servers call authentic is.
    for options in before("options") {
        let kept: Vec<_> = options
            .split_whitespace()
            .filter(|word| *word != "trust-ad")
            .collect();
        if !kept.is_empty() {
            body += &format!("options {}\n", kept.join(" "));
        }
    }
    Layer {
        owner: owner.clone(),
        body: body.into_bytes(),
        below,
    }
    .to_bytes()
}

/// Whose layers there are, from the top.
pub(super) fn owners(content: Option<&[u8]>) -> Vec<Owner> {
    let mut owners = Vec::new();
    let mut layer = content.and_then(Layer::parse);
    while let Some(Layer { owner, below, .. }) = layer {
        owners.push(owner);
        layer = below.as_deref().and_then(Layer::parse);
    }
    owners
}

/// What is below all layers.
fn base(content: Option<&[u8]>) -> String {
    let mut content = content.map(<[u8]>::to_vec);
    while let Some(layer) = content.as_deref().and_then(Layer::parse) {
        content = layer.below;
    }
    String::from_utf8_lossy(&content.unwrap_or_default()).into_owned()
}

/// What follows a keyword, line by line.
fn words<'a>(text: &'a str, keyword: &'a str) -> impl Iterator<Item = &'a str> {
    text.lines().filter_map(move |line| {
        let rest = line.trim_start().strip_prefix(keyword)?;
        rest.starts_with([' ', '\t']).then(|| rest.trim())
    })
}

/// The name servers below all layers.
pub(super) fn servers_below(content: Option<&[u8]>) -> Vec<IpAddr> {
    let base = base(content);
    words(&base, "nameserver")
        .filter_map(|word| word.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn owner(device: &str) -> Owner {
        Owner {
            device: device.to_owned(),
            table: 720_001,
            boot: "b".to_owned(),
            network: 7,
        }
    }

    fn dns(everything: bool) -> Dns {
        Dns {
            servers: vec![[10, 0, 0, 2].into()],
            search: vec!["corp.example".to_owned()],
            everything,
        }
    }

    const HOME: &str = "search home\nnameserver 192.168.1.1\noptions edns0 trust-ad\n";

    fn directives(content: &[u8]) -> String {
        let text = String::from_utf8(content.to_vec()).unwrap();
        text.lines()
            .filter(|line| !line.starts_with('#'))
            .map(|line| format!("{line}\n"))
            .collect()
    }

    #[test]
    fn a_full_tunnels_servers_are_alone_and_a_split_ones_are_first() {
        let home = Some(HOME.as_bytes().to_vec());
        assert_eq!(
            directives(&with(home.clone(), &owner("vpn0"), &dns(true))),
            "search corp.example\nnameserver 10.0.0.2\noptions edns0\n"
        );
        assert_eq!(
            directives(&with(home, &owner("vpn0"), &dns(false))),
            "search corp.example home\nnameserver 10.0.0.2\nnameserver 192.168.1.1\noptions edns0\n"
        );
    }

    #[test]
    fn layers_are_taken_out_in_any_order() {
        let home = Some(HOME.as_bytes().to_vec());
        let both = with(
            Some(with(home.clone(), &owner("a"), &dns(true))),
            &owner("b"),
            &dns(true),
        );
        assert_eq!(owners(Some(&both)), [owner("b"), owner("a")]);
        assert_eq!(servers_below(Some(&both)), [IpAddr::from([192, 168, 1, 1])]);
        let is = |name: &'static str| move |owner: &Owner| owner.device == name;
        let only_b = without(Some(both.clone()), &is("a")).unwrap();
        assert_eq!(owners(Some(&only_b)), [owner("b")]);
        assert_eq!(without(Some(only_b), &is("b")), home);
        let only_a = without(Some(both), &is("b")).unwrap();
        assert_eq!(without(Some(only_a), &is("a")), home);
    }

    #[test]
    fn what_somebody_else_wrote_stays_as_it_is() {
        for content in [
            HOME,
            "",
            "# hubward vpnclient\nnameserver 1.1.1.1\n",
            "# hubward vpnclient device=a table=1 boot=b network=7\n",
        ] {
            let content = Some(content.as_bytes().to_vec());
            assert_eq!(without(content.clone(), &|_| true), content);
        }
    }

    proptest! {
        /// Whatever was in the file, or that there was none, comes back to the byte.
        #[test]
        fn what_was_there_before_comes_back(content: Option<Vec<u8>>, times in 1usize..4) {
            let mut now = content.clone();
            for n in 0..times {
                now = Some(with(now, &owner(&format!("vpn{n}")), &dns(n % 2 == 0)));
                // Setting them once more adds no layer.
                now = Some(with(now, &owner(&format!("vpn{n}")), &dns(true)));
            }
            prop_assert_eq!(owners(now.as_deref()).len(), times);
            prop_assert_eq!(without(now, &|_| true), content);
        }

        #[test]
        fn no_content_confuses(content: Vec<u8>) {
            let mut made = owner("a").to_line().into_bytes();
            made.extend(&content);
            let _ = (owners(Some(&made)), without(Some(made.clone()), &|_| true), servers_below(Some(&made)));
        }
    }
}
