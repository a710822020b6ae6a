//! Users and groups.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::row::{self, get};
use super::{Action, Edit, Group, Noun, Result, StoreError, UsageReport, User, Write, hub, restriction};
use crate::secret::{PasswordRecord, Sealed};
use crate::store::{
    AdminOption, Counters, HubSummary, Id, ImportedPassword, Timestamp, Traffic, Usage, UserAuth, UserName,
};

/// Bytes of a real name and of a note (as the stock tools allow), of a certificate (protocol §4.3) and of a serial number
/// (RFC 5280, 4.1.2.2).
const MAX_REAL_NAME: usize = 512;
const MAX_NOTE: usize = 1024;
const MAX_CERTIFICATE: usize = 100_000;
const MAX_SERIAL: usize = 20;

const USER: &str = "SELECT user.*, member_group.name AS group_name, usage.* FROM user
     LEFT JOIN member_group ON member_group.id = user.member_group LEFT JOIN usage ON usage.user = user.id";

pub(super) fn all(connection: &Connection, hub: &str) -> Result<Vec<User>> {
    let (hub, _) = hub::find(connection, hub)?;
    let mut query = connection.prepare(&format!("{USER} WHERE user.hub = ?1 ORDER BY user.name"))?;
    let mut rows = query.query([hub.as_bytes()])?;
    let mut users = Vec::new();
    while let Some(row) = rows.next()? {
        users.push(from_row(row)?);
    }
    Ok(users)
}

pub(super) fn summary(connection: &Connection, hub: &str) -> Result<HubSummary> {
    let (hub, _) = hub::find(connection, hub)?;
    let (users, logins, last): (u32, i64, Option<i64>) = connection.query_row(
        "SELECT count(*), coalesce(sum(usage.logins), 0), max(usage.last_login)
             FROM user LEFT JOIN usage ON usage.user = user.id WHERE user.hub = ?1",
        [hub.as_bytes()],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
    )?;
    let groups = connection.query_row(
        "SELECT count(*) FROM member_group WHERE hub = ?1",
        [hub.as_bytes()],
        |row| row.get(0),
    )?;
    Ok(HubSummary {
        users,
        groups,
        logins: u32::try_from(logins).unwrap_or(u32::MAX),
        last_login: last.and_then(|at| Timestamp::from_millis(row::unsigned(at))),
    })
}

pub(super) fn load(connection: &Connection, hub: &str, name: &str) -> Result<User> {
    let (hub_id, hub_name) = hub::find(connection, hub)?;
    let mut query = connection.prepare(&format!("{USER} WHERE user.hub = ?1 AND user.name = ?2"))?;
    let mut rows = query.query(params![hub_id.as_bytes(), name])?;
    match rows.next()? {
        Some(row) => from_row(row),
        None => Err(StoreError::UserNotFound {
            hub: hub_name,
            user: name.into(),
        }),
    }
}

fn from_row(row: &Row<'_>) -> Result<User> {
    Ok(User {
        id: row::id(row, "id")?,
        name: UserName::stored(get(row, "name")?),
        real_name: get(row, "real_name")?,
        note: get(row, "note")?,
        group: get::<Option<_>>(row, "group_name")?.map(UserName::stored),
        auth: auth(row)?,
        policy: row::policy(row)?,
        expires: row::time(row, "expires")?,
        created: row::time(row, "created")?.ok_or(StoreError::Damaged("created"))?,
        updated: row::time(row, "updated")?.ok_or(StoreError::Damaged("updated"))?,
        usage: usage(row)?,
    })
}

fn auth(row: &Row<'_>) -> Result<UserAuth> {
    let name = || get(row, "remote_name");
    Ok(match get::<u32>(row, "auth")? {
        0 => UserAuth::Anonymous,
        1 => UserAuth::Password {
            record: get::<Option<_>>(row, "password")?.map(PasswordRecord::from_stored),
            standard: get::<Option<_>>(row, "standard")?.map(Sealed::from_bytes),
        },
        2 => UserAuth::Certificate {
            der: get(row, "certificate")?,
        },
        3 => UserAuth::Signed {
            common_name: get(row, "common_name")?,
            serial: get(row, "serial")?,
        },
        4 => UserAuth::Radius { name: name()? },
        5 => UserAuth::Nt { name: name()? },
        _ => return Err(StoreError::Damaged("auth")),
    })
}

