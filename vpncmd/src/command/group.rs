//! Groups of users.

use protocol::rpc::{
    HubObject, HubRequest,
    group::Group,
    method::{CreateGroup, DeleteGroup, EnumGroup, EnumUser, GetGroup, SetGroup},
};

use crate::{
    check,
    command::{Command, Scope, policy, user},
    failure::Outcome,
    names::Names,
    params::{Arguments, Param},
    shell::Shell,
    table::Table,
    text,
};

const GROUP: Param = Param::word("name", "The name of the group.")
    .ask("Group Name: ")
    .check(check::not_empty)
    .of(Names::Group);

const DESCRIBED: &[Param] = &[
    GROUP,
    Param::named("REALNAME", "The full name.").ask("Group Full Name: "),
    Param::named("NOTE", "A description.").ask("Group Description: "),
];

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "GroupList",
        title: "List the groups of the hub",
        help: "Lists the groups with their descriptions and the number of their users.",
        params: &[],
        scope: Scope::Hub,
        run: list,
    },
    Command {
        name: "GroupCreate",
        title: "Make a group",
        help: "Makes a group of users, who can then share a policy.",
        params: DESCRIBED,
        scope: Scope::Hub,
        run: create,
    },
    Command {
        name: "GroupSet",
        title: "Change a group's full name and description",
        help: "Changes what a group is called. Its policy stays as it is.",
        params: DESCRIBED,
        scope: Scope::Hub,
        run: set,
    },
    Command {
        name: "GroupDelete",
        title: "Delete a group",
        help: "Deletes a group. Its users stay, without a group.",
        params: &[GROUP],
        scope: Scope::Hub,
        run: delete,
    },
    Command {
        name: "GroupGet",
        title: "Show a group, its policy and its users",
        help: "Shows everything about a group, and who belongs to it.",
        params: &[GROUP],
        scope: Scope::Hub,
        run: get,
    },
    Command {
        name: "GroupJoin",
        title: "Put a user into a group",
        help: "Puts a user into this group. A user is in one group at most.",
        params: &[
            GROUP,
            Param::named("USERNAME", "The name of the user.")
                .ask("Name of User to Join Group: ")
                .check(check::not_empty)
                .of(Names::User),
        ],
        scope: Scope::Hub,
        run: join,
    },
    Command {
        name: "GroupUnjoin",
        title: "Take a user out of the group",
        help: "Takes a user out of the group they are in.",
        params: &[Param::word("name", "The name of the user.")
            .ask("Name of User to Delete from Group: ")
            .check(check::not_empty)
            .of(Names::User)],
        scope: Scope::Hub,
        run: unjoin,
    },
    Command {
        name: "GroupPolicySet",
        title: "Set one policy of a group",
        help: "Sets one policy of a group. A group that had none gets them all, with their default values. \
               PolicyList shows the policies.",
        params: &[GROUP, policy::NAME, policy::VALUE],
        scope: Scope::Hub,
        run: set_policy,
    },
    Command {
        name: "GroupPolicyRemove",
        title: "Take a group's policy away",
        help: "Takes the policy of a group away, so that the default counts for its users again.",
        params: &[GROUP],
        scope: Scope::Hub,
        run: remove_policy,
    },
];

fn object(shell: &Shell, arguments: &Arguments) -> HubObject {
    HubObject {
        hub_name: shell.hub_name(),
        name: arguments.text("name").to_owned(),
    }
}

fn change(shell: &mut Shell, arguments: &Arguments, change: impl FnOnce(&mut Group) -> Outcome) -> Outcome {
    let request = object(shell, arguments);
    let mut group = shell.call::<GetGroup>(&request)?;
    change(&mut group)?;
    shell.call::<SetGroup>(&group)?;
    Ok(())
}

fn describe(group: &mut Group, arguments: &Arguments) {
    group.realname = arguments.text("REALNAME").to_owned();
    group.note = arguments.text("NOTE").to_owned();
}

fn list(shell: &mut Shell, _: &Arguments) -> Outcome {
    let hub_name = shell.hub_name();
    let list = shell.call::<EnumGroup>(&HubRequest { hub_name })?;
    if shell.json(&list) {
        return Ok(());
    }
    let mut table = Table::new(&["Group Name", "Full Name", "Description", "Num Users"]);
    for group in list.groups {
        table.row([
            group.name,
            group.realname,
            group.note,
            group.num_users.to_string(),
        ]);
    }
    shell.console.blocks(&table);
    Ok(())
}

fn create(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let mut group = Group {
        hub_name: shell.hub_name(),
        name: arguments.text("name").to_owned(),
        ..Group::default()
    };
    describe(&mut group, arguments);
    shell.call::<CreateGroup>(&group)?;
    Ok(())
}

fn set(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    change(shell, arguments, |group| {
        describe(group, arguments);
        Ok(())
    })
}

fn delete(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let request = object(shell, arguments);
    shell.call::<DeleteGroup>(&request)?;
    Ok(())
}

fn get(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    let request = object(shell, arguments);
    let group = shell.call::<GetGroup>(&request)?;
    if shell.json(&group) {
        return Ok(());
    }
    let users = shell
        .call::<EnumUser>(&HubRequest {
            hub_name: request.hub_name,
        })?
        .users;
    let mut table = Table::items();
    table
        .item("Group Name", group.name.as_str())
        .item("Full Name", group.realname)
        .item("Description", group.note);
    shell.console.table(&table);
    if let Some(policy) = &group.policy {
        shell.console.remark("");
        shell
            .console
            .remark("This is the security policy that is set for this group.");
        shell.console.table(&policy::table(policy));
    }
    let members: Vec<_> = users
        .iter()
        .filter(|user| user.group_name.eq_ignore_ascii_case(&group.name))
        .collect();
    if !members.is_empty() {
        shell.console.print_line("\nThe users who belong to this group:");
        for user in members {
            shell
                .console
                .print_line(&format!(" {}", text::printable(&user.name)));
        }
        shell.console.print_line("");
    }
    Ok(())
}

fn join(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    user::change(shell, arguments.text("USERNAME"), |user| {
        user.group_name = arguments.text("name").to_owned();
        Ok(())
    })
}

fn unjoin(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    user::change(shell, arguments.text("name"), |user| {
        user.group_name.clear();
        Ok(())
    })
}

fn set_policy(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    change(shell, arguments, |group| {
        policy::set(&mut group.policy, arguments)
    })
}

fn remove_policy(shell: &mut Shell, arguments: &Arguments) -> Outcome {
    change(shell, arguments, |group| {
        group.policy = None;
        Ok(())
    })
}
