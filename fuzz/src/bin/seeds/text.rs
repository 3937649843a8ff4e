//! What people write, or tools for them: the config file, globs, tokens and certificates.

use std::time::SystemTime;

use daffi_core::transport::{Authority, Identity, JoinToken, Validity};

/// As in the documentation, and what it says of each limit.
const CONFIG: &str = r#"[certificates]
ca = "ca.pem"
certificate = "controller.pem"
key = "/keys/controller.key"
required = true

[limits]
nodes = 200
callbacks_per_node = 16
streams_per_node = 3
calls_per_node = 1_000
backlog_per_node = "1 GiB"
message_size = 4096
item_size = "16 MiB"
handshake_time = "1s 500ms"
silence = "10s"
handshakes = 64
validate_above = 8
connections_per_second = 100
connections_burst = 200
connections_per_second_per_address = 50
connections_burst_per_address = 100
bytes_per_second_per_node = "10MB"

[[rule]]
nodes = "worker-*"
offer = ["resize", "thumb.*"]

[[rule]]
nodes = ["{gpu,cpu}-?", "[!a-w]*"]
call = "*"
stream = ["a", "b.[0-9]"]
"#;

pub(super) fn config() -> Vec<Vec<u8>> {
    let braces = "rule = [{ nodes = \"*\", call = \"*\" }, { nodes = 'a', offer = [] }]\nlimits.nodes = 7\n";
    [CONFIG, braces, "[limits]\nhandshake_time = \"5s\"\n", ""].map(|text| text.as_bytes().to_vec()).to_vec()
}

pub(super) fn globs() -> Vec<Vec<u8>> {
    [
        "worker-?\nworker-1",
        "{gpu,cpu}.*\ncpu.run",
        "a{,-[0-9]}\na",
        "{a,{b,c}?}[!x-z]\nbü",
        "[]^-]**[a-]\n_",
        "überprüfung[ä-ü?]\nüberprüfungö",
        "*a*b*,\nxaxbx",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}

pub(super) fn secrets() -> Vec<Vec<u8>> {
    let identity = Identity::generate().expect("there is randomness");
    let token = JoinToken::generate(identity.fingerprint());
    let texts = [
        token.to_string(),
        format!(" {token}\n"),
        format!("{token}\nuntil 1800000000\n"),
        "until 1800000000\n".into(),
        identity.to_pem(),
    ];
    texts.map(String::into_bytes).to_vec()
}

/// Each behind three bytes that say how to damage it.
pub(super) fn certificates() -> Vec<Vec<u8>> {
    // Until the year 2100: a corpus is kept for long.
    let validity = Validity { from: SystemTime::UNIX_EPOCH, until: Validity::days(27_000).until };
    let authority = Authority::generate(validity).expect("there is randomness");
    let controller = authority.issue_controller(validity).expect("there is randomness");
    let nodes = ["worker-1", "überprüfung"].map(|name| authority.issue_node(name, validity).expect("it is a name"));
    let texts = [authority.identity().to_pem(), controller.to_pem(), nodes[0].to_pem() + &nodes[1].to_pem()];
    let texts = texts.into_iter().map(String::into_bytes);
    let ders = nodes.iter().chain([&controller]).map(der);
    texts.chain(ders).map(|certificate| [&[0, 99, 1], certificate.as_slice()].concat()).collect()
}

/// The first of its certificates.
fn der(identity: &Identity) -> Vec<u8> {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let text = identity.certificates_pem();
    let lines = text.lines().skip(1).take_while(|line| !line.starts_with('-'));
    STANDARD.decode(lines.collect::<String>()).expect("it was just written")
}
