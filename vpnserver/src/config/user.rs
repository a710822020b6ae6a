//! `UserList` of a hub. How passwords travel is in docs/adr/0007-imported-passwords.md.

use std::collections::{HashMap, HashSet};

use protocol::config::Folder;

use super::place::Place;
use super::{Exporter, Import, ImportError, nobodys_hash, policy};
use crate::secret::{Identity, PasswordRecord};
use crate::store::{Counters, Id, StoreError, Timestamp, Traffic, Usage, User, UserAuth, UserName, folded};

const FOLDER: &str = "UserList";
/// Our own key for what the stock format has no room for: the Argon2 record of a password whose hash is not kept.
const RECORD: &str = "HubwardPasswordRecord";

/// What became of the users of a hub.
#[derive(Default)]
pub(super) struct Taken {
    pub(super) users: usize,
    /// Those whose password came as the protocol's hash.
    pub(super) with_hash: usize,
    /// Those without a password that could be taken.
    pub(super) without_password: Vec<String>,
}

impl Import<'_> {
    /// Takes the users, after their groups.
    pub(super) fn users(&mut self, hub: &str, accounts: &Place<'_>) -> Result<Taken, ImportError> {
        let ids: HashMap<_, _> = self
            .store
            .users(hub)?
            .into_iter()
            .map(|user| (folded(user.name.as_str()), user.id))
            .collect();
        let mut gone: HashSet<_> = ids.keys().cloned().collect();
        let mut taken = Taken::default();
        for place in accounts.folders_of(FOLDER) {
            let name = folded(place.name());
            gone.remove(&name);
            let id = ids.get(&name).copied().unwrap_or_else(Id::random);
            let Some(user) = self.user(&place, id, &mut taken)? else {
                continue;
            };
            place.keep(self.store.put_user(hub, &user))?;
            taken.users += 1;
        }
        for name in gone {
            self.store.delete_user(hub, &name)?;
        }
        Ok(taken)
    }

    fn user(&mut self, place: &Place<'_>, id: Id, taken: &mut Taken) -> Result<Option<User>, ImportError> {
        let name = UserName::parse(place.name()).map_err(|error| place.error(error))?;
        let group = place.some_text("GroupName")?;
        let group = group.map(|group| UserName::parse(&group)).transpose();
        let Some(auth) = self.auth(place, id, &name, taken)? else {
            return Ok(None);
        };
        let time = |key| Ok::<_, ImportError>(Timestamp::from_millis(place.uint64(key)?));
        let created = time("CreatedTime")?.unwrap_or_else(Timestamp::now);
        Ok(Some(User {
            id,
            name,
            real_name: place.text("RealName")?,
            note: place.text("Note")?,
            group: group.map_err(|error| place.wrong("GroupName", error))?,
            auth,
            policy: policy::read(place)?,
            expires: time("ExpireTime")?,
            created,
            updated: time("UpdatedTime")?.unwrap_or(created),
            usage: Usage {
                logins: place.uint_or("NumLogin", 0)?,
                last_login: time("LastLoginTime")?,
                traffic: traffic(place)?,
            },
        }))
    }

    /// How the user logs in; nothing for one that nobody could ever log in as.
    fn auth(
        &mut self,
        place: &Place<'_>,
        id: Id,
        name: &UserName,
        taken: &mut Taken,
    ) -> Result<Option<UserAuth>, ImportError> {
        Ok(Some(match place.uint_or("AuthType", 0)? {
            0 => UserAuth::Anonymous,
            1 => self.password(place, id, name, taken)?,
            2 => {
                let Some(der) = place.bytes("AuthUserCert")? else {
                    self.report
                        .leave(format!("user {name}"), "it is to show a certificate and has none");
                    return Ok(None);
                };
                x509_parser::parse_x509_certificate(der)
                    .map_err(|_| place.wrong("AuthUserCert", "is not a certificate (X.509, DER)"))?;
                UserAuth::Certificate { der: der.to_vec() }
            }
            3 => UserAuth::Signed {
                common_name: place.some_text("AuthCommonName")?,
                serial: place.bytes("AuthSerial")?.map(<[u8]>::to_vec),
            },
            4 => UserAuth::Radius {
                name: place.some_text("AuthRadiusUsername")?,
            },
            5 => UserAuth::Nt {
                name: place.some_text("AuthNtUserName")?,
            },
            _ => return Err(place.wrong("AuthType", "must be a number from 0 to 5").into()),
        }))
    }

    fn password(
        &self,
        place: &Place<'_>,
        id: Id,
        name: &UserName,
        taken: &mut Taken,
    ) -> Result<UserAuth, ImportError> {
        let hash = place.hash::<20>("AuthPassword")?;
        // Beside it stands a hash that nobody knows the password of.
        if place.has(RECORD) {
            let record = place
                .some_text(RECORD)?
                .map(PasswordRecord::from_text)
                .transpose();
            return Ok(UserAuth::Password {
                record: record.map_err(|_| place.wrong(RECORD, "is not an Argon2 record"))?,
                standard: None,
            });
        }
        let Some(hash) = hash else {
            taken.without_password.push(name.to_string());
            return Ok(UserAuth::Password {
                record: None,
                standard: None,
            });
        };
        taken.with_hash += 1;
        let imported = self.vault.seal(&Identity::ImportedPassword(id), &*hash)?;
        Ok(UserAuth::Password {
            record: Some(PasswordRecord::imported(&imported)),
            // The store drops it where the hub does not allow it.
            standard: Some(self.vault.seal(&Identity::StandardPassword(id), &*hash)?),
        })
    }
}

