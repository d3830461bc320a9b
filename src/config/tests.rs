use super::*;

const EXAMPLE: &str = include_str!("../../identity-trail.example.yaml");

const MINIMAL: &str = "\
hub:
  region: us-east-1
accounts:
  list:
    - id: 012345678901
      role_name: reader
regions: [us-east-1]
";

fn refused(text: &str) -> String {
    Config::parse(text, "test.yaml").unwrap_err().to_string()
}

/// `MINIMAL` with one line replaced.
fn with(line: &str, by: &str) -> String {
    assert!(MINIMAL.contains(line), "{line}");
    MINIMAL.replace(line, by)
}

#[test]
fn the_example_is_a_valid_configuration() {
    let config = Config::parse(EXAMPLE, "example").unwrap();
    assert_eq!(config.accounts.list.len(), 3);
    assert_eq!(
        config.limits,
        Limits::default(),
        "the example shows the defaults"
    );
    assert_eq!(config.routing, Routing::default());
    assert_eq!(config.event_history, EventHistory::default());
    assert_eq!(config.listen, default_listen());
}

#[test]
fn accepted_gaps_name_a_place_a_reason_and_an_end() {
    let gap = |places: &str, reason: &str, until: &str| {
        format!("{MINIMAL}accepted_gaps:\n  - {{{places}, reason: \"{reason}\", until: {until}}}\n")
    };
    let some = "accounts: all, regions: [eu-west-3]";
    let config = Config::parse(&gap(some, " closed ", "2027-03-31"), "test").unwrap();
    let read = &config.accepted_gaps[0].value;
    assert_eq!(read.accounts, None);
    assert_eq!(read.regions, Some(vec!["eu-west-3".parse().unwrap()]));
    assert_eq!(
        (read.reason.as_str(), read.until),
        ("closed", jiff::civil::date(2027, 3, 31))
    );
    for (wrong, told) in [
        (
            gap("accounts: all, regions: all", "r", "2027-03-31"),
            "would leave nothing to ask",
        ),
        (
            gap("accounts: [\"1\"], regions: all", "r", "2027-03-31"),
            "twelve digits",
        ),
        (
            gap("accounts: all", "r", "2027-03-31"),
            "missing field `regions`",
        ),
        (
            gap(some, " ", "2027-03-31"),
            "a reason is 1 to 500 characters",
        ),
        (gap(some, "r", "2027-02-30"), "2027-02-30"),
        (gap(some, "r", "2027-03-31, extra: 1"), "extra"),
    ] {
        let refused = refused(&wrong);
        assert!(refused.contains(told), "{refused}");
    }
}

#[test]
fn access_comes_from_the_account_then_from_the_defaults() {
    let config = Config::parse(EXAMPLE, "example").unwrap();
    let access = |id: &str| config.account_access(id.parse().unwrap());
    let role = |arn: &str, id: &str| Access::Role {
        arn: arn.into(),
        external_id: Some(id.parse().unwrap()),
    };
    assert_eq!(
        access("111122223333"),
        Some(role(
            "arn:aws:iam::111122223333:role/identity-trail-reader",
            "identity-trail-7f3a"
        ))
    );
    assert_eq!(
        access("444455556666"),
        Some(role(
            "arn:aws:iam::444455556666:role/audit/reader",
            "another-one"
        ))
    );
    assert_eq!(access("777788889999"), Some(Access::Hub));
    assert_eq!(access("999999999999"), None);
    assert_eq!(
        config.archive_access(&config.archives[0].value),
        Some(Access::Hub)
    );
}

#[test]
fn an_account_id_without_quotes_keeps_its_leading_zero() {
    let config = Config::parse(MINIMAL, "test").unwrap();
    assert_eq!(config.accounts.list[0].value.id.to_string(), "012345678901");
}

