//! nftables through `nft -f -`: the words our rulesets are made of, and the one place here that runs the program.
//!
//! A ruleset of ours is one table of family `ip` or `ip6`, replaced as a whole in one transaction. No other table is read
//! for writing or written.

use std::borrow::Cow;
use std::io::ErrorKind;
use std::net::Ipv4Addr;
use std::time::Duration;

use nftables::batch::Batch;
use nftables::expr::{CT, Expression, Meta, MetaKey, NamedExpression, Payload, PayloadField, Prefix};
use nftables::schema::{Chain, NfListObject, NfObject, Nftables, Rule, Table};
use nftables::stmt::{Accept, AnonymousCounter, Counter, Drop, Match, Operator, Reject, Statement};
use nftables::types::{NfChainPolicy, NfChainType, NfFamily, NfHook};

use crate::ipv6::Ipv6Net;
use crate::net::Ipv4Net;
use crate::program;
use crate::tag::Tag;

/// A healthy `nft` answers within milliseconds, or seconds when it lists ten thousand elements on a busy machine; one that
/// hangs must not hang the server.
const PATIENCE: Duration = Duration::from_secs(60);

/// What went wrong between us and nftables.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NftError {
    /// The program is missing.
    #[error("the program nft is missing; install the package `nftables`, or use user mode")]
    Missing,
    /// The program may not change the ruleset.
    #[error("nft may not change the firewall; run as root or with CAP_NET_ADMIN, or use user mode")]
    Forbidden,
    /// The transaction does not fit the socket to the kernel. Outside of a user namespace `nft` makes that as large as it needs.
    #[error(
        "the rules are too many for one transaction of nft in this container; on its host, raise net.core.wmem_default \
         (8388608 is enough for ten thousand), or use fewer"
    )]
    TooLarge,
    /// The kernel refused the transaction.
    #[error("nft refused: {0}")]
    Refused(String),
    /// The program could not be run or did not end.
    #[error("nft could not be run: {0}")]
    Io(#[from] std::io::Error),
    /// The program answered something that is not its JSON.
    #[error("nft answered what is not understood: {0}")]
    Json(#[from] serde_json::Error),
}

/// One transaction on one table of ours.
pub(crate) struct Ruleset {
    family: NfFamily,
    table: String,
    batch: Batch<'static>,
}

impl Ruleset {
    /// A transaction that removes `table` if it exists and creates it empty.
    pub(crate) fn replace(table: &str) -> Self {
        Self::replace_in(NfFamily::IP, table)
    }

    /// The same in another family.
    pub(crate) fn replace_in(family: NfFamily, table: &str) -> Self {
        let mut batch = Batch::new();
        // Deleting a table that does not exist fails the transaction, so it is added first.
        batch.add(table_object(family, table));
        batch.delete(table_object(family, table));
        batch.add(table_object(family, table));
        Ruleset {
            family,
            table: table.to_owned(),
            batch,
        }
    }

    /// A transaction that removes `table`, whether it exists or not.
    fn remove(family: NfFamily, table: &str) -> Self {
        let mut batch = Batch::new();
        batch.add(table_object(family, table));
        batch.delete(table_object(family, table));
        Ruleset {
            family,
            table: table.to_owned(),
            batch,
        }
    }

    /// Adds a chain that the kernel calls at `hook`; what no rule decides is accepted.
    pub(crate) fn base_chain(&mut self, name: &'static str, kind: NfChainType, hook: NfHook, priority: i32) {
        self.batch.add(NfListObject::Chain(Chain {
            family: self.family,
            table: self.table.clone().into(),
            name: name.into(),
            newname: None,
            handle: None,
            _type: Some(kind),
            hook: Some(hook),
            prio: Some(priority),
            dev: None,
            policy: Some(NfChainPolicy::Accept),
        }));
    }

    /// Appends a rule to `chain`.
    pub(crate) fn rule(&mut self, chain: &'static str, statements: Vec<Statement<'static>>, comment: &str) {
        self.batch.add(NfListObject::Rule(Rule {
            family: self.family,
            table: self.table.clone().into(),
            chain: chain.into(),
            expr: Cow::Owned(statements),
            handle: None,
            index: None,
            comment: Some(comment.to_owned().into()),
        }));
    }

    /// Keeps a text in the table: the comment of a rule in a chain that nothing calls.
    pub(crate) fn note(&mut self, text: &str) {
        const CHAIN: &str = "notes";
        self.batch.add(NfListObject::Chain(Chain {
            family: self.family,
            table: self.table.clone().into(),
            name: CHAIN.into(),
            policy: None,
            ..Chain::default()
        }));
        self.rule(CHAIN, vec![counter(0, 0)], text);
    }

    /// The transaction as the document that `nft -j -f -` reads.
    pub(crate) fn into_document(self) -> Nftables<'static> {
        self.batch.to_nftables()
    }
}

fn table_object(family: NfFamily, name: &str) -> NfListObject<'static> {
    NfListObject::Table(Table {
        family,
        name: name.to_owned().into(),
        handle: None,
    })
}

