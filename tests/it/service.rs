//! The harness: a broker, a database, and replicas of the real binary.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tempfile::TempDir;
use testbed::{
    Broker, BrokerOptions, Database, Port, Postgres, Process, Signal, eventually, unexpected_errors,
};

/// How long anything may take that takes a moment.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// What the broker calls the service's group.
const GROUP: &str = "waybill:waybill";

/// Servers of its own for one test, with an empty channel and an empty database.
pub(crate) struct World {
    pub(crate) broker: Broker,
    pub(crate) database: Database,
    dir: Arc<TempDir>,
}

impl World {
    /// A broker of its own, and a database on the Postgres that all tests share.
    pub(crate) async fn new() -> Self {
        let postgres = Postgres::shared().await.expect("the shared Postgres");
        Self::on(postgres).await
    }

    pub(crate) async fn on(postgres: &Postgres) -> Self {
        Self::with(BrokerOptions::default(), postgres).await
    }

    pub(crate) async fn with(broker: BrokerOptions, postgres: &Postgres) -> Self {
        Self::of(broker, postgres.database().await.expect("a database")).await
    }

    /// A broker of its own, and a database that is there.
    pub(crate) async fn of(broker: BrokerOptions, database: Database) -> Self {
        Self {
            broker: Broker::start(broker).await.expect("a broker"),
            database,
            dir: Arc::new(tempfile::tempdir().expect("a folder")),
        }
    }

    /// The command with this world's settings.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_waybill"));
        command
            .args(arguments)
            .current_dir(self.dir.path())
            .env_clear()
            .env("WAYBILL_BROKER__URL", self.broker.url())
            .env("WAYBILL_DATABASE__URL", &self.database.url)
            .env("WAYBILL_DATABASE__MIGRATE_URL", &self.database.owner_url)
            .env("WAYBILL_DATABASE__RUNTIME_ROLE", &self.database.runtime_role)
            .env("WAYBILL_HTTP__LISTEN", "127.0.0.1:0")
            .env("WAYBILL_HTTP__WORKERS", "2")
            .env("WAYBILL_ADMIN__LISTEN", "127.0.0.1:0")
            .env("WAYBILL_TELEMETRY__LOG_FORMAT", "json");
        command
    }

    /// A replica that has bound its ports; it may not be ready.
    pub(crate) async fn start(&self, name: &str, settings: &[(&str, &str)]) -> Replica {
        let mut command = self.command(&["serve"]);
        command.envs(settings.iter().copied());
        self.launch(name, command).await
    }

    /// The replica of this command, as [`World::start`].
    pub(crate) async fn launch(&self, name: &str, command: Command) -> Replica {
        self.launch_on(Ipv4Addr::LOCALHOST.into(), name, command).await
    }

    /// As [`World::launch`], listening on `ip`, which takes what comes for 127.0.0.1 too.
    pub(crate) async fn launch_on(&self, ip: IpAddr, name: &str, mut command: Command) -> Replica {
        let ports = [Port::lease().expect("a port"), Port::lease().expect("a port")];
        let [site, admin] = ports.each_ref().map(|port| SocketAddr::new(ip, port.number()));
        command
            .env("WAYBILL_BROKER__CLIENT_ID", name)
            .env("WAYBILL_HTTP__LISTEN", site.to_string())
            .env("WAYBILL_ADMIN__LISTEN", admin.to_string());
        let log = self.dir.path().join(format!("{name}.log"));
        let mut process = Process::spawn(name, &command, &log).expect("the service starts");
        // It answers on neither port before it has bound both.
        let answers = async |_: &Process| testbed::http::get(admin.port(), "/livez").await.is_ok();
        process.ready(PATIENCE, answers).await.expect("the service binds its ports");
        Replica {
            site,
            admin,
            process,
            expected_errors: Vec::new(),
            _ports: ports,
            _dir: Arc::clone(&self.dir),
            client: Client::builder(TokioExecutor::new()).build_http(),
        }
    }

    /// A replica that is ready.
    pub(crate) async fn serve(&self, name: &str) -> Replica {
        let replica = self.start(name, &[]).await;
        replica.until_ready().await;
        replica
    }

    /// Runs the command to its end: the exit code, what it printed, what it said on standard
    /// error.
    pub(crate) async fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let mut command = tokio::process::Command::from(self.command(arguments));
        let output = command.kill_on_drop(true).output().await.expect("the command runs");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        let errors = text(output.stderr);
        assert!(!errors.contains("panicked at"), "{arguments:?}: {errors}");
        (output.status.code().expect("an exit code"), text(output.stdout), errors)
    }

    /// Erases an order, whether it is stored or not.
    pub(crate) async fn erase(&self, uid: &str) {
        let (code, _, errors) = self.run(&["erase", uid, "--reason", "for the test"]).await;
        assert_eq!(code, 0, "{errors}");
    }

    /// Runs `waybill publish` with these arguments to its end.
    pub(crate) async fn publish(&self, arguments: &[&str]) {
        let arguments: Vec<&str> = ["publish"].iter().chain(arguments).copied().collect();
        let mut command = tokio::process::Command::from(self.command(&arguments));
        let output = command.kill_on_drop(true).output().await.expect("publish runs");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "publish {arguments:?}: {errors}");
    }

    /// Publishes each payload as it is, in this order.
    pub(crate) async fn publish_raw(&self, payloads: impl IntoIterator<Item = Bytes>) {
        let cluster = testbed::broker::CLUSTER_ID;
        let options = stan::Options::new(&self.broker.url(), cluster, "raw-publisher");
        let connection = stan::Connection::connect(options).await.expect("a connection");
        for payload in payloads {
            connection.publish("orders", payload).await.expect("confirmed");
        }
        connection.close().await.expect("closed");
    }

    /// Waits until the group has taken and acknowledged everything in the channel.
    pub(crate) async fn until_drained(&self) {
        eventually("the channel is drained", PATIENCE, async || {
            (self.lag().await == Some((0, 0))).then_some(())
        })
        .await;
    }

    /// Messages not sent to the group yet, and messages it has not acknowledged.
    pub(crate) async fn lag(&self) -> Option<(u64, u64)> {
        let channel = self.broker.channel("orders").await.ok()?;
        let members: Vec<_> =
            channel.subscriptions.iter().filter(|member| member.queue_name == GROUP).collect();
        let sent = members.iter().map(|member| member.last_sent).max()?;
        let unacked = members.iter().map(|member| member.pending_count).sum();
        Some((channel.last_seq - sent, unacked))
    }

    pub(crate) async fn sql(&self, postgres: &Postgres, sql: &str) -> String {
        postgres.psql(&self.database.owner_url, sql).await.expect(sql).trim().to_owned()
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }
}

