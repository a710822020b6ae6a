//! What of an output is compared: everything, but for values that cannot be the same on two machines.
//!
//! Rows and items are never left out of what the stock server says. The rules:
//!
//! 1. Times, dates and days of the week become words, wherever they are; so do the hour and the date in the name of a log file.
//! 2. A value that differs by its nature keeps its place and becomes `<varies>`, where `VARIES` says so.
//! 3. The widths of columns follow from the values, and do not count.
//! 4. What our server says beyond the stock one, by `MORE`, is taken out of what it says.
//! 5. Capabilities come in the order of their names, since each server has its own.
//! 6. Lines that are not of a table are compared word for word, but for those of `PROSE`.

/// Values that differ by their nature: command or `*`, items or columns, and why.
const VARIES: &[(&str, &[&str], &str)] = &[
    (
        "*",
        &["Server Product Name", "Server Version", "Server Build"],
        "who made the server",
    ),
    (
        "ServerInfoGet",
        &["Product Name", "Version", "Build", "Host Name"],
        "who made the server, and the machine",
    ),
    (
        "ServerStatusGet",
        &[
            "Number of Active Sockets",
            "64 bit High-Precision Logical System Clock",
        ],
        "the server's inside",
    ),
    (
        "*",
        &[
            "Outgoing Unicast Packets",
            "Outgoing Unicast Total Size",
            "Outgoing Broadcast Packets",
            "Outgoing Broadcast Total Size",
            "Incoming Unicast Packets",
            "Incoming Unicast Total Size",
            "Incoming Broadcast Packets",
            "Incoming Broadcast Total Size",
            "Transfer Bytes",
            "Transfer Packets",
            "Outgoing Data Size",
            "Incoming Data Size",
            "MAC Tables",
            "IP Tables",
        ],
        "what SecureNAT and the kernel say by themselves",
    ),
    (
        "ConnectionList",
        &["Connection Name", "Connection Source"],
        "numbers of the moment; the stock server looks names up",
    ),
    (
        "BridgeList",
        &["Status"],
        "the stock server tries the device some seconds later",
    ),
    (
        "*",
        &["Num Logins", "Number of Logins"],
        "a client that is hung up on comes again",
    ),
    (
        "RouterList",
        &["Running Status"],
        "nothing of ours routes yet, and the stock server's needs a moment",
    ),
    (
        "HubList",
        &["Sessions"],
        "the stock server's bridges and routers come when they come",
    ),
    (
        "CascadeList",
        &["Status"],
        "nothing of ours connects yet, and the stock server's needs a moment",
    ),
    ("AdminOptionList", &["Description"], "everybody's own words"),
    ("ExtOptionList", &["Description"], "everybody's own words"),
    ("Caps", CAPS, "what the one has and the other has not"),
    ("*", &["Session Key (160 bit)"], "random"),
    (
        "SessionGet",
        &["Connection Name", "Client Port (Reported)"],
        "numbers of the moment",
    ),
    ("CAList", &["ID"], "random"),
    ("CertList", &["ID"], "random"),
    ("NicList", &["MAC Address"], "random"),
    ("NL", &["MAC Address"], "random"),
    ("CrlList", &["ID"], "random"),
    ("AccessList", &["Unique ID"], "random"),
    ("MacTable", &["ID"], "random"),
    ("IpTable", &["ID"], "random"),
    ("*", &["Location"], "the machine's name"),
    ("LogFileList", &["File Size"], "the words of the log"),
    (
        "SecureNatStatusGet",
        &["Kernel-mode NAT is Active"],
        "ours is in the kernel where it may be",
    ),
    ("PortsUDPGet", &["UDP ports"], "nothing of ours is reached by UDP"),
];

/// Capabilities in which the servers differ.
const CAPS: &[&str] = &[
    "Either Free or Open-Source Version of SoftEther VPN",
    "CPU AES Acceleration (AES-NI) is Active",
    "Automatic Deletion of Log Files is Supported",
    "VPN Azure is Supported",
    "Cascade Connection is Supported",
    "Server Authentication for Cascade Connection is Supported",
    "Client Certificates for Cascade Connection is Supported",
    "Renaming of Cascade Connection is Supported",
    "Operation as Part of a Cluster is Supported",
    "Integrated Administration for All Cluster Nodes is Supported",
    "Dynamic DNS Client Function is Supported",
    "DDNS via Proxy Server is Supported",
    "IPsec / L2TP / EtherIP / L2TPv3 Server Functions are Supported",
    "The Virtual Layer 3 Switch is Supported",
    "OpenVPN Server Function is Supported",
    "VPN over ICMP and VPN over DNS is Supported",
    "MS-SSTP VPN Server Function is Supported",
    "UDP Acceleration Function is Supported",
    "Maximum Groups per Virtual Hub",
    "Maximum Users per Virtual Hub",
    "Maximum Virtual Interfaces per Layer 3 Switch",
    "Maximum Virtual Layer 3 Switches",
    "Maximum Routing Tables per Layer 3 Switch",
];

