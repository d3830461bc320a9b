//! `identity-trail serve` as a process that answers, for tests of how it lives and ends.

use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};

use identity_trail::grpc::pb::identity_trail_service_client::IdentityTrailServiceClient;
use identity_trail::sandbox::Sandbox;
use serde_json::Value;
use tempfile::TempDir;
use tonic::transport::Channel;

use crate::sandbox::{HUB, OTHER, REGION};

/// A service of the accounts [`HUB`] and [`OTHER`] of a sandbox. It does not outlive the test.
pub struct Process {
    child: Child,
    lines: Lines<BufReader<ChildStderr>>,
    address: String,
    /// Holds `identity-trail.yaml`.
    dir: TempDir,
}

/// Its configuration, with more sections.
pub fn yaml(sandbox: &Sandbox, sections: &str) -> String {
    format!(
        "listen: 127.0.0.1:0
hub: {{region: {REGION}, endpoint_url: \"{}\"}}
accounts:
  defaults: {{role_name: {}}}
  list: [{{id: \"{HUB}\", credentials: hub}}, {{id: \"{OTHER}\"}}]
regions: [{REGION}]
telemetry: {{log_format: json}}
{sections}\n",
        sandbox.endpoint(),
        sandbox.role_name(),
    )
}

impl Process {
    /// Starts it, and waits until it serves.
    pub fn start(sandbox: &Sandbox, sections: &str) -> Self {
        let dir = TempDir::new().unwrap();
        write(dir.path(), &yaml(sandbox, sections));
        let hub = sandbox.hub_credentials();
        let mut child = Command::new(env!("CARGO_BIN_EXE_identity-trail"))
            .args(["serve", "--config"])
            .arg(dir.path().join("identity-trail.yaml"))
            .env_remove("RUST_LOG")
            .env_remove("IDENTITY_TRAIL_LISTEN")
            .env("AWS_ACCESS_KEY_ID", &hub.access_key_id)
            .env("AWS_SECRET_ACCESS_KEY", &hub.secret_access_key)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut process = Self {
            child,
            lines,
            address: String::new(),
            dir,
        };
        let serving = process.logged("serving");
        let address = serving["fields"]["address"].as_str().unwrap();
        address.clone_into(&mut process.address);
        process
    }

    /// Reads its log up to this message.
    pub fn logged(&mut self, message: &str) -> Value {
        loop {
            let line = self
                .lines
                .next()
                .expect("it says so before it ends")
                .unwrap();
            let line: Value = serde_json::from_str(&line).unwrap();
            let said = line["fields"]["message"].as_str();
            if said.is_some_and(|said| said.starts_with(message)) {
                return line;
            }
        }
    }

    /// Gives it another configuration, which it reads when it is told to.
    pub fn configure(&self, text: &str) {
        write(self.dir.path(), text);
    }

    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let killed = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(killed.unwrap().success());
    }

    /// Waits until it has ended.
    pub fn wait(&mut self) -> ExitStatus {
        // What it still says must not fill the pipe.
        for line in self.lines.by_ref() {
            line.unwrap();
        }
        self.child.wait().unwrap()
    }

    pub async fn client(&self) -> IdentityTrailServiceClient<Channel> {
        let url = format!("http://{}", self.address);
        let channel = Channel::from_shared(url).unwrap().connect().await.unwrap();
        IdentityTrailServiceClient::new(channel)
    }
}

fn write(dir: &Path, text: &str) {
    std::fs::write(dir.join("identity-trail.yaml"), text).unwrap();
}

impl Drop for Process {
    fn drop(&mut self) {
        // Fails only if it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
