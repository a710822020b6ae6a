//! `Policy` folders: those of users, groups and cascades.

use protocol::config::Folder;
use protocol::policy::{Kind, Policy, TABLE};

use super::ImportError;
use super::place::Place;

const FOLDER: &str = "Policy";

/// The policy in a folder, if there is one. Rows that are missing have their defaults: an older server knew fewer.
pub(super) fn read(place: &Place<'_>) -> Result<Option<Policy>, ImportError> {
    let Some(place) = place.folder(FOLDER) else {
        return Ok(None);
    };
    let mut policy = Policy::default();
    for row in TABLE {
        let value = match row.kind {
            Kind::Flag => place.flag_or(row.name, row.default != 0)?.into(),
            Kind::Number { .. } => place.uint_or(row.name, row.default)?,
        };
        let value = row.check(value).map_err(|error| place.wrong(row.name, error))?;
        row.set(&mut policy, value);
    }
    Ok(Some(policy))
}

/// The policy of a cascade, which has fewer rows.
pub(super) fn read_of_cascade(place: &Place<'_>) -> Result<Policy, ImportError> {
    Ok(read(place)?.unwrap_or_default())
}

pub(super) fn write(folder: &mut Folder, policy: &Policy, of_cascade: bool) {
    let folder = folder.folder_mut(FOLDER);
    // The stock server's file has one row for cascades that its tool does not set.
    let has = |name: &str| name == "NoIPv6DefaultRouterInRAWhenIPv6";
    for row in TABLE
        .iter()
        .filter(|row| !of_cascade || row.cascade || has(row.name))
    {
        let value = row.get(policy);
        match row.kind {
            Kind::Flag => folder.set(row.name, value != 0),
            Kind::Number { .. } => folder.set(row.name, value),
        }
    }
}
