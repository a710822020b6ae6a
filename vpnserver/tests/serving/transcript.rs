//! The captured exchanges of the stock server's JSON interface, once more with ours: the same calls get answers of the same form.

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::site::{add_hub, lab};
use crate::web::{Answer, Web, post};

const TRANSCRIPT: &str = include_str!("../../../protocol/tests/data/admin/json-rpc.txt");
const ADMIN: &str = "X-VPNADMIN-PASSWORD: top secret\r\n";
/// `HUB1:hubpw`.
const OWN: &str = "Authorization: Basic SFVCMTpodWJwdw==\r\n";
/// What the stock server says in its own words, or about itself.
const OWN_WORDS: [&str; 5] = [
    "message",
    "WWW-Authenticate",
    "Date",
    "Content-Length",
    "Connection",
];

/// The calls in their order; the capture has the answers alone.
fn calls() -> Vec<String> {
    let call = |id: &str, method: &str, params: &Value| {
        post(
            ADMIN,
            &json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }).to_string(),
        )
    };
    let own = |id: &str, method: &str, params: &Value| call(id, method, params).replace(ADMIN, OWN);
    let test = json!({ "IntValue_u32": "7", "Int64Value_u64": 123_456_789_012_u64, "StrValue_str": 7, "UniStrValue_utf": "\u{e9}" });
    let user = |name: &str| json!({ "HubName_str": "HUB1", "Name_str": name });
    let hub = |name: &str| json!({ "HubName_str": name });
    let created = json!({
        "HubName_str": "HUB1", "Name_str": "juser", "Realname_utf": "J", "Note_utf": "n", "AuthType_u32": 1,
        "Auth_Password_str": "pw", "ExpireTime_dt": "2031-01-02T03:04:05.678Z", "UsePolicy_bool": true,
        "policy:Access_bool": true, "policy:MaxConnection_u32": 5, "policy:Ver3_bool": true,
    });
    vec![
        call("a1", "Test", &test),
        call("a2", "GetUser", &user("pwuser")),
        call("a3", "EnumHub", &json!({})),
        call("a4", "GetUser", &user("nobody")),
        call("a5", "NoSuchMethod", &json!({})),
        post(
            ADMIN,
            r#"{"jsonrpc":"2.0","id":7,"method":"GetServerStatus","params":{}}"#,
        ),
        post(
            ADMIN,
            r#"{"jsonrpc":"1.0","method":"GetServerStatus","params":{}}"#,
        ),
        post(ADMIN, r#"{"jsonrpc":"2.0","id":"x","method":"GetServerStatus"}"#),
        post(ADMIN, "{"),
        call("a6", "CreateUser", &created),
        call("a7", "EnumAccess", &hub("HUB1")),
        call("a8", "EnumSession", &hub("HUB2")),
        call("a9", "EnumIpTable", &hub("HUB2")),
        call("a10", "GetSecureNATOption", &json!({ "RpcHubName_str": "HUB2" })),
        post("X-VPNADMIN-PASSWORD: wrong\r\n", "{}"),
        own("b2", "EnumHub", &json!({})),
        own("b3", "CreateHub", &hub("HUB9")),
        post("X-VPNADMIN-HUBNAME: HUB2\r\nX-VPNADMIN-PASSWORD:\r\n", "{}"),
        format!("GET /api/GetUser?HubName_str=HUB1&Name_str=anon HTTP/1.1\r\nHost: h\r\n{ADMIN}\r\n"),
    ]
}

/// Brings our server to the state that the stock server was in, as far as the answers show it.
async fn prepare(web: &mut Web) {
    let rule = json!({ "Active_bool": true, "Priority_u32": 100, "Note_utf": "no web", "Protocol_u32": 6,
        "SrcUsername_str": "pwuser" });
    for (method, params) in [
        (
            "CreateGroup",
            json!({ "HubName_str": "HUB1", "Name_str": "staff" }),
        ),
        (
            "SetHub",
            json!({ "HubName_str": "HUB1", "AdminPasswordPlainText_str": "hubpw", "Online_bool": true }),
        ),
        (
            "SetHubExtOptions",
            json!({ "HubName_str": "HUB1", "AdminOptionList": [{ "Name_str": "AllowStandardPassword", "Value_u32": 1 }] }),
        ),
        (
            "CreateUser",
            json!({ "HubName_str": "HUB1", "Name_str": "pwuser", "AuthType_u32": 1, "Auth_Password_str": "pw",
                    "GroupName_str": "staff", "UsePolicy_bool": true, "policy:Access_bool": true,
                    "Realname_utf": "P\u{e4}ssword \u{dc}ser", "Note_utf": "line \"quoted\" \\ back\tTab" }),
        ),
        (
            "CreateUser",
            json!({ "HubName_str": "HUB1", "Name_str": "anon", "AuthType_u32": 0, "GroupName_str": "staff",
                    "Realname_utf": "Anon 2", "Note_utf": "n2" }),
        ),
        (
            "SetAccessList",
            json!({ "HubName_str": "HUB1", "AccessList": [rule] }),
        ),
    ] {
        let answer = web.call(ADMIN, method, &params).await;
        assert!(answer.body.contains("\"result\""), "{method}: {}", answer.body);
    }
}

