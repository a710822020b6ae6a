//! Rules that say in which table a packet's route is looked for, over rtnetlink.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use futures_util::TryStreamExt;
use rtnetlink::IpVersion;
use rtnetlink::packet_route::route::{RouteHeader, RouteProtocol};
use rtnetlink::packet_route::rule::{RuleAction, RuleAttribute, RuleFlags, RuleMessage};

use crate::links::netlink;
use crate::routes::{OURS, family};
use crate::{Links, Result};

/// One rule of ours: packets that are all of this look into this table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// Rules with lower numbers are asked first.
    pub priority: u32,
    /// The table.
    pub table: u32,
    /// The family, as its unspecified address.
    pub any: IpAddr,
    /// Only packets from this address.
    pub from: Option<IpAddr>,
    /// Only packets to this address.
    pub to: Option<IpAddr>,
    /// Only packets without this mark, of which the bits of the mask count. Alone: together with an address the kernel would
    /// take all of it as what must not be.
    pub unless: Option<(u32, u32)>,
    /// Whether the table's default route is passed over.
    pub without_default: bool,
}

impl Rule {
    /// Every packet of IPv4 looks into `table`.
    pub fn v4(priority: u32, table: u32) -> Self {
        Self::of(Ipv4Addr::UNSPECIFIED.into(), priority, table)
    }

    /// Every packet of IPv6 looks into `table`.
    pub fn v6(priority: u32, table: u32) -> Self {
        Self::of(Ipv6Addr::UNSPECIFIED.into(), priority, table)
    }

    fn of(any: IpAddr, priority: u32, table: u32) -> Self {
        Self {
            priority,
            table,
            any,
            from: None,
            to: None,
            unless: None,
            without_default: false,
        }
    }

    /// The main table's number.
    pub const MAIN: u32 = RouteHeader::RT_TABLE_MAIN as u32;
}

impl Links {
    /// Adds a rule and marks it as ours; one that is there is an error.
    pub async fn add_rule(&self, rule: &Rule) -> Result<()> {
        let mut request = self.handle.rule().add();
        *request.message_mut() = message(rule);
        request.execute().await.map_err(|e| {
            netlink(
                format!(
                    "adding the rule {} to look into table {}",
                    rule.priority, rule.table
                ),
                e,
            )
        })
    }

    /// Deletes a rule of ours.
    pub async fn delete_rule(&self, rule: &Rule) -> Result<()> {
        let request = self.handle.rule().del(message(rule));
        request.execute().await.map_err(|e| {
            netlink(
                format!(
                    "deleting the rule {} to look into table {}",
                    rule.priority, rule.table
                ),
                e,
            )
        })
    }

    /// The rules that are marked as ours, of both families; those of a family that the kernel lacks are none.
    pub async fn our_rules(&self) -> Result<Vec<Rule>> {
        let mut rules = Vec::new();
        for (version, any) in [
            (IpVersion::V4, IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            (IpVersion::V6, IpAddr::V6(Ipv6Addr::UNSPECIFIED)),
        ] {
            let listed: std::result::Result<Vec<RuleMessage>, _> =
                self.handle.rule().get(version).execute().try_collect().await;
            let messages = match listed {
                Ok(messages) => messages,
                Err(_) if any.is_ipv6() => Vec::new(),
                Err(error) => return Err(netlink("listing rules", error)),
            };
            // A kernel without a family answers with the rules of another.
            let of_family = |m: &&RuleMessage| m.header.family == family(any);
            rules.extend(messages.iter().filter(of_family).filter_map(|m| describe(m, any)));
        }
        Ok(rules)
    }
}

fn message(rule: &Rule) -> RuleMessage {
    let mut message = RuleMessage::default();
    let full = if rule.any.is_ipv4() { 32 } else { 128 };
    message.header.family = family(rule.any);
    message.header.action = RuleAction::ToTable;
    match u8::try_from(rule.table) {
        Ok(table) => message.header.table = table,
        Err(_) => message.attributes.push(RuleAttribute::Table(rule.table)),
    }
    message.attributes.push(RuleAttribute::Priority(rule.priority));
    message
        .attributes
        .push(RuleAttribute::Protocol(RouteProtocol::from(OURS)));
    if let Some(from) = rule.from {
        message.header.src_len = full;
        message.attributes.push(RuleAttribute::Source(from));
    }
    if let Some(to) = rule.to {
        message.header.dst_len = full;
        message.attributes.push(RuleAttribute::Destination(to));
    }
    if let Some((mark, mask)) = rule.unless {
        message.header.flags |= RuleFlags::Invert;
        message.attributes.push(RuleAttribute::FwMark(mark));
        message.attributes.push(RuleAttribute::FwMask(mask));
    }
    if rule.without_default {
        message.attributes.push(RuleAttribute::SuppressPrefixLen(0));
    }
    message
}

/// A rule as the kernel lists it, if it is marked as ours.
fn describe(message: &RuleMessage, any: IpAddr) -> Option<Rule> {
    let mut rule = Rule::of(any, 0, message.header.table.into());
    let (mut ours, mut mark, mut mask) = (false, None, u32::MAX);
    for attribute in &message.attributes {
        match attribute {
            RuleAttribute::Protocol(protocol) => ours = u8::from(*protocol) == OURS,
            RuleAttribute::Priority(priority) => rule.priority = *priority,
            RuleAttribute::Table(table) => rule.table = *table,
            RuleAttribute::Source(ip) => rule.from = Some(*ip),
            RuleAttribute::Destination(ip) => rule.to = Some(*ip),
            RuleAttribute::FwMark(value) if *value != 0 => mark = Some(*value),
            RuleAttribute::FwMask(value) => mask = *value,
            RuleAttribute::SuppressPrefixLen(0) => rule.without_default = true,
            _ => {}
        }
    }
    rule.unless = mark
        .filter(|_| message.header.flags.contains(RuleFlags::Invert))
        .map(|mark| (mark, mask));
    ours.then_some(rule)
}
