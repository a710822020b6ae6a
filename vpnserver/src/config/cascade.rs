//! `CascadeList` of a hub: what it would be on other servers.

use std::collections::HashMap;

use protocol::config::Folder;
use protocol::config::hidden::hide;
use zeroize::Zeroizing;

use super::place::Place;
use super::{Exporter, Import, ImportError, policy};
use crate::secret::Identity;
use crate::store::{Cascade, CascadeProof, CascadeProxy, Id, ProxyKind, StoreError};

const FOLDER: &str = "CascadeList";
/// Tries for ever, which every cascade does.
const FOR_EVER: u32 = u32::MAX;

impl Import<'_> {
    /// Takes the cascades; says how many there are.
    pub(super) fn cascades(&mut self, hub: &str, place: &Place<'_>) -> Result<usize, ImportError> {
        let mut ids = HashMap::new();
        for old in self.store.cascades(hub)? {
            self.store.delete_cascade(hub, &old.name)?;
            ids.insert(old.name.to_lowercase(), old.id);
        }
        let places = place.folders_of(FOLDER);
        for place in &places {
            let Some(option) = place.folder("ClientOption") else {
                return Err(place.error("must have a folder ClientOption").into());
            };
            let name = option.text("AccountName")?;
            let id = ids.get(&name.to_lowercase()).copied().unwrap_or_else(Id::random);
            let cascade = self.cascade(place, &option, id, name)?;
            place.keep(self.store.add_cascade(hub, &cascade))?;
        }
        Ok(places.len())
    }

    fn cascade(
        &self,
        place: &Place<'_>,
        option: &Place<'_>,
        id: Id,
        name: String,
    ) -> Result<Cascade, ImportError> {
        let auth = place.folder("ClientAuth");
        let username = auth.as_ref().map(|auth| auth.text("Username")).transpose()?;
        Ok(Cascade {
            id,
            name,
            online: place.flag("Online")?,
            host: option.text("Hostname")?,
            port: option.port("Port")?,
            udp_port: option.port("PortUDP")?,
            hub: option.text("HubName")?,
            username: username.unwrap_or_default(),
            proof: self.proof(auth.as_ref(), id)?,
            proxy: self.proxy(option, id)?,
            max_connections: option.uint_or("MaxConnection", 8)?.clamp(1, 32),
            additional_interval: option.uint_or("AdditionalConnectionInterval", 1)?,
            connection_life: option.uint_or("ConnectionDisconnectSpan", 0)?,
            encrypt: option.flag_or("UseEncrypt", true)?,
            compress: option.flag("UseCompress")?,
            half_duplex: option.flag("HalfConnection")?,
            no_qos: option.flag("DisableQoS")?,
            no_udp_acceleration: option.flag("NoUdpAcceleration")?,
            check_certificate: place.flag("CheckServerCert")?,
            server_certificate: place.bytes("ServerCert")?.map(<[u8]>::to_vec),
            policy: policy::read_of_cascade(place)?,
        })
    }

    fn proof(&self, auth: Option<&Place<'_>>, id: Id) -> Result<CascadeProof, ImportError> {
        let Some(auth) = auth else {
            return Ok(CascadeProof::Anonymous);
        };
        let seal = |plain: &[u8]| self.vault.seal(&Identity::Cascade(id), plain);
        let missing = |key: &str, what: &str| auth.wrong(key, format!("must be {what}"));
        Ok(match auth.uint_or("AuthType", 0)? {
            0 => CascadeProof::Anonymous,
            1 => {
                let hash = auth.hash::<20>("HashedPassword")?;
                let hash = hash.ok_or_else(|| missing("HashedPassword", "the hash of a password"))?;
                CascadeProof::Password(seal(&*hash)?)
            }
            2 => {
                let hidden = auth.bytes("EncryptedPassword")?.unwrap_or_default();
                CascadeProof::PlainPassword(seal(&hide(hidden))?)
            }
            3 => {
                let der = auth.bytes("ClientCert")?;
                let key = auth.bytes("ClientKey")?;
                let der = der.ok_or_else(|| missing("ClientCert", "a certificate (X.509, DER)"))?;
                x509_parser::parse_x509_certificate(der)
                    .map_err(|_| missing("ClientCert", "a certificate (X.509, DER)"))?;
                CascadeProof::Certificate {
                    der: der.to_vec(),
                    key: seal(key.ok_or_else(|| missing("ClientKey", "the certificate's private key"))?)?,
                }
            }
            _ => {
                return Err(auth
                    .wrong(
                        "AuthType",
                        "must be a number from 0 to 3; smart cards are not supported",
                    )
                    .into());
            }
        })
    }

    fn proxy(&self, option: &Place<'_>, id: Id) -> Result<CascadeProxy, ImportError> {
        let kind = ProxyKind::from_code(option.uint_or("ProxyType", 0)?)
            .ok_or_else(|| option.wrong("ProxyType", "must be a number from 0 to 3"))?;
        let password = option.bytes("ProxyPassword")?.map(hide);
        let seal = |plain: Zeroizing<Vec<u8>>| self.vault.seal(&Identity::CascadeProxy(id), &plain);
        Ok(CascadeProxy {
            kind,
            host: option.text("ProxyName")?,
            port: option.port("ProxyPort")?,
            username: option.text("ProxyUsername")?,
            password: password.map(seal).transpose()?,
            http_headers: option.text("CustomHttpHeader")?,
        })
    }
}

