//! Automation that crosses accounts: releases, scheduled deployments, audits.

use serde_json::json;

use super::apis::{AUDITING, DEPLOYING, Place};
use super::cast::Cast;
use super::days::Day;
use super::identity::{Caller, From, Issuer, Role, Session};
use super::record::{REGIONS, Region};
use super::trail::{Ask, Trail};

/// The organization's source forge, as an OpenID Connect provider.
const FORGE: &str = "forge.example.com";

/// A build signs in with its forge's token and deploys through a second role in the target account.
pub(super) fn release(trail: &mut Trail, cast: &Cast, day: Day) {
    let tools = cast.account("shared-services");
    let (build, repository) = *trail
        .dice
        .pick(&[("web-build", "storefront"), ("data-build", "warehouse")]);
    let targets = cast.roles_named("deploy-target");
    let target = *trail.dice.pick(&targets);
    let region = *trail.dice.pick(&REGIONS[..2]);
    let from = From::new(
        format!("198.18.200.{}", trail.dice.between(1, 250)),
        "aws-sdk-js/3.859.0 ua/2.1 os/linux#6.11.0 lang/js md/nodejs#22.17.1 api/sts#3.859.0",
    );
    let offset = *trail.dice.pick(&[-8, -5, 0, 1]);
    let mut time = day.office_time(trail, offset);
    let run = trail.dice.between(1_000, 99_999);
    let subject = format!("repo:example/{repository}:ref:refs/heads/main");
    let session = web_identity(
        trail,
        cast.role(tools, build),
        &format!("run-{run}"),
        &subject,
        &from,
        time,
    );
    time += trail.dice.between(20, 200);
    // Whatever is built, the deployment calls itself the same: one session name, many roles.
    let deployed = trail.assume_role(
        time,
        &Caller::session(&session, from.clone()),
        target,
        "deploy",
        region,
        Ask::default(),
    );
    deploy(trail, cast, &deployed, from, region, time);
}

/// A timer deploys what waits, from a role of its own, under the same session name.
pub(super) fn scheduled_deploys(trail: &mut Trail, cast: &Cast, day: Day) {
    let deployer = cast.role(cast.account("shared-services"), "artifact-deployer");
    let region = REGIONS[0];
    let time = day.start + 3 * 3600 + trail.dice.between(0, 900);
    let first = trail.assume_role_for(time, "scheduler.amazonaws.com", deployer, "deploy", region);
    let from = From::new(
        "10.20.0.14",
        "aws-sdk-go-v2/1.37.0 ua/2.1 os/linux lang/go#1.24.5 md/GOOS#linux md/GOARCH#arm64 api/sts#1.35.0",
    );
    let targets = cast.roles_named("deploy-target");
    let target = *trail.dice.pick(&targets);
    let second = trail.assume_role(
        time + 2,
        &Caller::session(&first, from.clone()),
        target,
        "deploy",
        region,
        Ask::default(),
    );
    deploy(trail, cast, &second, from, region, time + 2);
}

/// The scanner of the security account reads every account's settings, one account a run.
pub(super) fn audit(trail: &mut Trail, cast: &Cast, day: Day) {
    let Some(scanner) = cast.roles_named("posture-scanner").first().copied() else {
        return;
    };
    let audited = cast.roles_named("SecurityAudit");
    let role = *trail.dice.pick(&audited);
    let account = cast.account_by_id(&role.account_id);
    let mut time = day.any_time(trail);
    let region = *trail.dice.pick(&REGIONS);
    let scan = format!("scan-{}", trail.dice.hex(8));
    let own = trail.assume_role_for(time, "ecs-tasks.amazonaws.com", scanner, &scan, region);
    let from = From::new(
        "10.24.1.7",
        "Boto3/1.40.4 md/Botocore#1.40.4 ua/2.1 os/linux#6.1.0 md/arch#aarch64 lang/python#3.13.5 exec-env/AWS_ECS_FARGATE",
    );
    let session = trail.assume_role(
        time + 1,
        &Caller::session(&own, from.clone()),
        role,
        &scan,
        region,
        Ask {
            external_id: Some("posture-2f9c"),
            ..Ask::default()
        },
    );
    let caller = Caller::session(&session, from);
    time += 2;
    for call in AUDITING {
        trail.perform(time, &caller, call, &Place { account, region });
        time += trail.dice.between(0, 1);
    }
}

/// `AssumeRoleWithWebIdentity`: nobody's credentials but the provider's word.
fn web_identity(
    trail: &mut Trail,
    role: &Role,
    session_name: &str,
    subject: &str,
    from: &From,
    time: i64,
) -> Session {
    let account_id = &role.account_id;
    let provider_arn = format!("arn:aws:iam::{account_id}:oidc-provider/{FORGE}");
    let mut session = trail.session(time, role, session_name);
    session.origin = Issuer::OpenId {
        provider_arn: provider_arn.clone(),
        subject: subject.into(),
    };
    let caller = Caller::of(
        account_id,
        from.clone(),
        json!({
            "type": "WebIdentityUser",
            "principalId": format!("{provider_arn}:sts.amazonaws.com:{subject}"),
            "userName": subject, "identityProvider": provider_arn,
        }),
    );
    let mut response = trail.issued(&session, 3600);
    response["provider"] = provider_arn.as_str().into();
    response["audience"] = "sts.amazonaws.com".into();
    response["subjectFromWebIdentityToken"] = subject.into();
    let record = trail
        .draft(
            time,
            &caller,
            "sts",
            "AssumeRoleWithWebIdentity",
            REGIONS[0],
        )
        .request(json!({
            "roleArn": role.arn(), "roleSessionName": session_name, "durationSeconds": 3600,
        }))
        .response(response)
        .resource("AWS::IAM::Role", &role.arn(), account_id);
    trail.write(record);
    session
}

/// The calls of a deployment.
fn deploy(
    trail: &mut Trail,
    cast: &Cast,
    session: &Session,
    from: From,
    region: Region,
    mut time: i64,
) {
    let account = cast.account_by_id(&session.role.account_id);
    let caller = Caller::session(session, from);
    for call in DEPLOYING {
        time += trail.dice.between(0, 20);
        trail.perform(time, &caller, call, &Place { account, region });
    }
}
