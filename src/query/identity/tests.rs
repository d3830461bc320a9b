use serde_json::{Value, json};

use super::*;
use crate::query::record::{ReadFrom, TextOrigin, parse_record};
use crate::query::{BackendKind, Event, Provenance};

/// An event made by `user_identity`.
fn by(user_identity: &Value) -> Event {
    let record = json!({
        "eventTime": "2023-07-10T11:42:17Z",
        "eventSource": "s3.amazonaws.com",
        "eventName": "ListBuckets",
        "userIdentity": user_identity,
    });
    let read_from = ReadFrom {
        provenance: Provenance {
            backend: BackendKind::EventHistory,
            account_id: "111122223333".parse().unwrap(),
            account_name: None,
            region: None,
            archive: None,
            log_group: None,
            aws_request_id: None,
            log_file: None,
        },
        origin: TextOrigin::Delivered,
        keep_record: false,
    };
    parse_record(&record.to_string(), &read_from).unwrap()
}

fn did(identity: &Identity, who: &Value) -> bool {
    identity.condition(Case::Kept).holds(&by(who))
}

fn did_in_any_case(identity: &Identity, who: &Value) -> bool {
    identity.condition(Case::Ignored).holds(&by(who))
}

fn session(role: &str, name: &str, issuer: Option<Value>) -> Value {
    let mut who = json!({
        "type": "AssumedRole",
        "principalId": format!("AROACKCEVSQ6C2EXAMPLE:{name}"),
        "arn": format!("arn:aws:sts::111122223333:assumed-role/{role}/{name}"),
        "accountId": "111122223333",
    });
    if let Some(issuer) = issuer {
        who["sessionContext"] = json!({"sessionIssuer": issuer});
    }
    who
}

fn issuer(role: &str, path: &str) -> Value {
    json!({
        "type": "Role",
        "principalId": "AROACKCEVSQ6C2EXAMPLE",
        "arn": format!("arn:aws:iam::111122223333:role{path}{role}"),
        "accountId": "111122223333",
        "userName": role,
    })
}

fn user(name: &str) -> Value {
    json!({
        "type": "IAMUser",
        "principalId": "AIDACKCEVSQ6C2EXAMPLE",
        "arn": format!("arn:aws:iam::111122223333:user/team/{name}"),
        "accountId": "111122223333",
        "accessKeyId": "AKIAIOSFODNN7EXAMPLE",
        "userName": name,
    })
}

/// As `GetFederationToken` makes them.
fn federated(name: &str, issued_by: &str) -> Value {
    json!({
        "type": "FederatedUser",
        "principalId": format!("111122223333:{name}"),
        "arn": format!("arn:aws:sts::111122223333:federated-user/{name}"),
        "accountId": "111122223333",
        "accessKeyId": "ASIAIOSFODNN7EXAMPLE",
        "sessionContext": {
            "webIdFederationData": {},
            "sessionIssuer": {
                "type": "IAMUser",
                "principalId": "AIDACKCEVSQ6C2EXAMPLE",
                "arn": format!("arn:aws:iam::111122223333:user/team/{issued_by}"),
                "accountId": "111122223333",
                "userName": issued_by,
            },
            "attributes": {"creationDate": "2024-11-30T08:43:17Z", "mfaAuthenticated": "false"},
        },
    })
}

fn arn(text: &str) -> Identity {
    Identity::Arn(text.parse().unwrap())
}

#[test]
fn arns_are_read_for_what_they_are_and_printed_as_they_were() {
    for arn in [
        "arn:aws:iam::111122223333:user/alice",
        "arn:aws:iam::111122223333:user/division/team/alice",
        "arn:aws-cn:iam::111122223333:role/ci/deploy",
        "arn:aws:iam::111122223333:role/*/deploy*",
        "arn:aws:sts::111122223333:assumed-role/Admin/alice@example.com",
        "arn:aws:sts::111122223333:assumed-role/Admin/*",
        "arn:aws:sts::111122223333:federated-user/bob",
        "arn:aws:iam::111122223333:root",
    ] {
        assert_eq!(arn.parse::<IdentityArn>().unwrap().to_string(), arn);
    }
    for wrong in [
        "",
        "arn:aws:iam::111122223333:group/admins",
        "arn:aws:iam:us-east-1:111122223333:user/alice",
        "arn:aws:iam::11112222333:user/alice",
        "arn:aws:iam::*:user/alice",
        "arn:aws:s3:::bucket",
        "arn:aws:iam::111122223333:user/",
        "arn:aws:iam::111122223333:user/al'",
        "arn:aws:sts::111122223333:assumed-role/Admin",
        "arn:aws:sts::111122223333:federated-user/b",
    ] {
        assert!(wrong.parse::<IdentityArn>().is_err(), "{wrong}");
    }
}

