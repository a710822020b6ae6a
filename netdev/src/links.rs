//! Links and their addresses, over rtnetlink.
//!
//! rtnetlink changes its interface with every release, so its types stay within this file and `routes`.

use std::net::IpAddr;
use std::sync::Arc;

use futures_util::TryStreamExt;
use nix::libc;
use rtnetlink::packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage, CacheInfo,
};
use rtnetlink::packet_route::link::{InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkMessage};
use rtnetlink::{Handle, LinkMessageBuilder, LinkUnspec};
use tokio::task::AbortHandle;

use crate::{Error, Result, mac, name};

/// Links, addresses and routes of one network namespace. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Links {
    pub(crate) handle: Handle,
    /// Ends the task that reads the netlink socket when the last clone is dropped.
    _connection: Arc<Connection>,
}

#[derive(Debug)]
struct Connection(AbortHandle);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A network device as the kernel lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The device's name.
    pub name: String,
    /// The device's number in its network namespace.
    pub index: u32,
    /// The hardware address, if it is an Ethernet one.
    pub mac: Option<[u8; 6]>,
    /// The largest payload of a frame in bytes.
    pub mtu: u32,
    /// Whether the device is switched on.
    pub up: bool,
    /// Whether it is on and can carry packets, as far as the kernel knows: a card has its cable, a TAP device its program.
    pub running: bool,
    /// Whether it is the loopback device.
    pub loopback: bool,
    /// Whether it is a bridge of the kernel, whose ports are other devices.
    pub is_bridge: bool,
    /// The number of the bridge (or bond) that it is a port of.
    pub master: Option<u32>,
    /// What somebody noted at it (`ip link set ... alias`); mostly nothing.
    pub alias: String,
}

/// An address of a device with the length of its network's prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address {
    /// The address.
    pub ip: IpAddr,
    /// The number of bits that name the network.
    pub prefix: u8,
}

impl Links {
    /// Opens a netlink socket in the network namespace of the calling thread.
    ///
    /// Must be called within a tokio runtime. Reading needs no privilege; changing needs CAP_NET_ADMIN.
    pub fn new() -> Result<Self> {
        let (connection, handle, _messages) =
            rtnetlink::new_connection().map_err(|e| Error::from_io("opening a netlink socket", e))?;
        let task = tokio::spawn(connection);
        Ok(Self {
            handle,
            _connection: Arc::new(Connection(task.abort_handle())),
        })
    }

    /// The device's number.
    pub async fn index(&self, device: &str) -> Result<u32> {
        Ok(self.link(device).await?.index)
    }

