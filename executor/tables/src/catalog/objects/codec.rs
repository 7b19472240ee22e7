//! Objects' records as bytes: `docs/formats/catalog.md`.

use driftdb_query::{Object, ObjectId, ObjectKind};

use super::routine;
use crate::catalog::codec::{Input, encode_need, number, text};

const VERSION: u8 = 1;

pub(super) fn encode(object: &Object) -> Vec<u8> {
    let mut out = vec![VERSION];
    number(&mut out, object.id.0);
    text(&mut out, &object.schema);
    text(&mut out, &object.name);
    number(&mut out, object.needs.len() as u32);
    object.needs.iter().for_each(|need| encode_need(&mut out, need));
    match &object.kind {
        ObjectKind::Schema => out.push(0),
        ObjectKind::Routine(kind) => {
            out.push(10);
            routine::encode_routine(&mut out, kind);
        }
        ObjectKind::Trigger(kind) => {
            out.push(11);
            routine::encode_trigger(&mut out, kind);
        }
    }
    out
}

pub(super) fn decode(bytes: &[u8]) -> Option<Object> {
    let mut input = Input::new(bytes);
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
        10 => ObjectKind::Routine(Box::new(routine::routine(input)?)),
        11 => ObjectKind::Trigger(Box::new(routine::trigger(input)?)),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use driftdb_query::{ColumnId, Need};

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
        let (one, other) = routine::samples();
        let routines = [ObjectKind::Routine(Box::new(one)), ObjectKind::Trigger(Box::new(other))];
        [ObjectKind::Schema].into_iter().chain(routines).map(object).collect()
    }

    #[test]
    fn objects_round_trip_and_damaged_ones_never_panic() {
        for object in samples() {
            let bytes = encode(&object);
            assert_eq!(decode(&bytes), Some(object));
            for at in 0..bytes.len() {
                assert_eq!(decode(&bytes[..at]), None);
                for flip in [1u8, 0x80, 0xff] {
                    let mut damaged = bytes.clone();
                    damaged[at] ^= flip;
                    decode(&damaged);
                }
            }
        }
    }
}
