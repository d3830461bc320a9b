//! What people do: in the console, in a shell, with Terraform, and with keys that should be gone.

use serde_json::{Value, json};

use super::Account;
use super::apis::{CHANGING, Call, LOOKING, Place};
use super::cast::{Cast, Person};
use super::days::Day;
use super::identity::{Caller, From, Role};
use super::record::{REGIONS, Region};
use super::sign_in::{portal, saml_session, set_of, signed_in};
use super::trail::{Ask, Trail};

/// Somebody signs in at Identity Center and looks around in the console of one account.
pub(super) fn console_day(trail: &mut Trail, cast: &Cast, day: Day) {
    let person = trail.dice.pick(&cast.people);
    let mut time = day.office_time(trail, person.offset);
    let (account, role) = chosen(trail, cast, person);
    let browser = From::new(&*person.ip, person.browser);
    portal(
        trail,
        cast,
        person,
        time,
        browser.clone(),
        "Authenticate",
        Value::Null,
    );
    time += trail.dice.between(2, 40);
    let federate = json!({"role_name": set_of(role), "account_id": account.id});
    portal(
        trail,
        cast,
        person,
        time,
        browser.clone(),
        "Federate",
        federate,
    );
    let session = saml_session(trail, person, role, time);
    let caller = Caller::session(&session, browser).in_console();
    time += trail.dice.between(1, 3);
    signed_in(trail, time, &caller, person.home, "Yes");
    for _ in 0..trail.dice.between(2, 6) {
        time += trail.dice.between(5, 600);
        // A page of the console asks for many things in the same second.
        for _ in 0..trail.dice.between(1, 5) {
            let call = trail.dice.pick(LOOKING);
            everyday(trail, time, &caller, call, account, person.home);
        }
        change(trail, time + 20, &caller, account, person.home, 15);
    }
}

/// Somebody fetches credentials from Identity Center and works in a shell.
pub(super) fn shell_session(trail: &mut Trail, cast: &Cast, day: Day) {
    let person = trail.dice.pick(&cast.people);
    let mut time = day.office_time(trail, person.offset);
    let (account, role) = chosen(trail, cast, person);
    let shell = From::new(&*person.ip, person.shell);
    let details = json!({"role_name": set_of(role), "account_id": account.id});
    portal(
        trail,
        cast,
        person,
        time,
        shell.clone(),
        "GetRoleCredentials",
        details,
    );
    let session = saml_session(trail, person, role, time);
    let caller = Caller::session(&session, shell);
    for _ in 0..trail.dice.between(2, 9) {
        time += trail.dice.between(1, 240);
        let region = some_region(trail, person.home);
        let call = trail.dice.pick(LOOKING);
        everyday(trail, time, &caller, call, account, region);
        change(trail, time + 3, &caller, account, region, 10);
    }
}

/// A plan: everything is read within a few seconds.
pub(super) fn terraform_run(trail: &mut Trail, cast: &Cast, day: Day) {
    let person = trail.dice.pick(&cast.people);
    let mut time = day.office_time(trail, person.offset);
    let (account, role) = chosen(trail, cast, person);
    let session = saml_session(trail, person, role, time);
    let agent = "APN/1.0 HashiCorp/1.0 Terraform/1.12.2 (+https://www.terraform.io) terraform-provider-aws/6.8.0 (+https://registry.terraform.io/providers/hashicorp/aws) aws-sdk-go-v2/1.37.0 ua/2.1 os/linux lang/go#1.23.11";
    let caller = Caller::session(&session, From::new(&*person.ip, agent));
    for _ in 0..trail.dice.between(2, 4) {
        time += 1;
        for _ in 0..trail.dice.between(4, 12) {
            let call = trail.dice.pick(LOOKING);
            everyday(trail, time, &caller, call, account, person.home);
        }
    }
    change(trail, time + 30, &caller, account, person.home, 60);
}

/// An IAM user from before Identity Center, with a long-lived key.
pub(super) fn legacy_key(trail: &mut Trail, cast: &Cast, day: Day) {
    let user = &cast.users[0];
    let caller = Caller::user(
        user,
        From::new(
            "192.0.2.19",
            "aws-cli/1.44.2 md/Botocore#1.42.2 ua/2.1 os/linux#5.15.0 md/arch#x86_64 lang/python#3.10.12",
        ),
    );
    let account = cast.account_by_id(&user.account_id);
    let mut time = day.office_time(trail, -5);
    for _ in 0..trail.dice.between(1, 6) {
        time += trail.dice.between(0, 300);
        let call = trail.dice.pick(LOOKING);
        everyday(trail, time, &caller, call, account, REGIONS[0]);
    }
}

