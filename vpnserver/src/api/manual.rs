//! The page at `/api/`: every method this server has, with its fields, read off the definitions.

use std::fmt::{self, Write};
use std::sync::OnceLock;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::header::HeaderValue;
use protocol::rpc::manual::{Form, Member};
use protocol::rpc::method::{Right, Row, TABLE};

use super::reply::NOTHING;
use crate::admin;

/// How the page looks. A browser takes no other style: the policy that goes out with the page has its hash.
const STYLE: &str = "body{font:16px/1.5 sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}\
    code,pre{font-family:monospace;background:#8881;border-radius:3px;padding:0 .2em}\
    pre{padding:.6em;overflow-x:auto}section{border-top:1px solid #8884;margin-top:1.5rem}\
    li li{list-style:circle}ul{padding-left:1.2rem}nav a{margin-right:.8em;white-space:nowrap}";

const BEGIN: &str = "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
    <title>JSON-RPC of this server</title><meta name=\"viewport\" content=\"width=device-width\">";

const INTRODUCTION: &str = r#"</head><body>
<h1>JSON-RPC of this server</h1>
<p>Send <code>POST /api/</code> with a JSON-RPC 2.0 object; one call per request.
The password goes into the header <code>X-VPNADMIN-PASSWORD</code>; a hub's administrator names the hub in
<code>X-VPNADMIN-HUBNAME</code>. HTTP Basic authentication works too, with <code>administrator</code> or the hub as the user name.</p>
<pre>curl -k -H 'X-VPNADMIN-PASSWORD: secret' https://vpn.example/api/ \
  -d '{"jsonrpc":"2.0","id":"1","method":"EnumUser","params":{"HubName_str":"lab"}}'</pre>
<p><code>GET /api/EnumUser?HubName_str=lab</code> is the same call. An answer has <code>result</code>, or <code>error</code> with a number and a text.
The ending of a name says what it holds:
<code>_u32</code> and <code>_u64</code> numbers, <code>_bool</code> true or false, <code>_str</code> and <code>_utf</code> text,
<code>_dt</code> a time such as <code>2030-01-02T03:04:05.678Z</code>, <code>_bin</code> bytes in Base64, <code>_ip</code> an address.
Fields that are left out are zero or empty.</p>
"#;

/// The page and what a browser may do with it.
pub(super) struct Manual {
    /// HTML.
    pub(super) page: String,
    /// The value of `Content-Security-Policy`.
    pub(super) policy: HeaderValue,
}

/// The page, written once.
pub(super) fn manual() -> &'static Manual {
    static MANUAL: OnceLock<Manual> = OnceLock::new();
    MANUAL.get_or_init(|| {
        let mut page = String::new();
        // Writing to a string does not fail.
        let _ = write_page(&mut page);
        let hash = STANDARD.encode(digest(&SHA256, STYLE.as_bytes()));
        let policy = format!("default-src 'none'; style-src 'sha256-{hash}'; frame-ancestors 'none'");
        Manual {
            page,
            policy: HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static(NOTHING)),
        }
    })
}

fn write_page(page: &mut String) -> fmt::Result {
    let methods: Vec<&Row> = TABLE.iter().filter(|row| admin::has(row.name)).collect();
    writeln!(page, "{BEGIN}<style>{STYLE}</style>{INTRODUCTION}<nav>")?;
    for row in &methods {
        writeln!(page, "<a href=\"#{0}\">{0}</a>", row.name)?;
    }
    page.push_str("</nav>\n");
    for row in methods {
        write_method(row, page)?;
    }
    page.push_str("</body></html>\n");
    Ok(())
}

fn write_method(row: &Row, page: &mut String) -> fmt::Result {
    let who = match row.right {
        Right::Any => "Any administrator.",
        Right::Server => "The server's administrator.",
        Right::Hub => "The server's administrator and the hub's.",
    };
    writeln!(
        page,
        "<section id=\"{0}\"><h2>{0}</h2><p>{1} <em>{who}</em></p>",
        row.name,
        Escaped(row.summary.trim())
    )?;
    write_members("Parameters", &(row.request.members)(), page)?;
    write_members("Result", &(row.response.members)(), page)?;
    page.push_str("</section>\n");
    Ok(())
}

fn write_members(title: &str, members: &[Member], page: &mut String) -> fmt::Result {
    if members.is_empty() {
        return writeln!(page, "<h3>{title}</h3><p>None.</p>");
    }
    writeln!(page, "<h3>{title}</h3>")?;
    write_list(members, page)
}

fn write_list(members: &[Member], page: &mut String) -> fmt::Result {
    page.push_str("<ul>\n");
    for member in members {
        write!(page, "<li><code>{}</code>", Escaped(&member.name))?;
        match &member.form {
            Form::One => {}
            Form::Optional => page.push_str(" (may be missing)"),
            Form::List => page.push_str(" (array)"),
            Form::Rows(_) => page.push_str(" (array of objects)"),
        }
        if !member.note.is_empty() {
            write!(page, " {}", Escaped(member.note.trim()))?;
        }
        if let Form::Rows(row) = &member.form {
            write_list(row, page)?;
        }
        page.push_str("</li>\n");
    }
    page.push_str("</ul>\n");
    Ok(())
}

/// Text that is no markup, with the backticks and links of our own notes taken off.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '`' | '[' | ']' => {}
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_of_the_server_is_on_the_page_and_no_other() {
        for row in TABLE {
            let heading = format!("<h2>{}</h2>", row.name);
            assert_eq!(
                manual().page.contains(&heading),
                admin::has(row.name),
                "{}",
                row.name
            );
        }
    }

    #[test]
    fn the_page_names_the_fields() {
        for field in [
            "HubName_str",
            "policy:MaxUpload_u32",
            "SessionList",
            "Ip_ip",
            "ExpireTime_dt",
        ] {
            assert!(
                manual().page.contains(&format!("<code>{field}</code>")),
                "{field}"
            );
        }
    }
}
