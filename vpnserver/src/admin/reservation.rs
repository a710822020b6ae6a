//! Reserved addresses of a hub's DHCP server.

use std::net::{IpAddr, Ipv4Addr};

use hub_core::MacAddr;
use nat::{Holder, Reservation, ReservationError};
use protocol::error::ErrorCode;
use protocol::rpc::HubRequest;
use protocol::rpc::securenat::{DhcpReservation, DhcpReservationList, DhcpReservationRow};

use super::{Administrator, Reply};
use crate::server::Server;
use crate::store::{Store, StoreError, UserName};

/// The user that stands for all whom RADIUS or a domain knows.
const EVERYBODY: &str = "*";

pub(super) async fn create(
    server: &Server,
    _: &Administrator,
    request: DhcpReservation,
) -> Reply<DhcpReservation> {
    let reservation = reservation(&request)?;
    let name = request.hub_name.clone();
    server
        .db
        .run(move |store| {
            if let Holder::User(user) = &reservation.holder {
                check_user(store, &name, user)?;
            }
            store.update_hub(&name, &|hub| {
                let config = &mut hub.secure_nat.config;
                config.reserve(reservation.clone()).map_err(|error| {
                    tracing::info!(hub = name, reason = %error, "a reservation is refused");
                    refused(&error)
                })
            })
        })
        .await?;
    Ok(request)
}

pub(super) async fn delete(
    server: &Server,
    _: &Administrator,
    request: DhcpReservation,
) -> Reply<DhcpReservation> {
    let ip = v4(request.ip_address)?;
    let name = request.hub_name.clone();
    server
        .db
        .run(move |store| {
            store.update_hub(&name, &|hub| {
                let removed = hub.secure_nat.config.dhcp_reservations.remove(ip);
                removed
                    .map(drop)
                    .ok_or(StoreError::Refused(ErrorCode::ObjectNotFound))
            })
        })
        .await?;
    Ok(request)
}

pub(super) async fn list(
    server: &Server,
    _: &Administrator,
    request: HubRequest,
) -> Reply<DhcpReservationList> {
    let running = server
        .hubs
        .named(&request.hub_name)
        .ok_or(ErrorCode::HubNotFound)?;
    let leases = running.dhcp_table().await.unwrap_or_default();
    let name = request.hub_name.clone();
    let config = server
        .db
        .run(move |store| store.hub(&name))
        .await?
        .secure_nat
        .config;
    let row = |Reservation { ip, holder }: Reservation| {
        let leased = leases.iter().find(|lease| lease.ip == ip);
        let (mac, user_name) = match holder {
            Holder::Mac(mac) => (mac, String::new()),
            Holder::User(name) => (MacAddr::ZERO, name),
        };
        DhcpReservationRow {
            ip_address: ip.into(),
            mac_address: mac.octets(),
            user_name,
            leased: leased.is_some(),
            leased_to: leased.map_or(MacAddr::ZERO, |lease| lease.mac).octets(),
            problem: config
                .check_reservation(ip)
                .err()
                .map(|error| error.to_string())
                .unwrap_or_default(),
        }
    };
    Ok(DhcpReservationList {
        hub_name: request.hub_name,
        reservations: config.dhcp_reservations.iter().map(row).collect(),
    })
}

/// One holder and not two.
fn reservation(request: &DhcpReservation) -> Reply<Reservation> {
    let mac = MacAddr::new(request.mac_address);
    let holder = match (mac == MacAddr::ZERO, request.user_name.as_str()) {
        (false, "") => Holder::Mac(mac),
        (true, user) if !user.is_empty() => {
            let name = UserName::parse(user).map_err(|_| ErrorCode::InvalidParameter)?;
            Holder::User(name.to_string())
        }
        _ => return Err(ErrorCode::InvalidParameter),
    };
    let ip = v4(request.ip_address)?;
    Ok(Reservation { ip, holder })
}

/// A user that nobody has made is a typing error, unless others come who have none of their own.
fn check_user(store: &dyn Store, hub: &str, user: &str) -> Result<(), StoreError> {
    match store.user(hub, user) {
        Err(StoreError::UserNotFound { hub, user }) => store
            .user(&hub, EVERYBODY)
            .map(drop)
            .map_err(|_| StoreError::UserNotFound { hub, user }),
        found => found.map(drop),
    }
}

fn refused(error: &ReservationError) -> StoreError {
    match error {
        ReservationError::Address { .. } | ReservationError::Holder { .. } => {
            StoreError::Refused(ErrorCode::ObjectExists)
        }
        _ => StoreError::Invalid(error.to_string()),
    }
}

fn v4(address: IpAddr) -> Reply<Ipv4Addr> {
    match address {
        IpAddr::V4(v4) => Ok(v4),
        IpAddr::V6(_) => Err(ErrorCode::InvalidParameter),
    }
}
