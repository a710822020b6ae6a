//! JSON-RPC 2.0 as the stock server speaks it (admin RPC §5): its envelope, its ids, the way it prints.

use std::borrow::Borrow;

use serde_json::{Map, Value};
use zeroize::Zeroize;

use crate::error::ErrorCode;

/// What an answer carries as `id` when the call had no text there.
const NO_ID: &str = "0";
const VERSION: &str = "2.0";
/// Indentation of printed JSON, per level.
const INDENT: &str = "    ";

/// A call; its parameters may hold passwords and are wiped with it.
#[derive(PartialEq)]
pub struct Call {
    /// What the answer carries to be known by.
    pub id: String,
    /// The method's name.
    pub method: String,
    /// The parameters, an object.
    pub params: Value,
}

/// Why a body is no call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoCall {
    /// The id, as far as it could be read.
    id: String,
    reason: &'static str,
}

impl Call {
    /// Reads the body of a request. One call alone: no batches, no notifications.
    ///
    /// # Errors
    /// [`NoCall`], which prints itself as the answer.
    pub fn parse(body: &[u8]) -> Result<Self, NoCall> {
        let no_call = |id: &str, reason| NoCall {
            id: id.to_owned(),
            reason,
        };
        let parsed = serde_json::from_slice(body).map_err(|_| no_call(NO_ID, "The body is not JSON."))?;
        let Value::Object(mut object) = parsed else {
            wipe(parsed);
            return Err(no_call(NO_ID, "The body is not a JSON object."));
        };
        let params = object.remove("params");
        let id = text(&object, "id").unwrap_or(NO_ID);
        let reason = if text(&object, "jsonrpc") != Some(VERSION) {
            "The member jsonrpc is not \"2.0\"."
        } else if !params.as_ref().is_some_and(Value::is_object) {
            "The member params is missing or not an object."
        } else {
            let call = Self {
                id: id.to_owned(),
                method: text(&object, "method").unwrap_or_default().to_owned(),
                params: params.unwrap_or_default(),
            };
            wipe(Value::Object(object));
            return Ok(call);
        };
        let refused = no_call(id, reason);
        wipe(Value::Object(object));
        if let Some(params) = params {
            wipe(params);
        }
        Err(refused)
    }

    /// A call out of the query of an address, `Name_str=value&…`, in the usual escapes.
    #[must_use]
    pub fn from_query(method: &str, query: &str, id: String) -> Self {
        let mut params = Map::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            params.insert(unescaped(name), Value::String(unescaped(value)));
        }
        Self {
            id,
            method: unescaped(method),
            params: Value::Object(params),
        }
    }
}

/// The body of the answer to the call of this id.
#[must_use]
pub fn answer(id: &str, outcome: Result<&Value, ErrorCode>) -> String {
    match outcome {
        Ok(result) => envelope(id, "result", result),
        Err(code) => refusal(id, code, &code.to_string()),
    }
}

/// The parameters.
impl Borrow<Value> for Call {
    fn borrow(&self) -> &Value {
        &self.params
    }
}

impl NoCall {
    /// The body of the answer.
    #[must_use]
    pub fn answer(&self) -> String {
        refusal(&self.id, ErrorCode::InvalidParameter, self.reason)
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        wipe(std::mem::take(&mut self.params));
    }
}

/// Without the parameters.
impl std::fmt::Debug for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Call")
            .field("id", &self.id)
            .field("method", &self.method)
            .finish_non_exhaustive()
    }
}

fn text<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    object.get(name).and_then(Value::as_str)
}

fn refusal(id: &str, code: ErrorCode, reason: &str) -> String {
    let error = Map::from_iter([
        ("code".to_owned(), Value::from(code.code())),
        (
            "message".to_owned(),
            Value::from(format!("Error code {}: {reason}", code.code())),
        ),
    ]);
    envelope(id, "error", &Value::Object(error))
}

/// The members in the stock server's order, which is not the alphabet's.
fn envelope(id: &str, kind: &str, value: &Value) -> String {
    let mut out = format!("{{\n{INDENT}\"{kind}\": ");
    print(value, 1, &mut out);
    out += &format!(",\n{INDENT}\"jsonrpc\": \"{VERSION}\",\n{INDENT}\"id\": ");
    print_text(id, &mut out);
    out += "\n}";
    out
}

fn print(value: &Value, depth: usize, out: &mut String) {
    match value {
        Value::String(text) => print_text(text, out),
        Value::Array(items) if !items.is_empty() => {
            let rows = items.iter().map(|item| (None, item));
            print_block(['[', ']'], rows, depth, out);
        }
        Value::Object(object) if !object.is_empty() => {
            let mut members: Vec<_> = object.iter().collect();
            members.sort_by_cached_key(|(name, _)| order(name));
            let rows = members
                .into_iter()
                .map(|(name, value)| (Some(name.as_str()), value));
            print_block(['{', '}'], rows, depth, out);
        }
        other => *out += &other.to_string(),
    }
}

fn print_block<'a>(
    [open, close]: [char; 2],
    rows: impl Iterator<Item = (Option<&'a str>, &'a Value)>,
    depth: usize,
    out: &mut String,
) {
    out.push(open);
    for (index, (name, value)) in rows.enumerate() {
        *out += if index == 0 { "\n" } else { ",\n" };
        *out += &INDENT.repeat(depth + 1);
        if let Some(name) = name {
            print_text(name, out);
            *out += ": ";
        }
        print(value, depth + 1, out);
    }
    out.push('\n');
    *out += &INDENT.repeat(depth);
    out.push(close);
}