/// What our server says beyond the stock one: command, the row, how many lines before it and from it on, and why.
const MORE: &[(&str, &str, usize, usize, &str)] = &[
    ("ServerStatusGet", "Total Logical Memory Size|", 0, 1, MEMORY),
    ("ServerStatusGet", "Used Logical Memory Size|", 0, 1, MEMORY),
    ("ServerStatusGet", "Free Logical Memory Size|", 0, 1, MEMORY),
    ("ServerStatusGet", "Total Physical Memory Size|", 0, 1, MEMORY),
    ("ServerStatusGet", "Used Physical Memory Size|", 0, 1, MEMORY),
    ("ServerStatusGet", "Free Physical Memory Size|", 0, 1, MEMORY),
    ("SecureNatStatusGet", "DHCP Pool Addresses|", 0, 1, POOL),
    ("SecureNatStatusGet", "DHCP Addresses Available|", 0, 1, POOL),
    (
        "SecureNatStatusGet",
        "DHCP Addresses in Use without a Lease|",
        0,
        1,
        POOL,
    ),
    ("SecureNatStatusGet", "DHCP Reservations|", 0, 1, POOL),
    (
        "ExtOptionList",
        "Item|AllowStandardPassword",
        1,
        3,
        "an option of ours",
    ),
];

const POOL: &str = "ours tells how the pool of addresses is used";
const MEMORY: &str = "the stock server cannot read the memory of newer kernels";

/// Lines outside tables that cannot be the same: how they begin, and why.
const PROSE: &[(&str, &str, &str)] = &[
    (
        "Flush",
        "Saving completed. The file size is ",
        "the size of another store",
    ),
    ("ServerCipherGet", " ", "the ciphers of another TLS library"),
];

/// Comma-separated values as a table, which is compared by the same rules.
pub fn from_csv(output: &str) -> String {
    let row = |line: &str| {
        let (mut cells, mut cell, mut quoted) = (Vec::new(), String::new(), false);
        for c in line.chars() {
            match c {
                '"' => quoted = !quoted,
                ',' if !quoted => cells.push(std::mem::take(&mut cell)),
                _ => cell.push(c),
            }
        }
        cells.push(cell);
        if cells.len() > 1 {
            cells.join("|")
        } else {
            line.to_owned()
        }
    };
    output.lines().map(row).collect::<Vec<_>>().join("\n")
}

/// The last value of an item or column in an output.
pub fn last_value(output: &str, wanted: &str) -> Option<String> {
    let mut found = None;
    let mut column: Option<usize> = None;
    for line in output.lines().filter(|line| line.contains('|')) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        if let Some(at) = column {
            found = cells.get(at).map(|cell: &&str| (*cell).to_owned());
        } else if let [item, value] = cells[..] {
            if item == wanted {
                found = Some(value.to_owned());
            }
        } else {
            column = cells.iter().position(|cell| *cell == wanted);
        }
    }
    found
}

/// The comparable lines of an output of `command` by the stock server.
pub fn comparable(command: &str, output: &str) -> Vec<String> {
    let (mut lines, mut header) = (Vec::new(), None::<Vec<String>>);
    for line in output.lines().map(str::trim_end).filter(|line| !line.is_empty()) {
        if is_rule(line) {
            lines.push("---".to_owned());
        } else if line.contains('|') {
            let cells: Vec<String> = line.split('|').map(|cell| timeless(cell.trim())).collect();
            let columns = header.get_or_insert_with(|| cells.clone());
            lines.push(row(command, columns, &cells));
        } else {
            header = None;
            lines.push(prose(command, line));
        }
    }
    if command == "Caps" {
        lines.sort_unstable();
        // The stock server names one of them twice.
        lines.dedup();
    }
    lines.dedup_by(|next, last| next == last && next.ends_with("<varies>") && !next.contains('|'));
    lines
}

/// The same of our server: without what it says beyond the stock one.
pub fn comparable_of_ours(command: &str, output: &str) -> Vec<String> {
    let mut lines = comparable(command, output);
    for (_, row, before, after, _) in MORE.iter().filter(|more| more.0 == command) {
        if let Some(at) = lines.iter().position(|line| line.starts_with(row)) {
            lines.drain(at.saturating_sub(*before)..(at + after).min(lines.len()));
        }
    }
    lines
}

/// A row, with the values that differ by their nature taken out. A table of items has two columns, `Item` and `Value`.
fn row(command: &str, columns: &[String], cells: &[String]) -> String {
    let of_items = columns[0] == "Item";
    let shown = cells.iter().enumerate().map(|(at, cell)| {
        let item = if of_items {
            Some(&cells[0])
        } else {
            columns.get(at)
        };
        let is_name = of_items && at == 0 || cells == columns;
        match item {
            Some(item) if !is_name && varies(command, item) => "<varies>",
            _ => cell,
        }
    });
    shown.collect::<Vec<_>>().join("|")
}

