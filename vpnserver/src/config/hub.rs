//! `VirtualHUB`: the hubs.

use protocol::config::Folder;
use protocol::password::PasswordHash;

use super::place::Place;
use super::user::some_of;
use super::{Exporter, Import, ImportError, count, nat, option, trust};
use crate::login::HubPassword;
use crate::store::{AdminOptions, Hub, HubName, HubOption, LogSettings, StoreError, Timestamp};

const FOLDER: &str = "VirtualHUB";
const ACCOUNTS: &str = "SecurityAccountDatabase";
/// The keys of the packet log's classes, in the order of [`LogSettings::classes`].
const CLASSES: [&str; 8] = [
    "PACKET_LOG_TCP_CONN",
    "PACKET_LOG_TCP",
    "PACKET_LOG_DHCP",
    "PACKET_LOG_UDP",
    "PACKET_LOG_ICMP",
    "PACKET_LOG_IP",
    "PACKET_LOG_ARP",
    "PACKET_LOG_ETHERNET",
];

impl Import<'_> {
    pub(super) fn hubs(&mut self, root: &Place<'_>) -> Result<(), ImportError> {
        let places = root.folders_of(FOLDER);
        for old in self.store.hubs()? {
            if !places.iter().any(|place| old.name == *place.name()) {
                self.store.delete_hub(old.name.as_str())?;
            }
        }
        for place in &places {
            self.hub(place)?;
        }
        Ok(())
    }

    fn hub(&mut self, place: &Place<'_>) -> Result<(), ImportError> {
        let name = HubName::parse(place.name()).map_err(|error| place.error(error))?;
        let old = self.store.hubs()?.into_iter().find(|hub| hub.name == name);
        let is_new = old.is_none();
        let mut hub = old.unwrap_or_else(|| Hub::new(name.clone()));
        self.settings(place, &mut hub)?;
        if is_new {
            place.keep(self.store.add_hub(&hub))?;
        } else {
            let wanted = hub.clone();
            let outcome = self.store.update_hub(name.as_str(), &|hub| {
                *hub = wanted.clone();
                Ok(())
            });
            place.keep(outcome)?;
        }
        self.contents(place, &hub)?;
        // Last: an option that limits how much a hub holds is about what comes after.
        let limits = trust::admin_options(place)?;
        let outcome = self.store.update_hub(name.as_str(), &|hub| {
            hub.admin_options = limits.clone();
            Ok(())
        });
        place.keep(outcome).map(drop)
    }

    fn settings(&self, place: &Place<'_>, hub: &mut Hub) -> Result<(), ImportError> {
        hub.online = place.flag("Online")?;
        let admin = place.hash::<20>("HashedPassword")?;
        let session = place.hash::<20>("SecurePassword")?;
        hub.password = match (admin, session) {
            (Some(admin), Some(session)) => HubPassword {
                admin: PasswordHash::new(*admin),
                session: PasswordHash::new(*session),
            }
            .seal(self.vault, hub.id)?,
            _ => None,
        };
        if let Some(created) = Timestamp::from_millis(place.uint64("CreatedTime")?) {
            hub.created = created;
        }
        hub.logs = logs(place)?;
        hub.message = match place.folder("Message") {
            Some(message) => message.text("MessageText")?,
            None => String::new(),
        };
        nat::read(place, &mut hub.secure_nat)?;
        hub.admin_options = AdminOptions::default();
        hub.radius = self.radius(place, hub)?;
        if let Some(options) = place.folder("Option") {
            hub.max_sessions = options.uint_or("MaxSession", 0)?;
            hub.no_enum = options.flag("NoEnum")?;
            option::read(&options, &mut hub.options)?;
        }
        if self.options.allow_standard_password {
            hub.options.set(HubOption::AllowStandardPassword, 1);
        }
        Ok(())
    }

    /// Everything that belongs to a hub, and the line of it in the report.
    fn contents(&mut self, place: &Place<'_>, hub: &Hub) -> Result<(), ImportError> {
        let name = hub.name.as_str();
        let mut parts = vec![count(self.access_rules(name, place)?, "access rule")];
        if let Some(accounts) = place.folder(ACCOUNTS) {
            let groups = self.groups(name, &accounts)?;
            let users = self.users(name, &accounts)?;
            parts.push(count(users.users, "user"));
            parts.push(count(groups, "group"));
            parts.push(count(self.source_rules(name, &accounts)?, "source rule"));
            parts.push(count(self.authorities(name, &accounts)?, "trusted certificate"));
            parts.push(count(self.revocations(name, &accounts)?, "revocation"));
            self.tell_of_passwords(hub, &users);
        }
        parts.push(count(self.cascades(name, place)?, "cascade"));
        parts.retain(|part| !part.starts_with("0 "));
        let what = if parts.is_empty() {
            "its settings".to_owned()
        } else {
            parts.join(", ")
        };
        self.taken(format!("hub {name}: {what}"));
        Ok(())
    }

    fn tell_of_passwords(&mut self, hub: &Hub, users: &super::user::Taken) {
        if users.with_hash > 0 && !hub.options.is_on(HubOption::AllowStandardPassword) {
            self.report.notes.push(format!(
                "hub {}: {} log in with their old password, from stock clients with the password type \"RADIUS or NT \
                 domain\"; for the standard type set the hub's extended option AllowStandardPassword before importing \
                 again, or import with --allow-standard-password",
                hub.name,
                count(users.with_hash, "user")
            ));
        }
        if !users.without_password.is_empty() {
            self.report.notes.push(format!(
                "hub {}: nobody logs in as these users until they get a password: {}",
                hub.name,
                some_of(&users.without_password)
            ));
        }
    }
}

