//! Policies from files: what is refused, and how they are replaced.

use super::*;

const PERMIT: &str = "permit (principal, action, resource);";

fn opened(place: &Path, known: KnownOfAccounts) -> Result<usize, String> {
    match Authorizer::open(place, known) {
        Ok(authorizer) => Ok(authorizer.policies().unwrap()),
        Err(error) => Err(error.to_string()),
    }
}

#[test]
fn the_example_is_valid() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/policies/example.cedar");
    assert_eq!(opened(&example, EVERYTHING), Ok(6));
    assert_eq!(opened(example.parent().unwrap(), EVERYTHING), Ok(6));
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    for (text, place, what) in [
        (
            "permit (principal, action, resource)",
            "1:37",
            "unexpected end",
        ),
        ("\n\npermit (principal, action, resourc);", "3:28", ""),
        (
            "permit (principal, action == Action::\"SearchEvent\", resource);",
            "1:30",
            "SearchEvent",
        ),
        (
            "permit (principal == User::\"alice\", action, resource);",
            "1:22",
            "User",
        ),
        (
            "permit (principal, action == Action::\"SearchEvents\", resource)\nwhen { context.lookback <= 5 };",
            "2:8",
            "lookback",
        ),
        (
            "permit (principal, action == Action::\"SearchEvents\", resource)\nwhen { context.record_view == RecordView::\"ful\" };",
            "2:31",
            "ful",
        ),
        // Of no use to nobody, and a forbid of this kind would be a hole.
        (
            "forbid (principal, action, resource) when { resource is Caller };",
            "1:1",
            "",
        ),
        // Not there for accounts without names.
        (
            "forbid (principal, action, resource) when { resource.name == \"x\" };",
            "1:45",
            "name",
        ),
        (
            "permit (principal, action, resource) when { resource.getTag(\"env\") == \"prod\" };",
            "1:45",
            "env",
        ),
        (
            "permit (principal in ?principal, action, resource);",
            "one.cedar: ",
            "templates",
        ),
    ] {
        let folder = written(text);
        let told = opened(folder.path(), EVERYTHING).unwrap_err();
        assert!(
            told.contains(place) && told.contains(what) && told.contains("one.cedar"),
            "{text}: {told}"
        );
    }
}

#[test]
fn all_files_of_a_folder_count_and_all_that_is_wrong_is_told() {
    let folder = written(PERMIT);
    write(folder.path(), "two.cedar", &format!("{PERMIT}\n{PERMIT}"));
    write(folder.path(), "notes.txt", "no policy");
    write(folder.path(), ".hidden.cedar", "no policy");
    assert_eq!(opened(folder.path(), EVERYTHING), Ok(3));
    write(folder.path(), "three.cedar", "permit");
    write(folder.path(), "four.cedar", "forbid");
    let told = opened(folder.path(), EVERYTHING).unwrap_err();
    assert!(
        told.contains("three.cedar:1") && told.contains("four.cedar:1"),
        "{told}"
    );
}

#[test]
fn a_place_without_policies_is_refused() {
    let folder = TempDir::new().unwrap();
    let told = opened(folder.path(), EVERYTHING).unwrap_err();
    assert!(told.contains("no policy is there"), "{told}");
    write(folder.path(), "empty.cedar", "// nothing");
    assert!(opened(folder.path(), EVERYTHING).is_err());
    let missing = folder.path().join("missing.cedar");
    let told = opened(&missing, EVERYTHING).unwrap_err();
    assert!(told.contains("missing.cedar: cannot read"), "{told}");
}

#[test]
fn policies_about_what_is_not_known_of_accounts_are_refused() {
    let only = |tags, organizational_units| KnownOfAccounts {
        tags,
        organizational_units,
    };
    let tags = "forbid (principal, action, resource) when { resource.hasTag(\"env\") };";
    let units = "forbid (principal, action, resource in OrganizationalUnit::\"/Workloads\");";
    let inner =
        "forbid (principal, action, resource) when { resource in OrganizationalUnit::\"/A\" };";
    for (text, asks) in [
        (PERMIT, (false, false)),
        (tags, (true, false)),
        (units, (false, true)),
        (inner, (false, true)),
    ] {
        let folder = written(text);
        for known in [(false, false), (true, false), (false, true), (true, true)] {
            let answerable = (known.0 || !asks.0) && (known.1 || !asks.1);
            let found = opened(folder.path(), only(known.0, known.1));
            assert_eq!(found.is_ok(), answerable, "{text} {known:?}: {found:?}");
        }
    }
}

#[test]
fn reloaded_policies_count_and_wrong_ones_change_nothing() {
    let folder = written("permit (principal == Caller::\"alice\", action, resource);");
    let authorizer = Authorizer::open(folder.path(), EVERYTHING).unwrap();
    let may = |name: &str| {
        asked(
            &authorizer,
            &caller(name, &[]),
            &Question::ListAccounts,
            &[],
        )
        .is_ok()
    };
    assert!(may("alice") && !may("bob"));
    write(
        folder.path(),
        "one.cedar",
        "permit (principal == Caller::\"bob\" action",
    );
    let told = authorizer.reload().unwrap_err().to_string();
    assert!(told.contains("one.cedar:1:"), "{told}");
    assert!(may("alice") && !may("bob"));
    write(
        folder.path(),
        "one.cedar",
        "permit (principal == Caller::\"bob\", action, resource);",
    );
    assert_eq!(authorizer.reload().unwrap(), Some(1));
    assert!(!may("alice") && may("bob"));
    assert_eq!(Authorizer::allow_all().reload().unwrap(), None);
}
