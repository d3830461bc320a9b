//! Hostile texts, and the fields of a request that take text.

use identity_trail::grpc::pb::identity::Kind;
use identity_trail::grpc::pb::{
    AccountSelector, AccountTag, EventFilter, Identity, RoleSession, SearchEventsRequest,
};

/// Texts that mean more than themselves to some language between a caller and AWS's data.
const HOSTILE: &[&str] = &[
    // SQL: quotes, comments, statements, escapes of other dialects, LIKE's own.
    "'",
    "''",
    "'''",
    "alice'",
    "alice''--",
    "' OR '1'='1",
    "alice' --",
    "alice'/*",
    "*/",
    "/**/",
    "--",
    "#",
    ";",
    "alice; DROP TABLE cloudtrail; --",
    "') UNION SELECT 1 --",
    "\\",
    "alice\\",
    "alice\\'",
    "\\\\'",
    "U&'\\0027'",
    "\\u0027",
    "%27",
    "&#39;",
    "CHAR(39)",
    "0x27",
    "\u{2bc}",
    "\u{ff07}",
    "\u{2019}",
    "%",
    "_",
    "__",
    "alice%",
    "al_ce",
    "100%",
    "\\%",
    "\\_",
    "[a-z]",
    "\"",
    "alice\"",
    "\"\"",
    "`id`",
    "$$",
    "?",
    ":1",
    "@@version",
    "NULL",
    "null",
    "true",
    // Filter patterns.
    "{",
    "}",
    "{}",
    "{ $.eventName = \"*\" }",
    "\") || ($.eventName = \"*",
    "$.eventName",
    "||",
    "&&",
    "a||b",
    "!=",
    "%alice%",
    "%^a.*%",
    "IS NULL",
    "NOT EXISTS",
    // Insights: pipes, comments, slashes around expressions, the expressions themselves.
    "|",
    "| limit 0",
    "alice | fields @message",
    "/",
    "alice/",
    "/ or 1=1",
    "//",
    "\n| limit 1",
    ".",
    "..",
    ".*",
    ".+",
    "a|b",
    "(a|b)+",
    "(?i)alice",
    "(a+)+$",
    "[",
    "]",
    "[^a]",
    "^alice$",
    "\\Qalice\\E",
    "\\/",
    "$",
    "+",
    "(",
    ")",
    "a{2}",
    // ARNs and policies.
    "*",
    "**",
    "alice*",
    "*:*",
    ":",
    "a:b",
    "alice:extra",
    "${aws:username}",
    "${*}",
    "arn:aws:iam::*:user/*",
    "arn:aws:iam::222222222222:user/alice:extra",
    "../../etc/passwd",
    "a//b",
    "/a/",
    // Characters that end, hide or turn text around.
    "\0",
    "alice\0",
    "\u{1}",
    "\u{7f}",
    "\u{85}",
    "\u{1b}[2J",
    "alice\r\nx-injected: 1",
    "\t",
    "alice\n",
    " alice",
    "alice ",
    " ",
    "\u{a0}",
    "\u{2028}",
    "\u{202e}ecila",
    "al\u{200b}ice",
    "\u{feff}alice",
    "a\u{301}lice",
    "\u{430}lice",
    "\u{17f}",
    "\u{212a}elvin",
    "\u{130}",
    "\u{10ffff}",
    "\u{1f600}",
    "\u{fffd}",
    // What other readers make of text.
    "<script>",
    "{{7*7}}",
    "=cmd",
    "=cmd|' /C calc'!A0",
    "-1",
    "--help",
    "=",
    ",",
    "@",
    "-",
    "@file",
];

/// The texts, and longer ones.
pub fn hostile() -> Vec<String> {
    let long = ["x", "'", "\\", "%", "*", "\u{1f600}", "/"];
    let long = long
        .iter()
        .flat_map(|text| [text.repeat(65), text.repeat(10_000)]);
    HOSTILE
        .iter()
        .map(|text| (*text).to_owned())
        .chain(long)
        .collect()
}

/// A field of a request that takes text.
pub struct Field {
    /// What a refusal names.
    pub path: &'static str,
    /// Puts the text there, into a request that is well-formed otherwise.
    put: fn(&mut SearchEventsRequest, &str),
    /// What stands around the text, `@` for itself.
    frame: &'static str,
}

impl Field {
    /// A request with this text there.
    pub fn request(&self, text: &str) -> SearchEventsRequest {
        let mut request = SearchEventsRequest::default();
        (self.put)(&mut request, &self.frame.replacen('@', text, 1));
        request
    }

    /// What is sent to AWS may hold this field's text.
    pub fn reaches_aws(&self) -> bool {
        !self.path.starts_with("account_selector")
    }
}

/// Every field that takes text, those with parts in each of them.
pub fn fields() -> Vec<Field> {
    let mut fields = identities();
    fields.extend(arns());
    fields.extend(others());
    fields
}

fn field(path: &'static str, put: fn(&mut SearchEventsRequest, &str)) -> Field {
    Field {
        path,
        put,
        frame: "@",
    }
}

fn ask(request: &mut SearchEventsRequest, kind: Kind) {
    request.identities = vec![Identity { kind: Some(kind) }];
}

fn filter(request: &mut SearchEventsRequest, change: impl FnOnce(&mut EventFilter)) {
    let mut filter = EventFilter {
        event_names: vec!["DescribeInstances".into()],
        ..EventFilter::default()
    };
    change(&mut filter);
    request.filter = Some(filter);
}

