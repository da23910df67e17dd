//! Postgres over TLS, against a real server that lets nobody in without.

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use testbed::{Postgres, eventually};

use crate::service::{PATIENCE, World};

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    CertifiedIssuer::self_signed(params, key).expect("an authority")
}

/// Has the server encrypt, with a certificate for 127.0.0.1, and refuse who does not.
async fn encrypt(postgres: &Postgres, authority: &CertifiedIssuer<'_, KeyPair>) {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(["127.0.0.1".to_owned()]).expect("a name");
    let certificate = params.signed_by(&key, authority).expect("a certificate");
    let files = [
        ("server.crt", certificate.pem()),
        ("server.key", key.serialize_pem()),
        ("pg_hba.conf", "hostssl all all 127.0.0.1/32 scram-sha-256\n".to_owned()),
    ];
    let admin = postgres.superuser_url();
    for (name, text) in files {
        // The server writes them: it insists on being their owner.
        let text = STANDARD.encode(text);
        let program = format!("base64 -d >{name} && chmod 600 {name}");
        let sql = format!("copy (select '{text}') to program '{program}'");
        postgres.psql(&admin, &sql).await.expect(name);
    }
    postgres.psql(&admin, "alter system set ssl = on").await.expect("a setting");
    postgres.psql(&admin, "select pg_reload_conf()").await.expect("a reload");
    let is_encrypted = "select ssl from pg_stat_ssl where pid = pg_backend_pid()";
    eventually("the server encrypts", PATIENCE, async || {
        (postgres.psql(&admin, is_encrypted).await.ok()?.trim() == "t").then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_certificate_of_postgres_is_checked_as_the_url_says() {
    let postgres = Postgres::start().await.expect("a server of its own");
    let world = World::on(&postgres).await;
    let (ours, another) = (authority(), authority());
    encrypt(&postgres, &ours).await;
    let file = |name: &str, authority: &CertifiedIssuer<'_, KeyPair>| {
        let path = world.path().join(name);
        fs::write(&path, authority.pem()).expect("written");
        path.display().to_string()
    };
    let (ours, another) = (file("ours.pem", &ours), file("another.pem", &another));
    let by_name = world.database.owner_url.replace("127.0.0.1", "localhost");
    for (url, parameters, refusal) in [
        (&world.database.owner_url, "sslmode=disable".to_owned(), Some("no encryption")),
        (&world.database.owner_url, "sslmode=require".to_owned(), None),
        (&world.database.owner_url, format!("sslmode=verify-full&sslrootcert={ours}"), None),
        (
            &world.database.owner_url,
            format!("sslmode=verify-full&sslrootcert={another}"),
            Some("invalid peer certificate"),
        ),
        // The certificate is for the address alone.
        (&by_name, format!("sslmode=verify-ca&sslrootcert={ours}"), None),
        (
            &by_name,
            format!("sslmode=verify-full&sslrootcert={ours}"),
            Some("invalid peer certificate"),
        ),
    ] {
        let set = format!("database.migrate_url={url}?{parameters}");
        let (code, _, errors) = world.run(&["migrate", "--set", &set]).await;
        let is_as_meant = match refusal {
            None => code == 0,
            Some(reason) => code == 1 && errors.contains(reason),
        };
        assert!(is_as_meant, "{parameters}: exit {code}: {errors}");
    }
}
