//! `ListenerList`: the TCP ports.

use protocol::config::Folder;

use super::place::Place;
use super::{Exporter, Import, ImportError, count};
use crate::store::{Listener, StoreError};

const FOLDER: &str = "ListenerList";

impl Import<'_> {
    /// A file without the folder leaves the ports alone.
    pub(super) fn listeners(&mut self, root: &Place<'_>) -> Result<(), ImportError> {
        let Some(list) = root.folder(FOLDER) else {
            return Ok(());
        };
        for old in self.store.listeners()? {
            self.store.delete_listener(old.port)?;
        }
        let places = list.folders();
        for place in &places {
            let port = place.port("Port")?;
            let enabled = place.flag("Enabled")?;
            place.keep(self.store.add_listener(Listener { port, enabled }))?;
        }
        self.taken(count(places.len(), "listener"));
        Ok(())
    }
}

impl Exporter<'_> {
    pub(super) fn listeners(&self, root: &mut Folder) -> Result<(), StoreError> {
        let list = root.folder_mut(FOLDER);
        for (number, listener) in self.store.listeners()?.into_iter().enumerate() {
            let folder = list.folder_mut(&format!("Listener{number}"));
            folder.set("DisableDos", false);
            folder.set("Enabled", listener.enabled);
            folder.set("Port", u32::from(listener.port));
        }
        Ok(())
    }
}
