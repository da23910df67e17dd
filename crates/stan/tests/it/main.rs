//! The client against a real nats-streaming-server.

mod bench;
mod publish;
mod session;
mod stats;
