//! What to ask next, as lines to paste.

use std::io::{self, Write};

use crate::cli::sandbox::exports;
use crate::sandbox::Sandbox;

/// Writes how to reach the service at `endpoint` and the AWS look-alike beside it.
pub(super) fn write(sandbox: &Sandbox, endpoint: &str, out: &mut dyn Write) -> io::Result<()> {
    let address = endpoint.trim_start_matches("http://");
    let accounts = sandbox.accounts().len();
    let search = format!("{} search", crate::cli::program());
    writeln!(
        out,
        "\n── the service listens on {address}, over {accounts} accounts; Ctrl-C ends it"
    )?;
    for problem in sandbox.load_problems() {
        writeln!(out, "not loaded: {problem}")?;
    }
    writeln!(out, "\nAsk it with grpcurl:")?;
    writeln!(
        out,
        "  grpcurl -plaintext {address} describe identitytrail.v1.SearchEventsRequest"
    )?;
    let service = "identitytrail.v1.IdentityTrailService";
    writeln!(out, "  grpcurl -plaintext {address} {service}/ListAccounts")?;
    if let Some(story) = sandbox.story() {
        writeln!(
            out,
            "  grpcurl -plaintext -d '{{\"identities\": [{{\"user_name\": \"{}\"}}], \"lookback\": \"864000s\"}}' {address} {service}/SearchEvents",
            story.user_name
        )?;
        writeln!(out, "\nFollow the intruder with search:")?;
        if let Some(hop) = story.chain.last() {
            writeln!(
                out,
                "  {search} --session {} --since 30d --endpoint {endpoint}",
                hop.session_name
            )?;
            writeln!(
                out,
                "  {search} --arn {} --since 120d --endpoint {endpoint}",
                hop.role_arn
            )?;
        }
        writeln!(
            out,
            "  {search} --user {} --since 120d --endpoint {endpoint}",
            story.backdoor_user_name
        )?;
    } else {
        writeln!(
            out,
            "\nAsk it about anyone who is in the logs, in the sandbox's time ({:.0}):",
            sandbox.clock().now()
        )?;
        writeln!(
            out,
            "  {search} --user NAME --since 90d --endpoint {endpoint}"
        )?;
    }
    writeln!(out, "\nAsk whether every account and archive can be read:")?;
    let program = crate::cli::program();
    writeln!(out, "  {program} check --endpoint {endpoint}")?;
    writeln!(out, "\nAsk the AWS look-alike itself with the AWS CLI:")?;
    exports(sandbox, out)?;
    writeln!(out, "  aws sts get-caller-identity")?;
    writeln!(out, "  aws cloudtrail lookup-events --max-items 5")
}
