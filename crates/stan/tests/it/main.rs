//! The client against a real nats-streaming-server.
//!
//! Where a comment names a `Test…`, the behaviour is taken from that test of stan.go or of the
//! server.

mod connect;
mod delivery;
mod durable;
mod examples;
mod failover;
mod fake;
mod harness;
mod limits;
mod links;
mod losses;
mod mute;
mod pings;
mod publish;
mod queue;
mod redelivery;
mod requests;
mod responder;
mod restart;
mod session;
mod start_position;
mod stats;
mod storm;
mod subscribe;
mod subscription_end;
mod wire;