fn usage(row: &Row<'_>) -> Result<Usage> {
    Ok(Usage {
        logins: u32::try_from(count(row, "logins")?).unwrap_or(u32::MAX),
        last_login: row::time(row, "last_login")?,
        traffic: traffic(row)?,
    })
}

fn traffic(row: &Row<'_>) -> Result<Traffic> {
    let counters = |way: &str| -> Result<Counters> {
        Ok(Counters {
            unicast_packets: count(row, &format!("{way}_unicast_packets"))?,
            unicast_bytes: count(row, &format!("{way}_unicast_bytes"))?,
            broadcast_packets: count(row, &format!("{way}_broadcast_packets"))?,
            broadcast_bytes: count(row, &format!("{way}_broadcast_bytes"))?,
        })
    };
    Ok(Traffic {
        received: counters("received")?,
        sent: counters("sent")?,
    })
}

/// A counter; 0 where none has been kept yet.
fn count(row: &Row<'_>, column: &str) -> Result<u64> {
    get::<Option<i64>>(row, column).map(|value| row::unsigned(value.unwrap_or(0)))
}

pub(super) fn add(write: &Write<'_>, hub: &str, user: &User) -> Result<()> {
    let (hub_id, hub_name) = hub::find(write, hub)?;
    let exists: bool = write.query_row(
        "SELECT EXISTS (SELECT 1 FROM user WHERE hub = ?1 AND name = ?2)",
        params![hub_id.as_bytes(), user.name.as_str()],
        |row| row.get(0),
    )?;
    if exists {
        return Err(StoreError::UserExists(user.name.to_string()));
    }
    restriction::room_for(write, hub_id, "user", AdminOption::MaxUsers)?;
    save(write, hub_id, user)?;
    write.note(Noun::User, Action::Added, &hub_name, user.name.as_str())
}

pub(super) fn update(write: &Write<'_>, hub: &str, name: &str, edit: Edit<'_, User>) -> Result<User> {
    let (hub_id, hub_name) = hub::find(write, hub)?;
    let before = load(write, hub, name)?;
    let mut user = before.clone();
    edit(&mut user)?;
    (user.id, user.name, user.created, user.usage) = (before.id, before.name, before.created, before.usage);
    user.updated = Timestamp::now();
    save(write, hub_id, &user)?;
    write.note(Noun::User, Action::Changed, &hub_name, user.name.as_str())?;
    load(write, hub, name)
}

pub(super) fn delete(write: &Write<'_>, hub: &str, name: &str) -> Result<()> {
    let (hub_id, hub_name) = hub::find(write, hub)?;
    let user = load(write, hub, name)?;
    write.execute(
        "DELETE FROM user WHERE hub = ?1 AND id = ?2",
        params![hub_id.as_bytes(), user.id.as_bytes()],
    )?;
    write.note(Noun::User, Action::Deleted, &hub_name, user.name.as_str())
}

/// Adds a user or replaces the one of this identity, whole.
pub(super) fn put(write: &Write<'_>, hub: &str, user: &User) -> Result<()> {
    let (hub_id, hub_name) = hub::find(write, hub)?;
    let other: Option<Id> = write
        .query_row(
            "SELECT id FROM user WHERE hub = ?1 AND name = ?2",
            params![hub_id.as_bytes(), user.name.as_str()],
            |row| row::id(row, "id"),
        )
        .optional()?;
    if other.is_some_and(|other| other != user.id) {
        return Err(StoreError::UserExists(user.name.to_string()));
    }
    save(write, hub_id, user)?;
    write.execute(
        "UPDATE user SET name = ?2, created = ?3 WHERE id = ?1",
        params![user.id.as_bytes(), user.name.as_str(), row::millis(user.created)],
    )?;
    write.execute("DELETE FROM usage WHERE user = ?1", [user.id.as_bytes()])?;
    let report = UsageReport {
        user: user.id,
        login: user.usage.last_login,
        traffic: user.usage.traffic,
    };
    add_usage(write, &[report])?;
    write.execute(
        "UPDATE usage SET logins = ?2 WHERE user = ?1",
        params![user.id.as_bytes(), user.usage.logins],
    )?;
    let action = if other.is_some() {
        Action::Changed
    } else {
        Action::Added
    };
    write.note(Noun::User, action, &hub_name, user.name.as_str())
}

