//! What the process says about itself while it works: log lines, traces and metrics of a real one, and
//! no secret in any of them.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;

use identity_trail::grpc::pb::identity::Kind;
use identity_trail::grpc::pb::identity_trail_service_client::IdentityTrailServiceClient;
use identity_trail::grpc::pb::search_events_response::Item;
use identity_trail::grpc::pb::{Completeness, RecordView, SearchEventsRequest};
use identity_trail::sandbox::Sandbox;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::oneshot;
use tonic::transport::Channel;

use crate::collector::Collector;
use crate::grpc_service::identity;
use crate::guarded::{self, Authorities, Files, Issued, VALID};
use crate::jwt::{self, Key};
use crate::sandbox::{HUB, OTHER, REGION, config, record};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

/// `identity-trail serve` beside a sandbox of this process.
struct Process {
    child: Running,
    lines: JoinHandle<Vec<String>>,
    address: SocketAddr,
    admin: String,
    _folder: TempDir,
}

impl Process {
    /// With `telemetry` as YAML lines of that section, which others may follow.
    async fn start(sandbox: &Sandbox, telemetry: &str, environment: &[(&str, &str)]) -> Self {
        let folder = TempDir::new().unwrap();
        let external_id =
            (sandbox.external_id()).map_or_else(String::new, |id| format!(", external_id: {id:?}"));
        let yaml = format!(
            "listen: 127.0.0.1:0
hub: {{region: {REGION}, endpoint_url: \"{}\"}}
accounts:
  defaults: {{role_name: {}{external_id}}}
  list:
    - {{id: \"{HUB}\", credentials: hub}}
    - {{id: \"{OTHER}\"}}
regions: [{REGION}]
event_history: {{requests_per_second: off}}
telemetry:
  log_format: json
  admin_listen: 127.0.0.1:0
{telemetry}",
            sandbox.endpoint(),
            sandbox.role_name(),
        );
        let file = folder.path().join("identity-trail.yaml");
        std::fs::write(&file, yaml).unwrap();
        let hub = sandbox.hub_credentials();
        let mut child = Command::new(env!("CARGO_BIN_EXE_identity-trail"))
            .args(["serve", "--config"])
            .arg(&file)
            .env("RUST_LOG", "trace")
            .env("AWS_ACCESS_KEY_ID", &hub.access_key_id)
            .env("AWS_SECRET_ACCESS_KEY", &hub.secret_access_key)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (tell, told) = oneshot::channel();
        let mut tell = Some(tell);
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let lines = std::thread::spawn(move || {
            let mut lines = Vec::new();
            for line in stderr.lines().map(Result::unwrap) {
                let fields = serde_json::from_str(&line).map(|line: Value| line["fields"].clone());
                if let Ok(fields) = fields
                    && fields["message"] == "serving"
                    && let Some(tell) = tell.take()
                {
                    let at = |key: &str| fields[key].as_str().unwrap().to_owned();
                    tell.send((at("address"), at("admin"))).unwrap();
                }
                lines.push(line);
            }
            lines
        });
        let (address, admin) = told.await.expect("it says where it serves");
        Self {
            child: Running(child),
            lines,
            address: address.parse().unwrap(),
            admin: format!("http://{admin}"),
            _folder: folder,
        }
    }

    /// A channel without TLS.
    async fn plain(&self) -> Channel {
        let endpoint = Channel::from_shared(format!("http://{}", self.address)).unwrap();
        endpoint.connect().await.unwrap()
    }

    /// All messages of a search that belongs to a trace of the caller's.
    async fn search(channel: Channel, token: &str, request: SearchEventsRequest) -> Vec<Item> {
        let mut request = tonic::Request::new(request);
        let parent = format!("00-{TRACE}-{PARENT}-01").parse().unwrap();
        request.metadata_mut().insert("traceparent", parent);
        let bearer = format!("Bearer {token}").parse().unwrap();
        request.metadata_mut().insert("authorization", bearer);
        let answer = IdentityTrailServiceClient::new(channel)
            .search_events(request)
            .await
            .unwrap();
        let mut stream = answer.into_inner();
        let mut items = Vec::new();
        while let Some(response) = stream.message().await.unwrap() {
            items.push(response.item.unwrap());
        }
        items
    }

    /// What the admin port answers: the status, and the text.
    async fn admin(&self, path: &str) -> (u16, String) {
        use http_body_util::{BodyExt, Empty};
        use hyper_util::client::legacy::Client;
        let client = Client::builder(hyper_util::rt::TokioExecutor::new()).build_http();
        let client: Client<_, Empty<tonic::codegen::Bytes>> = client;
        let url = format!("{}{path}", self.admin).parse().unwrap();
        let answer = client.get(url).await.unwrap();
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    /// Ends it as an orchestrator would. Returns its log.
    fn end(mut self) -> Vec<String> {
        let pid = self.child.0.id().to_string();
        let killed = Command::new("kill").args(["-TERM", &pid]).status().unwrap();
        assert!(killed.success());
        assert_eq!(self.child.0.wait().unwrap().code(), Some(0));
        self.lines.join().unwrap()
    }
}

/// Does not outlive the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Fails only if it has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Some seconds after two hours ago: the process has the real clock.
fn lately(seconds: u32) -> String {
    let time = Timestamp::now() - SignedDuration::from_hours(2);
    let time = time + SignedDuration::from_secs(seconds.into());
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// What alice did in the last day, whole records.
fn question() -> SearchEventsRequest {
    SearchEventsRequest {
        identities: vec![identity(Kind::UserName("alice".into()))],
        record_view: RecordView::Full.into(),
        ..SearchEventsRequest::default()
    }
}

fn is_complete(items: &[Item]) -> bool {
    match items.last() {
        Some(Item::Summary(summary)) => {
            summary.coverage.as_ref().unwrap().completeness() == Completeness::Complete
        }
        _ => false,
    }
}

/// The samples of a scrape, by name with labels.
fn samples(scrape: &str) -> BTreeMap<String, f64> {
    let lines = scrape.lines().filter(|line| !line.starts_with('#'));
    let sample = |line: &str| {
        let (name, value) = line.rsplit_once(' ')?;
        Some((name.to_owned(), value.parse().ok()?))
    };
    lines.map(|line| sample(line).expect(line)).collect()
}

/// A token that a session was issued with, as CloudTrail writes the call down.
const TOKEN_IN_RECORD: &str = "IQoJb3JpZ2luX2VjEXAMPLEtokenInARecord";
const EXTERNAL_ID: &str = "external-id-that-only-the-roles-know";
const COLLECTORS_KEY: &str = "the-collectors-own-key";

/// Who calls, with a certificate and a token, and how the service knows.
struct Callers {
    files: Files,
    ca: String,
    client: Issued,
    server: Issued,
    token: String,
}

/// The token's subject.
const CALLER: &str = "console@example.com";

impl Callers {
    fn new() -> Self {
        let Authorities { servers, clients } = Authorities::new();
        let (files, issuer) = (Files::new(), Key::es256("issuer"));
        let server = servers.server(VALID);
        files.write_issued("server", &server);
        files.write("clients.crt", &clients.pem());
        files.write("keys.json", &jwt::set(&[&issuer]));
        let who = format!("principal.name == {CALLER:?}");
        let permit = format!("permit (principal, action, resource) when {{ {who} }};");
        files.write("policies.cedar", &permit);
        Self {
            ca: servers.pem(),
            client: clients.client(&["soc.example.com"], VALID),
            server,
            token: issuer.sign(&jwt::claims(&json!({"sub": CALLER}))),
            files,
        }
    }

    fn sections(&self) -> String {
        let sections = "tls: {cert_file: DIR/server.crt, key_file: DIR/server.key, client_ca_file: DIR/clients.crt}
auth:
  mtls: {}
  policies: DIR/policies.cedar
  jwt:
    issuer: https://login.example.com/
    audience: identity-trail
    algorithms: [ES256]
    jwks: {file: DIR/keys.json}
";
        sections.replace(
            "DIR",
            self.files.path("").to_str().unwrap().trim_end_matches('/'),
        )
    }

    /// Keys by their lines, as PEM breaks them.
    fn secrets(&self) -> Vec<String> {
        let keys = [&self.server.key, &self.client.key];
        let lines = keys.into_iter().flat_map(|key| key.lines());
        let lines = lines.filter(|line| !line.starts_with("-----"));
        let token = self.token.split('.').map(ToOwned::to_owned);
        lines.map(ToOwned::to_owned).chain(token).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_is_traced_and_counted_and_no_secret_is_said() {
    let mut records: Vec<Value> = (0..120)
        .map(|number| record(number, &lately(number), "alice"))
        .collect();
    records[7]["responseElements"] = json!({"credentials": {
        "accessKeyId": "ASIAIOSFODNN7EXAMPLE",
        "sessionToken": TOKEN_IN_RECORD,
        "expiration": "Oct 31, 2026, 11:00:00 AM",
    }});
    let mut config = config(&records, &Timestamp::now().to_string());
    config.external_id = Some(EXTERNAL_ID.into());
    let sandbox = Sandbox::start(config).await.unwrap();
    let collector = Collector::start();
    let callers = Callers::new();
    let otlp = format!("  otlp: {{endpoint: \"{}\"}}\n", collector.endpoint());
    let process = Process::start(
        &sandbox,
        &format!("{otlp}{}", callers.sections()),
        &[(
            "OTEL_EXPORTER_OTLP_HEADERS",
            &format!("authorization=Bearer {COLLECTORS_KEY}"),
        )],
    )
    .await;

    let port = process.address.port();
    let certified = guarded::connect(port, &callers.ca, Some(&callers.client)).await;
    let answer = Process::search(certified.unwrap(), &callers.token, question()).await;
    assert!(is_complete(&answer), "{:?}", answer.last());
    let (status, scrape) = process.admin("/metrics").await;
    assert_eq!(status, 200);
    assert_eq!(process.admin("/healthz").await.0, 200);
    let log = process.end();

    let spans = collector.spans();
    let of = |name: &str| {
        spans
            .iter()
            .filter(|span| span.name == name)
            .collect::<Vec<_>>()
    };
    let [search] = of("search")[..] else {
        panic!("one span for one search, not {spans:?}");
    };
    assert_eq!(hex::encode(&search.trace_id), TRACE);
    assert_eq!(hex::encode(&search.parent_span_id), PARENT);
    assert_eq!(search.get("outcome").as_deref(), Some("complete"));
    assert_eq!(search.get("events").as_deref(), Some("120"));
    let scans = of("scan");
    assert_eq!(Some(scans.len().to_string()), search.get("scans"));
    for scan in &scans {
        assert_eq!(scan.parent_span_id, search.id);
        assert_eq!(scan.get("outcome").as_deref(), Some("complete"));
        assert_eq!(scan.get("cloud.region").as_deref(), Some(REGION));
        let calls = scan.events.iter().filter(|event| event.name == "AWS call");
        let lookups =
            calls.filter(|call| call.get("rpc.method").as_deref() == Some("LookupEvents"));
        let lookups: Vec<_> = lookups.collect();
        assert_eq!(Some(lookups.len().to_string()), scan.get("requests"));
        let has_id = |call: &&crate::collector::Event| call.get("aws.request_id").is_some();
        assert!(lookups.iter().all(has_id), "{lookups:?}");
    }

    let samples = samples(&scrape);
    let stats = sandbox.stats();
    let operations: BTreeMap<&str, u64> =
        (stats.calls.iter()).fold(BTreeMap::new(), |mut sums, (call, counts)| {
            *sums.entry(&*call.operation).or_default() += counts.received;
            sums
        });
    for operation in ["LookupEvents", "AssumeRole"] {
        let counted = samples.iter().filter(|(name, _)| {
            name.starts_with("identity_trail_aws_calls_total") && name.contains(operation)
        });
        let counted: f64 = counted.map(|(_, value)| value).sum();
        #[allow(clippy::cast_precision_loss)]
        let received = operations[operation] as f64;
        assert!(
            (counted - received).abs() < 0.5,
            "{operation}: {counted} of {received}"
        );
    }
    let count = |name: &str| {
        samples
            .get(name)
            .copied()
            .unwrap_or_else(|| panic!("no {name}"))
    };
    for (name, expected) in [
        ("identity_trail_searches_total{outcome=\"complete\"}", 1.0),
        ("identity_trail_events_sent_total", 120.0),
        (
            "identity_trail_scans_total{backend=\"event_history\",outcome=\"complete\"}",
            2.0,
        ),
        (
            "identity_trail_session_refreshes_total{result=\"issued\"}",
            1.0,
        ),
        (
            "identity_trail_grpc_requests_total{rpc=\"SearchEvents\",code=\"OK\"}",
            1.0,
        ),
    ] {
        assert!(
            (count(name) - expected).abs() < 0.5,
            "{name} is {}",
            count(name)
        );
    }

    assert_eq!(
        collector.authorizations().first().map(String::as_str),
        Some(&*format!("Bearer {COLLECTORS_KEY}"))
    );
    let mut secrets = vec![
        TOKEN_IN_RECORD.to_owned(),
        EXTERNAL_ID.to_owned(),
        COLLECTORS_KEY.to_owned(),
    ];
    secrets.extend(callers.secrets());
    for issued in sandbox.issued_credentials() {
        secrets.push(issued.secret_access_key);
        secrets.extend(issued.session_token);
    }
    assert!(
        secrets.len() >= 3 + (2 * 3 + 3) + 3,
        "the hub's key, a session of the other account, two private keys by their lines, a token"
    );
    let traces: Vec<String> = (collector.requests().iter())
        .map(|request| String::from_utf8_lossy(request).into_owned())
        .collect();
    let metrics = vec![scrape];
    let detail = |line: &String| line.contains("\"DEBUG\"") && line.contains("AWS call");
    assert!(log.iter().any(detail), "RUST_LOG=trace says much: {log:?}");
    let audited = |line: &String| line.contains("\"SearchEvents\"") && line.contains(CALLER);
    assert!(log.iter().any(audited), "the audit log is in it: {log:?}");
    for (place, texts) in [("log", &log), ("traces", &traces), ("metrics", &metrics)] {
        for text in texts {
            for secret in &secrets {
                assert!(
                    !text.contains(&**secret),
                    "{secret} is in the {place}: {text}"
                );
            }
            let tokens: Vec<&str> = page_tokens(text).collect();
            assert!(tokens.is_empty(), "page tokens are in the {place}: {text}");
        }
    }
    for (place, texts) in [("traces", &traces), ("metrics", &metrics)] {
        assert!(
            !texts.iter().any(|text| text.contains("alice")),
            "the {place} name identities"
        );
    }
}

/// The words of a text that look like the sandbox's page tokens.
fn page_tokens(text: &str) -> impl Iterator<Item = &str> {
    let base64 = |c: char| c.is_ascii_alphanumeric() || "+/=".contains(c);
    text.split(move |c: char| !base64(c))
        .filter(|word| word.len() == 48)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_away_costs_no_search_and_is_said_once() {
    let records = [record(1, &lately(1), "alice")];
    let config = config(&records, &Timestamp::now().to_string());
    let sandbox = Sandbox::start(config).await.unwrap();
    // A port that nobody listens on any more.
    let away = Collector::start().endpoint();
    let otlp = format!("  otlp: {{endpoint: \"{away}\", sample_ratio: 1}}\n");
    let process = Process::start(&sandbox, &otlp, &[]).await;
    for _ in 0..3 {
        let answer = Process::search(process.plain().await, "unasked-for", question()).await;
        assert!(is_complete(&answer), "{:?}", answer.last());
    }
    let log = process.end();
    let said = log
        .iter()
        .filter(|line| line.contains("traces cannot be sent"));
    assert_eq!(said.count(), 1, "{log:#?}");
}
