//! The client against a real nats-streaming-server.

mod bench;
mod connect;
mod fake;
mod losses;
mod pings;
mod publish;
mod requests;
mod session;
mod wire;
