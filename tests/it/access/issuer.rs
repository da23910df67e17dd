//! An issuer of tokens: keys and tokens are made by joserfc, and published over HTTP here.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader,
    Lines,
};
use tokio::net::TcpListener;
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::task::JoinHandle;
use tokio::time::sleep;

pub(super) const AUDIENCE: &str = "waybill";
pub(super) const ISSUER: &str = "https://issuer.example";

/// What the issuer answers who asks for its keys.
#[derive(Clone)]
pub(super) enum Answer {
    Keys(Vec<Value>),
    /// It closes connections at once.
    Away,
    /// It takes the request and says nothing.
    Mute,
    /// It sends blanks without end.
    Endless,
    /// It answers with this status and text.
    Other(u16, &'static str),
}

/// A program that makes keys and tokens.
pub(super) struct Maker {
    stdin: ChildStdin,
    stdout: Lines<BufReader<ChildStdout>>,
    _process: Child,
}

impl Maker {
    pub(super) fn start() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let python = root.join(".tools/python/bin/python");
        assert!(python.exists(), "there is no joserfc: run scripts/install-tools --chart");
        let mut process = Command::new(python)
            .args(["-W", "ignore", "tests/clients/issue_tokens.py"])
            .current_dir(root)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("Python runs");
        let stdin = process.stdin.take().expect("piped");
        let stdout = BufReader::new(process.stdout.take().expect("piped")).lines();
        Self { stdin, stdout, _process: process }
    }

    async fn ask(&mut self, question: Value) -> Value {
        self.stdin.write_all(format!("{question}\n").as_bytes()).await.expect("it reads");
        let line = self.stdout.next_line().await.expect("it writes").expect("it runs");
        serde_json::from_str(&line).expect("JSON")
    }

    /// A new key of this kind: its public part as a JWK with this `kid`, and as PEM.
    pub(super) async fn key(&mut self, kind: &str, name: &str) -> (Value, String) {
        let made = self.ask(json!({ "make": kind, "kid": name })).await;
        (made["jwk"].clone(), made["pem"].as_str().expect("PEM").to_owned())
    }

    /// A token with this header and these claims, signed with the key of this name.
    pub(super) async fn sign(&mut self, kid: &str, header: Value, claims: &Value) -> String {
        let ask = json!({ "sign": kid, "header": header, "claims": claims });
        self.ask(ask).await["token"].as_str().expect("a token").to_owned()
    }

    /// A token whose payload is a token.
    pub(super) async fn nest(&mut self, kid: &str, header: Value, token: &str) -> String {
        let ask = json!({ "nest": kid, "header": header, "token": token });
        self.ask(ask).await["token"].as_str().expect("a token").to_owned()
    }

    /// A token with an HMAC under this secret.
    pub(super) async fn hmac(&mut self, secret: &str, header: Value, claims: &Value) -> String {
        let ask = json!({ "hmac": secret, "header": header, "claims": claims });
        self.ask(ask).await["token"].as_str().expect("a token").to_owned()
    }
}

/// Seconds since 1970.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}

/// Claims of a good token that lets orders be read.
pub(super) fn claims() -> Value {
    json!({ "iss": ISSUER, "aud": AUDIENCE, "sub": "clerk", "exp": now() + 600,
            "scope": "openid orders:read" })
}

/// Answers GET with the keys.
pub(super) struct Issuer {
    pub(super) address: SocketAddr,
    answer: Arc<Mutex<Answer>>,
    asked: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Issuer {
    pub(super) async fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (answer, asked) = (Arc::new(Mutex::new(answer)), Arc::new(AtomicUsize::new(0)));
        let (answers, counter) = (Arc::clone(&answer), Arc::clone(&asked));
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                counter.fetch_add(1, Ordering::SeqCst);
                let answer = answers.lock().expect("whole").clone();
                tokio::spawn(respond(stream, answer));
            }
        });
        Self { address, answer, asked, task }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/jwks.json", self.address)
    }

    pub(super) fn now_answers(&self, answer: Answer) {
        *self.answer.lock().expect("whole") = answer;
    }

    /// How often it was asked.
    pub(super) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Answers one request, and closes.
pub(super) async fn respond(mut stream: impl AsyncRead + AsyncWrite + Unpin, answer: Answer) {
    if matches!(answer, Answer::Away) {
        return;
    }
    let mut head = [0; 4096];
    let _ = stream.read(&mut head).await;
    let (status, body) = match answer {
        Answer::Keys(keys) => (200, json!({ "keys": keys }).to_string()),
        Answer::Other(status, text) => (status, text.to_owned()),
        Answer::Mute => return sleep(Duration::from_mins(1)).await,
        Answer::Endless | Answer::Away => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
            while stream.write_all(&[b' '; 8_192]).await.is_ok() {}
            return;
        }
    };
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
    let _ = stream.write_all((head + &body).as_bytes()).await;
    let _ = stream.shutdown().await;
}
