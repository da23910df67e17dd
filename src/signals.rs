//! The signals that ask a process to end, the same for every command.

use std::time::Duration;
use std::{fmt, fs, io, process};

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// A signal that asks the process to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// The terminal is closed. There are no settings to read again, so that it asks for no more.
    HangUp,
    /// SIGINT, as Ctrl-C in a terminal sends it.
    Interrupt,
    /// What `kill`, Kubernetes and Docker send.
    Terminate,
}

impl Signal {
    const ALL: [Self; 3] = [Self::HangUp, Self::Interrupt, Self::Terminate];

    fn kind(self) -> SignalKind {
        match self {
            Self::HangUp => SignalKind::hangup(),
            Self::Interrupt => SignalKind::interrupt(),
            Self::Terminate => SignalKind::terminate(),
        }
    }

    /// The exit code of a command that this signal has cut short, as shells count it: 129, 130
    /// or 143.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::HangUp => 128 + 1,
            Self::Interrupt => 128 + 2,
            Self::Terminate => 128 + 15,
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::HangUp => "SIGHUP",
            Self::Interrupt => "SIGINT",
            Self::Terminate => "SIGTERM",
        })
    }
}

/// The signals received so far.
#[derive(Debug, Clone)]
pub struct Signals(watch::Receiver<Vec<Signal>>);

impl Signals {
    /// Listens from here on, so that no signal ends the process by itself, nor is ignored because
    /// the process is the first of its container, for which signals without a handler do nothing.
    ///
    /// # Errors
    ///
    /// When the operating system refuses the signal handlers.
    pub fn listen() -> io::Result<Self> {
        let ignored = ignored();
        let (sender, receiver) = watch::channel(Vec::new());
        for asked in Signal::ALL {
            // That is how `nohup`, and a shell for what it starts in the background, ask for it.
            let bit = 1 << (asked.kind().as_raw_value() - 1);
            if asked != Signal::Terminate && ignored & bit != 0 {
                continue;
            }
            let mut signals = signal(asked.kind())?;
            let sender = sender.clone();
            // Ends with the last receiver, so nobody need own it.
            tokio::spawn(async move {
                loop {
                    tokio::select! {
                        _ = signals.recv() => sender.send_modify(|received| received.push(asked)),
                        () = sender.closed() => return,
                    }
                }
            });
        }
        Ok(Self(receiver))
    }

    /// Signals that a test sends by itself.
    #[cfg(test)]
    pub(crate) fn by_hand() -> (watch::Sender<Vec<Signal>>, Self) {
        let (sender, receiver) = watch::channel(Vec::new());
        (sender, Self(receiver))
    }

    /// Waits for the first signal.
    pub async fn first(&self) -> Signal {
        self.nth(1).await
    }

    /// Waits for the second signal.
    pub async fn second(&self) -> Signal {
        self.nth(2).await
    }

    async fn nth(&self, number: usize) -> Signal {
        let mut received = self.0.clone();
        let is_due = |received: &Vec<Signal>| received.len() >= number;
        let due = received.wait_for(is_due).await.map(|received| received[number - 1]);
        match due {
            Ok(signal) => signal,
            // Nobody listens any more, so no signal can come.
            Err(_) => std::future::pending().await,
        }
    }

    /// Ends the process `grace` after the first signal, and at a second one at once, whatever it
    /// is doing: it may stand in a read or a write that never returns.
    pub async fn end_process_after(self, grace: Duration) {
        let first = self.first().await;
        tokio::select! {
            () = tokio::time::sleep(grace) => {}
            _ = self.second() => {}
        }
        process::exit(first.exit_code().into());
    }
}

/// The signals that the process was started to ignore, as bits. None where there is no `/proc`.
fn ignored() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
