//! Objects' records as bytes: `docs/formats/catalog.md`.

use super::{role, routine, user_type};
use crate::catalog::codec::{Input, Types, encode_need, number, text};
use driftdb_query::{
    CheckOption, CommentSubject, Materialized, Object, ObjectId, ObjectKind, SequenceDefinition,
    TableId, View, ViewColumn,
};

const VERSION: u8 = 1;
const VIEW: u8 = 20;
/// The kind of an object that makes a table a materialized view.
const MATERIALIZED: u8 = 21;
/// The kind of an object that is a comment.
const COMMENT: u8 = 40;
const ROLE: u8 = 50;
const PRIVILEGES: u8 = 51;
/// The kind of an object that is a type.
const TYPE: u8 = 52;

pub(super) fn encode(object: &Object) -> Vec<u8> {
    let mut out = vec![VERSION];
    number(&mut out, object.id.0);
    text(&mut out, &object.schema);
    text(&mut out, &object.name);
    number(&mut out, object.needs.len() as u32);
    object.needs.iter().for_each(|need| encode_need(&mut out, need));
    match &object.kind {
        ObjectKind::Schema => out.push(0),
        ObjectKind::View(view) => {
            out.push(VIEW);
            encode_view(&mut out, view);
        }
        ObjectKind::Materialized(it) => {
            out.push(MATERIALIZED);
            number(&mut out, it.table.0);
            encode_view(&mut out, &it.view);
        }
        ObjectKind::Sequence(sequence) => {
            out.push(1);
            encode_sequence(sequence, &mut out);
        }
        ObjectKind::Comment { subject, text: said } => {
            out.push(COMMENT);
            number(&mut out, subject.class);
            number(&mut out, subject.id);
            number(&mut out, u32::from(subject.column));
            text(&mut out, &subject.check);
            text(&mut out, said);
        }
        ObjectKind::Routine(kind) => {
            out.push(10);
            routine::encode_routine(&mut out, kind);
        }
        ObjectKind::Trigger(kind) => {
            out.push(11);
            routine::encode_trigger(&mut out, kind);
        }
        ObjectKind::Role(kind) => {
            out.push(ROLE);
            role::encode_role(&mut out, kind);
        }
        ObjectKind::Privileges(kind) => {
            out.push(PRIVILEGES);
            role::encode_privileges(&mut out, kind);
        }
        ObjectKind::Type(kind) => {
            out.push(TYPE);
            user_type::encode_type(&mut out, kind);
        }
    }
    out
}

fn encode_view(out: &mut Vec<u8>, view: &View) {
    number(out, view.columns.len() as u32);
    for column in &view.columns {
        text(out, &column.name);
        number(out, column.ty.oid());
        out.extend_from_slice(&column.typmod.to_le_bytes());
        optional_text(out, column.default.as_deref());
    }
    text(out, &view.query);
    text(out, &view.shown);
    text(out, &view.pretty);
    out.push(match view.check {
        None => 0,
        Some(CheckOption::Local) => 1,
        Some(CheckOption::Cascaded) => 2,
    });
}

fn optional_text(out: &mut Vec<u8>, value: Option<&str>) {
    out.push(value.is_some().into());
    if let Some(value) = value {
        text(out, value);
    }
}

pub(super) fn decode(bytes: &[u8], types: Types<'_>) -> Option<Object> {
    let mut input = Input::new(bytes, types);
    (input.byte()? == VERSION).then_some(())?;
    let object = Object {
        id: ObjectId(input.number()?),
        schema: input.text()?,
        name: input.text()?,
        needs: input.list(Input::need)?,
        kind: kind(&mut input)?,
    };
    input.is_at_end().then_some(object)
}

fn kind(input: &mut Input<'_>) -> Option<ObjectKind> {
    Some(match input.byte()? {
        0 => ObjectKind::Schema,
        VIEW => ObjectKind::View(view(input)?),
        MATERIALIZED => {
            let table = TableId(input.number()?);
            ObjectKind::Materialized(Box::new(Materialized { table, view: view(input)? }))
        }
        1 => ObjectKind::Sequence(decode_sequence(input)?),
        COMMENT => ObjectKind::Comment {
            subject: CommentSubject {
                class: input.number()?,
                id: input.number()?,
                column: u16::try_from(input.number()?).ok()?,
                check: input.text()?,
            },
            text: input.text()?,
        },
        10 => ObjectKind::Routine(Box::new(routine::routine(input)?)),
        11 => ObjectKind::Trigger(Box::new(routine::trigger(input)?)),
        ROLE => ObjectKind::Role(Box::new(role::role(input)?)),
        PRIVILEGES => ObjectKind::Privileges(Box::new(role::privileges(input)?)),
        TYPE => ObjectKind::Type(Box::new(user_type::user_type(input)?)),
        _ => return None,
    })
}

