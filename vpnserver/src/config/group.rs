//! `GroupList` of a hub.

use std::collections::HashSet;

use protocol::config::Folder;

use super::place::Place;
use super::{Exporter, Import, ImportError, policy};
use crate::store::{Group, Id, StoreError, UserName, folded};

const FOLDER: &str = "GroupList";

impl Import<'_> {
    /// Takes the groups; says how many there are.
    pub(super) fn groups(&mut self, hub: &str, accounts: &Place<'_>) -> Result<usize, ImportError> {
        let mut gone: HashSet<_> = self
            .store
            .groups(hub)?
            .iter()
            .map(|group| folded(group.name.as_str()))
            .collect();
        let places = accounts.folders_of(FOLDER);
        for place in &places {
            let group = Group {
                id: Id::random(),
                name: UserName::parse(place.name()).map_err(|error| place.error(error))?,
                real_name: place.text("RealName")?,
                note: place.text("Note")?,
                policy: policy::read(place)?,
            };
            if gone.remove(&folded(place.name())) {
                let outcome = self.store.update_group(hub, place.name(), &|old| {
                    *old = group.clone();
                    Ok(())
                });
                place.keep(outcome)?;
            } else {
                place.keep(self.store.add_group(hub, &group))?;
            }
        }
        for name in gone {
            self.store.delete_group(hub, &name)?;
        }
        Ok(places.len())
    }
}

impl Exporter<'_> {
    pub(super) fn groups(&self, hub: &str, accounts: &mut Folder) -> Result<(), StoreError> {
        let list = accounts.folder_mut(FOLDER);
        for group in self.store.groups(hub)? {
            let folder = list.folder_mut(group.name.as_str());
            folder.set("RealName", group.real_name);
            folder.set("Note", group.note);
            if let Some(own) = &group.policy {
                policy::write(folder, own, false);
            }
        }
        Ok(())
    }
}
