//! Users of a hub: making, listing, changing who they are.

use protocol::{
    password,
    rpc::{
        HubObject, HubRequest, Secret, Timestamp,
        method::{CreateUser, DeleteUser, EnumUser, GetUser, SetUser},
        user::{AuthType, User},
    },
};
use zeroize::Zeroizing;

use crate::{
    check,
    command::{Command, Scope, policy, server},
    failure::{Failure, Outcome},
    md4,
    names::Names,
    params::{Arguments, Param},
    shell::Shell,
    table::Table,
    text,
};

/// The user that stands for every name: such users are asked for at the RADIUS server.
const EVERYBODY: &str = "*";

pub(super) const USER: Param = Param::word("name", "The name of the user.")
    .ask("User Name: ")
    .check(check::not_empty)
    .of(Names::User);

const DESCRIBED: &[Param] = &[
    USER,
    Param::named("GROUP", "The group the user belongs to; empty for none.")
        .ask("Assigned Group Name: ")
        .of(Names::Group),
    Param::named("REALNAME", "The full name.").ask("User Full Name: "),
    Param::named("NOTE", "A description.").ask("User Description: "),
];

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "UserList",
        title: "List the users of the hub",
        help: "Lists the users with their groups, how they prove who they are, when they last logged in, and what \
               they have transferred.",
        params: &[],
        scope: Scope::Hub,
        run: list,
    },
    Command {
        name: "UserCreate",
        title: "Make a user",
        help: "Makes a user. The user has a random password that nobody knows; give them another with \
               UserPasswordSet, or another way to log in with UserCertSet, UserAnonymousSet and the like.\n\
               The user * stands for everybody whom the hub's RADIUS server knows.",
        params: DESCRIBED,
        scope: Scope::Hub,
        run: create,
    },
    Command {
        name: "UserSet",
        title: "Change a user's group, full name and description",
        help: "Changes who a user is. How they log in, their policy and when they expire stay as they are.",
        params: DESCRIBED,
        scope: Scope::Hub,
        run: set,
    },
    Command {
        name: "UserDelete",
        title: "Delete a user",
        help: "Deletes a user. To keep them out for a while, set their policy Access to no instead.",
        params: &[USER],
        scope: Scope::Hub,
        run: delete,
    },
    Command {
        name: "UserGet",
        title: "Show a user",
        help: "Shows everything about a user: who they are, how they log in, what they have transferred, and their \
               policy.",
        params: &[USER],
        scope: Scope::Hub,
        run: get,
    },
    Command {
        name: "UserExpiresSet",
        title: "Set when a user expires",
        help: "Sets the time after which the user cannot log in any more, in this machine's time zone.",
        params: &[
            USER,
            Param::named(
                "EXPIRES",
                "Six numbers, as in \"2030/01/31 19:30:00\"; empty for never.",
            )
            .ask("User Expiration Date (no expiration if nothing specified): ")
            .check(check::time_or_none),
        ],
        scope: Scope::Hub,
        run: set_expiry,
    },
];

/// A user of the selected hub.
pub(super) fn load(shell: &mut Shell, name: &str) -> Outcome<User> {
    let request = HubObject {
        hub_name: shell.hub_name(),
        name: name.to_owned(),
    };
    shell.call::<GetUser>(&request)
}

/// Changes some of a user and leaves the rest.
pub(super) fn change(shell: &mut Shell, name: &str, change: impl FnOnce(&mut User) -> Outcome) -> Outcome {
    let mut user = load(shell, name)?;
    change(&mut user)?;
    shell.call::<SetUser>(&user)?;
    Ok(())
}

/// Takes every proof of identity from a user but the new kind.
pub(crate) fn set_auth(user: &mut User, kind: AuthType) {
    user.auth_type = kind;
    (user.hashed_key, user.nt_lm_secure_hash, user.auth_password) = (None, None, None);
    (user.user_x, user.serial, user.common_name) = (None, None, None);
    (user.radius_username, user.nt_username) = (None, None);
}

/// Makes a user log in with a password. Its hashes travel, not the password.
pub(crate) fn set_password(user: &mut User, password: &str) {
    set_auth(user, AuthType::Password);
    let key = password::user_hash(password.as_bytes(), &user.name);
    user.hashed_key = Some(Secret::new(key.as_bytes().to_vec()));
    user.nt_lm_secure_hash = Some(Secret::new(md4::nt_hash(password).to_vec()));
}

