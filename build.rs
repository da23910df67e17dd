//! Makes cargo notice new migrations, which are embedded into the binary.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