/// Applies a transaction: all of it or nothing.
pub(crate) async fn apply(document: &Nftables<'_>) -> Result<(), NftError> {
    run(&["-j", "-f", "-"], &serde_json::to_vec(document)?)
        .await
        .map(drop)
}

/// A transaction in either of the languages that `nft` reads.
#[derive(Clone, Debug)]
pub(crate) enum Script {
    /// Its JSON.
    Json(Nftables<'static>),
    /// That of nft(8). JSON has no words for maps that lead to an address with a port before nftables 1.0.7.
    Text(String),
}

impl Script {
    /// Applies it: all of it or nothing.
    pub(crate) async fn apply(&self) -> Result<(), NftError> {
        match self {
            Script::Json(document) => apply(document).await,
            Script::Text(text) => apply_script(text).await,
        }
    }
}

/// Applies a transaction in the language of nft(8): all of it or nothing.
pub(crate) async fn apply_script(script: &str) -> Result<(), NftError> {
    run(&["-f", "-"], script.as_bytes()).await.map(drop)
}

/// A table of ours with everything in it, as `nft` lists it in JSON; `None` if there is no such table.
pub(crate) async fn listing(table: &str) -> Result<Option<serde_json::Value>, NftError> {
    match list(&["-j", "list", "table", "ip", table]).await? {
        Some(answer) => Ok(Some(serde_json::from_slice(&answer)?)),
        None => Ok(None),
    }
}

async fn list(arguments: &[&str]) -> Result<Option<Vec<u8>>, NftError> {
    match run(arguments, &[]).await {
        Ok(answer) => Ok(Some(answer)),
        Err(NftError::Refused(reason)) if reason.contains("No such file") => Ok(None),
        Err(error) => Err(error),
    }
}

/// The comments of a table's rules, empty for one without; `None` if there is no such table. Elements of maps are not
/// asked for, and statements not looked into.
pub(crate) async fn comments_in(family: NfFamily, table: &str) -> Result<Option<Vec<String>>, NftError> {
    let Some(answer) = list(&["-j", "-t", "list", "table", family_word(family), table]).await? else {
        return Ok(None);
    };
    let document: serde_json::Value = serde_json::from_slice(&answer)?;
    let objects = document["nftables"].as_array().into_iter().flatten();
    let rules = objects.filter_map(|object| object.get("rule"));
    let comment = |rule: &serde_json::Value| rule["comment"].as_str().unwrap_or_default().to_owned();
    Ok(Some(rules.map(comment).collect()))
}

/// The rules of a table of ours, or `None` if there is no such table. Elements of maps are not asked for.
pub(crate) async fn rules(table: &str) -> Result<Option<Vec<Rule<'static>>>, NftError> {
    let Some(answer) = list(&["-j", "-t", "list", "table", "ip", table]).await? else {
        return Ok(None);
    };
    let document: Nftables<'static> = serde_json::from_slice(&answer)?;
    let rule = |object: &NfObject<'static>| match object {
        NfObject::ListObject(NfListObject::Rule(rule)) => Some(rule.clone()),
        _ => None,
    };
    Ok(Some(document.objects.iter().filter_map(rule).collect()))
}

/// Removes a table of ours, if it exists.
pub(crate) async fn remove(table: &str) -> Result<(), NftError> {
    remove_in(NfFamily::IP, table).await
}

/// The same in another family.
pub(crate) async fn remove_in(family: NfFamily, table: &str) -> Result<(), NftError> {
    apply(&Ruleset::remove(family, table).into_document()).await
}

/// Our tables are of two families.
fn family_word(family: NfFamily) -> &'static str {
    match family {
        NfFamily::IP6 => "ip6",
        _ => "ip",
    }
}

/// A table of ours, of whatever family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OurTable {
    pub(crate) family: String,
    pub(crate) name: String,
}

impl OurTable {
    /// Removes it.
    pub(crate) async fn remove(&self) -> Result<(), NftError> {
        match run(&["delete", "table", &self.family, &self.name], &[]).await {
            Err(NftError::Refused(reason)) if reason.contains("No such file") => Ok(()),
            outcome => outcome.map(drop),
        }
    }
}

/// The tables on this machine that are ours by their name, of this process or of another.
pub(crate) async fn tables() -> Result<Vec<OurTable>, NftError> {
    let answer: serde_json::Value = serde_json::from_slice(&run(&["-j", "list", "tables"], &[]).await?)?;
    let objects = answer["nftables"].as_array().into_iter().flatten();
    let named = objects.filter_map(|object| {
        let text = |key: &str| object["table"][key].as_str().map(str::to_owned);
        Some(OurTable {
            family: text("family")?,
            name: text("name")?,
        })
    });
    Ok(named
        .filter(|table| Tag::of_table(&table.name).is_some())
        .collect())
}

