//! A real nginx in front of a service.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::process::Process;
use crate::{reaper, tools};

const START: Duration = Duration::from_secs(10);

/// nginx as a reverse proxy, listening on a Unix socket.
#[derive(Debug)]
pub struct Nginx {
    _process: Process,
    dir: TempDir,
}

impl Nginx {
    /// Starts one whose only server has these `location` blocks.
    pub async fn start(locations: &str) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("waybill-nginx-").tempdir()?;
        reaper::remove_at_end(dir.path())?;
        let root = dir.path().display();
        let config = format!(
            "daemon off; master_process off; pid {root}/pid; error_log stderr;\n\
             events {{}}\n\
             http {{\n\
                 access_log off; client_body_temp_path {root}/body; proxy_temp_path {root}/proxy;\n\
                 fastcgi_temp_path {root}/f; uwsgi_temp_path {root}/u; scgi_temp_path {root}/s;\n\
                 server {{ listen unix:{root}/socket; {locations} }}\n\
             }}\n"
        );
        let path = dir.path().join("nginx.conf");
        std::fs::write(&path, config).context("cannot write nginx.conf")?;
        let mut command = Command::new(tools::nginx()?);
        command.arg("-p").arg(dir.path()).arg("-c").arg(&path).args(["-e", "stderr"]);
        let mut process = Process::spawn("nginx", &command, &dir.path().join("log"))?;
        let socket = dir.path().join("socket");
        process
            .ready(START, async |_| std::os::unix::net::UnixStream::connect(&socket).is_ok())
            .await?;
        Ok(Self { _process: process, dir })
    }

    /// The port on 127.0.0.1 that it listens on.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("socket")
    }
}
