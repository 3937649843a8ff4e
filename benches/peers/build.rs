//! The two gRPC services of `tonic-hop`, without protoc.

use tonic_build::manual::{Builder, Method, Service};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let service = |name: &str, method: &str, route: &str| {
        let method = Method::builder()
            .name(method)
            .route_name(route)
            .input_type("crate::system::tonic_hop::Message")
            .output_type("crate::system::tonic_hop::Message")
            .codec_path("tonic_prost::ProstCodec")
            .build();
        Service::builder().name(name).package("peers").method(method).build()
    };
    Builder::new().compile(&[service("Echo", "echo", "Echo"), service("Proxy", "register", "Register")]);
}