#[test]
fn a_refusal_names_the_key_the_line_and_what_is_allowed() {
    for (text, line, words) in [
        (
            with("regions: [us-east-1]", "regions: [us-east-1]\nauthz: {}"),
            8,
            &["authz"][..],
        ),
        (
            with("regions: [us-east-1]", "regions: []"),
            7,
            &["regions", "at least one"],
        ),
        (
            with("regions: [us-east-1]", "regions: [US]"),
            7,
            &["regions", "lower-case"],
        ),
        (
            with(
                "region: us-east-1\n",
                "region: us-east-1\n  endpoint_url: localhost\n",
            ),
            3,
            &["endpoint_url", "http://"],
        ),
        (with("012345678901", "12345"), 5, &["id", "twelve digits"]),
        (
            with("role_name: reader", "role_name: a b"),
            6,
            &["role_name", "64 letters"],
        ),
        (
            with("role_name: reader", "name: x"),
            5,
            &["accounts.list[0]", "credentials: hub"],
        ),
        (
            with(
                "role_name: reader",
                "role_arn: arn:aws:iam::999999999999:role/r",
            ),
            5,
            &["role_arn", "wrong account"],
        ),
        (
            format!("{MINIMAL}event_history:\n  requests_per_second: 5\n"),
            9,
            &["requests_per_second", "at most 2"],
        ),
        (
            format!("{MINIMAL}event_history:\n  requests_per_second: 0\n"),
            9,
            &["requests_per_second", "above 0"],
        ),
        (
            format!("{MINIMAL}limits:\n  scan_stall_timeout: 30\n"),
            9,
            &["scan_stall_timeout", "unit"],
        ),
        (
            format!("{MINIMAL}limits:\n  max_accounts: 0\n"),
            9,
            &["max_accounts", "1 to"],
        ),
        (
            format!("{MINIMAL}telemetry:\n  log_format: xml\n"),
            9,
            &["log_format", "text"],
        ),
        (
            format!("{MINIMAL}telemetry:\n  admin_listen: everywhere\n"),
            9,
            &["everywhere"],
        ),
        (
            format!(
                "{MINIMAL}telemetry:\n  otlp: {{endpoint: \"https://user:pass@collector:4317\"}}\n"
            ),
            9,
            &["OTEL_EXPORTER_OTLP_HEADERS"],
        ),
        (
            format!(
                "{MINIMAL}telemetry:\n  otlp: {{endpoint: \"http://collector:4317\", sample_ratio: 2}}\n"
            ),
            9,
            &["sample_ratio", "0 to 1"],
        ),
        (
            format!(
                "{MINIMAL}telemetry:\n  otlp: {{endpoint: \"http://collector:4317\", headers: {{}}}}\n"
            ),
            9,
            &["headers"],
        ),
        (
            MINIMAL.replace("regions: [us-east-1]\n", ""),
            1,
            &["regions"],
        ),
    ] {
        let error = refused(&text);
        for word in words {
            assert!(error.contains(word), "{word} is not in:\n{error}");
        }
        assert!(
            error.contains(&format!("line {line} ")) || error.contains(&format!(":{line}")),
            "line {line} is not in:\n{error}"
        );
    }
}

#[test]
fn one_account_is_listed_once() {
    let error = refused(&with(
        "      role_name: reader\n",
        "      role_name: reader\n    - id: \"012345678901\"\n      role_name: reader\n",
    ));
    assert!(
        error.contains("test.yaml:7: accounts.list[1]: account 012345678901 is listed twice"),
        "{error}"
    );
}

#[test]
fn pacing_can_be_slower_or_off() {
    let rate = |text: &str| {
        let text = format!("{MINIMAL}event_history:\n  requests_per_second: {text}\n");
        Config::parse(&text, "test")
            .unwrap()
            .event_history
            .requests_per_second
    };
    assert_eq!(rate("off"), RequestRate::Off);
    assert_eq!(rate("\"off\""), RequestRate::Off);
    assert_eq!(rate("1"), RequestRate::Paced(1.0));
    assert_eq!(rate("0.5"), RequestRate::Paced(0.5));
}

#[test]
fn the_environment_overrides_what_differs_by_deployment() {
    let mut config = Config::parse(MINIMAL, "test").unwrap();
    config
        .override_from(|name| match name {
            "IDENTITY_TRAIL_LISTEN" => Some("[::]:9000".into()),
            "IDENTITY_TRAIL_LOG_FORMAT" => Some("json".into()),
            "IDENTITY_TRAIL_ADMIN_LISTEN" => Some("127.0.0.1:9464".into()),
            _ => None,
        })
        .unwrap();
    assert_eq!(config.listen.port(), 9000);
    assert_eq!(config.telemetry.log_format, LogFormat::Json);
    assert!(config.telemetry.admin_listen.is_some());

    let error = config
        .override_from(|name| (name == "IDENTITY_TRAIL_LISTEN").then(|| "nowhere".into()))
        .unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("environment variable IDENTITY_TRAIL_LISTEN: `nowhere`")
    );
}

#[test]
fn a_trail_is_named_by_its_arn() {
    let config = Config::parse(EXAMPLE, "example").unwrap();
    let archive = &config.archives[0].value;
    let trail = archive.trail.as_ref().unwrap();
    assert_eq!(trail.account, archive.account);
    assert_eq!(trail.region.as_str(), "eu-central-1");
    assert!(archive.verify_days);
    for wrong in [
        "organization",
        "arn:aws:cloudtrail:eu-central-1:7777:trail/x",
    ] {
        let text = EXAMPLE.replace(trail.as_str(), wrong);
        assert!(refused(&text).contains("a trail's ARN is"), "{wrong}");
    }
}

/// An organization's accounts, with these lines below `organization`.
fn organization(lines: &str) -> String {
    format!(
        "hub: {{region: us-east-1}}
accounts:
  defaults: {{role_name: reader}}
  organization:
{lines}regions: all
"
    )
}