/// Names of the members in the order in which they are printed, each once.
fn names(body: &str) -> Vec<&str> {
    let mut names = Vec::new();
    for line in body.lines() {
        let name = line
            .trim()
            .strip_prefix('"')
            .and_then(|rest| rest.split_once("\": "));
        if let Some((name, _)) = name
            && !names.contains(&name)
        {
            names.push(name);
        }
    }
    names
}

/// What only our server tells.
const OURS: &[&str] = &[
    "DhcpReservations_str",
    "NumDhcpAddresses_u32",
    "NumDhcpAvailable_u32",
    "NumDhcpSetAside_u32",
    "NumDhcpReserved_u32",
    "NumDhcpTurnedAway_u64",
];

/// What differs in kind: members and what they hold, but for numbers, times, bytes and our own words.
fn differences(name: &str, stock: &Value, ours: &Value, found: &mut Vec<String>) {
    match (stock, ours) {
        (Value::Object(stock), Value::Object(ours)) => {
            for (name, value) in stock {
                match ours.get(name) {
                    Some(own) => differences(name, value, own, found),
                    // Ours gives no hashes back to whoever made a user.
                    None if ["HashedKey_bin", "NtLmSecureHash_bin"].contains(&name.as_str()) => {}
                    None => found.push(format!("{name} is missing")),
                }
            }
            let is_ours = |name: &&String| OURS.contains(&name.as_str());
            let more = ours
                .keys()
                .filter(|name| !stock.contains_key(*name) && !is_ours(name));
            found.extend(more.map(|name| format!("{name} is not the stock server's")));
        }
        (Value::Array(stock), Value::Array(ours)) => {
            if let (Some(stock), Some(ours)) = (stock.first(), ours.first()) {
                differences(name, stock, ours, found);
            }
        }
        (Value::Number(_), Value::Number(_)) | (Value::Bool(_), Value::Bool(_)) => {}
        (Value::String(stock), Value::String(ours)) => {
            let is_free = ["_dt", "_bin", "_ip"].iter().any(|kind| name.ends_with(kind))
                || OWN_WORDS.contains(&name)
                || (name == "id" && stock.len() == 23 && ours.len() == 23);
            let is_state = [
                "RedirectUrl_str",
                "Note_utf",
                "DhcpDomainName_str",
                "DhcpPushRoutes_str",
            ]
            .contains(&name)
                && stock != "n"
                && stock != "n2";
            if !is_free && !is_state && name != "HubName_str" && stock != ours {
                found.push(format!("{name} is {ours} and not {stock}"));
            }
        }
        _ => found.push(format!("{name} is of another kind: {ours}, not {stock}")),
    }
}

fn compare(stock: &str, ours: &Answer) -> Vec<String> {
    let (head, body) = stock.split_once("\n\n").unwrap();
    let mut found = Vec::new();
    for line in head.lines().skip(1) {
        let (name, value) = line.split_once(": ").unwrap();
        let own = ours.header(name).unwrap_or_default();
        let is_free = OWN_WORDS.contains(&name) || (ours.status == 401 && name == "Content-Type");
        if !is_free && !own.starts_with(value) {
            found.push(format!("{name} is {own} and not {value}"));
        }
    }
    if !head.starts_with(&format!("HTTP/1.1 {}", ours.status)) {
        found.push(format!("the status is {}", ours.status));
    }
    if body.trim().is_empty() || ours.status != 200 {
        return found;
    }
    let value: Value = serde_json::from_str(body).unwrap();
    let own = ours.json();
    differences("", &value, &own, &mut found);
    if value["error"]["code"] != own["error"]["code"] {
        found.push(format!("the error is {}", own["error"]));
    }
    let (stock_names, own_names) = (names(body), names(&ours.body));
    let common: Vec<_> = stock_names
        .iter()
        .filter(|name| own_names.contains(name))
        .collect();
    let own_common: Vec<_> = own_names
        .iter()
        .filter(|name| stock_names.contains(name))
        .collect();
    if common != own_common {
        found.push(format!("the order is {own_common:?}"));
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn captured_json_calls_are_answered_in_the_form_of_the_stock_server() {
    let folder = TempDir::new().unwrap();
    let (site, mut admin) = lab(&folder, &[]).await;
    for hub in ["HUB1", "HUB2"] {
        add_hub(&mut admin, hub).await;
    }
    let password = protocol::rpc::server::ServerPassword {
        plain_text_password: "top secret".to_owned().into(),
        ..Default::default()
    };
    admin
        .call::<protocol::rpc::method::SetServerPassword>(&password)
        .await
        .unwrap();
    let mut web = Web::open(&site).await;
    prepare(&mut web).await;
    let answers: Vec<&str> = TRANSCRIPT.split("\n----\n").collect();
    let calls = calls();
    assert_eq!(answers.len(), calls.len());
    let mut wrong = Vec::new();
    for (stock, call) in answers.iter().zip(calls) {
        let ours = Web::open(&site).await.exchange(&call).await;
        let found = compare(stock, &ours);
        if !found.is_empty() {
            wrong.push(format!(
                "{}\n{}",
                call.lines().last().unwrap_or_default(),
                found.join("\n")
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
