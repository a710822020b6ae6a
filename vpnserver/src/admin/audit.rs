//! The audit log, for those who may read it.

use protocol::error::ErrorCode;
use protocol::rpc::audit::{AuditList, AuditRequest, AuditRow};

use super::{Administrator, Reply};
use crate::audit::{Entry, Who};
use crate::server::Server;

/// How many lines there are at once, unless said otherwise, and at most.
const USUAL_LINES: usize = 100;
const MOST_LINES: usize = 10_000;

pub(super) async fn list(server: &Server, caller: &Administrator, request: AuditRequest) -> Reply<AuditList> {
    let asked = Some(request.hub_name).filter(|hub| !hub.is_empty());
    // A hub's administrator sees what was done to the hub, and what they did themselves.
    let own = caller.hub();
    if let (Some(own), Some(asked)) = (&own, &asked)
        && !own.eq_ignore_ascii_case(asked)
    {
        return Err(ErrorCode::NotEnoughRights);
    }
    let is = |hub: &str, wanted: &str| hub.eq_ignore_ascii_case(wanted);
    let fits = move |entry: &Entry| {
        let about = entry.doing.hub.as_deref();
        match (&own, &asked) {
            (Some(own), _) => {
                about.is_some_and(|hub| is(hub, own))
                    || matches!(&entry.doing.who, Who::Hub(hub) if is(hub, own))
            }
            (None, Some(asked)) => about.is_some_and(|hub| is(hub, asked)),
            (None, None) => true,
        }
    };
    let most = match usize::try_from(request.max).unwrap_or(usize::MAX) {
        0 => USUAL_LINES,
        most => most.min(MOST_LINES),
    };
    let before = Some(request.before).filter(|before| *before != 0);
    let lines = server.audit.newest(most, before, fits).await.map_err(|error| {
        tracing::error!(%error, "the audit log cannot be read");
        ErrorCode::Internal
    })?;
    Ok(AuditList {
        lines: lines.into_iter().map(row).collect(),
    })
}

fn row(entry: Entry) -> AuditRow {
    let doing = entry.doing;
    let (who, who_name) = doing.who.parts();
    AuditRow {
        id: entry.id,
        time: entry.time,
        who: who.to_owned(),
        who_name: who_name.to_owned(),
        from: doing.from,
        transport: doing.transport.to_owned(),
        method: doing.method,
        hub: doing.hub.unwrap_or_default(),
        object: doing.name.unwrap_or_default(),
        result: doing.result.map_or_else(ErrorCode::code, |()| 0),
        left_out: doing.left_out,
    }
}