fn list(shell: &mut Shell, _: &Arguments) -> Outcome {
    let hub_name = shell.hub_name();
    let list = shell.call::<EnumUser>(&HubRequest { hub_name })?;
    if shell.json(&list) {
        return Ok(());
    }
    let mut table = Table::new(&[
        "User Name",
        "Full Name",
        "Group Name",
        "Description",
        "Auth Method",
        "Num Logins",
        "Last Login",
        "Expiration Date",
        "Transfer Bytes",
        "Transfer Packets",
    ]);
    for user in list.users {
        let expires = if user.is_expires_filled {
            user.expires
        } else {
            Timestamp::NONE
        };
        table.row([
            user.name,
            user.realname,
            if user.group_name.is_empty() {
                "-".to_owned()
            } else {
                user.group_name
            },
            user.note,
            auth_type(user.auth_type),
            user.num_login.to_string(),
            shell.calendar.long_or(user.last_login_time, "(None)"),
            shell.calendar.long_or(expires, "No Expiration"),
            text::thousands(user.traffic.bytes()),
            text::thousands(user.traffic.packets()),
        ]);
    }
    shell.console.blocks(&table);
    Ok(())
}

fn auth_type(kind: AuthType) -> String {
    let text = match kind {
        AuthType::Anonymous => "Anonymous Authentication",
        AuthType::Password => "Password Authentication",
        AuthType::UserCertificate => "Individual Certificate Authentication",
        AuthType::SignedCertificate => "Signed Certificate Authentication",
        AuthType::Radius => "RADIUS Authentication",
        AuthType::NtDomain => "NT Domain Authentication",
        AuthType::Other(number) => return format!("Type {number}"),
    };
    text.to_owned()
}

fn describe(user: &mut User, arguments: &Arguments) {
    user.group_name = arguments.text("GROUP").to_owned();
    user.realname = arguments.text("REALNAME").to_owned();
    user.note = arguments.text("NOTE").to_owned();
}

fn create(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let mut user = User {
        hub_name: shell.hub_name(),
        name: arguments.text("name").to_owned(),
        ..User::default()
    };
    describe(&mut user, arguments);
    if user.name == EVERYBODY {
        set_auth(&mut user, AuthType::Radius);
        user.radius_username = Some(String::new());
    } else {
        let random = Zeroizing::new(text::hex(&rand::random::<[u8; 20]>()));
        set_password(&mut user, &random);
    }
    shell.call::<CreateUser>(&user)?;
    Ok(())
}

fn set(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    change(shell, arguments.text("name"), |user| {
        describe(user, arguments);
        Ok(())
    })
}

fn delete(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let request = HubObject {
        hub_name: shell.hub_name(),
        name: arguments.text("name").to_owned(),
    };
    shell.call::<DeleteUser>(&request)?;
    Ok(())
}

fn set_expiry(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let expires = match arguments.text("EXPIRES") {
        "" => Timestamp::NONE,
        text => shell
            .calendar
            .parse(text)
            .ok_or_else(|| Failure::Invalid(format!("There is no time {text} in this time zone.")))?,
    };
    change(shell, arguments.text("name"), |user| {
        user.expire_time = expires;
        Ok(())
    })
}

fn get(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let mut user = load(shell, arguments.text("name"))?;
    // Hashes are as good as passwords, and nothing to leave on a screen or in a file.
    (user.hashed_key, user.nt_lm_secure_hash) = (None, None);
    if shell.json(&user) {
        return Ok(());
    }
    let mut table = Table::items();
    table
        .item("User Name", user.name)
        .item("Full Name", user.realname)
        .item("Description", user.note);
    if !user.group_name.is_empty() {
        table.item("Group Name", user.group_name);
    }
    table
        .item(
            "Expiration Date",
            shell.calendar.long_or(user.expire_time, "(None)"),
        )
        .item("Auth Type", auth_type(user.auth_type));
    let external = "External Authentication Server Authentication User Name";
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    if let Some(certificate) = &user.user_x {
        table.item(
            "Registered User Individual Certificate",
            super::certificate::describe(certificate),
        );
    }
    if let Some(name) = given(&user.common_name) {
        table.item("Limit of Certificate CN Value", name);
    }
    if let Some(serial) = user.serial.as_deref().filter(|serial| !serial.is_empty()) {
        table.item("Limit of Certificate Serial Number", text::hex_spaced(serial));
    }
    if let Some(name) = given(&user.radius_username).or_else(|| given(&user.nt_username)) {
        table.item(external, name);
    }
    table
        .rule()
        .item("Created on", shell.calendar.long_or(user.created_time, "(None)"))
        .item("Updated on", shell.calendar.long_or(user.updated_time, "(None)"));
    server::traffic(&mut table, &user.traffic);
    table.item("Number of Logins", user.num_login.to_string());
    shell.console.table(&table);
    if let Some(policy) = &user.policy {
        shell.console.remark("");
        shell.console.remark("Security Policy Set for this User");
        shell.console.table(&policy::table(policy));
    }
    Ok(())
}