fn logs(place: &Place<'_>) -> Result<LogSettings, ImportError> {
    let mut logs = LogSettings::default();
    let Some(place) = place.folder("LogSetting") else {
        return Ok(logs);
    };
    logs.security = place.flag("SaveSecurityLog")?;
    logs.security_switch = place.uint_or("SecurityLogSwitchType", logs.security_switch)?;
    logs.packet = place.flag("SavePacketLog")?;
    logs.packet_switch = place.uint_or("PacketLogSwitchType", logs.packet_switch)?;
    for (class, key) in logs.classes.iter_mut().zip(CLASSES) {
        *class = place.uint_or(key, 0)?;
    }
    Ok(logs)
}

impl Exporter<'_> {
    pub(super) fn hubs(&mut self, root: &mut Folder) -> Result<(), StoreError> {
        root.folder_mut(FOLDER);
        for hub in self.store.hubs()? {
            let mut folder = Folder::new(hub.name.as_str());
            self.write_settings(&mut folder, &hub)?;
            let name = hub.name.as_str();
            let accounts = folder.folder_mut(ACCOUNTS);
            self.groups(name, accounts)?;
            self.users(name, accounts)?;
            self.trust(name, accounts)?;
            self.access_rules(name, &mut folder)?;
            self.cascades(name, &mut folder)?;
            root.folder_mut(FOLDER).insert(folder);
        }
        Ok(())
    }

    fn write_settings(&self, folder: &mut Folder, hub: &Hub) -> Result<(), StoreError> {
        folder.set("Type", 0_u32);
        folder.set("Online", hub.online);
        folder.set("CreatedTime", hub.created.as_millis());
        // An empty password lets nobody administer a hub over the network, there as here.
        let password = HubPassword::of(self.vault, hub)?.unwrap_or_else(HubPassword::empty);
        folder.set("HashedPassword", password.admin.as_bytes().as_slice());
        folder.set("SecurePassword", password.session.as_bytes().as_slice());
        let logs = folder.folder_mut("LogSetting");
        logs.set("SaveSecurityLog", hub.logs.security);
        logs.set("SecurityLogSwitchType", hub.logs.security_switch);
        logs.set("SavePacketLog", hub.logs.packet);
        logs.set("PacketLogSwitchType", hub.logs.packet_switch);
        for (class, key) in hub.logs.classes.into_iter().zip(CLASSES) {
            logs.set(key, class);
        }
        let message = folder.folder_mut("Message");
        if !hub.message.is_empty() {
            message.set("MessageText", hub.message.as_str());
        }
        let options = folder.folder_mut("Option");
        options.set("MaxSession", hub.max_sessions);
        options.set("NoEnum", hub.no_enum);
        option::write(options, &hub.options);
        nat::write(folder, &hub.secure_nat);
        self.write_restrictions(folder, hub)
    }
}
