//! The types that a stream defines before it sends values of them.

use std::collections::HashMap;

use super::{Error, Value};

/// Types, and fields of a struct, are no more.
const MOST: u64 = 64;

/// The number of a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::load) struct TypeId(i64);

/// What values of a type look like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::load) enum Type {
    Bool,
    Int,
    Uint,
    Float,
    Complex,
    Bytes,
    String,
    /// Bytes that the Go type makes by itself, as `time.Time` does.
    Encoded,
    /// An array or a slice.
    List(TypeId),
    Map(TypeId, TypeId),
    /// The fields with their names, in the order of their numbers.
    Struct(Vec<(String, TypeId)>),
}

/// What a message is.
#[derive(Debug)]
pub(in crate::load) enum Message {
    /// The definition of a type. The first one of an encoder begins its stream.
    Definition { begins: bool },
    /// A value of this type, from this byte of the message on.
    Value(TypeId, usize),
}

/// The types that are known at a place in the stream.
#[derive(Debug, Default)]
pub(in crate::load) struct Types {
    defined: HashMap<TypeId, Type>,
}

impl Types {
    /// Reads a message up to its value. Several encoders may have written one after the other:
    /// a type that is defined again begins the stream of another, which knows none.
    pub(in crate::load) fn read(&mut self, message: &[u8]) -> Result<Message, Error> {
        let mut value = Value::new(message);
        let id = value.int()?;
        if id >= 0 {
            return Ok(Message::Value(TypeId(id), message.len() - value.len()));
        }
        let id = TypeId(id.checked_neg().ok_or(Error::Malformed("a type has no valid number"))?);
        let definition = definition(&mut value)?;
        if value.len() > 0 {
            return Err(Error::Malformed("a definition of a type is followed by something"));
        }
        if self.defined.contains_key(&id) {
            self.defined.clear();
        }
        let begins = self.defined.is_empty();
        self.defined.insert(id, definition);
        if self.defined.len() as u64 > MOST {
            return Err(Error::Malformed("more than 64 types are defined"));
        }
        Ok(Message::Definition { begins })
    }

    pub(in crate::load) fn get(&self, id: TypeId) -> Result<&Type, Error> {
        match id.0 {
            1 => Ok(&Type::Bool),
            2 => Ok(&Type::Int),
            3 => Ok(&Type::Uint),
            4 => Ok(&Type::Float),
            5 => Ok(&Type::Bytes),
            6 => Ok(&Type::String),
            7 => Ok(&Type::Complex),
            _ => self.defined.get(&id).ok_or(Error::Malformed("a value is of an unknown type")),
        }
    }
}

/// Reads a `wireType`: a struct of which the one field that is there says what kind of type it is.
fn definition(value: &mut Value<'_>) -> Result<Type, Error> {
    const UNKNOWN: Error = Error::Malformed("a type is of an unknown kind");
    let kind = value.field(None)?.ok_or(UNKNOWN)?;
    let definition = match kind {
        // Their first field, 0, is always name and number; see `common`.
        0 | 1 => Type::List(numbers::<1>(value)?[0]),
        2 => Type::Struct(fields_of_struct(value)?),
        3 => {
            let [key, element] = numbers(value)?;
            Type::Map(key, element)
        }
        4..=6 => {
            numbers::<0>(value)?;
            Type::Encoded
        }
        _ => return Err(UNKNOWN),
    };
    match value.field(Some(kind))? {
        None => Ok(definition),
        Some(_) => Err(UNKNOWN),
    }
}

/// The numbers of the `N` types that a definition consists of, fields 1 to `N`. What comes behind
/// is the length of an array, which each value states too.
fn numbers<const N: usize>(value: &mut Value<'_>) -> Result<[TypeId; N], Error> {
    let mut numbers = [TypeId(0); N];
    let mut at = None;
    while let Some(field) = value.field(at)? {
        let place = usize::try_from(field).ok().and_then(|field| field.checked_sub(1));
        match place {
            None => common(value)?,
            Some(place) => {
                let number = value.int()?;
                if let Some(known) = numbers.get_mut(place) {
                    *known = TypeId(number);
                }
            }
        }
        at = Some(field);
    }
    Ok(numbers)
}

/// Passes over a `CommonType`: the name and the number of a type.
fn common(value: &mut Value<'_>) -> Result<(), Error> {
    named_number(value).map(drop)
}

/// A struct of a name, field 0, and a number, field 1.
fn named_number(value: &mut Value<'_>) -> Result<(String, TypeId), Error> {
    let (mut name, mut id) = (String::new(), TypeId(0));
    let mut at = None;
    while let Some(field) = value.field(at)? {
        match field {
            0 => name = String::from_utf8_lossy(value.bytes()?).into_owned(),
            1 => id = TypeId(value.int()?),
            _ => return Err(Error::Malformed("a definition of a type has an unknown field")),
        }
        at = Some(field);
    }
    Ok((name, id))
}

fn fields_of_struct(value: &mut Value<'_>) -> Result<Vec<(String, TypeId)>, Error> {
    let mut fields = Vec::new();
    let mut at = None;
    while let Some(field) = value.field(at)? {
        match field {
            0 => common(value)?,
            1 => {
                let count = value.uint()?;
                if count > MOST {
                    return Err(Error::Malformed("a struct has more than 64 fields"));
                }
                for _ in 0..count {
                    fields.push(named_number(value)?);
                }
            }
            _ => return Err(Error::Malformed("a definition of a struct has an unknown field")),
        }
        at = Some(field);
    }
    Ok(fields)
}
