//! What the tests that cross crates stand on: a laboratory of network namespaces, our own daemons
//! and the stock software inside it, and the bodies of the fuzz targets.
//!
//! The way into it is [`lab::run`]: it carries a test into namespaces of its own, where it is root,
//! where nothing it does reaches the machine, and whose processes end with it.

pub mod bench;
pub mod client_lines;
pub mod conformance;
pub mod desk;
pub mod dhcp;
pub mod dhcpv6;
pub mod fuzz;
pub mod host;
pub mod interceptor;
pub mod lab;
pub mod language;
pub mod liar;
pub mod line;
pub mod load;
pub mod machine;
pub mod metadata;
pub mod ours;
pub mod package;
pub mod page;
pub mod process;
pub mod proxy;
pub mod radius;
pub mod raw;
pub mod site;
pub mod sources;
pub mod stock;
pub mod story;
pub mod stranger;
pub mod transfer;
pub mod trap;
pub mod typist;
