//! The client against a real nats-streaming-server.

mod bench;
mod links;
mod mute;
mod publish;
mod session;
mod storm;
