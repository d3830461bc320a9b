//! Compiles the API with protox, so that no protoc is needed, and keeps its descriptors for
//! gRPC reflection.

use std::path::PathBuf;
use std::{env, error, fs};

use prost::Message;

fn main() -> Result<(), Box<dyn error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let files = protox::compile(["identitytrail/v1/identity_trail.proto"], ["proto"])?;
    let out_dir = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(
        out_dir.join("identity_trail_descriptor.bin"),
        files.encode_to_vec(),
    )?;
    tonic_prost_build::configure()
        .btree_map(".")
        .boxed(".identitytrail.v1.SearchEventsResponse.item.event")
        .boxed(".identitytrail.v1.SearchEventsResponse.item.summary")
        .emit_rerun_if_changed(false)
        .compile_fds(files)?;
    Ok(())
}