    /// Whether there is a device of this name.
    pub async fn exists(&self, device: &str) -> Result<bool> {
        match self.link(device).await {
            Ok(_) => Ok(true),
            Err(Error::NoDevice { .. }) => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// One device by its name.
    pub async fn link(&self, device: &str) -> Result<Link> {
        name::check(device)?;
        let found = self
            .handle
            .link()
            .get()
            .match_name(device)
            .execute()
            .try_next()
            .await;
        let message = found.map_err(|e| failed(device, format!("looking up {device}"), e))?;
        message.map(|m| describe(&m)).ok_or_else(|| Error::NoDevice {
            device: device.to_owned(),
        })
    }

    /// All devices of the namespace.
    pub async fn list(&self) -> Result<Vec<Link>> {
        let messages: Vec<LinkMessage> = self
            .handle
            .link()
            .get()
            .execute()
            .try_collect()
            .await
            .map_err(|e| netlink("listing devices", e))?;
        Ok(messages.iter().map(describe).collect())
    }

    /// Switches the device on.
    pub async fn set_up(&self, device: &str) -> Result<()> {
        self.change(device, "switching on", |link| link.up()).await
    }

    /// Switches the device off. Its routes vanish.
    pub async fn set_down(&self, device: &str) -> Result<()> {
        self.change(device, "switching off", |link| link.down()).await
    }

    /// Sets the largest payload of a frame in bytes.
    pub async fn set_mtu(&self, device: &str, mtu: u32) -> Result<()> {
        self.change(device, &format!("setting MTU {mtu} of"), |link| link.mtu(mtu))
            .await
    }

    /// Sets the hardware address.
    pub async fn set_mac(&self, device: &str, address: [u8; 6]) -> Result<()> {
        mac::check(address)?;
        let what = format!("setting hardware address {} of", mac::text(address));
        self.change(device, &what, |link| link.address(address.to_vec()))
            .await
    }

    /// Notes something at the device, at most 255 bytes; an empty text takes the note away.
    pub async fn set_alias(&self, device: &str, alias: &str) -> Result<()> {
        self.change(device, "noting an alias of", |link| link.alias(alias))
            .await
    }

    /// Makes the device a port of the bridge with this number.
    pub async fn set_master(&self, device: &str, bridge: u32) -> Result<()> {
        self.change(device, "joining to a bridge", |link| link.controller(bridge))
            .await
    }

    /// Takes the device away, if it is one that can be (not a real card).
    pub async fn delete_link(&self, device: &str) -> Result<()> {
        let index = self.index(device).await?;
        let done = self.handle.link().del(index).execute().await;
        done.map_err(|e| failed(device, format!("deleting {device}"), e))
    }

    /// Gives the device an address; its network becomes reachable through it.
    pub async fn add_address(&self, device: &str, ip: IpAddr, prefix: u8) -> Result<()> {
        let index = self.index(device).await?;
        let done = self.handle.address().add(index, ip, prefix).execute().await;
        done.map_err(|e| failed(device, format!("adding {ip}/{prefix} to {device}"), e))
    }

    /// The same without the route to the address's network, which is set where it is wanted.
    pub async fn add_address_alone(&self, device: &str, ip: IpAddr, prefix: u8) -> Result<()> {
        let index = self.index(device).await?;
        let mut request = self.handle.address().add(index, ip, prefix);
        // Flags beyond the first eight have no room in the header.
        request
            .message_mut()
            .attributes
            .push(AddressAttribute::Flags(AddressFlags::Noprefixroute));
        let done = request.execute().await;
        done.map_err(|e| failed(device, format!("adding {ip}/{prefix} to {device}"), e))
    }

    /// The same without a question whether somebody has the address already, so that it can be used at once; in IPv6 the
    /// kernel asks, and waits, otherwise.
    pub async fn add_address_unasked(&self, device: &str, ip: IpAddr, prefix: u8) -> Result<()> {
        let index = self.index(device).await?;
        let mut request = self.handle.address().add(index, ip, prefix);
        request.message_mut().header.flags |= AddressHeaderFlags::Nodad;
        let done = request.execute().await;
        done.map_err(|e| failed(device, format!("adding {ip}/{prefix} to {device}"), e))
    }

    /// Gives the device an address of IPv6 for a time, alone as [`Links::add_address_alone`] does, or prolongs it: the seconds for which
    /// it is preferred and for which it holds, `u32::MAX` for ever.
    pub async fn set_address_for(
        &self,
        device: &str,
        ip: IpAddr,
        prefix: u8,
        times: (u32, u32),
    ) -> Result<()> {
        let index = self.index(device).await?;
        let mut request = self.handle.address().add(index, ip, prefix).replace();
        let mut info = CacheInfo::default();
        (info.ifa_preferred, info.ifa_valid) = times;
        let attributes = &mut request.message_mut().attributes;
        attributes.push(AddressAttribute::Flags(AddressFlags::Noprefixroute));
        attributes.push(AddressAttribute::CacheInfo(info));
        let done = request.execute().await;
        done.map_err(|e| failed(device, format!("setting {ip}/{prefix} on {device}"), e))
    }

    /// Takes an address from the device.
    pub async fn remove_address(&self, device: &str, ip: IpAddr, prefix: u8) -> Result<()> {
        let index = self.index(device).await?;
        let what = || format!("removing {ip}/{prefix} from {device}");
        let all = self.address_messages(index).await?;
        let Some(message) = all
            .into_iter()
            .find(|m| address(m) == Some(Address { ip, prefix }))
        else {
            let source = std::io::Error::from_raw_os_error(libc::EADDRNOTAVAIL);
            return Err(Error::Io { what: what(), source });
        };
        let done = self.handle.address().del(message).execute().await;
        done.map_err(|e| failed(device, what(), e))
    }

    /// The addresses of the device.
    pub async fn addresses(&self, device: &str) -> Result<Vec<Address>> {
        let index = self.index(device).await?;
        Ok(self
            .address_messages(index)
            .await?
            .iter()
            .filter_map(address)
            .collect())
    }

    /// Those of them that end by themselves, as those made from router advertisements do.
    pub async fn passing_addresses(&self, device: &str) -> Result<Vec<Address>> {
        let index = self.index(device).await?;
        let all = self.address_messages(index).await?;
        let passes = |m: &&AddressMessage| !m.header.flags.contains(AddressHeaderFlags::Permanent);
        Ok(all.iter().filter(passes).filter_map(address).collect())
    }

    /// Every address of this machine, with the number of its device.
    pub async fn all_addresses(&self) -> Result<Vec<(u32, Address)>> {
        let messages: Vec<AddressMessage> = self
            .handle
            .address()
            .get()
            .execute()
            .try_collect()
            .await
            .map_err(|e| netlink("listing addresses", e))?;
        let found = messages
            .iter()
            .filter_map(|m| Some((m.header.index, address(m)?)));
        Ok(found.collect())
    }

    async fn address_messages(&self, index: u32) -> Result<Vec<AddressMessage>> {
        let request = self.handle.address().get().set_link_index_filter(index);
        request
            .execute()
            .try_collect()
            .await
            .map_err(|e| netlink("listing addresses", e))
    }

    async fn change(
        &self,
        device: &str,
        what: &str,
        with: impl FnOnce(LinkMessageBuilder<LinkUnspec>) -> LinkMessageBuilder<LinkUnspec>,
    ) -> Result<()> {
        let index = self.index(device).await?;
        let message = with(LinkUnspec::new_with_index(index)).build();
        let done = self.handle.link().change(message).execute().await;
        done.map_err(|e| failed(device, format!("{what} {device}"), e))
    }
}

/// The number of a device, without a netlink socket.
pub fn index_of(device: &str) -> Result<u32> {
    nix::net::if_::if_nametoindex(device).map_err(|e| match e {
        nix::errno::Errno::ENODEV => Error::NoDevice {
            device: device.to_owned(),
        },
        e => Error::from_io(format!("looking up {device}"), e.into()),
    })
}

fn describe(message: &LinkMessage) -> Link {
    let flags = message.header.flags;
    let mut link = Link {
        name: String::new(),
        index: message.header.index,
        mac: None,
        mtu: 0,
        up: flags.contains(LinkFlags::Up),
        running: flags.contains(LinkFlags::Up | LinkFlags::Running),
        loopback: flags.contains(LinkFlags::Loopback),
        is_bridge: false,
        master: None,
        alias: String::new(),
    };
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => link.name.clone_from(name),
            LinkAttribute::Address(bytes) => link.mac = bytes.as_slice().try_into().ok(),
            LinkAttribute::Mtu(mtu) => link.mtu = *mtu,
            LinkAttribute::IfAlias(alias) => link.alias.clone_from(alias),
            LinkAttribute::Controller(index) => link.master = Some(*index),
            LinkAttribute::LinkInfo(infos) => {
                link.is_bridge = infos.contains(&LinkInfo::Kind(InfoKind::Bridge));
            }
            _ => {}
        }
    }
    link
}

/// A device's own address; on a point-to-point link `Local` is ours and `Address` is the other end's.
fn address(message: &AddressMessage) -> Option<Address> {
    let local = message.attributes.iter().find_map(|a| match a {
        AddressAttribute::Local(ip) => Some(*ip),
        _ => None,
    });
    let any = message.attributes.iter().find_map(|a| match a {
        AddressAttribute::Address(ip) => Some(*ip),
        _ => None,
    });
    Some(Address {
        ip: local.or(any)?,
        prefix: message.header.prefix_len,
    })
}

/// The error of an operation on one device, which may have vanished.
fn failed(device: &str, what: String, error: rtnetlink::Error) -> Error {
    match netlink(what, error) {
        Error::Io { source, .. } if source.raw_os_error() == Some(libc::ENODEV) => Error::NoDevice {
            device: device.to_owned(),
        },
        other => other,
    }
}

/// The error of any netlink operation.
pub(crate) fn netlink(what: impl Into<String>, error: rtnetlink::Error) -> Error {
    let source = match error {
        rtnetlink::Error::NetlinkError(message) => message.to_io(),
        other => std::io::Error::other(other.to_string()),
    };
    Error::from_io(what, source)
}