/// Chains of others that drop forwarded packets nobody allows, in words for an administrator.
pub(crate) async fn dropping_forward_chains() -> Result<Vec<String>, NftError> {
    let answer: serde_json::Value = serde_json::from_slice(&run(&["-j", "list", "chains"], &[]).await?)?;
    let chains = answer["nftables"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|object| &object["chain"]);
    let dropping = chains.filter(|chain| chain["hook"] == "forward" && chain["policy"] == "drop");
    let text = |value: &serde_json::Value| value.as_str().unwrap_or("?").to_owned();
    Ok(dropping
        .map(|chain| {
            let (family, table, name) = (text(&chain["family"]), text(&chain["table"]), text(&chain["name"]));
            format!(
                "the firewall chain `{family} {table} {name}` drops forwarded packets that no rule of its own accepts; \
                 allow the published ports there"
            )
        })
        .collect())
}

async fn run(arguments: &[&str], input: &[u8]) -> Result<Vec<u8>, NftError> {
    let output = program::run("nft", arguments, input, PATIENCE).await;
    let output = output.map_err(|error| match error.kind() {
        ErrorKind::NotFound => NftError::Missing,
        _ => error.into(),
    })?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    if said.contains("Operation not permitted") || said.contains("Permission denied") {
        return Err(NftError::Forbidden);
    }
    if said.contains("Message too long") {
        return Err(NftError::TooLarge);
    }
    Err(NftError::Refused(
        said.lines()
            .next()
            .unwrap_or("without a reason")
            .trim()
            .to_owned(),
    ))
}

// The words below are the expressions that our rules use, with the names that `nft` gives them.

/// `left == right`
pub(crate) fn is(left: Expression<'static>, right: Expression<'static>) -> Statement<'static> {
    Statement::Match(Match {
        left,
        right,
        op: Operator::EQ,
    })
}

/// `left != right`
pub(crate) fn is_not(left: Expression<'static>, right: Expression<'static>) -> Statement<'static> {
    Statement::Match(Match {
        left,
        right,
        op: Operator::NEQ,
    })
}

/// A header field, such as `ip saddr`.
pub(crate) fn field(protocol: &'static str, field: &'static str) -> Expression<'static> {
    let field = PayloadField {
        protocol: protocol.into(),
        field: field.into(),
    };
    Expression::Named(NamedExpression::Payload(Payload::PayloadField(field)))
}

/// `meta iifname`, `meta oifname` and their like.
pub(crate) fn meta(key: MetaKey) -> Expression<'static> {
    Expression::Named(NamedExpression::Meta(Meta { key }))
}

/// `ct status` and its like.
pub(crate) fn ct(key: &'static str) -> Expression<'static> {
    Expression::Named(NamedExpression::CT(CT {
        key: key.into(),
        family: None,
        dir: None,
    }))
}

/// `ct status dnat`: the connection's destination was rewritten. A flag test, therefore `in`.
pub(crate) fn ct_has(key: &'static str, flag: &'static str) -> Statement<'static> {
    Statement::Match(Match {
        left: ct(key),
        right: word(flag),
        op: Operator::IN,
    })
}

/// A name or symbolic constant.
pub(crate) fn word(text: impl Into<Cow<'static, str>>) -> Expression<'static> {
    Expression::String(text.into())
}

/// An IPv4 address.
pub(crate) fn address(ip: Ipv4Addr) -> Expression<'static> {
    word(ip.to_string())
}

/// An IPv4 network.
pub(crate) fn network(net: Ipv4Net) -> Expression<'static> {
    if net.prefix() == 32 {
        return address(net.address());
    }
    let prefix = Prefix {
        addr: Box::new(address(net.address())),
        len: net.prefix().into(),
    };
    Expression::Named(NamedExpression::Prefix(prefix))
}

/// An IPv6 network.
pub(crate) fn network6(net: Ipv6Net) -> Expression<'static> {
    let address = word(net.address().to_string());
    if net.prefix() == 128 {
        return address;
    }
    let prefix = Prefix {
        addr: Box::new(address),
        len: net.prefix().into(),
    };
    Expression::Named(NamedExpression::Prefix(prefix))
}

/// Lets the packet pass.
pub(crate) fn accept() -> Statement<'static> {
    Statement::Accept(Some(Accept {}))
}

/// Takes the packet without a word.
pub(crate) fn discard() -> Statement<'static> {
    Statement::Drop(Some(Drop {}))
}

/// Takes the packet and tells its sender.
pub(crate) fn refuse() -> Statement<'static> {
    Statement::Reject(Some(Reject {
        _type: None,
        expr: None,
    }))
}

/// Holds for what belongs to a connection that is there.
pub(crate) fn answers() -> Statement<'static> {
    Statement::Match(Match {
        left: ct("state"),
        right: Expression::List(["established", "related"].map(word).into()),
        op: Operator::IN,
    })
}

/// A counter that goes on from the values given.
pub(crate) fn counter(packets: u64, bytes: u64) -> Statement<'static> {
    let counter = AnonymousCounter {
        packets: Some(packets as usize),
        bytes: Some(bytes as usize),
    };
    Statement::Counter(Counter::Anonymous(Some(counter)))
}
