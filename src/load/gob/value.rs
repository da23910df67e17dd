//! Values within one message.

use super::{Error, Type, TypeId, Types};

/// Values within values are no deeper.
const MAX_DEPTH: u8 = 16;

const SHORT: Error = Error::Malformed("a message ends within a value");

/// How many bytes follow the first of an unsigned number: none if it is the number itself, else
/// as many as it says, negated.
pub(super) fn bytes_behind(first: u8) -> Result<usize, Error> {
    match first {
        0..=127 => Ok(0),
        248..=255 => Ok(usize::from(first.wrapping_neg())),
        _ => Err(Error::Malformed("a number has more than 8 bytes")),
    }
}

/// What is left of a message.
#[derive(Debug, Clone, Copy)]
pub(in crate::load) struct Value<'a>(&'a [u8]);

impl<'a> Value<'a> {
    pub(in crate::load) fn new(message: &'a [u8]) -> Self {
        Self(message)
    }

    /// How many bytes are left.
    pub(in crate::load) fn len(&self) -> usize {
        self.0.len()
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Error> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(SHORT)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(in crate::load) fn uint(&mut self) -> Result<u64, Error> {
        let first = self.take(1)?[0];
        let more = self.take(bytes_behind(first)?)?;
        if more.is_empty() {
            return Ok(u64::from(first));
        }
        Ok(more.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    /// A signed number: the lowest bit says whether the others are to be complemented.
    pub(in crate::load) fn int(&mut self) -> Result<i64, Error> {
        let bits = self.uint()?;
        let number = (bits >> 1).cast_signed();
        Ok(if bits & 1 == 1 { !number } else { number })
    }

    /// A string, `[]byte`, or what a type encodes by itself: a length and so many bytes.
    pub(in crate::load) fn bytes(&mut self) -> Result<&'a [u8], Error> {
        let length = usize::try_from(self.uint()?).map_err(|_| SHORT)?;
        self.take(length)
    }

    /// The number of the next field of a struct, counted from 0; none at its end. `before` is the
    /// number of the field before, if there was one.
    pub(in crate::load) fn field(&mut self, before: Option<u64>) -> Result<Option<u64>, Error> {
        match self.uint()? {
            0 => Ok(None),
            delta => {
                let next = before.map_or(Some(delta - 1), |before| before.checked_add(delta));
                next.map(Some).ok_or(Error::Malformed("a field has a number beyond all bounds"))
            }
        }
    }

    /// Passes over a value of this type.
    pub(in crate::load) fn skip(&mut self, id: TypeId, types: &Types) -> Result<(), Error> {
        self.skip_within(id, types, MAX_DEPTH)
    }

    fn skip_within(&mut self, id: TypeId, types: &Types, depth: u8) -> Result<(), Error> {
        let depth = depth.checked_sub(1).ok_or(Error::Malformed("values are nested too deep"))?;
        match types.get(id)? {
            Type::Bool | Type::Int | Type::Uint | Type::Float => drop(self.uint()?),
            Type::Complex => {
                self.uint()?;
                self.uint()?;
            }
            Type::Bytes | Type::String | Type::Encoded => drop(self.bytes()?),
            Type::List(element) => {
                for _ in 0..self.uint()? {
                    self.skip_within(*element, types, depth)?;
                }
            }
            Type::Map(key, element) => {
                for _ in 0..self.uint()? {
                    self.skip_within(*key, types, depth)?;
                    self.skip_within(*element, types, depth)?;
                }
            }
            Type::Struct(fields) => {
                let mut at = None;
                while let Some(number) = self.field(at)? {
                    let field = usize::try_from(number).ok().and_then(|number| fields.get(number));
                    let (_, id) = field.ok_or(Error::Malformed("a struct has an unknown field"))?;
                    self.skip_within(*id, types, depth)?;
                    at = Some(number);
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_go_documents_them() {
        for (bytes, number) in [
            (&[0x00][..], 0),
            (&[0x07], 7),
            (&[0xfe, 0x01, 0x00], 256),
            (&[0xf8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], u64::MAX),
        ] {
            assert_eq!(Value::new(bytes).uint().unwrap(), number, "{bytes:?}");
        }
        for (bytes, number) in [
            (&[0x2c][..], 22),
            (&[0xff, 0x81], -65),
            (&[0xff, 0x82], 65),
            (&[0xfe, 0x01, 0x01], -129),
        ] {
            assert_eq!(Value::new(bytes).int().unwrap(), number, "{bytes:?}");
        }
        for bytes in [&[][..], &[0xfe, 0x01], &[0x80], &[0xf7, 0, 0, 0, 0, 0, 0, 0, 0, 1]] {
            assert!(Value::new(bytes).uint().is_err(), "{bytes:?}");
        }
    }
}
