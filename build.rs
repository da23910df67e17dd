//! Makes cargo notice new migrations, which are embedded into the binary, and tells the binary the
//! commit it is built from: `WAYBILL_COMMIT`, else what git says, else `unknown`; also the profile
//! and the compiler, empty if they cannot be known.

use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=migrations");
    println!("cargo:rerun-if-env-changed=WAYBILL_COMMIT");
    // Else every commit would build everything anew for those who develop.
    let is_release = std::env::var("PROFILE").is_ok_and(|profile| profile == "release");
    let commit = match std::env::var("WAYBILL_COMMIT") {
        Ok(commit) => commit,
        Err(_) if is_release => commit().unwrap_or_else(|| "unknown".to_owned()),
        Err(_) => "dev".to_owned(),
    };
    println!("cargo:rustc-env=WAYBILL_COMMIT={commit}");
    let profile = std::env::var("PROFILE").unwrap_or_default();
    println!("cargo:rustc-env=WAYBILL_PROFILE={profile}");
    println!("cargo:rustc-env=WAYBILL_RUSTC={}", rustc().unwrap_or_default());
}

/// The compiler, such as `rustc 1.94.0 (…)`.
fn rustc() -> Option<String> {
    output_of(&std::env::var("RUSTC").ok()?, &["--version"])
}

/// The commit that is checked out.
fn commit() -> Option<String> {
    // A commit changes the second, a checkout both.
    for file in ["HEAD", "logs/HEAD"] {
        let path = output_of("git", &["rev-parse", "--git-path", file])?;
        if std::fs::exists(&path).is_ok_and(|exists| exists) {
            println!("cargo:rerun-if-changed={path}");
        }
    }
    output_of("git", &["rev-parse", "--short=12", "HEAD"])
}

/// What a program prints, if it can be run and succeeds.
fn output_of(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
