//! What a client tells about itself and its machine: for logs and lists, never for decisions (protocol §4.3).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::error::ErrorCode;
use crate::pack::Pack;

/// Name and version of a client program.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientVersion {
    /// Product name. One with "server" or "bridge" in it asks for bridge mode.
    pub product: String,
    /// Version, major * 100 + minor.
    pub version: u32,
    /// Build number; a hub may ask for a minimum.
    pub build: u32,
}

impl ClientVersion {
    pub(super) fn write(&self, pack: &mut Pack) {
        pack.set_str("client_str", &self.product)
            .set_int("client_ver", self.version)
            .set_int("client_build", self.build);
    }

    /// Absent fields read as nothing; `hello` is what very old clients call the product.
    pub(super) fn read(pack: &Pack) -> Self {
        Self {
            product: pack
                .str("client_str")
                .or_else(|| pack.str("hello"))
                .unwrap_or_default()
                .to_owned(),
            version: pack.int("client_ver").unwrap_or_else(|| pack.int_or_0("version")),
            build: pack.int("client_build").unwrap_or_else(|| pack.int_or_0("build")),
        }
    }

    /// Whether the program is a server or bridge, whose cascade must be allowed to bridge (protocol §4.3).
    #[must_use]
    pub fn is_bridge(&self) -> bool {
        let product = self.product.to_ascii_lowercase();
        product.contains("server") || product.contains("bridge")
    }
}

/// The client's and the server's end of the connection as the client sees them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeInfo {
    /// Product name of the client.
    pub client_product: String,
    /// Version of the client, major * 100 + minor.
    pub client_version: u32,
    /// Build of the client.
    pub client_build: u32,
    /// Product name of the server, from its hello.
    pub server_product: String,
    /// Version of the server, major * 100 + minor.
    pub server_version: u32,
    /// Build of the server.
    pub server_build: u32,
    /// Operating system of the client.
    pub client_os: String,
    /// Its version.
    pub client_os_version: String,
    /// Its product id.
    pub client_os_product_id: String,
    /// Host name of the client.
    pub client_host: String,
    /// Host name of the server as the client calls it.
    pub server_host: String,
    /// Host name of the proxy between them; empty without one.
    pub proxy_host: String,
    /// Random number of the client process; logins of one process count once.
    pub unique_id: [u8; 16],
    /// Local address of the client's connection.
    pub client_ip: IpAddr,
    /// Its port.
    pub client_port: u16,
    /// Address of the server.
    pub server_ip: IpAddr,
    /// Its port.
    pub server_port: u16,
    /// Address of the proxy; unspecified without one.
    pub proxy_ip: IpAddr,
    /// Its port.
    pub proxy_port: u16,
}

/// Everything empty and unspecified.
impl Default for NodeInfo {
    fn default() -> Self {
        let nowhere = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        Self {
            client_product: String::new(),
            client_version: 0,
            client_build: 0,
            server_product: String::new(),
            server_version: 0,
            server_build: 0,
            client_os: String::new(),
            client_os_version: String::new(),
            client_os_product_id: String::new(),
            client_host: String::new(),
            server_host: String::new(),
            proxy_host: String::new(),
            unique_id: [0; 16],
            client_ip: nowhere,
            client_port: 0,
            server_ip: nowhere,
            server_port: 0,
            proxy_ip: nowhere,
            proxy_port: 0,
        }
    }
}

impl NodeInfo {
    pub(super) fn write(&self, pack: &mut Pack) {
        pack.set_str("ClientProductName", &self.client_product)
            .set_str("ServerProductName", &self.server_product)
            .set_str("ClientOsName", &self.client_os)
            .set_str("ClientOsVer", &self.client_os_version)
            .set_str("ClientOsProductId", &self.client_os_product_id)
            .set_str("ClientHostname", &self.client_host)
            .set_str("ServerHostname", &self.server_host)
            .set_str("ProxyHostname", &self.proxy_host)
            .set_data("UniqueId", &self.unique_id);
        set_swapped(pack, "ClientProductVer", self.client_version);
        set_swapped(pack, "ClientProductBuild", self.client_build);
        set_swapped(pack, "ServerProductVer", self.server_version);
        set_swapped(pack, "ServerProductBuild", self.server_build);
        set_swapped(pack, "ClientPort", self.client_port.into());
        set_swapped(pack, "ServerPort2", self.server_port.into());
        set_swapped(pack, "ProxyPort", self.proxy_port.into());
        set_address(pack, "ClientIpAddress", self.client_ip);
        set_address(pack, "ServerIpAddress", self.server_ip);
        set_address(pack, "ProxyIpAddress", self.proxy_ip);
    }