pub(super) fn imported(connection: &Connection, most: u32) -> Result<Vec<ImportedPassword>> {
    let mut query =
        connection.prepare("SELECT id, password FROM user WHERE password LIKE '$sealed$%' LIMIT ?1")?;
    let rows = query.query_map([most], |row| {
        Ok(ImportedPassword {
            user: row::id(row, "id")?,
            record: PasswordRecord::from_stored(row.get("password")?),
        })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

pub(super) fn replace_imported(
    write: &Write<'_>,
    records: &[(ImportedPassword, PasswordRecord)],
) -> Result<()> {
    let mut statement = write.prepare("UPDATE user SET password = ?3 WHERE id = ?1 AND password = ?2")?;
    for (imported, record) in records {
        statement.execute(params![
            imported.user.as_bytes(),
            imported.record.as_str(),
            record.as_str()
        ])?;
    }
    Ok(())
}

/// The columns of a [`UserAuth`].
#[derive(Default)]
struct AuthColumns<'a> {
    password: Option<&'a str>,
    standard: Option<&'a [u8]>,
    certificate: Option<&'a [u8]>,
    common_name: Option<&'a str>,
    serial: Option<&'a [u8]>,
    remote_name: Option<&'a str>,
}

impl<'a> AuthColumns<'a> {
    fn of(auth: &'a UserAuth) -> Self {
        let mut columns = Self::default();
        match auth {
            UserAuth::Anonymous => {}
            UserAuth::Password { record, standard } => {
                columns.password = record.as_ref().map(PasswordRecord::as_str);
                columns.standard = standard.as_ref().map(Sealed::as_bytes);
            }
            UserAuth::Certificate { der } => columns.certificate = Some(der),
            UserAuth::Signed { common_name, serial } => {
                columns.common_name = common_name.as_deref();
                columns.serial = serial.as_deref();
            }
            UserAuth::Radius { name } | UserAuth::Nt { name } => columns.remote_name = name.as_deref(),
        }
        columns
    }
}

fn save(write: &Write<'_>, hub: Id, user: &User) -> Result<()> {
    check(user)?;
    let group = user
        .group
        .as_ref()
        .map(|group| group_id(write, hub, group.as_str()))
        .transpose()?;
    let mut auth = AuthColumns::of(&user.auth);
    if !hub::allows_standard_password(write, hub)? {
        auth.standard = None;
    }
    write.execute(
        "INSERT INTO user VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)
         ON CONFLICT (id) DO UPDATE SET real_name = ?4, note = ?5, member_group = ?6, auth = ?7, password = ?8,
             standard = ?9, certificate = ?10, common_name = ?11, serial = ?12, remote_name = ?13, policy = ?14,
             expires = ?15, updated = ?17",
        params![
            user.id.as_bytes(),
            hub.as_bytes(),
            user.name.as_str(),
            user.real_name,
            user.note,
            group.as_ref().map(Id::as_bytes),
            user.auth.code(),
            auth.password,
            auth.standard,
            auth.certificate,
            auth.common_name,
            auth.serial,
            auth.remote_name,
            user.policy.as_ref().map(row::policy_text),
            user.expires.map(row::millis),
            row::millis(user.created),
            row::millis(user.updated),
        ],
    )?;
    Ok(())
}

fn check(user: &User) -> Result<()> {
    row::check_length("full name", &user.real_name, MAX_REAL_NAME)?;
    row::check_length("note", &user.note, MAX_NOTE)?;
    if let Some(policy) = &user.policy {
        policy.check().map_err(row::invalid)?;
    }
    let outside = matches!(user.auth, UserAuth::Radius { .. } | UserAuth::Nt { .. });
    if user.name.as_str() == "*" && !outside {
        return Err(StoreError::Invalid(
            "the user * stands for RADIUS or NT users and can be of no other type".into(),
        ));
    }
    match &user.auth {
        UserAuth::Certificate { der } if der.is_empty() || der.len() > MAX_CERTIFICATE => Err(
            StoreError::Invalid(format!("a certificate has 1 to {MAX_CERTIFICATE} bytes")),
        ),
        UserAuth::Signed { common_name, serial } => {
            row::check_length("common name", common_name.as_deref().unwrap_or(""), MAX_REAL_NAME)?;
            if serial.as_ref().is_some_and(|serial| serial.len() > MAX_SERIAL) {
                return Err(StoreError::Invalid(format!(
                    "a serial number has at most {MAX_SERIAL} bytes"
                )));
            }
            Ok(())
        }
        UserAuth::Radius { name } | UserAuth::Nt { name } => row::check_length(
            "name at the authentication server",
            name.as_deref().unwrap_or(""),
            MAX_REAL_NAME,
        ),
        _ => Ok(()),
    }
}

pub(super) fn add_usage(write: &Write<'_>, reports: &[UsageReport]) -> Result<()> {
    let mut statement = write.prepare(
        "INSERT INTO usage SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11
             WHERE EXISTS (SELECT 1 FROM user WHERE id = ?1)
         ON CONFLICT (user) DO UPDATE SET logins = logins + ?2, last_login = coalesce(?3, last_login),
             received_unicast_packets = received_unicast_packets + ?4,
             received_unicast_bytes = received_unicast_bytes + ?5,
             received_broadcast_packets = received_broadcast_packets + ?6,
             received_broadcast_bytes = received_broadcast_bytes + ?7,
             sent_unicast_packets = sent_unicast_packets + ?8, sent_unicast_bytes = sent_unicast_bytes + ?9,
             sent_broadcast_packets = sent_broadcast_packets + ?10,
             sent_broadcast_bytes = sent_broadcast_bytes + ?11",
    )?;
    for report in reports {
        let (received, sent) = (&report.traffic.received, &report.traffic.sent);
        statement.execute(params![
            report.user.as_bytes(),
            u32::from(report.login.is_some()),
            report.login.map(row::millis),
            row::signed(received.unicast_packets),
            row::signed(received.unicast_bytes),
            row::signed(received.broadcast_packets),
            row::signed(received.broadcast_bytes),
            row::signed(sent.unicast_packets),
            row::signed(sent.unicast_bytes),
            row::signed(sent.broadcast_packets),
            row::signed(sent.broadcast_bytes),
        ])?;
    }
    Ok(())
}

/// Adds what members did to the counters of the groups that they are in now.
pub(super) fn add_group_usage(write: &Write<'_>, reports: &[UsageReport]) -> Result<()> {
    let mut statement = write.prepare(
        "INSERT INTO group_usage SELECT member_group, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9 FROM user
             WHERE id = ?1 AND member_group IS NOT NULL
         ON CONFLICT (member_group) DO UPDATE SET
             received_unicast_packets = received_unicast_packets + ?2,
             received_unicast_bytes = received_unicast_bytes + ?3,
             received_broadcast_packets = received_broadcast_packets + ?4,
             received_broadcast_bytes = received_broadcast_bytes + ?5,
             sent_unicast_packets = sent_unicast_packets + ?6, sent_unicast_bytes = sent_unicast_bytes + ?7,
             sent_broadcast_packets = sent_broadcast_packets + ?8,
             sent_broadcast_bytes = sent_broadcast_bytes + ?9",
    )?;
    for report in reports
        .iter()
        .filter(|report| report.traffic != Traffic::default())
    {
        let (received, sent) = (&report.traffic.received, &report.traffic.sent);
        statement.execute(params![
            report.user.as_bytes(),
            row::signed(received.unicast_packets),
            row::signed(received.unicast_bytes),
            row::signed(received.broadcast_packets),
            row::signed(received.broadcast_bytes),
            row::signed(sent.unicast_packets),
            row::signed(sent.unicast_bytes),
            row::signed(sent.broadcast_packets),
            row::signed(sent.broadcast_bytes),
        ])?;
    }
    Ok(())
}

pub(super) fn group_traffic(connection: &Connection, hub: &str, name: &str) -> Result<Traffic> {
    let group = load_group(connection, hub, name)?;
    let mut query = connection.prepare("SELECT * FROM group_usage WHERE member_group = ?1")?;
    let mut rows = query.query([group.id.as_bytes()])?;
    rows.next()?.map_or_else(|| Ok(Traffic::default()), traffic)
}

pub(super) fn groups(connection: &Connection, hub: &str) -> Result<Vec<Group>> {
    let (hub, _) = hub::find(connection, hub)?;
    let mut query = connection.prepare("SELECT * FROM member_group WHERE hub = ?1 ORDER BY name")?;
    let mut rows = query.query([hub.as_bytes()])?;
    let mut groups = Vec::new();
    while let Some(row) = rows.next()? {
        groups.push(group_from_row(row)?);
    }
    Ok(groups)
}

pub(super) fn load_group(connection: &Connection, hub: &str, name: &str) -> Result<Group> {
    let (hub, _) = hub::find(connection, hub)?;
    let mut query = connection.prepare("SELECT * FROM member_group WHERE hub = ?1 AND name = ?2")?;
    let mut rows = query.query(params![hub.as_bytes(), name])?;
    match rows.next()? {
        Some(row) => group_from_row(row),
        None => Err(StoreError::GroupNotFound(name.into())),
    }
}

fn group_from_row(row: &Row<'_>) -> Result<Group> {
    Ok(Group {
        id: row::id(row, "id")?,
        name: UserName::stored(get(row, "name")?),
        real_name: get(row, "real_name")?,
        note: get(row, "note")?,
        policy: row::policy(row)?,
    })
}

fn group_id(connection: &Connection, hub: Id, name: &str) -> Result<Id> {
    connection
        .query_row(
            "SELECT id FROM member_group WHERE hub = ?1 AND name = ?2",
            params![hub.as_bytes(), name],
            |row| row::id(row, "id"),
        )
        .optional()?
        .ok_or_else(|| StoreError::GroupNotFound(name.into()))
}

pub(super) fn add_group(write: &Write<'_>, hub: &str, group: &Group) -> Result<()> {
    let (hub_id, hub_name) = hub::find(write, hub)?;
    match group_id(write, hub_id, group.name.as_str()) {
        Ok(_) => return Err(StoreError::GroupExists(group.name.to_string())),
        Err(StoreError::GroupNotFound(_)) => {}
        Err(error) => return Err(error),
    }
    restriction::room_for(write, hub_id, "member_group", AdminOption::MaxGroups)?;
    save_group(write, hub_id, group)?;
    write.note(Noun::Group, Action::Added, &hub_name, group.name.as_str())
}

pub(super) fn update_group(write: &Write<'_>, hub: &str, name: &str, edit: Edit<'_, Group>) -> Result<Group> {
    let (hub_id, hub_name) = hub::find(write, hub)?;
    let before = load_group(write, hub, name)?;
    let mut group = before.clone();
    edit(&mut group)?;
    (group.id, group.name) = (before.id, before.name);
    save_group(write, hub_id, &group)?;
    write.note(Noun::Group, Action::Changed, &hub_name, group.name.as_str())?;
    Ok(group)
}

fn save_group(write: &Write<'_>, hub: Id, group: &Group) -> Result<()> {
    row::check_length("full name", &group.real_name, MAX_REAL_NAME)?;
    row::check_length("note", &group.note, MAX_NOTE)?;
    if let Some(policy) = &group.policy {
        policy.check().map_err(row::invalid)?;
    }
    write.execute(
        "INSERT INTO member_group (id, hub, name, real_name, note, policy) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (id) DO UPDATE SET real_name = ?4, note = ?5, policy = ?6",
        params![
            group.id.as_bytes(),
            hub.as_bytes(),
            group.name.as_str(),
            group.real_name,
            group.note,
            group.policy.as_ref().map(row::policy_text),
        ],
    )?;
    Ok(())
}

pub(super) fn delete_group(write: &Write<'_>, hub: &str, name: &str) -> Result<()> {
    let (hub_id, hub_name) = hub::find(write, hub)?;
    let group = group_id(write, hub_id, name)?;
    write.execute("DELETE FROM member_group WHERE id = ?1", [group.as_bytes()])?;
    write.note(Noun::Group, Action::Deleted, &hub_name, name)
}
