//! What a hub logs.

use protocol::rpc::{
    HubRequest,
    log::{HubLog, LogSwitch, PacketSave},
    method::{GetHubLog, SetHubLog},
};

use crate::{
    command::{Command, Scope},
    failure::Outcome,
    params::{Arguments, Param},
    shell::Shell,
    table::Table,
    text,
};

const KIND: Param = Param::word("security|packet", "The security log or the packet log.")
    .ask("Select Security or Packet: ")
    .check(is_kind);

/// The classes of packets, in the order of their places on the wire: the word for a command line, and the item.
const CLASSES: &[(&str, &str)] = &[
    ("tcpconn", "TCP Connection Log"),
    ("tcpdata", "TCP Packet Log"),
    ("dhcp", "DHCP Log"),
    ("udp", "UDP Log"),
    ("icmp", "ICMP Log"),
    ("ip", "IP Log"),
    ("arp", "ARP Log"),
    ("ether", "Ethernet Log"),
];

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "LogGet",
        title: "Show what the hub logs",
        help: "Shows whether the hub keeps its security log and its packet log, when they continue in a new file, and \
               what of which packets is logged.",
        params: &[],
        scope: Scope::Hub,
        run: get,
    },
    Command {
        name: "LogEnable",
        title: "Switch a log of the hub on",
        help: "Has the hub keep its security log (who came and went, and who changed what) or its packet log.",
        params: &[KIND],
        scope: Scope::Hub,
        run: enable,
    },
    Command {
        name: "LogDisable",
        title: "Switch a log of the hub off",
        help: "Has the hub keep its security log or its packet log no longer. Files that exist stay.",
        params: &[KIND],
        scope: Scope::Hub,
        run: disable,
    },
    Command {
        name: "LogSwitchSet",
        title: "Set when a log continues in a new file",
        help: "Sets after which time the security log or the packet log continues in a new file.",
        params: &[
            KIND,
            Param::named("SWITCH", "sec, min, hour, day, month, or none.")
                .ask("Switch cycle: ")
                .check(is_switch),
        ],
        scope: Scope::Hub,
        run: set_switch,
    },
    Command {
        name: "LogPacketSaveType",
        title: "Set what of a packet is logged",
        help: "Sets what the packet log keeps of a class of packets. The headers of TCP connections tell who talked to \
               whom; whole packets fill a disk quickly and are nobody else's business.",
        params: &[
            Param::named("TYPE", "tcpconn, tcpdata, dhcp, udp, icmp, ip, arp or ether.")
                .ask("Class of packets: ")
                .check(is_class),
            Param::named("SAVE", "none, header or full.")
                .ask("What to keep: ")
                .check(is_extent),
        ],
        scope: Scope::Hub,
        run: set_extent,
    },
];

fn starts(word: &str, text: &str) -> bool {
    !text.is_empty()
        && word
            .get(..text.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(text))
}

fn is_kind(text: &str) -> Result<(), String> {
    let known = starts("security", text) || starts("packet", text);
    if known {
        Ok(())
    } else {
        Err("The log is security or packet.".to_owned())
    }
}

/// The parameter parser has turned the word `none` into the empty value.
fn switch(text: &str) -> Option<LogSwitch> {
    const WORDS: &[(&str, LogSwitch)] = &[
        ("second", LogSwitch::EverySecond),
        ("minute", LogSwitch::EveryMinute),
        ("hour", LogSwitch::EveryHour),
        ("day", LogSwitch::EveryDay),
        ("month", LogSwitch::EveryMonth),
    ];
    if text.is_empty() {
        return Some(LogSwitch::Never);
    }
    WORDS
        .iter()
        .find(|(word, _)| starts(word, text))
        .map(|(_, switch)| *switch)
}

fn is_switch(text: &str) -> Result<(), String> {
    switch(text)
        .map(drop)
        .ok_or_else(|| "The cycle is sec, min, hour, day, month or none.".to_owned())
}

fn class(text: &str) -> Option<usize> {
    CLASSES
        .iter()
        .position(|(word, _)| word.eq_ignore_ascii_case(text))
}

