//! Names of well-known ports, as packet logs show them: `http(80)` (IANA service name registry; `openvpn` and `isakmp` as the
//! stock server writes them).

const NAMES: [(u16, &str); 58] = [
    (7, "echo"),
    (9, "discard"),
    (13, "daytime"),
    (19, "chargen"),
    (20, "ftp-data"),
    (21, "ftp"),
    (22, "ssh"),
    (23, "telnet"),
    (25, "smtp"),
    (37, "time"),
    (43, "whois"),
    (53, "domain"),
    (67, "bootps"),
    (68, "bootpc"),
    (69, "tftp"),
    (79, "finger"),
    (80, "http"),
    (88, "kerberos"),
    (110, "pop3"),
    (111, "sunrpc"),
    (113, "auth"),
    (119, "nntp"),
    (123, "ntp"),
    (135, "epmap"),
    (137, "netbios-ns"),
    (138, "netbios-dgm"),
    (139, "netbios-ssn"),
    (143, "imap"),
    (161, "snmp"),
    (162, "snmptrap"),
    (179, "bgp"),
    (194, "irc"),
    (389, "ldap"),
    (443, "https"),
    (445, "microsoft-ds"),
    (465, "submissions"),
    (500, "isakmp"),
    (514, "syslog"),
    (515, "printer"),
    (546, "dhcpv6-client"),
    (547, "dhcpv6-server"),
    (554, "rtsp"),
    (587, "submission"),
    (631, "ipp"),
    (636, "ldaps"),
    (853, "domain-s"),
    (873, "rsync"),
    (989, "ftps-data"),
    (990, "ftps"),
    (992, "telnets"),
    (993, "imaps"),
    (995, "pop3s"),
    (1194, "openvpn"),
    (1701, "l2tp"),
    (1723, "pptp"),
    (3306, "mysql"),
    (3389, "ms-wbt-server"),
    (5432, "postgresql"),
];

/// A port as a packet log shows it.
pub(super) fn shown(port: u16) -> String {
    match NAMES.binary_search_by_key(&port, |(number, _)| *number) {
        Ok(at) => format!("{}({port})", NAMES[at].1),
        Err(_) => port.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_ports_have_their_names() {
        assert!(NAMES.is_sorted_by_key(|(number, _)| *number));
        assert_eq!(
            (shown(80), shown(41_560)),
            ("http(80)".to_owned(), "41560".to_owned())
        );
    }
}
