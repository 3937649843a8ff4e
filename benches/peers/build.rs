//! The gRPC services of `tonic-hop`, without protoc, and the compiler's version for reports.

use std::{env, process::Command};

use tonic_build::manual::{Builder, Method, MethodBuilder, Service};

const MESSAGE: &str = "crate::system::tonic_hop::Message";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-env=RUSTC_VERSION={}", compiler());
    let echo = service("Echo").method(method("echo", "Echo").build());
    let proxy = service("Proxy").method(method("register", "Register").build());
    let relay = service("Relay")
        .method(method("subscribe", "Subscribe").server_streaming().build())
        .method(method("publish", "Publish").client_streaming().build());
    Builder::new().compile(&[echo.build(), proxy.build(), relay.build()]);
}

/// Its name and version, without date and commit.
fn compiler() -> String {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let said = Command::new(rustc).arg("--version").output().map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&said).split(" (").next().unwrap_or("an unknown compiler").trim().to_owned()
}

fn service(name: &str) -> tonic_build::manual::ServiceBuilder {
    Service::builder().name(name).package("peers")
}

fn method(name: &str, route: &str) -> MethodBuilder {
    let codec = "tonic_prost::ProstCodec";
    Method::builder().name(name).route_name(route).input_type(MESSAGE).output_type(MESSAGE).codec_path(codec)
}