fn select(request: &mut SearchEventsRequest, selector: AccountSelector) {
    ask(request, Kind::UserName("alice".into()));
    request.account_selector = Some(selector);
}

fn identities() -> Vec<Field> {
    vec![
        field("identities[0].user_name", |r, v| {
            ask(r, Kind::UserName(v.into()));
        }),
        field("identities[0].role_name", |r, v| {
            ask(r, Kind::RoleName(v.into()));
        }),
        field("identities[0].session_name", |r, v| {
            ask(r, Kind::SessionName(v.into()));
        }),
        field("identities[0].permission_set", |r, v| {
            ask(r, Kind::PermissionSet(v.into()));
        }),
        field("identities[0].access_key_id", |r, v| {
            ask(r, Kind::AccessKeyId(v.into()));
        }),
        field("identities[0].principal_id", |r, v| {
            ask(r, Kind::PrincipalId(v.into()));
        }),
        field("identities[0].source_identity", |r, v| {
            ask(r, Kind::SourceIdentity(v.into()));
        }),
        field("identities[0].identity_center_user_id", |r, v| {
            ask(r, Kind::IdentityCenterUserId(v.into()));
        }),
        field("identities[0].role_session.role_name", |r, v| {
            let (role_name, session_name) = (v.into(), "session".into());
            ask(
                r,
                Kind::RoleSession(RoleSession {
                    role_name,
                    session_name,
                }),
            );
        }),
        field("identities[0].role_session.session_name", |r, v| {
            let (role_name, session_name) = ("Admin".into(), v.into());
            ask(
                r,
                Kind::RoleSession(RoleSession {
                    role_name,
                    session_name,
                }),
            );
        }),
    ]
}

fn arns() -> Vec<Field> {
    let frames = [
        "@",
        "arn:@:iam::222222222222:user/alice",
        "arn:aws:@::222222222222:user/alice",
        "arn:aws:iam:@:222222222222:user/alice",
        "arn:aws:iam::@:user/alice",
        "arn:aws:iam::222222222222:@",
        "arn:aws:iam::222222222222:user/@",
        "arn:aws:iam::222222222222:user/@/alice",
        "arn:aws:iam::222222222222:role/@",
        "arn:aws:iam::222222222222:role/team/@/Admin",
        "arn:aws:iam::222222222222:role/team/@",
        "arn:aws:sts::222222222222:assumed-role/@/session",
        "arn:aws:sts::222222222222:assumed-role/Admin/@",
        "arn:aws:sts::222222222222:federated-user/@",
    ];
    let arn = |frame| Field {
        path: "identities[0].arn",
        put: |r, v| ask(r, Kind::Arn(v.into())),
        frame,
    };
    frames.map(arn).into()
}

fn others() -> Vec<Field> {
    let account_ids = |frame| Field {
        path: "account_ids[0]",
        put: |r, v| {
            ask(r, Kind::UserName("alice".into()));
            r.account_ids = vec![v.into()];
        },
        frame,
    };
    vec![
        account_ids("@"),
        account_ids("22222222222@"),
        field("regions[0]", |r, v| {
            ask(r, Kind::UserName("alice".into()));
            r.regions = vec![v.into()];
        }),
        field("account_selector.names[0]", |r, v| {
            select(
                r,
                AccountSelector {
                    names: vec![v.into()],
                    ..AccountSelector::default()
                },
            );
        }),
        field("account_selector.organizational_units[0]", |r, v| {
            let organizational_units = vec![v.into()];
            select(
                r,
                AccountSelector {
                    organizational_units,
                    ..AccountSelector::default()
                },
            );
        }),
        field("account_selector.tags[0]", |r, v| {
            let tags = vec![AccountTag {
                key: v.into(),
                value: None,
            }];
            select(
                r,
                AccountSelector {
                    tags,
                    ..AccountSelector::default()
                },
            );
        }),
        field("account_selector.tags[0]", |r, v| {
            let tags = vec![AccountTag {
                key: "team".into(),
                value: Some(v.into()),
            }];
            select(
                r,
                AccountSelector {
                    tags,
                    ..AccountSelector::default()
                },
            );
        }),
        field("filter.event_names[0]", |r, v| {
            filter(r, |f| f.event_names = vec![v.into()]);
        }),
        field("filter.event_sources[0]", |r, v| {
            filter(r, |f| f.event_sources = vec![v.into()]);
        }),
        field("filter.error_codes[0]", |r, v| {
            filter(r, |f| f.error_codes = vec![v.into()]);
        }),
        field("filter.event_ids[0]", |r, v| {
            filter(r, |f| f.event_ids = vec![v.into()]);
        }),
        field("filter.resources[0]", |r, v| {
            filter(r, |f| f.resources = vec![v.into()]);
        }),
        field("filter.source_ips[0]", |r, v| {
            filter(r, |f| f.source_ips = vec![v.into()]);
        }),
        Field {
            path: "filter.source_ips[0]",
            put: |r, v| filter(r, |f| f.source_ips = vec![v.into()]),
            frame: "203.0.113.0/@",
        },
        field("resume_token", |r, v| {
            ask(r, Kind::UserName("alice".into()));
            r.resume_token = v.into();
        }),
    ]
}
