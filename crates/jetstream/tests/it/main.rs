//! The client against a real nats-server, and through a proxy that fails the way networks do.

mod cluster;
mod harness;
mod links;
mod publish;
mod pulls;
mod recreated;
mod refused;
mod restart;
mod session;
mod stream;