    /// `None` when the client sends no node information at all, as minimal clients do.
    pub(super) fn read(pack: &Pack) -> Option<Self> {
        if !pack.contains("UniqueId") && !pack.contains("ClientProductName") {
            return None;
        }
        let text = |name: &str| pack.str(name).unwrap_or_default().to_owned();
        let port = |name: &str| u16::try_from(swapped(pack, name)).unwrap_or(0);
        Some(Self {
            client_product: text("ClientProductName"),
            client_version: swapped(pack, "ClientProductVer"),
            client_build: swapped(pack, "ClientProductBuild"),
            server_product: text("ServerProductName"),
            server_version: swapped(pack, "ServerProductVer"),
            server_build: swapped(pack, "ServerProductBuild"),
            client_os: text("ClientOsName"),
            client_os_version: text("ClientOsVer"),
            client_os_product_id: text("ClientOsProductId"),
            client_host: text("ClientHostname"),
            server_host: text("ServerHostname"),
            proxy_host: text("ProxyHostname"),
            unique_id: pack.array("UniqueId").unwrap_or_default(),
            client_ip: address(pack, "ClientIpAddress"),
            client_port: port("ClientPort"),
            server_ip: address(pack, "ServerIpAddress"),
            server_port: port("ServerPort2"),
            proxy_ip: address(pack, "ProxyIpAddress"),
            proxy_port: port("ProxyPort"),
        })
    }
}

/// Node information carries its numbers byte-swapped: 501 is `f5 01 00 00` (protocol §4.3).
fn set_swapped(pack: &mut Pack, name: &str, value: u32) {
    pack.set_int(name, value.swap_bytes());
}

fn swapped(pack: &Pack, name: &str) -> u32 {
    pack.int_or_0(name).swap_bytes()
}

/// An IPv4 address stands in the quadruple and an IPv6 one in a separate element `…6`, the other being zero.
fn set_address(pack: &mut Pack, name: &str, ip: IpAddr) {
    let (v4, v6) = match ip {
        IpAddr::V4(v4) => (v4, Ipv6Addr::UNSPECIFIED),
        IpAddr::V6(v6) => (Ipv4Addr::UNSPECIFIED, v6),
    };
    pack.set_ip(name, v4.into())
        .set_data(&format!("{name}6"), &v6.octets());
}

fn address(pack: &Pack, name: &str) -> IpAddr {
    let v4 = pack.ip(name).unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    match pack.array::<16>(&format!("{name}6")) {
        Some(octets) if v4.is_unspecified() && octets != [0; 16] => IpAddr::V6(octets.into()),
        _ => v4,
    }
}

/// The operating system as administration tools and clients describe it (`V_*`). A system other than Windows sends
/// zeros and a title.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OsInfo {
    /// Whether it is Windows.
    pub windows: bool,
    /// Whether it is of the NT family.
    pub nt: bool,
    /// Whether it is a server edition.
    pub server: bool,
    /// Whether it is a trial version.
    pub beta: bool,
    /// Major version.
    pub major: u32,
    /// Minor version.
    pub minor: u32,
    /// Build.
    pub build: u32,
    /// Service pack.
    pub service_pack: u32,
    /// Name for people.
    pub title: String,
}

impl OsInfo {
    pub(super) fn write(&self, pack: &mut Pack) {
        pack.set_bool("V_IsWindows", self.windows)
            .set_bool("V_IsNT", self.nt)
            .set_bool("V_IsServer", self.server)
            .set_bool("V_IsBeta", self.beta)
            .set_int("V_VerMajor", self.major)
            .set_int("V_VerMinor", self.minor)
            .set_int("V_Build", self.build)
            .set_int("V_ServicePack", self.service_pack)
            .set_str("V_Title", &self.title);
    }

    pub(super) fn read(pack: &Pack) -> Option<Self> {
        Some(Self {
            title: pack.str("V_Title")?.to_owned(),
            windows: pack.bool("V_IsWindows"),
            nt: pack.bool("V_IsNT"),
            server: pack.bool("V_IsServer"),
            beta: pack.bool("V_IsBeta"),
            major: pack.int_or_0("V_VerMajor"),
            minor: pack.int_or_0("V_VerMinor"),
            build: pack.int_or_0("V_Build"),
            service_pack: pack.int_or_0("V_ServicePack"),
        })
    }
}

/// The name under which a server refuses a message that lacks a field.
pub(super) fn required<T>(value: Option<T>) -> Result<T, ErrorCode> {
    value.ok_or(ErrorCode::Protocol)
}