fn view(input: &mut Input<'_>) -> Option<View> {
    Some(View {
        columns: input.list(|input| {
            Some(ViewColumn {
                name: input.text()?,
                ty: input.data_type()?,
                typmod: input.modifier()?,
                default: input.optional(Input::text)?,
            })
        })?,
        query: input.text()?,
        shown: input.text()?,
        pretty: input.text()?,
        check: match input.byte()? {
            0 => None,
            1 => Some(CheckOption::Local),
            2 => Some(CheckOption::Cascaded),
            _ => return None,
        },
    })
}

fn encode_sequence(sequence: &SequenceDefinition, out: &mut Vec<u8>) {
    number(out, sequence.ty.oid());
    let SequenceDefinition { increment, min, max, start, cache, initial, .. } = sequence;
    for value in [increment, min, max, start, cache, &initial.0] {
        out.extend_from_slice(&value.to_le_bytes());
    }
    number(out, sequence.state);
    let flags = [sequence.cycle, sequence.is_identity, initial.1];
    out.push(flags.iter().rev().fold(0, |bits, flag| bits << 1 | u8::from(*flag)));
}

fn decode_sequence(input: &mut Input<'_>) -> Option<SequenceDefinition> {
    let ty = input.data_type()?;
    let mut values = [0; 6];
    for value in &mut values {
        *value = input.signed()?;
    }
    let [increment, min, max, start, cache, initial] = values;
    let state = input.number()?;
    let flags = input.byte()?;
    let sound =
        flags < 8 && increment != 0 && min < max && cache > 0 && (min..=max).contains(&start);
    sound.then_some(SequenceDefinition {
        ty,
        increment,
        min,
        max,
        start,
        cache,
        cycle: flags & 1 != 0,
        state,
        initial: (initial, flags & 4 != 0),
        is_identity: flags & 2 != 0,
    })
}

#[cfg(test)]
mod tests {
    use driftdb_query::{ColumnId, Need};

    use driftdb_types::{DataType, Domain, DomainCheck, EnumLabel, Field, UserKind};

    use super::*;

    /// One of each kind.
    fn samples() -> Vec<Object> {
        let needs =
            vec![Need::of(16_384), Need { id: 9, column: Some(ColumnId(3)), is_part: true }];
        let object = |kind| Object {
            id: ObjectId(16_400),
            schema: "public".into(),
            name: "o".into(),
            needs: needs.clone(),
            kind,
        };
        let column = |name: &str, default: Option<&str>| ViewColumn {
            name: name.into(),
            ty: DataType::Varchar,
            typmod: 14,
            default: default.map(Into::into),
        };
        let view = View {
            columns: vec![column("a", None), column("b", Some("'x'"))],
            query: "SELECT".into(),
            shown: "select".into(),
            pretty: String::new(),
            check: Some(CheckOption::Cascaded),
        };
        let sequence = SequenceDefinition {
            ty: DataType::Int4,
            increment: -2,
            min: -90,
            max: 8,
            start: 7,
            cache: 3,
            cycle: true,
            state: 16_401,
            initial: (-5, true),
            is_identity: false,
        };
        let subject = CommentSubject { class: 1259, id: 16_384, column: 3, check: String::new() };
        let comment = ObjectKind::Comment { subject, text: "said".into() };
        let (one, other) = routine::samples();
        let check =
            DomainCheck { name: "d_check".into(), condition: "VALUE > 0".into(), is_valid: false };
        let domain = Domain {
            base: DataType::Varchar,
            typmod: 9,
            not_null: true,
            default: Some("1".into()),
            checks: vec![check],
        };
        let field = Field { number: 2, name: "f".into(), ty: DataType::Int4, typmod: -1 };
        let ty = |kind| ObjectKind::Type(Box::new(driftdb_query::TypeDefinition::new(kind)));
        let kinds = [
            ObjectKind::Schema,
            ObjectKind::Sequence(sequence),
            ObjectKind::View(view.clone()),
            ObjectKind::Materialized(Box::new(Materialized { table: TableId(16_384), view })),
            ObjectKind::Routine(Box::new(one)),
            ObjectKind::Trigger(Box::new(other)),
            comment,
            ObjectKind::Role(Box::new(role::samples().0)),
            ObjectKind::Privileges(Box::new(role::samples().1)),
            ty(UserKind::Enum(vec![EnumLabel::new("a", 1), EnumLabel::new("b", 2)])),
            ty(UserKind::Domain(domain)),
            ty(UserKind::Composite { fields: vec![field].into(), relation: None }),
            ty(UserKind::Shell),
        ];
        kinds.map(object).into()
    }

    #[test]
    fn objects_round_trip_and_damaged_ones_never_panic() {
        for object in samples() {
            let bytes = encode(&object);
            assert_eq!(decode(&bytes, &DataType::from_oid), Some(object));
            for at in 0..bytes.len() {
                assert_eq!(decode(&bytes[..at], &DataType::from_oid), None);
                for flip in [1u8, 0x80, 0xff] {
                    let mut damaged = bytes.clone();
                    damaged[at] ^= flip;
                    decode(&damaged, &DataType::from_oid);
                }
            }
        }
    }
}
