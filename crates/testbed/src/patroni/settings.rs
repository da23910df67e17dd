//! What Patroni is told of a member.

use std::fmt;
use std::path::Path;

/// A member of the cluster.
pub(super) struct Member<'a> {
    pub(super) name: &'a str,
    /// Of its Postgres, of its own API, and of etcd.
    pub(super) ports: [u16; 3],
    /// The directory of the programs of Postgres.
    pub(super) bin: &'a Path,
    /// Where the data of all members is.
    pub(super) dir: &'a Path,
    /// Of the superuser, who also replicates.
    pub(super) password: &'a str,
}

impl fmt::Display for Member<'_> {
    /// The text of a file in YAML. The times are the shortest that Patroni takes; a server that
    /// dies is not waited for.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, ports: [postgres, api, etcd], bin, dir, password } = self;
        let (bin, dir) = (bin.display(), dir.display());
        write!(
            formatter,
            r#"
scope: waybill
name: {name}
restapi: {{listen: "127.0.0.1:{api}", connect_address: "127.0.0.1:{api}"}}
etcd3: {{host: "127.0.0.1:{etcd}"}}
bootstrap:
  dcs:
    ttl: 20
    loop_wait: 1
    retry_timeout: 3
    primary_start_timeout: 0
    master_start_timeout: 0
    postgresql:
      use_pg_rewind: true
  initdb: ["encoding": UTF8, "locale": C.UTF-8, no-sync, "auth": scram-sha-256]
postgresql:
  listen: "127.0.0.1:{postgres}"
  connect_address: "127.0.0.1:{postgres}"
  bin_dir: "{bin}"
  data_dir: "{dir}/{name}"
  pgpass: "{dir}/{name}.pgpass"
  pg_hba:
  - host all all 127.0.0.1/32 scram-sha-256
  - host replication all 127.0.0.1/32 scram-sha-256
  authentication:
    superuser: {{username: postgres, password: "{password}"}}
    replication: {{username: postgres, password: "{password}"}}
  parameters:
    unix_socket_directories: ""
    fsync: "off"
    shared_buffers: 16MB
    max_connections: 50
    dynamic_shared_memory_type: mmap
"#
        )
    }
}