const DIRECTIONS: [&str; 2] = ["SendTraffic", "RecvTraffic"];

fn traffic(place: &Place<'_>) -> Result<Traffic, ImportError> {
    let Some(place) = place.folder("Traffic") else {
        return Ok(Traffic::default());
    };
    let [received, sent] = DIRECTIONS.map(|name| counters(place.folder(name)));
    Ok(Traffic {
        received: received?,
        sent: sent?,
    })
}

fn counters(place: Option<Place<'_>>) -> Result<Counters, ImportError> {
    let Some(place) = place else {
        return Ok(Counters::default());
    };
    Ok(Counters {
        unicast_packets: place.uint64("UnicastCount")?,
        unicast_bytes: place.uint64("UnicastBytes")?,
        broadcast_packets: place.uint64("BroadcastCount")?,
        broadcast_bytes: place.uint64("BroadcastBytes")?,
    })
}

impl Exporter<'_> {
    pub(super) fn users(&mut self, hub: &str, accounts: &mut Folder) -> Result<(), StoreError> {
        let list = accounts.folder_mut(FOLDER);
        let mut lost = Vec::new();
        for user in self.store.users(hub)? {
            let mut folder = Folder::new(user.name.as_str());
            if !self.write_auth(&mut folder, &user)? {
                lost.push(user.name.to_string());
            }
            describe(&mut folder, &user);
            list.insert(folder);
        }
        if !lost.is_empty() {
            self.notes.push(format!(
                "Hub {hub}: the passwords of {} are kept in a form that the stock server does not know. This server takes \
                 them from this file; on a stock server they must be set anew: {}",
                super::count(lost.len(), "user"),
                some_of(&lost),
            ));
        }
        Ok(())
    }

    /// Writes how the user logs in; says whether the stock server can do with it.
    fn write_auth(&self, folder: &mut Folder, user: &User) -> Result<bool, StoreError> {
        folder.set("AuthType", user.auth.code());
        match &user.auth {
            UserAuth::Anonymous => {}
            UserAuth::Password { record, standard } => {
                return self.write_password(folder, user.id, record.as_ref(), standard.as_ref());
            }
            UserAuth::Certificate { der } => folder.set("AuthUserCert", der.as_slice()),
            UserAuth::Signed { common_name, serial } => {
                if let Some(name) = common_name {
                    folder.set("AuthCommonName", name.as_str());
                }
                if let Some(serial) = serial {
                    folder.set("AuthSerial", serial.as_slice());
                }
            }
            UserAuth::Radius { name } => {
                folder.set("AuthRadiusUsername", name.as_deref().unwrap_or_default());
            }
            UserAuth::Nt { name } => folder.set("AuthNtUserName", name.as_deref().unwrap_or_default()),
        }
        Ok(true)
    }

    fn write_password(
        &self,
        folder: &mut Folder,
        id: Id,
        record: Option<&PasswordRecord>,
        standard: Option<&crate::secret::Sealed>,
    ) -> Result<bool, StoreError> {
        let imported = record.and_then(PasswordRecord::as_imported);
        let hash = match (standard, imported) {
            (Some(standard), _) => Some(
                self.vault
                    .open_sealed(&Identity::StandardPassword(id), standard)?,
            ),
            (None, Some(imported)) => Some(
                self.vault
                    .open_sealed(&Identity::ImportedPassword(id), &imported)?,
            ),
            (None, None) => None,
        };
        if let Some(hash) = hash {
            folder.set("AuthPassword", hash.as_slice());
            return Ok(true);
        }
        folder.set("AuthPassword", nobodys_hash().as_slice());
        folder.set(RECORD, record.map_or("", PasswordRecord::as_str));
        Ok(record.is_none())
    }
}

/// Everything of a user but how it logs in.
fn describe(folder: &mut Folder, user: &User) {
    let millis = |time: Option<Timestamp>| time.map_or(0, Timestamp::as_millis);
    folder.set("RealName", user.real_name.as_str());
    folder.set("Note", user.note.as_str());
    if let Some(group) = &user.group {
        folder.set("GroupName", group.as_str());
    }
    folder.set("CreatedTime", millis(Some(user.created)));
    folder.set("UpdatedTime", millis(Some(user.updated)));
    folder.set("ExpireTime", millis(user.expires));
    folder.set("LastLoginTime", millis(user.usage.last_login));
    folder.set("NumLogin", user.usage.logins);
    if let Some(own) = &user.policy {
        policy::write(folder, own, false);
    }
    let traffic = folder.folder_mut("Traffic");
    for (name, counters) in DIRECTIONS
        .into_iter()
        .zip([user.usage.traffic.received, user.usage.traffic.sent])
    {
        let folder = traffic.folder_mut(name);
        folder.set("UnicastCount", counters.unicast_packets);
        folder.set("UnicastBytes", counters.unicast_bytes);
        folder.set("BroadcastCount", counters.broadcast_packets);
        folder.set("BroadcastBytes", counters.broadcast_bytes);
    }
}

/// The first names of a list, for people.
pub(super) fn some_of(names: &[String]) -> String {
    const SHOWN: usize = 10;
    let shown = names.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
