//! JSON Web Tokens that another library has made.

use futures_util::{StreamExt as _, stream};
use http::StatusCode;
use serde_json::{Value, json};

use super::issuer::{AUDIENCE, Answer, ISSUER, Issuer, Maker, claims, now};
use super::{MASKED, ORDERS, admin, field, site, with};
use crate::service::{MODEL, MODEL_UID, Replica, World};

/// A replica that wants tokens of the issuer, with the canonical order.
pub(super) async fn guarded(world: &World, issuer: &Issuer) -> Replica {
    let url = issuer.url();
    let settings = [
        ("WAYBILL_ACCESS__MODE", "jwt"),
        ("WAYBILL_ACCESS__ISSUER", ISSUER),
        ("WAYBILL_ACCESS__AUDIENCE", AUDIENCE),
        ("WAYBILL_ACCESS__JWKS_URL", &url),
    ];
    let replica = world.start("guarded", &settings).await;
    replica.until_ready().await;
    world.publish_raw([bytes::Bytes::from_static(MODEL)]).await;
    world.until_drained().await;
    replica
}

fn but(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

fn without(name: &str) -> Value {
    let mut claims = claims();
    claims.as_object_mut().expect("an object").remove(name);
    claims
}

/// `none`, in the spellings that some libraries have taken for it.
fn unsigned(alg: &str) -> String {
    use base64::Engine as _;
    let encoded =
        |value: &Value| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.", encoded(&json!({ "alg": alg, "typ": "JWT" })), encoded(&claims()))
}

/// What each good token is answered, by the algorithm that it is signed with.
async fn good_ones_count(replica: &Replica, maker: &mut Maker) {
    let order = site(replica, &format!("/api/v1/orders/{MODEL_UID}"));
    for (kid, alg) in [("ec", "ES256"), ("ed", "EdDSA"), ("rsa", "RS256")] {
        for (scope, status, masked) in [
            (json!("orders:read openid"), 200, false),
            (json!(["openid", "orders:read:masked"]), 200, true),
            (json!("admin"), 403, false),
            (json!(""), 403, false),
            (Value::Null, 403, false),
        ] {
            let header = json!({ "alg": alg, "kid": kid });
            let token = maker.sign(kid, header, &but("scope", scope.clone())).await;
            // Once verified, and once remembered.
            for _ in 0..2 {
                let reply = with(replica, &order, &token).await;
                assert_eq!(reply.status.as_u16(), status, "{alg} {scope}: {}", reply.text());
                assert_eq!(reply.text().contains("***"), masked, "{alg} {scope}");
            }
        }
        let claims = but("scope", json!("admin"));
        let token = maker.sign(kid, json!({ "alg": alg, "kid": kid }), &claims).await;
        let reply = with(replica, &admin(replica, "/statusz.json"), &token).await;
        assert_eq!(reply.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn good_tokens_count_and_no_others() {
    let (world, mut maker) = (World::new().await, Maker::start());
    let mut keys = Vec::new();
    for (kind, kid) in [("EC", "ec"), ("OKP", "ed"), ("RSA", "rsa")] {
        keys.push(maker.key(kind, kid).await);
    }
    maker.key("EC", "other-ec").await;
    maker.key("RSA", "other-rsa").await;
    let (p384, _) = maker.key("P-384", "p384").await;
    let published = keys.iter().map(|(jwk, _)| jwk.clone()).chain([p384]).collect();
    let issuer = Issuer::start(Answer::Keys(published)).await;
    let replica = guarded(&world, &issuer).await;
    good_ones_count(&replica, &mut maker).await;

    let es256 = json!({ "alg": "ES256", "kid": "ec" });
    let good = maker.sign("ec", es256.clone(), &claims()).await;
    let (message, signature) = good.rsplit_once('.').expect("a signature");
    let mut bad: Vec<(&str, String)> = vec![
        ("no signature", format!("{message}.")),
        ("no dot", message.replace('.', "")),
        ("signature of nothing", format!(".{}.{signature}", message.split('.').next().unwrap())),
        ("listed elsewhere", ORDERS.to_owned()),
        ("listed elsewhere too", MASKED.to_owned()),
        ("oversized", good.clone() + &"A".repeat(9_000)),
        ("five parts", format!("{good}.{signature}.{signature}")),
        ("padded", good.clone() + "=="),
    ];
    for alg in ["none", "None", "NONE", "nOnE", ""] {
        bad.push(("not signed", unsigned(alg)));
    }
    for (what, claims) in [
        ("issuer", but("iss", json!("https://issuer.example/"))),
        ("no issuer", without("iss")),
        ("audience", but("aud", json!(["waybill2", "way"]))),
        ("no audience", without("aud")),
        ("ended", but("exp", json!(now() - 60))),
        ("no end", without("exp")),
        ("an end in words", but("exp", json!("2099-01-01T00:00:00Z"))),
        ("too early", but("nbf", json!(now() + 120))),
    ] {
        bad.push((what, maker.sign("ec", es256.clone(), &claims).await));
    }
    for (what, signer, header) in [
        ("another key", "other-ec", es256.clone()),
        ("another RSA key", "other-rsa", json!({ "alg": "RS256", "kid": "rsa" })),
        ("an algorithm that is not accepted", "rsa", json!({ "alg": "PS256", "kid": "rsa" })),
        ("another that is not accepted", "p384", json!({ "alg": "ES384", "kid": "p384" })),
        ("the name of another key", "ec", json!({ "alg": "ES256", "kid": "rsa" })),
        ("a path for a name", "ec", json!({ "alg": "ES256", "kid": "../../ec" })),
        ("SQL for a name", "ec", json!({ "alg": "ES256", "kid": "ec' or '1'='1" })),
        ("no name", "other-ec", json!({ "alg": "ES256" })),
        ("a key of its own", "other-ec", {
            let (jwk, _) = maker.key("EC", "own").await;
            json!({ "alg": "ES256", "kid": "own", "jwk": jwk, "jku": issuer.url() })
        }),
    ] {
        bad.push((what, maker.sign(signer, header, &claims()).await));
    }
    // With the public key, which everybody has, as the secret.
    for (jwk, pem) in &keys {
        for secret in [pem.as_str(), pem.trim_end(), &jwk.to_string(), ""] {
            let header = json!({ "alg": "HS256", "kid": jwk["kid"] });
            bad.push(("HMAC", maker.hmac(secret, header, &claims()).await));
            let header = json!({ "alg": "RS256", "kid": jwk["kid"] });
            bad.push(("HMAC as RSA", maker.hmac(secret, header, &claims()).await));
        }
    }
    let nested = json!({ "alg": "ES256", "kid": "ec", "cty": "JWT" });
    bad.push(("nested", maker.nest("ec", nested, &good).await));
    let order = site(&replica, &format!("/api/v1/orders/{MODEL_UID}"));
    for (what, token) in bad {
        let reply = with(&replica, &order, &token).await;
        assert_eq!(reply.status, StatusCode::UNAUTHORIZED, "{what}: {token}");
        assert!(field(&reply, "www-authenticate").ends_with("error=\"invalid_token\""), "{what}");
    }
    assert_eq!(with(&replica, &order, &good).await.status, StatusCode::OK);
    // Of those with unknown keys nobody asked the issuer again and again.
    assert!(issuer.asked() <= 4, "{}", issuer.asked());
}

/// A token with some characters replaced, removed, put in, or parts of it changed about.
fn mutated(rng: &mut fastrand::Rng, good: &[String]) -> String {
    const ALPHABET: &[u8] =
        b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=~+/";
    let one = &good[rng.usize(..good.len())];
    let other = &good[rng.usize(..good.len())];
    let mut token: Vec<u8> = match rng.u8(..8) {
        0 => {
            let parts: Vec<&str> = one
                .split('.')
                .zip(other.split('.'))
                .enumerate()
                .map(
                    |(place, (one, other))| {
                        if (rng.u8(..8) >> place) & 1 == 0 { one } else { other }
                    },
                )
                .collect();
            parts.join(".").into_bytes()
        }
        1 => one.as_bytes()[..rng.usize(..one.len())].to_vec(),
        _ => one.clone().into_bytes(),
    };
    for _ in 0..rng.usize(1..4) {
        let place = rng.usize(..=token.len());
        match rng.u8(..3) {
            0 if place < token.len() => {
                token.remove(place);
            }
            1 if place < token.len() => token[place] = ALPHABET[rng.usize(..ALPHABET.len())],
            _ => token.insert(place, ALPHABET[rng.usize(..ALPHABET.len())]),
        }
    }
    String::from_utf8(token).expect("ASCII")
}

#[tokio::test]
async fn ten_thousand_fuzzed_tokens_are_refused() {
    let (world, mut maker) = (World::new().await, Maker::start());
    let (mut keys, mut good) = (Vec::new(), Vec::new());
    for (kind, kid, alg) in [("EC", "ec", "ES256"), ("OKP", "ed", "EdDSA"), ("RSA", "rsa", "RS256")]
    {
        keys.push(maker.key(kind, kid).await.0);
        good.push(maker.sign(kid, json!({ "alg": alg, "kid": kid }), &claims()).await);
    }
    let issuer = Issuer::start(Answer::Keys(keys)).await;
    let replica = guarded(&world, &issuer).await;
    let order = &site(&replica, &format!("/api/v1/orders/{MODEL_UID}"));
    let seed = fastrand::u64(..);
    let mut rng = fastrand::Rng::with_seed(seed);
    let tokens: Vec<String> = std::iter::repeat_with(|| mutated(&mut rng, &good))
        .filter(|token| !good.contains(token))
        .take(10_000)
        .collect();
    let refused = stream::iter(tokens)
        .map(async |token| {
            let reply = with(&replica, order, &token).await;
            assert_eq!(reply.status, StatusCode::UNAUTHORIZED, "seed {seed}: {token}");
        })
        .buffer_unordered(8);
    assert_eq!(refused.count().await, 10_000);
    for token in &good {
        assert_eq!(with(&replica, order, token).await.status, StatusCode::OK);
    }
}