impl Exporter<'_> {
    pub(super) fn cascades(&self, hub: &str, folder: &mut Folder) -> Result<(), StoreError> {
        let list = folder.folder_mut(FOLDER);
        for (number, cascade) in self.store.cascades(hub)?.into_iter().enumerate() {
            let folder = list.folder_mut(&format!("Cascade{number}"));
            folder.set("Online", cascade.online);
            folder.set("CheckServerCert", cascade.check_certificate);
            if let Some(der) = &cascade.server_certificate {
                folder.set("ServerCert", der.as_slice());
            }
            self.write_proof(folder.folder_mut("ClientAuth"), &cascade)?;
            let option = folder.folder_mut("ClientOption");
            write_option(option, &cascade);
            self.write_proxy(option, &cascade)?;
            policy::write(folder, &cascade.policy, true);
        }
        Ok(())
    }

    fn write_proof(&self, folder: &mut Folder, cascade: &Cascade) -> Result<(), StoreError> {
        let open = |sealed| self.vault.open_sealed(&Identity::Cascade(cascade.id), sealed);
        folder.set("AuthType", cascade.proof.code());
        folder.set("Username", cascade.username.as_str());
        match &cascade.proof {
            CascadeProof::Anonymous => {}
            CascadeProof::Password(hash) => folder.set("HashedPassword", open(hash)?.as_slice()),
            CascadeProof::PlainPassword(password) => {
                folder.set("EncryptedPassword", hide(&open(password)?).as_slice());
            }
            CascadeProof::Certificate { der, key } => {
                folder.set("ClientCert", der.as_slice());
                folder.set("ClientKey", open(key)?.as_slice());
            }
        }
        Ok(())
    }

    fn write_proxy(&self, option: &mut Folder, cascade: &Cascade) -> Result<(), StoreError> {
        let proxy = &cascade.proxy;
        let identity = Identity::CascadeProxy(cascade.id);
        let password = proxy
            .password
            .as_ref()
            .map(|sealed| self.vault.open_sealed(&identity, sealed));
        let password = password.transpose()?.unwrap_or_default();
        option.set("ProxyType", proxy.kind.code());
        option.set("ProxyName", proxy.host.as_str());
        option.set("ProxyPort", u32::from(proxy.port));
        option.set("ProxyUsername", proxy.username.as_str());
        option.set("ProxyPassword", hide(&password).as_slice());
        option.set("CustomHttpHeader", proxy.http_headers.as_str());
        Ok(())
    }
}

fn write_option(option: &mut Folder, cascade: &Cascade) {
    option.set("AccountName", cascade.name.as_str());
    option.set("Hostname", cascade.host.as_str());
    option.set("Port", u32::from(cascade.port));
    option.set("PortUDP", u32::from(cascade.udp_port));
    option.set("HubName", cascade.hub.as_str());
    option.set("NumRetry", FOR_EVER);
    option.set("RetryInterval", 10_u32);
    option.set("MaxConnection", cascade.max_connections);
    option.set("AdditionalConnectionInterval", cascade.additional_interval);
    option.set("ConnectionDisconnectSpan", cascade.connection_life);
    option.set("UseEncrypt", cascade.encrypt);
    option.set("UseCompress", cascade.compress);
    option.set("HalfConnection", cascade.half_duplex);
    option.set("DisableQoS", cascade.no_qos);
    option.set("NoUdpAcceleration", cascade.no_udp_acceleration);
    // What every cascade has, and the stock server expects to find.
    option.set("DeviceName", "_SEHUBLINKCLI_");
    option.set("NoRoutingTracking", true);
    option.set("RequireBridgeRoutingMode", true);
    option.set("RequireMonitorMode", false);
    option.set("HideNicInfoWindow", false);
    option.set("HideStatusWindow", false);
}
