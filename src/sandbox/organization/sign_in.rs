//! How people get in: Identity Center's portal, the console's front door, and who stays outside.

use serde_json::{Value, json};

use super::cast::{Cast, Person};
use super::days::Day;
use super::identity::{Caller, From, Role, Session};
use super::record::{REGIONS, Region};
use super::trail::Trail;

/// A sign-in that fails: a mistyped password, or somebody who tries names.
pub(super) fn failed_sign_in(trail: &mut Trail, cast: &Cast, day: Day) {
    let user = trail.dice.pick(&cast.users);
    let unknown = trail.dice.chance(50);
    let name = if unknown {
        "HIDDEN_DUE_TO_SECURITY_REASONS"
    } else {
        &user.name
    };
    let ip = if unknown {
        "203.0.113.200"
    } else {
        "192.0.2.31"
    };
    let caller = Caller::of(
        &user.account_id,
        From::new(ip, cast.people[2].browser),
        json!({
            "type": "IAMUser", "accountId": user.account_id, "accessKeyId": "", "userName": name,
            "principalId": if unknown { "" } else { &user.id },
        }),
    );
    let message = if unknown {
        "No username found in supplied account"
    } else {
        "Failed authentication"
    };
    let time = day.any_time(trail);
    let record = trail
        .draft(time, &caller, "signin", "ConsoleLogin", REGIONS[0])
        .with("eventType", "AwsConsoleSignIn")
        .with("errorMessage", message)
        .response(json!({"ConsoleLogin": "Failure"}))
        .with("additionalEventData", login_data("No"));
    trail.write(record);
}

/// An event of Identity Center itself, in the management account.
pub(super) fn portal(
    trail: &mut Trail,
    cast: &Cast,
    person: &Person,
    time: i64,
    from: From,
    name: &str,
    details: Value,
) {
    let account_id = &cast.account("management").id;
    let caller = Caller::of(
        account_id,
        from,
        json!({
            "type": "IdentityCenterUser", "accountId": account_id,
            "onBehalfOf": {"userId": person.id, "identityStoreArn": cast.identity_store},
            "credentialId": trail.dice.hex(32),
        }),
    );
    let record = trail
        .draft(time, &caller, "sso", name, REGIONS[0])
        .with("eventType", "AwsServiceEvent")
        .with("serviceEventDetails", details);
    trail.write(record);
}

/// Identity Center's `AssumeRoleWithSAML` in the account, whose key the record hides: the only way to a
/// session that its roles' trust policies allow, for consoles and shells alike.
pub(super) fn saml_session(trail: &mut Trail, person: &Person, role: &Role, time: i64) -> Session {
    let provider = format!(
        "arn:aws:iam::{}:saml-provider/AWSSSO_DO_NOT_DELETE",
        role.account_id
    );
    let mut session = trail.session(time, role, &person.email);
    session.mfa = false;
    let caller = Caller::of(
        &role.account_id,
        From::new(&*person.ip, person.browser),
        json!({
            "type": "SAMLUser", "principalId": format!("{}:{}", role.id, person.email),
            "userName": person.email, "identityProvider": provider,
        }),
    );
    let mut response = trail.issued(&session, 12 * 3600);
    response["credentials"]["accessKeyId"] = "HIDDEN_DUE_TO_SECURITY_REASONS".into();
    response["subject"] = person.email.as_str().into();
    response["subjectType"] = "persistent".into();
    response["audience"] = "https://signin.aws.amazon.com/saml".into();
    let record = trail
        .draft(time, &caller, "sts", "AssumeRoleWithSAML", person.home)
        .request(json!({
            "roleArn": role.arn(), "roleSessionName": person.email, "principalArn": provider,
            "durationSeconds": 43200,
        }))
        .response(response)
        .resource("AWS::IAM::Role", &role.arn(), &role.account_id)
        .resource("AWS::IAM::SAMLProvider", &provider, &role.account_id);
    trail.write(record);
    session
}

/// `ConsoleLogin` of a caller who got in.
pub(super) fn signed_in(trail: &mut Trail, time: i64, caller: &Caller, region: Region, mfa: &str) {
    let record = trail
        .draft(time, caller, "signin", "ConsoleLogin", region)
        .with("eventType", "AwsConsoleSignIn")
        .response(json!({"ConsoleLogin": "Success"}))
        .with("additionalEventData", login_data(mfa));
    trail.write(record);
}

fn login_data(mfa: &str) -> Value {
    json!({
        "LoginTo": "https://console.aws.amazon.com/console/home", "MobileVersion": "No",
        "MFAUsed": mfa,
    })
}

/// The permission set's name within the role's.
pub(super) fn set_of(role: &Role) -> &str {
    role.name.split('_').nth(1).unwrap_or(&role.name)
}
