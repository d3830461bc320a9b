use clap::Parser;

use super::*;

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    search: SearchArgs,
}

fn args(line: &str) -> SearchArgs {
    let words = std::iter::once("search").chain(line.split_whitespace());
    Command::try_parse_from(words).unwrap().search
}

fn kinds(line: &str) -> Vec<Kind> {
    let request = args(line).request().unwrap();
    request
        .identities
        .into_iter()
        .filter_map(|identity| identity.kind)
        .collect()
}

#[test]
fn each_flag_names_its_kind_and_may_be_given_again() {
    assert_eq!(
        kinds(
            "--user al* --user bob --permission-set Admin --principal-id AIDAX --source-identity eve --root"
        ),
        [
            Kind::UserName("al*".into()),
            Kind::UserName("bob".into()),
            Kind::PermissionSet("Admin".into()),
            Kind::PrincipalId("AIDAX".into()),
            Kind::SourceIdentity("eve".into()),
            Kind::Root(pb::RootUser {}),
        ]
    );
    assert_eq!(
        kinds("--identity-center-user 9067"),
        [Kind::IdentityCenterUserId("9067".into())]
    );
}

#[test]
fn a_session_beside_a_role_is_that_roles() {
    let of = |role: &str, session: &str| {
        Kind::RoleSession(pb::RoleSession {
            role_name: role.into(),
            session_name: session.into(),
        })
    };
    assert_eq!(
        kinds("--role a --role b --session s"),
        [of("a", "s"), of("b", "s")]
    );
    assert_eq!(kinds("--session s"), [Kind::SessionName("s".into())]);
    assert_eq!(kinds("--role a"), [Kind::RoleName("a".into())]);
}

#[test]
fn a_filter_that_names_events_stands_without_an_identity() {
    assert!(args("").request().is_err());
    assert!(args("--errors-only --access write").request().is_err());
    for line in [
        "--source-ip 203.0.113.0/24",
        "--event-name CreateUser",
        "--resource Alice",
        "--event-id e-1",
    ] {
        assert_eq!(kinds(line), []);
    }
}

#[test]
fn a_line_to_retry_asks_the_same() {
    let line = "--user al* --role r --session s --permission-set p --access-key k --principal-id i \
                --source-identity x --identity-center-user c --arn a --root --ignore-case \
                --event-name n --event-source e --access write --access issues-credentials \
                --errors-only --error-code d --source-ip 10.0.0.0/8 --resource b --event-id 1 \
                --category data --full";
    let asked = args(line);
    let again = asked.same_question().replace('\'', "");
    let (_, flags) = again.split_once(" search ").unwrap();
    assert_eq!(args(flags).request().unwrap(), asked.request().unwrap());
}