fn varies(command: &str, item: &str) -> bool {
    VARIES
        .iter()
        .any(|(of, items, _)| (*of == "*" || *of == command) && items.contains(&item))
}

fn prose(command: &str, line: &str) -> String {
    let rule = PROSE
        .iter()
        .find(|(of, start, _)| *of == command && line.starts_with(start));
    rule.map_or_else(|| timeless(line), |(_, start, _)| format!("{start}<varies>"))
}

fn is_rule(line: &str) -> bool {
    line.starts_with('-') && line.bytes().all(|byte| matches!(byte, b'-' | b'+'))
}

/// Dates and times of day become words.
fn timeless(text: &str) -> String {
    let word = |word: &str| {
        if has_shape(word, "0000-00-00") {
            return "<date>".to_owned();
        }
        if has_shape(word, "00:00:00") || has_shape(word, "00:00:00.000") {
            return "<time>".to_owned();
        }
        if DAYS.contains(&word) {
            return "<day>".to_owned();
        }
        word.strip_suffix(".log")
            .and_then(|path| Some((path, path.find("_20")?)))
            .map_or_else(
                || word.to_owned(),
                |(path, at)| format!("{}_<date>.log", &path[..at]),
            )
    };
    text.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

const DAYS: [&str; 7] = ["(Mon)", "(Tue)", "(Wed)", "(Thu)", "(Fri)", "(Sat)", "(Sun)"];

fn has_shape(word: &str, shape: &str) -> bool {
    let shaped = |byte: u8| if byte.is_ascii_digit() { b'0' } else { byte };
    word.len() == shape.len() && word.bytes().map(shaped).eq(shape.bytes())
}

/// Of comparable lines those that scripts parse, which both tools must print alike: tables, names, error lines. The
/// rest is prose, in which the tools differ, as is the middle column of a table of policies and what explains an option.
pub fn format_lines(lines: &[String]) -> Vec<String> {
    let (mut kept, mut of_policies) = (Vec::new(), false);
    // What follows the number of an error says it in words.
    let words = |at: usize| at > 0 && lines[at - 1].starts_with("Error occurred. (");
    for (_, line) in lines.iter().enumerate().filter(|(at, _)| !words(*at)) {
        let cells: Vec<&str> = line.split('|').collect();
        of_policies = cells[0] == "Policy name" || of_policies && (cells.len() > 1 || line == "---");
        match cells[..] {
            [name, _, ref rest @ ..] if of_policies => kept.push(format!("{name}|{}", rest.concat())),
            ["Description", _] => kept.push("Description|<prose>".to_owned()),
            _ if is_format(line) => kept.push(without_digest(line)),
            _ => {}
        }
    }
    kept
}

/// Our tool shows certificates with SHA-256, where the stock tool has MD5 and SHA-1.
fn without_digest(line: &str) -> String {
    line.split_once(" (Digest: ")
        .map_or(line, |(start, _)| start)
        .to_owned()
}

fn is_format(line: &str) -> bool {
    const STARTS: [&str; 5] = [
        "Error occurred. (",
        "The command completed",
        "Options Setting List",
        "The Virtual Hub \"",
        "Saving completed",
    ];
    let listed = line.starts_with(' ') && !line.starts_with("  ") && !line.contains(" - ");
    let word = !line.contains(' ');
    line.contains('|') || listed || word || STARTS.iter().any(|start| line.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_what_varies_is_taken_out_of_a_table() {
        let output =
            "Item   |Value\n-------+-----\nSession Key (160 bit)|ABCD\nUser|2026-11-23 (Mon) 12:00:01\n";
        let lines = comparable("SessionGet", output);
        assert_eq!(
            lines,
            [
                "Item|Value",
                "---",
                "Session Key (160 bit)|<varies>",
                "User|<date> <day> <time>"
            ]
        );
    }

    #[test]
    fn a_column_varies_in_every_row_and_no_row_is_lost() {
        let output = "Number|Status\n------+------\n1|Error\n2|Operating\n";
        assert_eq!(
            comparable("BridgeList", output),
            ["Number|Status", "---", "1|<varies>", "2|<varies>"]
        );
    }

    #[test]
    fn the_last_value_of_an_item_is_found_in_both_kinds_of_tables() {
        assert_eq!(
            last_value("Item|Value\nID |1\nID |22\n", "ID").as_deref(),
            Some("22")
        );
        assert_eq!(
            last_value("A|ID|B\n-+-+-\n1|5|2\n1|6|2\n", "ID").as_deref(),
            Some("6")
        );
    }
}
