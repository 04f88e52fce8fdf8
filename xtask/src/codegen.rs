//! Rust code from `Controller.proto`, without protoc.

use std::{fs, path::Path};

use anyhow::{Context as _, Result, bail};

const PROTO: &str = "proto/Controller.proto";
const GENERATED: &str = "proto/src/generated.rs";

/// Generates the code and writes it, or with `check` compares it with the committed code.
pub(crate) fn run(root: &Path, check: bool) -> Result<()> {
    let proto = root.join(PROTO);
    let folder = proto.parent().context("the proto file has no folder")?;
    let descriptors =
        protox::compile([&proto], [folder]).with_context(|| format!("{PROTO} does not compile"))?;
    let out = root.join("target/codegen");
    fs::create_dir_all(&out)?;
    tonic_prost_build::configure()
        // The crates that use the code have their own channels.
        .build_transport(false)
        .build_client(true)
        // The server of a test implements the calls of the test; the others are unimplemented.
        .generate_default_stubs(true)
        .build_server(true)
        // Only servers need that half; the feature decides.
        .server_mod_attribute(".", "#[cfg(feature = \"server\")]")
        // Java writes maps in the order of their keys, and the golden bytes require it.
        .btree_map(".")
        .out_dir(&out)
        .compile_fds(descriptors)
        .context("cannot generate code")?;
    let fresh = fs::read_to_string(out.join("io.pravega.controller.stream.api.grpc.v1.rs"))?;
    let committed = root.join(GENERATED);
    if check {
        if fs::read_to_string(&committed)? != fresh {
            bail!("{GENERATED} is not what {PROTO} generates; run `cargo xtask proto`");
        }
        return Ok(());
    }
    fs::write(committed, fresh)?;
    Ok(())
}
