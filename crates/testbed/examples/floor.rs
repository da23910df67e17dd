//! The least that an HTTP server can do: reads once, writes the same bytes, for each connection.
//!
//! `floor PORT FILE` listens on 127.0.0.1 and answers with what is in the file. A benchmark
//! compares with it what the service does beyond that.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;

use anyhow::{Context, Result};
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let port: u16 = arguments.next().context("usage: floor PORT FILE")?.parse()?;
    let answer = std::fs::read(arguments.next().context("usage: floor PORT FILE")?)?;
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    listener.set_nonblocking(true)?;
    let poll = epoll::create(CreateFlags::CLOEXEC)?;
    let id = |of: &dyn AsRawFd| u64::try_from(of.as_raw_fd()).expect("no descriptor is negative");
    epoll::add(&poll, &listener, EventData::new_u64(id(&listener)), EventFlags::IN)?;
    let mut clients: HashMap<u64, TcpStream> = HashMap::new();
    let mut events: Vec<Event> = Vec::with_capacity(64);
    loop {
        events.clear();
        epoll::wait(&poll, rustix::buffer::spare_capacity(&mut events), None)?;
        for event in &events {
            let ready = event.data.u64();
            if ready == id(&listener) {
                let (client, _) = listener.accept()?;
                client.set_nonblocking(true)?;
                client.set_nodelay(true)?;
                epoll::add(&poll, &client, EventData::new_u64(id(&client)), EventFlags::IN)?;
                clients.insert(id(&client), client);
            } else if let Some(client) = clients.get_mut(&ready)
                && !is_answered(client, &answer)
            {
                clients.remove(&ready);
            }
        }
    }
}

/// Answers the one request that has come; false when the client is gone.
fn is_answered(client: &mut TcpStream, answer: &[u8]) -> bool {
    let mut request = [0; 4096];
    match client.read(&mut request) {
        Ok(0) | Err(_) => false,
        Ok(_) => client.write_all(answer).is_ok(),
    }
}
