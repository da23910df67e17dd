//! A real Chromium, driven through its chromedriver by the `WebDriver` protocol.

use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::port::Port;
use crate::process::Process;
use crate::{reaper, tools};

const START: Duration = Duration::from_secs(30);

/// A chromedriver; with it ends the browser that it starts for a session.
#[derive(Debug)]
pub struct Chromium {
    process: Process,
    port: Port,
    browser: PathBuf,
    dir: TempDir,
}

impl Chromium {
    /// Starts a chromedriver, which starts the browser when it is asked for a session.
    ///
    /// The browser's clock is in UTC.
    ///
    /// # Errors
    ///
    /// When there is no chromedriver, or no browser of its version.
    pub async fn start() -> Result<Self> {
        let (driver, browser) = tools::chromium()?;
        let dir = tempfile::Builder::new().prefix("waybill-chromium-").tempdir()?;
        reaper::remove_at_end(dir.path())?;
        let port = Port::lease()?;
        let mut command = Command::new(driver);
        command.arg(format!("--port={}", port.number));
        command.env("HOME", dir.path()).env("TMPDIR", dir.path()).env("TZ", "UTC");
        let mut process = Process::spawn("chromedriver", &command, &dir.path().join("log"))?;
        process
            .ready(START, async |_| TcpStream::connect(("127.0.0.1", port.number)).is_ok())
            .await?;
        Ok(Self { process, port, browser, dir })
    }

    /// The port on 127.0.0.1 that takes the commands of `WebDriver`.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.number
    }

    /// What chromedriver has said.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// The capabilities that a new session must have: a browser without a window, in English.
    ///
    /// It has no sandbox, which root and many containers may not have: it is for pages of our own.
    #[must_use]
    pub fn capabilities(&self) -> Value {
        let profile = format!("--user-data-dir={}", self.dir.path().join("profile").display());
        json!({
            "browserName": "chrome",
            "goog:loggingPrefs": {"browser": "ALL"},
            "goog:chromeOptions": {
                "binary": self.browser,
                "args": [
                    "--headless=new", "--no-sandbox", "--no-zygote", "--disable-gpu",
                    "--disable-dev-shm-usage", "--lang=en-US", "--hide-scrollbars", profile,
                ],
            },
        })
    }
}