#[test]
fn an_organization_stands_in_for_the_list() {
    let text = organization(
        "    refresh: 10m
    include:
      - organizational_units: [Workloads/Prod]
        tags: [environment=prod]
      - ids: [012345678901]
    exclude: [{names: ['sandbox-*']}]
    overrides:
      - {id: '777788889999', credentials: hub}
",
    );
    let config = Config::parse(&text, "test").unwrap();
    let organization = &config.accounts.organization.as_ref().unwrap().value;
    assert_eq!(organization.refresh, std::time::Duration::from_mins(10));
    assert_eq!(organization.access("aws"), Access::Hub);
    let included = &organization.include[0].value;
    assert_eq!(included.selector().organizational_units.len(), 1);
    let access = |id: &str| config.account_access(id.parse().unwrap());
    // Whoever is discovered is read by the defaults, unless something else is said.
    let role = Access::Role {
        arn: "arn:aws:iam::111122223333:role/reader".into(),
        external_id: None,
    };
    assert_eq!(access("111122223333"), Some(role));
    assert_eq!(access("777788889999"), Some(Access::Hub));
    assert_eq!(config.regions, Regions::Enabled { fallback: vec![] });

    let listing = organization_access("    account: '000011112222'\n    role_name: lister\n");
    let role = Access::Role {
        arn: "arn:aws:iam::000011112222:role/lister".into(),
        external_id: None,
    };
    assert_eq!(listing, role);
}

fn organization_access(lines: &str) -> Access {
    let config = Config::parse(&organization(lines), "test").unwrap();
    let organization = &config.accounts.organization.as_ref().unwrap().value;
    organization.access("aws")
}

#[test]
fn regions_are_listed_or_those_that_are_enabled() {
    let regions = |text: &str| {
        let text = with("regions: [us-east-1]", &format!("regions: {text}"));
        Config::parse(&text, "test").map(|config| config.regions)
    };
    let ireland = || vec!["eu-west-1".parse().unwrap()];
    assert_eq!(regions("[eu-west-1]").unwrap(), Regions::Listed(ireland()));
    let fallback = regions("{fallback: [eu-west-1]}").unwrap();
    assert_eq!(
        fallback,
        Regions::Enabled {
            fallback: ireland()
        }
    );
    for wrong in [
        "every",
        "[]",
        "{fallback: []}",
        "{fallback: [EU]}",
        "{all: true}",
        "3",
    ] {
        let told = regions(wrong).unwrap_err().to_string();
        assert!(told.contains(":7:") || told.contains("line 7 "), "{told}");
    }
}

#[test]
fn a_bad_organization_is_told_by_key_and_line() {
    for (lines, line, words) in [
        ("    refresh: 1s\n", 5, &["refresh", "1m"][..]),
        ("    refesh: 1h\n", 5, &["refesh"]),
        ("    include: [{units: [a]}]\n", 5, &["units"]),
        (
            "    include:\n      - {}\n",
            6,
            &["include[0]", "organizational_units"],
        ),
        ("    include: [{names: []}]\n", 5, &["empty"]),
        (
            "    include: [{organizational_units: [a//b]}]\n",
            5,
            &["Workloads/Prod"],
        ),
        ("    exclude: [{tags: ['=x']}]\n", 5, &["key"]),
        (
            "    tags: false\n    exclude: [{tags: [a]}]\n",
            6,
            &["exclude[0]", "tags are not read"],
        ),
        ("    role_name: lister\n", 5, &["account"]),
        ("    external_id: secret-id\n", 5, &["role_name"]),
        (
            "    overrides: [{id: '111122223333', credentials: hub, role_name: a}]\n",
            5,
            &["overrides[0]", "credentials: hub"],
        ),
        (
            "    tags: true\n  list: [{id: '111122223333'}]\n",
            5,
            &["list or organization"],
        ),
    ] {
        let told = refused(&organization(lines));
        for word in words {
            assert!(told.contains(word), "{word} is not in:\n{told}");
        }
        let line_told =
            told.contains(&format!("line {line} ")) || told.contains(&format!(":{line}:"));
        assert!(line_told, "line {line} is not in:\n{told}");
    }
    let roleless = organization("    tags: true\n").replace("role_name: reader", "");
    assert!(refused(&roleless).contains("need a role"));
    let fixed = organization("    tags: true\n").replace(
        "role_name: reader",
        "role_arn: 'arn:aws:iam::111122223333:role/r'",
    );
    assert!(refused(&fixed).contains("{account_id}"));
    let nobody = MINIMAL.replace(
        "  list:\n    - id: 012345678901\n      role_name: reader\n",
        "  defaults: {}\n",
    );
    assert!(refused(&nobody).contains("organization"));
}
