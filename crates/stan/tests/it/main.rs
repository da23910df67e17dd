//! The client against a real nats-streaming-server.

mod bench;
mod connect;
mod delivery;
mod durable;
mod examples;
mod failover;
mod fake;
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
