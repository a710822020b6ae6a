//! The audit log. Ours; stock servers know no such method and answer "not supported".

use super::message::message;

message! {
    /// Which lines of the audit log.
    pub struct AuditRequest {
        /// Lines about this hub alone; empty for all.
        hub_name: hub str "HubName",
        /// At most so many; 0 for 100.
        max: u32 "Max",
        /// Lines older than the one with this number; 0 for the newest.
        before: u64 "Before",
    }

    /// One line.
    pub struct AuditRow {
        /// Later lines have higher numbers.
        id: u64 "Id",
        time: time "Time",
        /// `server`, `hub`, `user`, `tool` or `stranger`.
        who: str "Who",
        /// The name of that hub, user or tool.
        who_name: str "WhoName",
        /// The address with its port, or `local`.
        from: str "From",
        /// `local`, `rpc`, `json` or `vpn`.
        transport: str "Transport",
        method: str "Method",
        /// The hub it was about.
        hub: str "Hub",
        /// The object it was about.
        object: unistr "Object",
        /// 0 when it was done, else the number of the refusal.
        result: u32 "Result",
        /// Refused logins that were left out before this one.
        left_out: u64 "LeftOut",
    }

    /// Lines of the audit log, the newest first.
    pub struct AuditList {
        lines: counted AuditRow "AuditList",
    }
}
