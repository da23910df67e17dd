//! The client against a real nats-streaming-server.

mod bench;
mod delivery;
mod durable;
mod publish;
mod queue;
mod redelivery;
mod responder;
mod restart;
mod session;
mod start_position;
mod subscribe;
mod subscription_end;
