//! Administration calls as they travel, without a tool between.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use protocol::pack::{Kind, Pack};
use protocol::password;
use tokio::runtime::{Builder, Runtime};
use transport::admin::{AdminClient, AdminError};
use transport::dial;
use transport::tls::Trust;

use crate::host::Host;

/// A connection of an administrator.
pub struct Caller {
    runtime: Runtime,
    client: AdminClient,
}

impl std::fmt::Debug for Caller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Caller")
    }
}

impl Caller {
    /// Logs in at the server of `host` as its administrator.
    pub fn login(host: &Host, password: &str) -> Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let client = host.within(|| {
            runtime.block_on(async {
                let target = "127.0.0.1:443".parse()?;
                let dialed = dial::dial(&target, &Trust::Insecure, &mut |_| {}).await?;
                let hash = password::admin_hash(password.as_bytes());
                anyhow::Ok(AdminClient::login(dialed, None, &hash).await?)
            })
        })??;
        Ok(Self { runtime, client })
    }

    /// Calls a method: its answer, or the number of the error.
    pub fn call(&mut self, method: &str, request: &Pack) -> Result<Result<Pack, u32>> {
        match self
            .runtime
            .block_on(self.client.call_pack(method, request.clone()))
        {
            Ok(answer) => Ok(Ok(answer)),
            Err(AdminError::Refused(code)) => Ok(Err(code.code())),
            Err(error) => Err(error).with_context(|| format!("{method} {request:?}")),
        }
    }
}

/// A request from words `NAME=TYPE:VALUE`: `s` is a string, `u` a Unicode string, `i` an integer, `d` bytes in
/// hexadecimal; `s*N` and `u*N` are N letters.
pub fn request(text: &str) -> Result<Pack> {
    let mut pack = Pack::new();
    for word in text.split_whitespace() {
        let (name, value) = word.split_once('=').context("no =")?;
        let long = |kind: &str| {
            value
                .strip_prefix(kind)
                .and_then(|n| n.parse().ok())
                .map(|n| "x".repeat(n))
        };
        if let Some(text) = long("s*") {
            pack.set_str(name, &text);
        } else if let Some(text) = long("u*") {
            pack.set_unistr(name, &text);
        } else {
            match value.split_once(':').context("no type")? {
                ("s", text) => pack.set_str(name, text),
                ("u", text) => pack.set_unistr(name, text),
                ("i", number) => pack.set_int(name, number.parse()?),
                ("d", digits) => pack.set_data(name, &bytes(digits)?),
                (other, _) => bail!("{other} is no type"),
            };
        }
    }
    Ok(pack)
}

fn bytes(digits: &str) -> Result<Vec<u8>> {
    let pairs = digits.as_bytes().chunks(2);
    pairs
        .map(|pair| Ok(u8::from_str_radix(std::str::from_utf8(pair)?, 16)?))
        .collect()
}

/// The names and types of an answer's elements.
pub fn shape(pack: &Pack) -> BTreeMap<String, String> {
    pack.elements()
        .map(|(name, kind, _)| (name.to_owned(), format!("{kind:?}")))
        .collect()
}

/// Every value of an answer.
pub fn values(pack: &Pack) -> BTreeMap<String, Vec<String>> {
    let mut all = BTreeMap::new();
    for (name, kind, count) in pack.elements() {
        let value = |row| match kind {
            Kind::Int => pack.int_at(name, row).map(|value| value.to_string()),
            Kind::Int64 => pack.int64_at(name, row).map(|value| value.to_string()),
            Kind::Str => pack.str_at(name, row).map(str::to_owned),
            Kind::UniStr => pack.unistr_at(name, row).map(str::to_owned),
            Kind::Data => pack.data_at(name, row).map(|value| format!("{value:02x?}")),
        };
        all.insert(name.to_owned(), (0..count).filter_map(value).collect());
    }
    all
}
