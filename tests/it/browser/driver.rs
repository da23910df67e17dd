//! A browser of its own for one test, driven by the `WebDriver` protocol.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use testbed::{Chromium, eventually};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::service::PATIENCE;

/// More at a time would only wait for each other on a small machine.
static AT_A_TIME: Semaphore = Semaphore::const_new(2);

/// The keys of a keyboard that write nothing.
pub(super) const TAB: char = '\u{e004}';
pub(super) const ENTER: char = '\u{e007}';

/// A browser that is gone when this is dropped. Once the page has opened a dialog, every command
/// fails the test.
pub(super) struct Browser {
    chromium: Chromium,
    client: Client<HttpConnector, Full<Bytes>>,
    session: String,
    _place: SemaphorePermit<'static>,
}

impl Browser {
    pub(super) async fn open() -> Self {
        let place = AT_A_TIME.acquire().await.expect("it is never closed");
        let mut browser = Self {
            chromium: Chromium::start().await.expect("a chromedriver"),
            client: Client::builder(TokioExecutor::new()).build_http(),
            session: String::new(),
            _place: place,
        };
        let mut wanted = browser.chromium.capabilities();
        // A dialog stays open, and then every command is refused.
        wanted["unhandledPromptBehavior"] = "ignore".into();
        let body = json!({"capabilities": {"alwaysMatch": wanted}});
        let session = browser.send(Method::POST, "/session", &body).await;
        let id = session["sessionId"].as_str().expect("a session has an id");
        browser.session = format!("/session/{id}");
        browser
    }

    async fn send(&self, method: Method, path: &str, body: &Value) -> Value {
        // A GET has no body.
        let content = if method == Method::GET { String::new() } else { body.to_string() };
        let request = Request::builder()
            .method(method)
            .uri(format!("http://127.0.0.1:{}{path}", self.chromium.port()))
            .header("content-type", "application/json")
            .body(Full::from(content))
            .expect("a valid request");
        let response = self.client.request(request).await.expect("chromedriver answers");
        let is_done = response.status().is_success();
        let answer = response.into_body().collect().await.expect("a whole answer").to_bytes();
        let mut answer: Value = serde_json::from_slice(&answer).expect("JSON");
        assert!(is_done, "{path}: {answer:#}\n{}", self.chromium.log());
        answer["value"].take()
    }

    async fn post(&self, command: &str, body: Value) -> Value {
        self.send(Method::POST, &format!("{}/{command}", self.session), &body).await
    }

    async fn get(&self, command: &str) -> Value {
        self.send(Method::GET, &format!("{}/{command}", self.session), &Value::Null).await
    }

    /// Loads an address and answers its status.
    pub(super) async fn goto(&self, url: &str) -> u64 {
        self.post("url", json!({"url": url})).await;
        self.status().await
    }

    /// The status of the page's answer.
    pub(super) async fn status(&self) -> u64 {
        let status = "return performance.getEntriesByType('navigation')[0].responseStatus";
        self.run(status).await.as_u64().expect("a status")
    }

    /// Waits until the page at this path is loaded; its status.
    pub(super) async fn arrives_at(&self, path: &str) -> u64 {
        let there = "return document.readyState === 'complete' ? location.pathname : ''";
        eventually(path, PATIENCE, async || (self.run(there).await == path).then_some(())).await;
        self.status().await
    }

    /// Runs the body of a function in the page; what it returns, or what its promise comes to.
    pub(super) async fn run(&self, script: &str) -> Value {
        self.run_with(script, json!([])).await
    }

    /// As [`Browser::run`], with `arguments` in the script.
    pub(super) async fn run_with(&self, script: &str, arguments: Value) -> Value {
        self.post("execute/sync", json!({"script": script, "args": arguments})).await
    }

    /// Types on the keyboard, into whatever has the focus.
    pub(super) async fn press(&self, keys: impl IntoIterator<Item = char>) {
        let strokes: Vec<_> = keys
            .into_iter()
            .flat_map(|key| ["keyDown", "keyUp"].map(|kind| json!({"type": kind, "value": key})))
            .collect();
        let keyboard = json!({"type": "key", "id": "keyboard", "actions": strokes});
        self.post("actions", json!({"actions": [keyboard]})).await;
    }

    /// The role and the name that a screen reader tells of what has the focus.
    pub(super) async fn focused(&self) -> (String, String) {
        let element = self.get("element/active").await;
        let id = element.as_object().and_then(|object| object.values().next()?.as_str());
        let id = id.expect("an element");
        let mut told = Vec::new();
        for what in ["computedrole", "computedlabel"] {
            let text = self.get(&format!("element/{id}/{what}")).await;
            told.push(text.as_str().expect("a text").to_owned());
        }
        let name = told.pop().expect("two");
        (told.pop().expect("two"), name)
    }

    /// A command of the protocol that Chromium has besides, the `DevTools` Protocol.
    async fn devtools(&self, command: &str, parameters: Value) {
        self.post("goog/cdp/execute", json!({"cmd": command, "params": parameters})).await;
    }

    /// Shows pages as on a screen or on paper, in light or dark colours.
    pub(super) async fn show_as(&self, media: &str, colours: &str) {
        let features = json!([{"name": "prefers-color-scheme", "value": colours}]);
        let emulated = json!({"media": media, "features": features});
        self.devtools("Emulation.setEmulatedMedia", emulated).await;
    }

    /// Moves the reader into another zone, by its name in the database of time zones.
    pub(super) async fn move_to(&self, zone: &str) {
        self.devtools("Emulation.setTimezoneOverride", json!({"timezoneId": zone})).await;
    }

    /// Loads no address that looks like this, with `*` for any characters.
    pub(super) async fn block(&self, addresses: &str) {
        self.devtools("Network.enable", json!({})).await;
        self.devtools("Network.setBlockedURLs", json!({"urls": [addresses]})).await;
    }

    /// Allows or denies the page a feature, as a reader does who is asked.
    pub(super) async fn permit(&self, feature: &str, state: &str) {
        self.post("permissions", json!({"descriptor": {"name": feature}, "state": state})).await;
    }

    /// Makes the window this large, in pixels of CSS, each `scale` pixels of the screen wide.
    pub(super) async fn resize(&self, width: u32, height: u32, scale: u32) {
        let size = json!({
            "width": width, "height": height, "deviceScaleFactor": scale, "mobile": false,
        });
        self.devtools("Emulation.setDeviceMetricsOverride", size).await;
    }

    /// What the window shows, as a PNG.
    pub(super) async fn screenshot(&self) -> Vec<u8> {
        decoded(&self.get("screenshot").await)
    }

    /// The page as a PDF on paper of this size in centimetres.
    pub(super) async fn print(&self, width: f64, height: f64) -> Vec<u8> {
        let paper = json!({"page": {"width": width, "height": height}});
        decoded(&self.post("print", paper).await)
    }

    /// What the console has told since it was asked last: errors, and what a policy has stopped.
    pub(super) async fn console(&self) -> Vec<String> {
        let entries = self.post("se/log", json!({"type": "browser"})).await;
        let entries = entries.as_array().expect("a list").iter();
        entries.map(|entry| entry["message"].as_str().expect("a text").to_owned()).collect()
    }
}

fn decoded(value: &Value) -> Vec<u8> {
    BASE64_STANDARD.decode(value.as_str().expect("a text")).expect("Base64")
}
