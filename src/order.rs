//! What an order is: bytes in, an [`Order`] or a [`Refusal`] out.

pub mod details;