#[test]
fn a_role_is_found_by_its_issuer_else_by_the_sessions_arn() {
    let role = arn("arn:aws:iam::111122223333:role/Admin");
    let with_path = arn("arn:aws:iam::111122223333:role/team/Admin");
    let plain = session("Admin", "alice", Some(issuer("Admin", "/")));
    let bare = session("Admin", "alice", None);
    assert!(did(&role, &plain) && !did(&with_path, &plain));
    assert!(did(&role, &bare) && did(&with_path, &bare));
    assert!(did(&Identity::RoleName("Admin".parse().unwrap()), &bare));
    let elsewhere = arn("arn:aws:iam::444455556666:role/Admin");
    assert!(!did(&elsewhere, &bare));
}

#[test]
fn an_issuer_without_a_name_leaves_the_sessions_arn() {
    let nameless = json!({"type": "Role", "arn": "arn:aws:iam::111122223333:role/Admin"});
    let who = session("Admin", "alice", Some(nameless));
    assert!(did(&Identity::RoleName("Admin".parse().unwrap()), &who));
    assert!(!did(&Identity::RoleName("alice".parse().unwrap()), &who));
}

#[test]
fn a_session_name_is_not_a_user_name() {
    let who = session("Admin", "alice", None);
    assert!(did(&Identity::SessionName("alice".parse().unwrap()), &who));
    assert!(!did(&Identity::UserName("alice".parse().unwrap()), &who));
    let of = |role: &str| Identity::RoleSession {
        role_name: role.parse().unwrap(),
        session_name: "alice".parse().unwrap(),
    };
    assert!(did(&of("Admin"), &who) && !did(&of("Reader"), &who));
}

#[test]
fn a_user_is_found_in_the_federated_sessions_that_it_issued() {
    let sessions = federated("backup", "svc-agent");
    assert!(did(
        &Identity::UserName("svc-agent".parse().unwrap()),
        &sessions
    ));
    assert!(did(
        &arn("arn:aws:iam::111122223333:user/team/svc-agent"),
        &sessions
    ));
    assert!(did(
        &arn("arn:aws:sts::111122223333:federated-user/backup"),
        &sessions
    ));
    assert!(did(
        &arn("arn:aws:sts::111122223333:federated-user/b*"),
        &sessions
    ));
    // The federated name is nobody's user name.
    assert!(!did(
        &Identity::UserName("backup".parse().unwrap()),
        &sessions
    ));
    // A role that federates is no user.
    let mut by_role = sessions;
    by_role["sessionContext"]["sessionIssuer"]["type"] = json!("Role");
    assert!(!did(
        &Identity::UserName("svc-agent".parse().unwrap()),
        &by_role
    ));
}

#[test]
fn a_principal_id_is_a_users_a_roles_or_one_sessions() {
    let id = |text: &str| Identity::PrincipalId(text.parse().unwrap());
    let role = id("AROACKCEVSQ6C2EXAMPLE");
    for issuer in [None, Some(issuer("Admin", "/"))] {
        let who = session("Admin", "alice", issuer);
        assert!(did(&role, &who));
        assert!(did(&id("AROACKCEVSQ6C2EXAMPLE:alice"), &who));
        assert!(!did(&id("AROACKCEVSQ6C2EXAMPLE:al"), &who));
        assert!(!did(&id("AROACKCEVSQ6C2EXAMPL"), &who));
    }
    let user_id = id("AIDACKCEVSQ6C2EXAMPLE");
    assert!(did(&user_id, &user("alice")) && did(&user_id, &federated("backup", "alice")));
    // The called account's record of a call from elsewhere names the principal alone.
    let seen_from_afar = json!({"type": "AWSAccount", "principalId": "AIDACKCEVSQ6C2EXAMPLE"});
    assert!(did(&user_id, &seen_from_afar));
    // A root user's id is its account's number, with which a federated user's begins.
    assert!(!did(&id("111122223333"), &federated("backup", "alice")));
    assert!(did(
        &id("111122223333:backup"),
        &federated("backup", "alice")
    ));
}

