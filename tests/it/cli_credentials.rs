//! How `search` shows itself to a service, and knows that it is the right one.

use std::process::{Command, Output};

use crate::guarded::{Authority, Files, Guarded, VALID};

/// What a search would do: enough to be let in, and nothing of AWS is asked.
async fn explain(endpoint: &str, flags: &[(&str, String)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_identity-trail"));
    command.args([
        "search",
        "--user",
        "alice",
        "--explain",
        "--output",
        "jsonl",
    ]);
    command.args(["--endpoint", endpoint]);
    for (flag, value) in flags {
        command.args([flag, value.as_str()]);
    }
    let ended = tokio::task::spawn_blocking(move || command.output()).await;
    ended.unwrap().unwrap()
}

fn assert_ended(output: &Output, status: i32, told: &str) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{stderr}");
    assert!(stderr.contains(told), "{stderr}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_over_mutual_tls() {
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    let files = Files::new();
    files.write_issued("server", &servers.server(VALID));
    files.write_issued("client", &clients.client(&["soc.example.com"], VALID));
    files.write_issued(
        "stranger",
        &Authority::new("x").client(&["soc.example.com"], VALID),
    );
    files.write("servers.crt", &servers.pem());
    files.write("clients.crt", &clients.pem());
    let sections = "tls: {cert_file: DIR/server.crt, key_file: DIR/server.key, client_ca_file: DIR/clients.crt}
auth: {mtls: {}}\n";
    let service = Guarded::start(files, sections).await;
    let path = |name: &str| service.files.path(name).to_str().unwrap().to_owned();
    let endpoint = format!("https://localhost:{}", service.port());
    let ca = ("--tls-ca", path("servers.crt"));
    let identity = |name: &str| {
        let (cert, key) = (path(&format!("{name}.crt")), path(&format!("{name}.key")));
        [("--tls-cert", cert), ("--tls-key", key)]
    };
    let [cert, key] = identity("client");
    let all = [ca.clone(), cert.clone(), key.clone()];
    assert_ended(&explain(&endpoint, &all).await, 0, "");
    let unknown = explain(&endpoint, &[cert.clone(), key.clone()]).await;
    assert_ended(&unknown, 1, "--tls-ca");
    let anonymous = explain(&endpoint, std::slice::from_ref(&ca)).await;
    assert_ended(&anonymous, 1, "--tls-cert");
    let [wrong_cert, wrong_key] = identity("stranger");
    let stranger = explain(&endpoint, &[ca.clone(), wrong_cert.clone(), wrong_key]).await;
    assert_ended(&stranger, 1, "--tls-cert");
    let plain = format!("http://localhost:{}", service.port());
    assert_ended(&explain(&plain, &all).await, 2, "use https://");
    // What is wrong with the flags is told before anybody is asked.
    let nowhere = "https://localhost:9";
    let mixed = explain(nowhere, &[ca.clone(), wrong_cert, key.clone()]).await;
    assert_ended(&mixed, 2, "is not the key of the certificate");
    let no_ca = explain(nowhere, &[("--tls-ca", path("client.key"))]).await;
    assert_ended(&no_ca, 2, "no CERTIFICATE in it");
    let half = explain(nowhere, &[cert]).await;
    assert_ended(&half, 2, "--tls-key");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_shown_to_the_service_and_to_nobody_on_the_way() {
    let issuer = crate::jwt::Key::es256("key");
    let files = Files::new();
    files.write("keys.json", &crate::jwt::set(&[&issuer]));
    let token = issuer.sign(&crate::jwt::claims(&serde_json::json!({})));
    files.write("token", &format!("{token}\n"));
    let service = Guarded::start(files, &crate::jwt::auth("{file: DIR/keys.json}")).await;
    let path = |name: &str| service.files.path(name).to_str().unwrap().to_owned();
    let endpoint = format!("http://localhost:{}", service.port());
    let shown = [("--token-file", path("token"))];
    assert_ended(&explain(&endpoint, &shown).await, 0, "");
    assert_ended(&explain(&endpoint, &[]).await, 1, "--token-file");
    // An address that nobody has: the refusal comes before any connection.
    let elsewhere = explain("http://192.0.2.1:50051", &shown).await;
    assert_ended(&elsewhere, 2, "readable on the way");
    service.files.write("token", "");
    assert_ended(&explain(&endpoint, &shown).await, 2, "no token in it");
}