fn is_class(text: &str) -> Result<(), String> {
    let words: Vec<&str> = CLASSES.iter().map(|(word, _)| *word).collect();
    class(text)
        .map(drop)
        .ok_or_else(|| format!("The class is one of {}.", words.join(", ")))
}

fn extent(text: &str) -> Option<PacketSave> {
    match text {
        "" => Some(PacketSave::Nothing),
        _ if starts("header", text) => Some(PacketSave::Header),
        _ if starts("full", text) => Some(PacketSave::Whole),
        _ => None,
    }
}

fn is_extent(text: &str) -> Result<(), String> {
    extent(text)
        .map(drop)
        .ok_or_else(|| "What to keep is none, header or full.".to_owned())
}

fn change(shell: &mut Shell, change: impl FnOnce(&mut HubLog)) -> Outcome {
    let hub_name = shell.hub_name();
    let mut log = shell.call::<GetHubLog>(&HubRequest { hub_name })?;
    change(&mut log);
    shell.call::<SetHubLog>(&log)?;
    Ok(())
}

fn is_security(arguments: &Arguments) -> bool {
    starts("security", arguments.text("security|packet"))
}

fn enable(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    keep(shell, arguments, true)
}

fn disable(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    keep(shell, arguments, false)
}

fn keep(shell: &mut Shell, arguments: &Arguments, keep: bool) -> Outcome {
    change(shell, |log| match is_security(arguments) {
        true => log.save_security_log = keep,
        false => log.save_packet_log = keep,
    })
}

fn set_switch(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let switch = switch(arguments.text("SWITCH")).unwrap_or_default();
    change(shell, |log| match is_security(arguments) {
        true => log.security_log_switch = switch,
        false => log.packet_log_switch = switch,
    })
}

fn set_extent(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let extent = extent(arguments.text("SAVE")).unwrap_or_default();
    let place = class(arguments.text("TYPE")).unwrap_or_default();
    change(shell, |log| {
        if log.packet_log_config.len() <= place {
            log.packet_log_config.resize(place + 1, PacketSave::Nothing);
        }
        log.packet_log_config[place] = extent;
    })
}

fn get(shell: &mut Shell, _: &Arguments) -> Outcome {
    let hub_name = shell.hub_name();
    let log = shell.call::<GetHubLog>(&HubRequest { hub_name })?;
    if shell.json(&log) {
        return Ok(());
    }
    let mut table = Table::items();
    table.item("Save Security Log", text::enabled(log.save_security_log));
    if log.save_security_log {
        table.item("Log File Switch Cycle", switch_text(log.security_log_switch));
    }
    table
        .item("", "")
        .item("Save Packet Log", text::enabled(log.save_packet_log));
    if log.save_packet_log {
        table.item("Log File Switch Cycle", switch_text(log.packet_log_switch));
        for (place, (_, item)) in CLASSES.iter().enumerate() {
            let extent = log.packet_log_config.get(place).copied().unwrap_or_default();
            table.item(item, extent_text(extent));
        }
    }
    shell.console.table(&table);
    Ok(())
}

fn switch_text(switch: LogSwitch) -> String {
    match switch {
        LogSwitch::Never => "No Switching".to_owned(),
        LogSwitch::EverySecond => "Switch in Every Second".to_owned(),
        LogSwitch::EveryMinute => "Switch in Every Minute".to_owned(),
        LogSwitch::EveryHour => "Switch in Every Hour".to_owned(),
        LogSwitch::EveryDay => "Switch in Every Day".to_owned(),
        LogSwitch::EveryMonth => "Switch in Every Month".to_owned(),
        LogSwitch::Other(number) => number.to_string(),
    }
}

fn extent_text(extent: PacketSave) -> String {
    match extent {
        PacketSave::Nothing => "Do not Save".to_owned(),
        PacketSave::Header => "Header Only".to_owned(),
        PacketSave::Whole => "Headers && Payloads".to_owned(),
        PacketSave::Other(number) => number.to_string(),
    }
}
