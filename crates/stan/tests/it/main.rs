//! The client against a real nats-streaming-server.

mod bench;
mod connect;
mod fake;
mod links;
mod mute;
mod pings;
mod publish;
mod requests;
mod session;
mod storm;
mod wire;