#[test]
fn a_permission_set_is_its_role_in_every_account() {
    let set = |name: &str| Identity::PermissionSet(name.parse().unwrap());
    let role = "AWSReservedSSO_AdministratorAccess_1b74cd717d47002b";
    let path = "/aws-reserved/sso.amazonaws.com/eu-west-1/";
    for issuer in [None, Some(issuer(role, path))] {
        let who = session(role, "alice@example.com", issuer);
        assert!(did(&set("AdministratorAccess"), &who));
        assert!(did(&set("Admin*"), &who));
        assert!(!did(&set("administratoraccess"), &who));
        assert!(did_in_any_case(&set("administratoraccess"), &who));
        assert!(!did(&set("Administrator"), &who));
    }
    for other in [
        "AWSReservedSSO_AdministratorAccess_x_1b74cd717d47002b",
        "AWSReservedSSO_AdministratorAccess_1b74cd717d47002",
        "AWSReservedSSO_AdministratorAccess_xxxxxxxxxxxxxxxx",
        "AdministratorAccess",
    ] {
        let who = session(other, "alice", Some(issuer(other, path)));
        assert!(!did(&set("AdministratorAccess"), &who), "{other}");
    }
}

#[test]
fn source_identities_and_identity_center_users_are_found_through_any_role() {
    let mut who = session("Admin", "alice", Some(issuer("Admin", "/")));
    who["sessionContext"]["sourceIdentity"] = json!("alice@example.com");
    who["onBehalfOf"] = json!({
        "userId": "906786f9-f5a6-4e9b-a0c4-example00001",
        "identityStoreArn": "arn:aws:identitystore::111122223333:identitystore/d-1",
    });
    let source = |name: &str| Identity::SourceIdentity(name.parse().unwrap());
    assert!(did(&source("alice@example.com"), &who) && did(&source("*@example.com"), &who));
    assert!(!did(&source("bob@example.com"), &who));
    let center = |id: &str| Identity::IdentityCenterUserId(id.parse().unwrap());
    assert!(did(&center("906786f9-f5a6-4e9b-a0c4-example00001"), &who));
    assert!(!did(&center("906786f9-f5a6-4e9b-a0c4-example00002"), &who));
}

#[test]
fn a_wildcard_in_a_role_arn_may_stand_for_its_path() {
    let with_path = session("deploy-7", "ci", Some(issuer("deploy-7", "/team/ci/")));
    for fits in [
        "arn:aws:iam::111122223333:role/team/*",
        "arn:aws:iam::111122223333:role/*/deploy-7",
        "arn:aws:iam::111122223333:role/te*-7",
        "arn:aws:iam::111122223333:role/*",
    ] {
        assert!(did(&arn(fits), &with_path), "{fits}");
        // Without an issuer the path is not known.
        assert!(did(&arn(fits), &session("deploy-7", "ci", None)), "{fits}");
    }
    for other in [
        "arn:aws:iam::111122223333:role/other/*",
        "arn:aws:iam::111122223333:role/deploy-*",
        "arn:aws:iam::444455556666:role/*",
    ] {
        assert!(!did(&arn(other), &with_path), "{other}");
    }
    assert!(!did(
        &arn("arn:aws:iam::111122223333:role/te*-8"),
        &session("deploy-7", "ci", None)
    ));
}

#[test]
fn case_counts_unless_it_is_ignored() {
    let name = Identity::UserName("ALICE".parse().unwrap());
    let by_arn = arn("arn:aws:iam::111122223333:user/Team/Alice");
    for identity in [&name, &by_arn] {
        assert!(!did(identity, &user("alice")));
        assert!(did_in_any_case(identity, &user("alice")));
    }
    let key = Identity::AccessKeyId("akiaiosfodnn7example".parse().unwrap());
    assert!(!did_in_any_case(&key, &user("alice")));
}

#[test]
fn a_record_of_nobody_is_nobodys() {
    for who in [
        json!(null),
        json!({}),
        json!({"type": "AWSService", "invokedBy": "x"}),
    ] {
        for identity in [
            Identity::UserName("*".parse().unwrap()),
            Identity::RoleName("*".parse().unwrap()),
            Identity::SessionName("*".parse().unwrap()),
            Identity::SourceIdentity("*".parse().unwrap()),
            Identity::Root,
        ] {
            assert!(!did(&identity, &who), "{identity} {who}");
        }
    }
}
