//! The JSON interface, over HTTP as clients and browsers speak it.

use std::time::{Duration, Instant};

use protocol::rpc::hub::HubSettings;
use protocol::rpc::method::{CreateHub, SetServerPassword};
use protocol::rpc::server::ServerPassword;
use serde_json::json;
use tempfile::TempDir;
use transport::admin::AdminClient;

use crate::site::{Site, hub, lab};
use crate::web::{Web, post};

const ADMIN: &str = "X-VPNADMIN-PASSWORD: top secret\r\n";
/// `administrator:top secret`.
const BASIC: &str = "Authorization: Basic YWRtaW5pc3RyYXRvcjp0b3Agc2VjcmV0\r\n";
const MINE: &str = "X-VPNADMIN-HUBNAME: MINE\r\nX-VPNADMIN-PASSWORD: mine\r\n";
const CALL: &str = r#"{"jsonrpc":"2.0","id":"1","method":"GetServerInfo","params":{}}"#;

/// A site with hubs `lab` and `mine`, which has a password, as has the server.
async fn office(folder: &TempDir) -> (Site, AdminClient) {
    let (site, mut admin) = lab(folder, &[]).await;
    let password = ServerPassword {
        plain_text_password: "top secret".to_owned().into(),
        ..ServerPassword::default()
    };
    admin.call::<SetServerPassword>(&password).await.unwrap();
    let mine = HubSettings {
        admin_password_plain_text: "mine".to_owned().into(),
        ..hub("mine")
    };
    admin.call::<CreateHub>(&mine).await.unwrap();
    (site, admin)
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_of_both_administrators_are_answered_on_one_connection() {
    let folder = TempDir::new().unwrap();
    let (site, _admin) = office(&folder).await;
    let mut web = Web::open(&site).await;
    let user =
        json!({ "HubName_str": "mine", "Name_str": "ann", "Realname_utf": "\u{c4}nn", "AuthType_u32": 0 });
    let created = web.call(MINE, "CreateUser", &user).await;
    assert_eq!((created.status, created.json()["id"].as_str()), (200, Some("7")));
    assert_eq!(created.json()["result"]["Realname_utf"], "\u{c4}nn");
    let listed = web
        .call(ADMIN, "enumuser", &json!({ "HubName_str": "MINE" }))
        .await;
    assert_eq!(listed.json()["result"]["UserList"][0]["Name_str"], "ann");
    assert_eq!(listed.header("Content-Type"), Some("application/json"));
    assert_eq!(listed.header("Access-Control-Allow-Credentials"), Some("true"));
    assert!(
        listed.body.starts_with("{\n    \"result\": {\n"),
        "{}",
        listed.body
    );

    assert_eq!(web.call(MINE, "CreateUser", &user).await.code(), 66);
    assert_eq!(
        web.call(MINE, "EnumUser", &json!({ "HubName_str": "lab" }))
            .await
            .code(),
        52
    );
    assert_eq!(web.call(MINE, "EnumUser", &json!({})).await.code(), 38);
    assert_eq!(web.call(ADMIN, "BrewCoffee", &json!({})).await.code(), 33);
    assert_eq!(web.call(BASIC, "GetServerInfo", &json!({})).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_show_who_they_are_is_asked_to() {
    let folder = TempDir::new().unwrap();
    let (site, _admin) = office(&folder).await;
    let mut web = Web::open(&site).await;
    for login in [
        "",
        "X-VPNADMIN-PASSWORD: guess\r\n",
        "X-VPNADMIN-HUBNAME: lab\r\nX-VPNADMIN-PASSWORD:\r\n",
        "X-VPNADMIN-HUBNAME: nowhere\r\nX-VPNADMIN-PASSWORD: mine\r\n",
    ] {
        let answer = web.call(login, "GetServerInfo", &json!({})).await;
        assert_eq!(answer.status, 401, "{login}");
        assert!(
            answer
                .header("WWW-Authenticate")
                .unwrap()
                .starts_with("Basic realm="),
            "{answer:?}"
        );
    }
    assert_eq!(web.call(ADMIN, "GetServerInfo", &json!({})).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_calls_before_there_is_a_password() {
    let folder = TempDir::new().unwrap();
    let (site, _admin) = lab(&folder, &[]).await;
    let mut web = Web::open(&site).await;
    for login in [
        "X-VPNADMIN-PASSWORD:\r\n",
        "X-VPNADMIN-PASSWORD: any\r\n",
        "Authorization: Basic Og==\r\n",
    ] {
        assert_eq!(web.call(login, "GetServerInfo", &json!({})).await.status, 401);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_other_sites_cannot_use_what_a_browser_remembers() {
    let folder = TempDir::new().unwrap();
    let (site, _admin) = office(&folder).await;
    let mut web = Web::open(&site).await;
    let from = |login: &str| format!("{login}Origin: https://evil.example\r\n");
    let refused = web.call(&from(BASIC), "GetServerInfo", &json!({})).await;
    assert_eq!(refused.status, 403);
    let own = format!("{BASIC}Origin: https://vpn.example\r\n");
    assert_eq!(web.call(&own, "GetServerInfo", &json!({})).await.status, 200);
    let knows = web.call(&from(ADMIN), "GetServerInfo", &json!({})).await;
    assert_eq!(
        (knows.status, knows.header("Access-Control-Allow-Origin")),
        (200, Some("https://evil.example"))
    );
    let image =
        "GET /api/DeleteHub?HubName_str=lab HTTP/1.1\r\nHost: vpn.example\r\nSec-Fetch-Site: cross-site\r\n";
    let answer = web.exchange(format!("{image}{BASIC}\r\n")).await;
    assert_eq!(answer.status, 403);
    let preflight = "OPTIONS /api/ HTTP/1.1\r\nHost: vpn.example\r\nOrigin: https://tool.example\r\n\r\n";
    let answer = Web::open(&site).await.exchange(preflight).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, ""));
    assert_eq!(
        answer.header("Access-Control-Allow-Headers"),
        Some("X-VPNADMIN-HUBNAME,X-VPNADMIN-PASSWORD")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_may_come_as_an_address() {
    let folder = TempDir::new().unwrap();
    let (site, _admin) = office(&folder).await;
    let mut web = Web::open(&site).await;
    let get = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: vpn.example\r\n{ADMIN}\r\n");
    let answer = web.exchange(get("/api/GetHub?HubName_str=l%61b")).await;
    assert_eq!(answer.json()["result"]["HubName_str"], "lab");
    assert_eq!(answer.header("Content-Type"), Some("text/plain; charset=UTF-8"));
    assert_eq!(answer.json()["id"].as_str().map(str::len), Some(23));
    let page = web.exchange(get("/api/")).await;
    assert!(page.header("Content-Type").unwrap().starts_with("text/html"));
    assert!(page.body.contains("<h2>CreateUser</h2>"));
    let page = web.exchange("GET / HTTP/1.1\r\nHost: vpn.example\r\n\r\n").await;
    assert_eq!(
        page.body,
        Web::open(&site)
            .await
            .exchange("GET / HTTP/1.1\r\n\r\n")
            .await
            .body
    );
    let nothing = web.exchange(get("/favicon.ico")).await;
    assert_eq!(nothing.status, 404);
    assert!(web.is_hung_up().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn http_is_understood_as_clients_write_it() {
    let folder = TempDir::new().unwrap();
    let (site, _admin) = office(&folder).await;
    let mut web = Web::open(&site).await;
    // A page for a stranger, and then the interface, on one connection.
    assert_eq!(web.exchange("GET / HTTP/1.1\r\n\r\n").await.status, 200);
    // Two at once.
    let two = [post(ADMIN, CALL), post(ADMIN, &CALL.replace("\"1\"", "\"2\""))].concat();
    web.write(two).await;
    assert_eq!(web.read().await.json()["id"], "1");
    assert_eq!(web.read().await.json()["id"], "2");
    // In chunks.
    let (one, rest) = CALL.split_at(10);
    let chunks = format!("a\r\n{one}\r\n{:x}\r\n{rest}\r\n0\r\n\r\n", rest.len());
    let head =
        format!("POST /api HTTP/1.1\r\nHost: vpn.example\r\n{ADMIN}Transfer-Encoding: chunked\r\n\r\n");
    assert_eq!(web.exchange(format!("{head}{chunks}")).await.status, 200);
    // As curl asks for long bodies.
    let expecting = format!("{ADMIN}Expect: 100-continue\r\n");
    let request = post(&expecting, CALL);
    let (head, body) = request.split_at(request.len() - CALL.len());
    assert_eq!(web.exchange(head).await.status, 100);
    assert_eq!(web.exchange(body).await.json()["id"], "1");
    // Byte by byte.
    for byte in post(ADMIN, CALL).bytes() {
        web.write([byte]).await;
    }
    assert_eq!(web.read().await.status, 200);
    // In the old version, which hangs up.
    let old = post(ADMIN, CALL).replace("HTTP/1.1", "HTTP/1.0");
    assert_eq!(web.exchange(old).await.status, 200);
    assert!(web.is_hung_up().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_can_send_little() {
    let folder = TempDir::new().unwrap();
    let (site, _admin) = office(&folder).await;
    let long = "x".repeat(70_000);
    let headers = format!("X-Long: {long}\r\n");
    let refused = Web::open(&site).await.exchange(post(&headers, CALL)).await;
    assert_eq!(refused.status, 431);
    // A long body is not read before the credentials are looked at.
    let mut web = Web::open(&site).await;
    let head = "POST /api/ HTTP/1.1\r\nHost: h\r\nContent-Length: 100000000\r\n\r\n";
    assert_eq!(web.exchange(head).await.status, 401);
    assert!(web.is_hung_up().await);
    let huge = "POST /api/ HTTP/1.1\r\nHost: h\r\nContent-Length: 9000000\r\n";
    let answer = Web::open(&site).await.exchange(format!("{huge}{MINE}\r\n")).await;
    assert_eq!(answer.status, 413);
    for nonsense in [
        "POST /api/ HTTP/9.9\r\n\r\n",
        "POST /api/ HTTP/1.1\r\nno colon\r\n\r\n",
    ] {
        assert_eq!(Web::open(&site).await.exchange(nonsense).await.status, 400);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_has_fifteen_seconds_in_all() {
    let folder = TempDir::new().unwrap();
    let (site, _admin) = office(&folder).await;
    let begun = Instant::now();
    let (mut stranger, mut known) = (Web::open(&site).await, Web::open(&site).await);
    assert_eq!(stranger.exchange(post("", CALL)).await.status, 401);
    assert_eq!(known.exchange(post(ADMIN, CALL)).await.status, 200);
    assert!(stranger.is_hung_up().await);
    assert!(begun.elapsed() >= Duration::from_secs(14));
    assert_eq!(known.exchange(post(ADMIN, CALL)).await.status, 200);
}
