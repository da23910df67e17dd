//! The smallest HTTP client that keeps its connection and can ask many questions at once.

use std::io;
use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A connection to one replica.
pub(crate) struct Client {
    stream: TcpStream,
    buffer: BytesMut,
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: BytesMut::new() })
    }

    /// Asks for one path: status and body.
    pub(crate) async fn get(&mut self, path: &str) -> io::Result<(u16, Bytes)> {
        self.ask(&[path]).await?;
        self.answer().await
    }

    /// Asks for several paths in one go; the answers come in the same order.
    pub(crate) async fn get_all(&mut self, paths: &[&str]) -> io::Result<Vec<(u16, Bytes)>> {
        self.ask(paths).await?;
        let mut answers = Vec::with_capacity(paths.len());
        for _ in paths {
            answers.push(self.answer().await?);
        }
        Ok(answers)
    }

    async fn ask(&mut self, paths: &[&str]) -> io::Result<()> {
        let request = |path: &&str| format!("GET {path} HTTP/1.1\r\nhost: chaos\r\n\r\n");
        let requests: String = paths.iter().map(request).collect();
        self.stream.write_all(requests.as_bytes()).await
    }

    async fn answer(&mut self) -> io::Result<(u16, Bytes)> {
        let head_length = loop {
            if let Some(end) = self.buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break end + 4;
            }
            self.read().await?;
        };
        let head = self.buffer.split_to(head_length);
        let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
        let status = head.get(9..12).and_then(|status| status.parse().ok());
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
        let length: Option<usize> = length.and_then(|length| length.trim().parse().ok());
        let (Some(status), Some(length)) = (status, length) else {
            return Err(io::Error::other("an answer without a status or a length"));
        };
        while self.buffer.len() < length {
            self.read().await?;
        }
        Ok((status, self.buffer.split_to(length).freeze()))
    }

    async fn read(&mut self) -> io::Result<()> {
        match self.stream.read_buf(&mut self.buffer).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}
