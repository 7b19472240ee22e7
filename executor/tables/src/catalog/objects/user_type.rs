//! Users' types as bytes.

use driftdb_query::TypeDefinition;
use driftdb_types::{Domain, DomainCheck, EnumLabel, Field, UserKind};

use crate::catalog::codec::{Input, number, text};

pub(super) fn encode_type(out: &mut Vec<u8>, definition: &TypeDefinition) {
    number(out, u32::from(definition.highest));
    match &definition.kind {
        UserKind::Enum(labels) => {
            out.push(0);
            number(out, labels.len() as u32);
            for label in labels {
                out.extend(label.key.to_le_bytes());
                out.extend(label.order.to_le_bytes());
                text(out, &label.label);
            }
        }
        UserKind::Domain(domain) => {
            out.push(1);
            number(out, domain.base.oid());
            out.extend(domain.typmod.to_le_bytes());
            out.push(u8::from(domain.not_null));
            out.push(u8::from(domain.default.is_some()));
            if let Some(default) = &domain.default {
                text(out, default);
            }
            number(out, domain.checks.len() as u32);
            for check in &domain.checks {
                text(out, &check.name);
                text(out, &check.condition);
                out.push(u8::from(check.is_valid));
            }
        }
        UserKind::Composite { fields, .. } => {
            out.push(2);
            number(out, fields.len() as u32);
            for field in fields.iter() {
                number(out, u32::from(field.number));
                text(out, &field.name);
                number(out, field.ty.oid());
                out.extend(field.typmod.to_le_bytes());
            }
        }
        UserKind::Shell => out.push(3),
    }
}

pub(super) fn user_type(input: &mut Input<'_>) -> Option<TypeDefinition> {
    let highest = u16::try_from(input.number()?).ok()?;
    let kind = match input.byte()? {
        0 => UserKind::Enum(input.list(|input| {
            let key = input.signed()? as u64;
            let order = f32::from_bits(input.modifier()? as u32);
            Some(EnumLabel { key, order, label: input.text()? })
        })?),
        1 => UserKind::Domain(Domain {
            base: input.data_type()?,
            typmod: input.modifier()?,
            not_null: input.byte()? == 1,
            default: input.optional(Input::text)?,
            checks: input.list(|input| {
                Some(DomainCheck {
                    name: input.text()?,
                    condition: input.text()?,
                    is_valid: input.byte()? == 1,
                })
            })?,
        }),
        2 => {
            let fields = input.list(|input| {
                Some(Field {
                    number: u16::try_from(input.number()?).ok()?,
                    name: input.text()?.into(),
                    ty: input.data_type()?,
                    typmod: input.modifier()?,
                })
            })?;
            UserKind::Composite { fields: fields.into(), relation: None }
        }
        3 => UserKind::Shell,
        _ => return None,
    };
    // Values are looked up by their keys.
    let is_sound = match &kind {
        UserKind::Enum(labels) => labels.is_sorted_by(|a, b| a.key < b.key),
        _ => true,
    };
    is_sound.then_some(TypeDefinition { kind, highest })
}
