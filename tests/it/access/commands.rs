//! Commands that ask a service which wants a token, and what is said of wrong files.

use std::fs;
use std::path::Path;

use super::{ADMIN, MASKED, ORDERS, entry, guarded};
use crate::service::World;

fn file(folder: &Path, name: &str, content: &str) -> String {
    let path = folder.join(name);
    fs::write(&path, content).expect("written");
    path.display().to_string()
}

#[tokio::test]
async fn commands_send_the_token_of_a_file() {
    let world = World::new().await;
    let replica = guarded(&world, "guarded").await;
    world.publish(&["--generate", "3", "--receipt", "receipt.ndjson"]).await;
    world.until_drained().await;
    let (site, admin) = (format!("http://{}", replica.site), format!("http://{}", replica.admin));
    let orders = file(world.path(), "orders", &format!("{ORDERS}\n"));
    let masked = file(world.path(), "masked", MASKED);
    let operator = file(world.path(), "admin", ADMIN);

    let status = ["status", "--admin", &admin, "--token-file"];
    let (code, out, _) = world.run(&[&status[..], &[&operator]].concat()).await;
    assert!(code == 0 && out.contains("guarded"), "{code}: {out}");
    for refused in [&status[..3], &[&status[..], &[&orders]].concat()] {
        let (code, _, errors) = world.run(refused).await;
        assert_eq!(code, 1);
        assert!(errors.contains("--token-file must name a file with a token of the scope admin"));
        assert!(!errors.contains(ORDERS), "{errors}");
    }

    let verify = ["verify", "--receipt", "receipt.ndjson", "--url", &site, "--token-file"];
    let (code, out, errors) = world.run(&[&verify[..], &[&orders]].concat()).await;
    assert_eq!(code, 0, "{out} {errors}");
    let (code, out, _) = world.run(&verify[..5]).await;
    assert!(code == 1 && out.contains("answered 401"), "{out}");
    let (code, out, _) = world.run(&[&verify[..], &[&masked]].concat()).await;
    assert!(code == 1 && out.contains("3 wrong"), "other bytes than were published: {out}");

    let targets = ["load", "targets", "--receipt", "receipt.ndjson", "--url", &site, "--count"];
    let all = [&targets[..], &["20", "--output", "targets.json", "--token-file", &orders]].concat();
    let (code, _, errors) = world.run(&all).await;
    assert_eq!(code, 0, "{errors}");
    let written = fs::read_to_string(world.path().join("targets.json")).expect("written");
    assert_eq!(written.matches(&format!("Bearer {ORDERS}")).count(), 20);

    // Those of a probe need none.
    let admin = format!("admin.listen={}", replica.admin);
    let (code, out, _) = world.run(&["healthcheck", "--ready", "--set", &admin]).await;
    assert_eq!(code, 0, "{out}");
    let nothing = file(world.path(), "nothing", "");
    let (code, _, errors) = world.run(&[&status[..], &[&nothing]].concat()).await;
    assert!(code == 1 && errors.contains("must hold one token"), "{errors}");
}

#[tokio::test]
async fn files_that_cannot_be_used_are_refused_at_the_start() {
    let world = World::new().await;
    let folder = world.path();
    let bad_tokens = file(folder, "bad.toml", &entry("x", "orders"));
    let no_keys = file(folder, "bad.json", "{\"keys\":[{\"kty\":\"oct\",\"k\":\"c2VjcmV0\"}]}");
    let jwt = ["access.mode=jwt", "access.issuer=i", "access.audience=a"];
    let tokens = format!("access.tokens_file={bad_tokens}");
    let keys = format!("access.jwks_file={no_keys}");
    for (sets, told) in [
        (vec!["access.mode=tokens", &tokens], "bad.toml: token 1 (`the x`): `orders` is no scope"),
        (vec![jwt[0], jwt[1], jwt[2], &keys], "bad.json: none of its 1 keys can verify"),
    ] {
        for command in [&["config", "check"][..], &["serve"]] {
            let sets = sets.iter().flat_map(|set| ["--set", set]);
            let arguments: Vec<&str> = command.iter().copied().chain(sets).collect();
            let (code, _, errors) = world.run(&arguments).await;
            assert_eq!(code, 64, "{arguments:?}: {errors}");
            assert!(errors.contains(told), "{arguments:?}: {errors}");
            assert!(!errors.contains("c2VjcmV0"), "{errors}");
        }
    }
}
