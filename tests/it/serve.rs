//! `identity-trail serve` as a process: what it refuses before it binds a port, and how it ends.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use tempfile::TempDir;

use crate::guarded::{Authority, EXPIRED, Files, VALID};

/// A configuration of one account; `listen` and `more` are lines of it.
fn yaml(listen: &str, more: &str) -> String {
    format!(
        "listen: {listen}
hub: {{region: eu-west-1, endpoint_url: \"http://127.0.0.1:9\"}}
accounts:
  list:
    - {{id: \"111122223333\", credentials: hub}}
regions: [eu-west-1]
{more}"
    )
}

fn write(dir: &Path, text: &str) -> PathBuf {
    let file = dir.join("identity-trail.yaml");
    std::fs::write(&file, text).unwrap();
    file
}

fn serve(config: &Path, flags: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_identity-trail"));
    command
        .args(["serve", "--config"])
        .arg(config)
        .args(flags)
        .env_remove("RUST_LOG")
        .env_remove("IDENTITY_TRAIL_LISTEN")
        .env("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
        .env("AWS_SECRET_ACCESS_KEY", "secret")
        .stdin(Stdio::null());
    command
}

fn refused(text: &str) -> Output {
    let dir = TempDir::new().unwrap();
    let output = serve(&write(dir.path(), text), &[]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    output
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_bad_configuration_is_told_by_key_and_line_and_binds_no_port() {
    // Were a port bound before the rest is checked, this one would be in use: another error.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap().to_string();
    let told = stderr(&refused(&yaml(&listen, "limits: {max_accounts: 0}\n")));
    assert!(
        told.contains("max_accounts") && told.contains(":7:"),
        "{told}"
    );
    let told = stderr(&refused(&yaml(&listen, "frobnicate: 1\n")));
    assert!(told.contains("frobnicate"), "{told}");
}

#[test]
fn other_addresses_than_loopback_need_a_word_that_says_so() {
    let told = stderr(&refused(&yaml("0.0.0.0:0", "")));
    assert!(told.contains("--insecure"), "{told}");
}

#[test]
fn a_malformed_log_filter_is_refused() {
    let dir = TempDir::new().unwrap();
    let config = write(dir.path(), &yaml("127.0.0.1:0", ""));
    let mut command = serve(&config, &[]);
    let output = command.env("RUST_LOG", "a=b=c").output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(stderr(&output).contains("RUST_LOG"));
}

#[test]
fn a_port_that_is_taken_is_an_error_but_not_bad_usage() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap().to_string();
    let dir = TempDir::new().unwrap();
    let output = serve(&write(dir.path(), &yaml(&listen, "")), &[])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(stderr(&output).contains(&listen));
}

#[test]
fn a_configuration_is_checked_without_starting() {
    // Were a port bound, this one would be in use.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap().to_string();
    let dir = TempDir::new().unwrap();
    let checked = |text: &str, flags: &[&str]| {
        let config = write(dir.path(), text);
        let output = serve(&config, &[&["--check-config"], flags].concat()).output();
        let output = output.unwrap();
        (output.status.code(), stderr(&output))
    };
    assert_eq!(checked(&yaml(&listen, ""), &[]), (Some(0), String::new()));
    let (status, told) = checked(&yaml(&listen, "frobnicate: 1\n"), &[]);
    assert_eq!(status, Some(2));
    assert!(told.contains("frobnicate"), "{told}");
    // What the service would be started with counts too.
    let everywhere = yaml("0.0.0.0:0", "");
    assert_eq!(checked(&everywhere, &[]).0, Some(2));
    assert_eq!(checked(&everywhere, &["--insecure"]).0, Some(0));
}

#[test]
fn whether_the_audit_log_can_be_appended_to_is_checked_and_no_file_is_made() {
    let (dir, logs) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let checked = |to: &str| {
        let more = format!("audit: {{to: {}}}\n", logs.path().join(to).display());
        let config = write(dir.path(), &yaml("127.0.0.1:0", &more));
        let output = serve(&config, &["--check-config"]).output().unwrap();
        (output.status.code(), stderr(&output))
    };
    let files = || std::fs::read_dir(logs.path()).unwrap().count();
    assert_eq!(checked("new.jsonl"), (Some(0), String::new()));
    assert_eq!(files(), 0);
    std::fs::write(logs.path().join("old.jsonl"), "{}\n").unwrap();
    assert_eq!(checked("old.jsonl"), (Some(0), String::new()));
    for to in ["", "missing/audit.jsonl", "old.jsonl/audit.jsonl"] {
        let (status, told) = checked(to);
        assert_eq!(status, Some(2), "{told}");
        assert!(told.contains("audit: cannot append to"), "{told}");
    }
    assert_eq!(files(), 1);
    let old = std::fs::read_to_string(logs.path().join("old.jsonl"));
    assert_eq!(old.unwrap(), "{}\n");
}

#[test]
fn policies_are_checked_with_the_configuration() {
    let dir = TempDir::new().unwrap();
    let policies = dir.path().join("policies.cedar");
    let more = format!("auth: {{policies: {}}}\n", policies.display());
    let config = write(dir.path(), &yaml("127.0.0.1:0", &more));
    for (text, place) in [
        (None, "policies.cedar: cannot read"),
        (
            Some("permit (principal, action, resourc);"),
            "policies.cedar:1:",
        ),
        (
            // The accounts are listed: nobody knows where they lie.
            Some("permit (principal, action, resource in OrganizationalUnit::\"/A\");"),
            "organizational units",
        ),
        (Some("permit (principal, action, resource);"), ""),
    ] {
        if let Some(text) = text {
            std::fs::write(&policies, text).unwrap();
        }
        let expected = if place.is_empty() { 0 } else { 2 };
        let flags: &[&[&str]] = if place.is_empty() {
            &[&["--check-config"]]
        } else {
            &[&["--check-config"], &[]]
        };
        for flags in flags {
            let output = serve(&config, flags).output().unwrap();
            assert_eq!(output.status.code(), Some(expected), "{output:?}");
            assert!(stderr(&output).contains(place), "{}", stderr(&output));
        }
    }
}

#[test]
fn what_protects_the_port_is_checked_without_starting() {
    let (files, authority) = (Files::new(), Authority::new("servers"));
    files.write_issued("server", &authority.server(VALID));
    files.write_issued("expired", &authority.server(EXPIRED));
    files.write("none.json", "{\"keys\": []}");
    let dir = files.path("");
    let dir = dir.to_str().unwrap();
    let check = |listen: &str, sections: &str, flags: &[&str]| {
        let sections = sections.replace("DIR/", dir);
        let config = write(files.as_ref(), &yaml(listen, &sections));
        let output = serve(&config, &[&["--check-config"], flags].concat()).output();
        let output = output.unwrap();
        (output.status.code(), stderr(&output))
    };
    let tls = "tls: {cert_file: DIR/server.crt, key_file: DIR/server.key}\n";
    let mutual = "tls: {cert_file: DIR/server.crt, key_file: DIR/server.key, client_ca_file: DIR/server.crt}\n";
    let certificates = format!("{mutual}auth: {{mtls: {{}}}}\n");
    let tokens = "auth: {jwt: {issuer: i, audience: a, jwks: {url: \"https://i.example.com/\"}}}\n";
    for (listen, sections) in [
        ("127.0.0.1:0", tls),
        ("127.0.0.1:0", tokens),
        ("0.0.0.0:0", &certificates),
        ("0.0.0.0:0", &format!("{tls}{tokens}")),
    ] {
        assert_eq!(check(listen, sections, &[]), (Some(0), String::new()));
    }
    for (listen, sections, told) in [
        ("0.0.0.0:0", tls, "no authentication"),
        ("0.0.0.0:0", mutual, "no authentication"),
        ("0.0.0.0:0", tokens, "no TLS"),
        ("\"[::]:0\"", "", "neither TLS nor authentication"),
    ] {
        let (status, stderr) = check(listen, sections, &[]);
        assert_eq!(status, Some(2), "{sections}");
        assert!(
            stderr.contains(told) && stderr.contains("--insecure"),
            "{stderr}"
        );
        assert_eq!(check(listen, sections, &["--insecure"]).0, Some(0));
    }
    let keys = "auth: {jwt: {issuer: i, audience: a, jwks: {file: DIR/none.json}}}\n";
    for (sections, told) in [
        (tls.replace("server.crt", "missing.crt"), "missing.crt"),
        (
            tls.replace("server.", "expired."),
            "expired.crt: the certificate expired",
        ),
        (
            tls.replace("server.key", "expired.key"),
            "is not the key of the certificate",
        ),
        (keys.to_owned(), "none.json: has no key"),
        (keys.replace("none.json", "missing.json"), "missing.json"),
    ] {
        let (status, stderr) = check("127.0.0.1:0", &sections, &[]);
        assert_eq!(status, Some(2), "{sections}");
        assert!(stderr.contains(told), "{stderr}");
    }
}

/// A process that does not outlive the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Fails only if it has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn sigterm_ends_the_service_well() {
    let dir = TempDir::new().unwrap();
    let config = write(
        dir.path(),
        &yaml("127.0.0.1:0", "telemetry: {log_format: json}\n"),
    );
    let mut command = serve(&config, &[]);
    let mut running = Running(command.stderr(Stdio::piped()).spawn().unwrap());
    let lines = BufReader::new(running.0.stderr.take().unwrap()).lines();
    let mut serving = false;
    for line in lines {
        let line: serde_json::Value = serde_json::from_str(&line.unwrap()).unwrap();
        if line["fields"]["message"] == "serving" {
            serving = true;
            let pid = running.0.id().to_string();
            let killed = Command::new("kill").args(["-TERM", &pid]).status().unwrap();
            assert!(killed.success());
        }
    }
    assert!(serving);
    assert_eq!(running.0.wait().unwrap().code(), Some(0));
}
