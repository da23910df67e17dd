//! The account a Postgres server runs under: it refuses to run as root.

use std::os::unix::fs::chown;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::process::prefixed;

/// An ordinary user, or ourselves when we are one.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    /// The command that becomes this user and then runs its arguments; empty for ourselves.
    prefix: Vec<String>,
    /// Its user and group number; none for ourselves.
    numbers: Option<(u32, u32)>,
}

impl Account {
    /// The account for a server that keeps its data in `dir`, which is given to it.
    ///
    /// # Errors
    ///
    /// When `dir` lies where only root may go and that cannot be helped.
    pub(crate) fn for_server_in(dir: &Path) -> Result<Self> {
        let ourselves = Self { prefix: Vec::new(), numbers: None };
        if !rustix::process::geteuid().is_root() {
            return Ok(ourselves);
        }
        let (name, user, group) = server_user()?;
        chown(dir, Some(user), Some(group))
            .with_context(|| format!("cannot give {} to the user {name}", dir.display()))?;
        let numbers = Some((user, group));
        let mut prefix = vec![
            "setpriv".to_owned(),
            format!("--reuid={user}"),
            format!("--regid={group}"),
            "--clear-groups".to_owned(),
        ];
        let plain = Self { prefix: prefix.clone(), numbers };
        if plain.can_enter(dir) {
            return Ok(plain);
        }
        prefix
            .extend(["--inh-caps=+dac_override", "--ambient-caps=+dac_override"].map(String::from));
        let capable = Self { prefix, numbers };
        if capable.can_enter(dir) {
            return Ok(capable);
        }
        bail!(
            "Postgres may not run as root, and the user {name} cannot enter {dir}: \
             use a directory that others may enter (chmod o+x on each one above it), \
             or work as an ordinary user",
            dir = dir.display()
        )
    }

    /// The same command, run under this account.
    pub(crate) fn command(&self, command: &Command) -> Command {
        prefixed(&self.prefix, command)
    }

    /// Gives a file of ours to this account.
    pub(crate) fn own(&self, path: &Path) -> Result<()> {
        let (user, group) = self.numbers.unzip();
        chown(path, user, group).with_context(|| format!("cannot give away {}", path.display()))
    }

    fn can_enter(&self, dir: &Path) -> bool {
        let mut enter = Command::new("sh");
        enter.args(["-c", "cd \"$1\"", "sh"]).arg(dir).current_dir("/");
        let mut enter = self.command(&enter);
        enter.stdin(Stdio::null()).stderr(Stdio::null());
        enter.status().is_ok_and(|status| status.success())
    }
}

/// `postgres` where the distribution made one, else `nobody`: name, user and group number.
fn server_user() -> Result<(&'static str, u32, u32)> {
    let passwd = std::fs::read_to_string("/etc/passwd").context("cannot read /etc/passwd")?;
    ["postgres", "nobody"]
        .into_iter()
        .find_map(|name| numbers_of(name, &passwd).map(|(user, group)| (name, user, group)))
        .context("/etc/passwd has neither postgres nor nobody, and Postgres may not run as root")
}

fn numbers_of(name: &str, passwd: &str) -> Option<(u32, u32)> {
    let line = passwd.lines().find(|line| line.split(':').next() == Some(name))?;
    let mut fields = line.split(':').skip(2);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_users_numbers_are_found_by_the_whole_name() {
        let passwd = "postgres2:x:1:2::/:\npostgres:x:101:104:,,,:/var/lib/postgresql:/bin/bash\n";
        assert_eq!(numbers_of("postgres", passwd), Some((101, 104)));
        assert_eq!(numbers_of("nobody", passwd), None);
    }
}