/// A running service. At its end it must not have panicked, nor logged an error that the test
/// does not expect.
pub(crate) struct Replica {
    pub(crate) site: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) process: Process,
    expected_errors: Vec<String>,
    _ports: [Port; 2],
    /// Where its log is.
    _dir: Arc<TempDir>,
    client: Client<HttpConnector, Full<Bytes>>,
}

/// An answer to a request.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Reply {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("UTF-8")
    }
}

impl Replica {
    /// The same replica, which may log errors that contain this text.
    pub(crate) fn expecting(mut self, error: &str) -> Self {
        self.expected_errors.push(error.to_owned());
        self
    }

    pub(crate) async fn request(&self, request: Request<Full<Bytes>>) -> Option<Reply> {
        let response = self.client.request(request).await.ok()?;
        let (head, body) = response.into_parts();
        let body = body.collect().await.ok()?.to_bytes();
        Some(Reply { status: head.status, headers: head.headers, body })
    }

    pub(crate) async fn get_from(&self, address: SocketAddr, path: &str) -> Option<Reply> {
        let request = Request::builder()
            .method(Method::GET)
            .uri(format!("http://{address}{path}"))
            .body(Full::default())
            .expect("a valid request");
        self.request(request).await
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.get_from(self.site, path).await.expect("an answer")
    }

    pub(crate) async fn order(&self, uid: &str) -> Reply {
        self.get(&format!("/api/v1/orders/{uid}")).await
    }

    pub(crate) async fn admin(&self, path: &str) -> Reply {
        self.get_from(self.admin, path).await.expect("an answer")
    }

    pub(crate) async fn until_ready(&self) {
        eventually("the replica is ready", PATIENCE, async || {
            let reply = self.get_from(self.admin, "/readyz").await?;
            (reply.status == StatusCode::OK).then_some(())
        })
        .await;
    }

    /// The value of a series in `/metrics`, which must be there.
    pub(crate) async fn metric(&self, series: &str) -> f64 {
        self.measured(series).await.unwrap_or_else(|| panic!("no {series}"))
    }

    /// The value of a series that is absent until its source has answered.
    pub(crate) async fn measured(&self, series: &str) -> Option<f64> {
        let metrics = self.admin("/metrics").await;
        let line = metrics
            .text()
            .lines()
            .find(|line| line.strip_prefix(series).is_some_and(|value| value.starts_with(' ')));
        let (_, value) = line?.rsplit_once(' ').expect("a value");
        Some(value.parse().expect("a number"))
    }

    /// SIGTERM, then a wait for the end; the exit code.
    pub(crate) async fn stop(&mut self) -> Option<i32> {
        self.process.stop(Signal::TERM, PATIENCE).await.expect("it ends").code()
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let errors = unexpected_errors(&self.process.log(), &self.expected_errors);
            assert!(errors.is_empty(), "a replica logged errors:\n{}", errors.join("\n"));
        }
    }
}

/// The canonical order.
pub(crate) const MODEL: &[u8] = include_bytes!("../../data/model.json");
pub(crate) const MODEL_UID: &str = "b563feb7b2b84b6test";

/// Bytes as lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes all");
        text
    })
}

/// The canonical order under another id.
pub(crate) fn order(uid: &str) -> Bytes {
    let model = std::str::from_utf8(MODEL).expect("UTF-8");
    Bytes::from(model.replacen(MODEL_UID, uid, 1))
}