/// The stock server escapes the slash too.
fn print_text(text: &str, out: &mut String) {
    *out += &Value::from(text).to_string().replace('/', "\\/");
}

/// Where a member stands in its object: lists of rows come first, which have no ending; the others are in the order of the
/// elements that they stand for.
fn order(member: &str) -> (bool, String) {
    let endings = ["_u32", "_u64", "_bool", "_str", "_utf", "_dt", "_bin", "_ip"];
    let element = endings.iter().find_map(|ending| member.strip_suffix(ending));
    (element.is_some(), element.unwrap_or(member).to_ascii_uppercase())
}

/// Percent signs and pluses resolved; what is no escape stays as it is.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, later @ ..] = rest {
        rest = later;
        match (first, later) {
            (b'+', _) => bytes.push(b' '),
            (b'%', [high, low, behind @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                bytes.push(digit(*high) << 4 | digit(*low));
                rest = behind;
            }
            (byte, _) => bytes.push(*byte),
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

fn digit(hexadecimal: u8) -> u8 {
    match hexadecimal {
        b'0'..=b'9' => hexadecimal - b'0',
        letter => (letter | 0x20) - b'a' + 10,
    }
}

/// Overwrites every text of a value.
fn wipe(value: Value) {
    match value {
        Value::String(mut text) => text.zeroize(),
        Value::Array(items) => items.into_iter().for_each(wipe),
        Value::Object(members) => members.into_iter().for_each(|(_, value)| wipe(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refused(body: &str) -> Value {
        serde_json::from_str(&Call::parse(body.as_bytes()).unwrap_err().answer()).unwrap()
    }

    #[test]
    fn an_answer_is_printed_as_the_stock_server_prints_it() {
        let call = Call::parse(br#"{"jsonrpc":"2.0","id":"a2","method":"m","params":{}}"#).unwrap();
        let result = json!({
            "SrcIpAddress6_bin": "/w==", "SrcIpAddress_ip": "10.0.0.1", "Client_BridgeMode_bool": true,
            "ClientIP_ip": "::", "policy:Access_bool": false, "Note_utf": "a \"b\" \\ \t\u{fc}", "List": [{"X_u32": 1}],
            "Ports_u32": [1, 2], "None": [],
        });
        assert_eq!(
            answer(&call.id, Ok(&result)),
            "{\n    \"result\": {\n        \"List\": [\n            {\n                \"X_u32\": 1\n            }\n        ],\n        \
             \"None\": [],\n        \"ClientIP_ip\": \"::\",\n        \"Client_BridgeMode_bool\": true,\n        \
             \"Note_utf\": \"a \\\"b\\\" \\\\ \\t\u{fc}\",\n        \"policy:Access_bool\": false,\n        \"Ports_u32\": [\n            \
             1,\n            2\n        ],\n        \"SrcIpAddress_ip\": \"10.0.0.1\",\n        \"SrcIpAddress6_bin\": \"\\/w==\"\n    },\n    \
             \"jsonrpc\": \"2.0\",\n    \"id\": \"a2\"\n}"
        );
        let refused: Value = serde_json::from_str(&answer(&call.id, Err(ErrorCode::ObjectNotFound))).unwrap();
        assert_eq!(refused["error"]["code"], 29);
        assert_eq!(
            refused["error"]["message"],
            "Error code 29: The object does not exist."
        );
    }

    #[test]
    fn only_a_text_is_an_id() {
        for (id, echoed) in [("\"x\"", "x"), ("7", "0"), ("null", "0")] {
            let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"m","params":{{}}}}"#);
            assert_eq!(Call::parse(body.as_bytes()).unwrap().id, echoed);
        }
        assert_eq!(refused(r#"{"jsonrpc":"2.0","id":"x","method":"m"}"#)["id"], "x");
    }

    #[test]
    fn what_is_no_call_is_an_invalid_parameter() {
        for body in [
            "",
            "{",
            "[]",
            "7",
            r#"[{"jsonrpc":"2.0","method":"m","params":{}}]"#,
            r#"{"jsonrpc":"1.0","method":"m","params":{}}"#,
            r#"{"method":"m","params":{}}"#,
            r#"{"jsonrpc":"2.0","method":"m"}"#,
            r#"{"jsonrpc":"2.0","method":"m","params":[]}"#,
            r#"{"jsonrpc":"2.0","method":"m","params":null}"#,
        ] {
            assert_eq!(refused(body)["error"]["code"], 38, "{body}");
        }
        let deep = "[".repeat(100_000);
        assert_eq!(refused(&deep)["error"]["code"], 38);
    }

    #[test]
    fn a_query_is_a_call() {
        let call = Call::from_query(
            "Get%55ser",
            "HubName_str=a+b%2fc&Name_str=%zz%&&x",
            "now".to_owned(),
        );
        assert_eq!(call.method, "GetUser");
        assert_eq!(
            call.params,
            json!({ "HubName_str": "a b/c", "Name_str": "%zz%", "x": "" })
        );
    }

    #[test]
    fn parameters_do_not_show_in_debug_output() {
        let call = Call::from_query(
            "SetServerPassword",
            "PlainTextPassword_str=hunter2",
            "1".to_owned(),
        );
        assert!(!format!("{call:?}").contains("hunter2"));
    }
}
