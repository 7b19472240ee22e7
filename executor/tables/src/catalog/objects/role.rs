//! Roles and privileges as bytes: `docs/formats/catalog.md`.

use driftdb_query::{AclItem, Membership, Privileges, Rights, Role, Securable, Subject};

use crate::catalog::codec::{Input, number};

pub(super) fn encode_role(out: &mut Vec<u8>, role: &Role) {
    let flags = [
        role.superuser,
        role.inherit,
        role.create_role,
        role.create_database,
        role.login,
        role.replication,
        role.bypass_rls,
    ];
    out.push(flags.iter().rev().fold(0, |bits, flag| bits << 1 | u8::from(*flag)));
    out.extend_from_slice(&role.connection_limit.to_le_bytes());
    out.push(role.valid_until.is_some().into());
    if let Some(time) = role.valid_until {
        out.extend_from_slice(&time.to_le_bytes());
    }
    number(out, role.member_of.len() as u32);
    for membership in &role.member_of {
        number(out, membership.role);
        number(out, membership.grantor);
        out.push(membership.admin.into());
    }
}

pub(super) fn role(input: &mut Input<'_>) -> Option<Role> {
    let flags = input.byte()?;
    let is_set = |bit: u8| flags & 1 << bit != 0;
    (flags < 128).then_some(())?;
    Some(Role {
        superuser: is_set(0),
        inherit: is_set(1),
        create_role: is_set(2),
        create_database: is_set(3),
        login: is_set(4),
        replication: is_set(5),
        bypass_rls: is_set(6),
        connection_limit: input.modifier()?,
        valid_until: input.optional(Input::signed)?,
        member_of: input.list(|input| {
            let (role, grantor) = (input.number()?, input.number()?);
            Some(Membership { role, grantor, admin: input.byte()? == 1 })
        })?,
    })
}

pub(super) fn encode_privileges(out: &mut Vec<u8>, privileges: &Privileges) {
    let Subject { kind, id, column } = privileges.subject;
    let kind = Securable::ALL.iter().position(|known| *known == kind).unwrap_or_default();
    out.push(kind as u8);
    number(out, id);
    number(out, column.into());
    number(out, privileges.owner);
    out.push(privileges.list.is_some().into());
    let Some(list) = &privileges.list else { return };
    number(out, list.len() as u32);
    for item in list {
        number(out, item.grantee);
        number(out, item.grantor);
        number(out, item.rights.0.into());
        number(out, item.options.0.into());
    }
}

pub(super) fn privileges(input: &mut Input<'_>) -> Option<Privileges> {
    let kind = *Securable::ALL.get(usize::from(input.byte()?))?;
    let (id, column) = (input.number()?, u16::try_from(input.number()?).ok()?);
    let rights = |input: &mut Input<'_>| Some(Rights(u16::try_from(input.number()?).ok()?));
    Some(Privileges {
        subject: Subject { kind, id, column },
        owner: input.number()?,
        list: input.optional(|input| {
            input.list(|input| {
                let (grantee, grantor) = (input.number()?, input.number()?);
                Some(AclItem { grantee, grantor, rights: rights(input)?, options: rights(input)? })
            })
        })?,
    })
}

/// One of each.
#[cfg(test)]
pub(super) fn samples() -> (Role, Privileges) {
    let role = Role {
        create_role: true,
        login: true,
        connection_limit: 3,
        valid_until: Some(-5),
        member_of: vec![Membership { role: 16_400, grantor: 10, admin: true }],
        ..Role::default()
    };
    let mut privileges = Privileges::first(Subject::column(16_384, 3));
    privileges.grant(10, 16_400, Rights::SELECT, true);
    (role, privileges)
}
