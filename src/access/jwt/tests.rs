//! Tokens signed with ring; those of another library are in `tests/it/access`.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep};

use super::key_set::KeySet;
use super::*;
use crate::access::scope::Scope;
use crate::access::verified::now;
use crate::config::AccessMode;
use crate::log_limit::tests::LoggedLines;

struct Signer(Ed25519KeyPair);

fn encoded(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Signer {
    fn new() -> Self {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("a key");
        Self(Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).expect("a key"))
    }

    fn jwk(&self, kid: &str) -> Value {
        let x = encoded(self.0.public_key());
        json!({ "kty": "OKP", "crv": "Ed25519", "kid": kid, "use": "sig", "x": x })
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let message = format!("{}.{}", encoded(header.to_string()), encoded(claims.to_string()));
        let signature = self.0.sign(message.as_bytes());
        format!("{message}.{}", encoded(signature))
    }

    fn token(&self, kid: &str) -> String {
        self.sign(&json!({ "alg": "EdDSA", "kid": kid }), &claims())
    }
}

fn claims() -> Value {
    json!({ "iss": "issuer", "aud": ["others", "waybill"], "sub": "me", "exp": now() + 600,
            "scope": "openid orders:read" })
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

fn settings() -> config::Access {
    config::Access {
        mode: AccessMode::Jwt,
        tokens_file: None,
        issuer: Some("issuer".to_owned()),
        audience: Some("waybill".to_owned()),
        jwks_url: None,
        jwks_file: None,
        algorithms: vec![Algorithm::ES256, Algorithm::EdDSA, Algorithm::RS256],
        leeway: Duration::from_secs(30),
        scope_claim: "scope".to_owned(),
        keys_max_age: Duration::from_mins(10),
        protect_metrics: false,
    }
}

/// A file of keys, and what verifies by it.
struct World {
    path: PathBuf,
    verified: Arc<VerifiedTokens>,
    jwt: Jwt,
    _folder: TempDir,
}

fn write(path: &PathBuf, keys: &[Value]) {
    fs::write(path, json!({ "keys": keys }).to_string()).expect("written");
}

fn world(keys: &[Value]) -> World {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("jwks.json");
    write(&path, keys);
    let settings = config::Access { jwks_file: Some(path.clone()), ..settings() };
    let verified = Arc::<VerifiedTokens>::default();
    let jwt = Jwt::new(&settings, Arc::clone(&verified), &Metrics::new()).expect("keys");
    World { path, verified, jwt, _folder: folder }
}

#[tokio::test]
async fn a_good_token_has_a_name_scopes_and_an_end() {
    let signer = Signer::new();
    let jwt = world(&[signer.jwk("a")]).jwt;
    let verified = jwt.verify(signer.token("a").as_bytes()).await.expect("good");
    assert_eq!((verified.subject.kind, &*verified.subject.name), (SubjectKind::Jwt, "me"));
    assert_eq!(verified.subject.scopes, Scopes::from_iter([Scope::OrdersRead]));
    assert!((now() + 629..now() + 632).contains(&verified.until), "{}", verified.until);
    let list = json!(["admin", "rejects:read", 1, "orders:read "]);
    for (claims, scopes) in [
        (with("scope", list), "rejects:read admin"),
        (with("scope", json!("orders:read:masked")), "orders:read:masked"),
        (with("scope", json!({ "admin": true })), ""),
        (with("scope", json!("orders:readadmin")), ""),
        (with("sub", json!(1)), "orders:read"),
        (with("exp", json!(1e12)), "orders:read"),
    ] {
        let header = json!({ "alg": "EdDSA", "typ": "at+JWT" });
        let token = signer.sign(&header, &claims);
        let verified = jwt.verify(token.as_bytes()).await.expect("good");
        assert_eq!(verified.subject.scopes.to_string(), scopes, "{claims}");
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_token_is_told() {
    let (signer, other) = (Signer::new(), Signer::new());
    let jwt = world(&[signer.jwk("a"), other.jwk("b")]).jwt;
    let header = json!({ "alg": "EdDSA", "kid": "a" });
    let header_with = |name: &str, value: Value| {
        let mut header = header.clone();
        header[name] = value;
        signer.sign(&header, &claims())
    };
    let without = |name: &str| {
        let mut claims = claims();
        claims.as_object_mut().expect("an object").remove(name);
        signer.sign(&header, &claims)
    };
    let sign = |claims: Value| signer.sign(&header, &claims);
    let good = signer.token("a");
    let (message, _) = good.rsplit_once('.').expect("a signature");
    for (token, fault) in [
        (other.token("a"), Fault::Signature),
        (signer.token("b"), Fault::Signature),
        (format!("{message}."), Fault::Signature),
        (signer.token("c"), Fault::UnknownKey),
        (signer.token("../a"), Fault::UnknownKey),
        // Which of the two keys is meant, it does not say.
        (signer.sign(&json!({ "alg": "EdDSA" }), &claims()), Fault::UnknownKey),
        (sign(with("exp", json!(now() - 31))), Fault::Expired),
        (sign(with("exp", json!("soon"))), Fault::Expired),
        (sign(with("exp", json!(-1))), Fault::Expired),
        (without("exp"), Fault::Expired),
        (sign(with("nbf", json!(now() + 40))), Fault::NotYetValid),
        (sign(with("nbf", json!("now"))), Fault::Malformed),
        (sign(with("iss", json!("issuer2"))), Fault::Issuer),
        (sign(with("iss", json!(1))), Fault::Issuer),
        (without("iss"), Fault::Issuer),
        (sign(with("aud", json!("waybill2"))), Fault::Audience),
        (sign(with("aud", json!([]))), Fault::Audience),
        (without("aud"), Fault::Audience),
        (header_with("alg", json!("HS256")), Fault::Algorithm),
        (header_with("alg", json!("ES256")), Fault::Algorithm),
        (header_with("alg", json!("PS256")), Fault::Algorithm),
        (header_with("alg", json!("none")), Fault::Malformed),
        (header_with("crit", json!(["exp"])), Fault::Malformed),
        (header_with("typ", json!("logout+jwt")), Fault::Malformed),
        (header_with("kid", json!(["a"])), Fault::Malformed),
        (sign(json!([])), Fault::Malformed),
        (signer.sign(&header, &json!(good)), Fault::Malformed),
        (format!("{good}."), Fault::Malformed),
        (format!("{good}="), Fault::Malformed),
        ("a.b.c".to_owned(), Fault::Malformed),
        ("..".to_owned(), Fault::Malformed),
        (String::new(), Fault::Malformed),
    ] {
        let verified = jwt.verify(token.as_bytes()).await;
        assert_eq!(verified, Err(Denial::Invalid(fault)), "{token}");
    }
    assert!(jwt.verify(good.as_bytes()).await.is_ok());
}

#[test]
fn keys_that_cannot_verify_are_passed_over() {
    let key = Signer::new().jwk("a");
    let changed = |name: &str, value: Value| {
        let mut key = key.clone();
        key[name] = value;
        key
    };
    let accepted = &settings().algorithms;
    let parse =
        |keys: &[Value]| KeySet::parse(json!({ "keys": keys }).to_string().as_bytes(), accepted);
    let useless = [
        json!({ "kty": "oct", "kid": "a", "k": "c2VjcmV0", "alg": "HS256" }),
        json!({ "kty": "EC", "crv": "P-521", "kid": "a", "x": "AA", "y": "AA" }),
        json!({ "kty": "EC", "crv": "P-384", "kid": "a", "x": "AA", "y": "AA" }),
        json!({ "kty": "EC", "crv": "P-256", "kid": "a", "x": "AA", "y": "AA" }),
        json!({ "kty": "EC", "crv": "secp256k1", "kid": "a", "x": "AA", "y": "AA" }),
        json!({ "kty": "AKP", "kid": "a", "alg": "ML-DSA-44", "pub": "AA" }),
        json!("a key"),
        changed("use", json!("enc")),
        changed("key_ops", json!(["sign"])),
        changed("alg", json!("RS256")),
        changed("x", json!("****")),
        changed("x", json!("AA")),
    ];
    for key in &useless {
        let refused = parse(std::slice::from_ref(key)).expect_err("of no use");
        assert!(refused.starts_with("none of its 1 keys can"), "{key}: {refused}");
    }
    let mixed = parse(&[&useless[..], std::slice::from_ref(&key)].concat()).expect("one is of use");
    assert_eq!(mixed.len(), 1);
    assert!(matches!(mixed.find(Some("a"), Algorithm::EdDSA), Found::Key(_)));
    assert!(matches!(mixed.find(None, Algorithm::EdDSA), Found::Key(_)));
    assert!(matches!(mixed.find(Some("a"), Algorithm::RS256), Found::OtherAlgorithm));
    assert!(matches!(mixed.find(Some("b"), Algorithm::EdDSA), Found::Unknown));
    for text in ["", "{}", "[]", "{\"keys\": 1}", "{\"keys\":[{\"d\":\"private"] {
        let refused = KeySet::parse(text.as_bytes(), accepted).expect_err(text);
        assert!(refused.starts_with("not a JSON Web Key Set"), "{refused}");
        assert!(!refused.contains("private"), "{refused}");
    }
}

#[tokio::test(start_paused = true)]
async fn keys_are_followed_remembered_and_forgotten_at_last() {
    let lines = LoggedLines::collect();
    let (old, new) = (Signer::new(), Signer::new());
    let World { path, verified, jwt, _folder } = world(&[old.jwk("a")]);
    let stop = CancellationToken::new();
    let check = async {
        let token = old.token("a");
        let known = jwt.verify(token.as_bytes()).await.expect("good");
        verified.insert(verified.round(), token.as_bytes(), known);
        sleep(Duration::from_secs(3)).await;
        assert!(verified.get(token.as_bytes()).is_some(), "the same keys change nothing");

        write(&path, &[new.jwk("b")]);
        sleep(Duration::from_secs(3)).await;
        assert!(jwt.verify(new.token("b").as_bytes()).await.is_ok());
        let gone = Err(Denial::Invalid(Fault::UnknownKey));
        assert_eq!(jwt.verify(token.as_bytes()).await, gone);
        assert!(verified.get(token.as_bytes()).is_none(), "its key was taken back");

        fs::write(&path, "no keys").expect("written");
        sleep(Duration::from_mins(9)).await;
        assert!(jwt.verify(new.token("b").as_bytes()).await.is_ok(), "remembered");
        // It may have been signed by a key that could not be had.
        assert_eq!(jwt.verify(new.token("c").as_bytes()).await, Err(Denial::Unverifiable));
        let token = new.token("b");
        verified.insert(
            verified.round(),
            token.as_bytes(),
            Verified {
                subject: jwt.verify(token.as_bytes()).await.expect("good").subject,
                until: u64::MAX,
            },
        );
        sleep(Duration::from_mins(2)).await;
        assert_eq!(jwt.verify(token.as_bytes()).await, Err(Denial::Unverifiable), "too old");
        assert!(verified.get(token.as_bytes()).is_none(), "what they verified too");

        write(&path, &[new.jwk("b")]);
        sleep(Duration::from_secs(6)).await;
        assert!(jwt.verify(token.as_bytes()).await.is_ok(), "back again");
        stop.cancel();
    };
    tokio::join!(jwt.follow(stop.clone()), check);
    // Other tests have keys in use at the same time; whether that is logged here is theirs to say.
    let told = lines.take().into_iter().filter(|line| !line.contains("are in use"));
    let told: Vec<String> = told.map(|line| line.split(" error=").next().unwrap().into()).collect();
    let expected = [
        "WARN The keys of the issuer cannot be had",
        "WARN The keys of the issuer are too old to be used",
        "INFO The keys of the issuer can be had again",
    ];
    assert_eq!(told, expected);
}

/// However many tokens name keys that nobody knows, the issuer is asked once in a while.
#[tokio::test]
async fn unknown_keys_do_not_make_us_ask_the_issuer_without_end() {
    let signer = Signer::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/keys", listener.local_addr().expect("an address"));
    let body = json!({ "keys": [signer.jwk("a")] }).to_string();
    let asked = async {
        let mut asked = 0;
        loop {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let mut head = [0; 1024];
            while let Ok(1..) = stream.read(&mut head).await {
                asked += 1;
                assert_eq!(asked, 1, "asked again at once");
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
                stream.write_all((head + &body).as_bytes()).await.expect("sent");
            }
        }
    };
    let settings = config::Access { jwks_url: Some(url), ..settings() };
    let jwt = Jwt::new(&settings, Arc::default(), &Metrics::new()).expect("no file to read");
    let stop = CancellationToken::new();
    let check = async {
        let began = Instant::now();
        assert!(jwt.verify(signer.token("a").as_bytes()).await.is_ok(), "waits for the keys");
        for n in 0..1_000 {
            let verified = jwt.verify(signer.token(&format!("unknown-{n}")).as_bytes()).await;
            assert_eq!(verified, Err(Denial::Invalid(Fault::UnknownKey)));
        }
        assert!(began.elapsed() < keys::RETRY_EVERY, "{:?}", began.elapsed());
        stop.cancel();
    };
    tokio::select! {
        () = async { tokio::join!(jwt.follow(stop.clone()), check); } => {}
        () = asked => {}
    }
}