/// The same user, as the policy wants it: a session with a second factor.
pub(super) fn user_with_mfa(trail: &mut Trail, cast: &Cast, day: Day) {
    let user = &cast.users[0];
    let from = From::new(
        "192.0.2.19",
        "aws-cli/2.17.9 md/awscrt#0.20.11 ua/2.0 os/linux#6.8.0 md/arch#x86_64 lang/python#3.11.8 md/pyimpl#CPython",
    );
    let time = day.office_time(trail, -5);
    let account = cast.account_by_id(&user.account_id);
    let key = trail.get_session_token(time, &Caller::user(user, from.clone()), user, REGIONS[0]);
    let caller = Caller::user_session(user, &key, time, true, from);
    for step in 1..trail.dice.between(3, 10) {
        let call = trail.dice.pick(LOOKING);
        everyday(trail, time + step * 7, &caller, call, account, REGIONS[1]);
    }
}

/// An IAM user signs in with a password and clicks around.
pub(super) fn user_in_console(trail: &mut Trail, cast: &Cast, day: Day) {
    let user = &cast.users[0];
    let browser = From::new("192.0.2.19", cast.people[1].browser);
    let mut time = day.office_time(trail, -5);
    let account = cast.account_by_id(&user.account_id);
    let mut caller = Caller::user_session(user, "", time, true, browser).in_console();
    let mut bare = caller.clone();
    for member in ["sessionContext", "arn"] {
        if let Value::Object(identity) = &mut bare.identity {
            identity.remove(member);
        }
    }
    let check = trail
        .draft(time - 8, &bare, "signin", "CheckMfa", REGIONS[0])
        .with("eventType", "AwsConsoleSignIn")
        .response(json!({"CheckMfa": "Success"}))
        .with("additionalEventData", json!({"MfaType": "Virtual MFA"}));
    trail.write(check);
    signed_in(trail, time, &caller, REGIONS[0], "Yes");
    caller.identity["sessionContext"]["sessionIssuer"] = json!({});
    for _ in 0..trail.dice.between(2, 9) {
        time += trail.dice.between(0, 90);
        let call = trail.dice.pick(LOOKING);
        everyday(trail, time, &caller, call, account, REGIONS[0]);
    }
}

/// An incident: an administrator takes the emergency role, under their own name as source identity.
pub(super) fn break_glass(trail: &mut Trail, cast: &Cast, day: Day) {
    let person = &cast.people[7];
    let account = cast.account("prod-data");
    let time = day.office_time(trail, person.offset);
    let shell = From::new(&*person.ip, person.shell);
    let own = cast.permission_set(cast.account("management"), "AdministratorAccess");
    let own = saml_session(trail, person, own, time - 60);
    let session = trail.assume_role(
        time,
        &Caller::session(&own, shell.clone()),
        cast.role(account, "BreakGlass"),
        "incident",
        person.home,
        Ask {
            source_identity: Some(&person.email),
            duration_seconds: Some(3600),
            ..Ask::default()
        },
    );
    let caller = Caller::session(&session, shell);
    for step in 1..trail.dice.between(3, 8) {
        let call = trail.dice.pick(LOOKING);
        everyday(trail, time + step * 11, &caller, call, account, person.home);
    }
    change(trail, time + 120, &caller, account, person.home, 80);
}

/// A program with a user's long-lived key, as old programs have.
pub(super) fn service_user(trail: &mut Trail, cast: &Cast, day: Day) {
    let user = trail.dice.pick(&cast.users[1..]).clone();
    if !user.name.starts_with("svc-") {
        return;
    }
    let account = cast.account_by_id(&user.account_id);
    let time = day.any_time(trail);
    let agent = "Boto3/1.26.90 Python/3.9.16 Linux/5.10.0 Botocore/1.29.90";
    let caller = Caller::user(&user, From::new("10.16.4.20", agent));
    for step in 0..trail.dice.between(1, 4) {
        let call = trail.dice.pick(super::apis::SERVING);
        everyday(trail, time + step, &caller, call, account, REGIONS[0]);
    }
}

/// An account, and one of the person's permission sets in it.
fn chosen<'a>(trail: &mut Trail, cast: &'a Cast, person: &Person) -> (&'a Account, &'a Role) {
    let account = trail.dice.pick(&cast.accounts);
    let set = trail.dice.pick(person.sets);
    (account, cast.permission_set(account, set))
}

fn some_region(trail: &mut Trail, home: Region) -> Region {
    let elsewhere: Region = *trail.dice.pick(&REGIONS);
    let stays = trail.dice.chance(75);
    if stays { home } else { elsewhere }
}

fn everyday(
    trail: &mut Trail,
    time: i64,
    caller: &Caller,
    call: &Call,
    account: &Account,
    region: Region,
) {
    trail.perform(time, caller, call, &Place { account, region });
}

/// In some cases, a change.
fn change(
    trail: &mut Trail,
    time: i64,
    caller: &Caller,
    account: &Account,
    region: Region,
    percent: u32,
) {
    if trail.dice.chance(percent) {
        let call = trail.dice.pick(CHANGING);
        everyday(trail, time, caller, call, account, region);
    }
}
