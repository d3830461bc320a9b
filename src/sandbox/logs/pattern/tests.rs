//! The examples of AWS's documentation, and what the sandbox makes of what it leaves open.

use serde_json::{Value, json};

use super::Pattern;

/// *Matching terms in JSON log events.*
fn trail_event() -> Value {
    json!({
        "eventType": "UpdateTrail",
        "sourceIPAddress": "111.111.111.111",
        "arrayKey": ["value", "another value"],
        "objectList": [{"name": "a", "id": 1}, {"name": "b", "id": 2}],
        "SomeObject": null,
        "ThisFlag": true,
    })
}

/// *Using compound expressions to match terms in JSON objects.*
fn people() -> Value {
    json!({
        "user": {"id": 1, "email": "John.Stiles@example.com"},
        "users": [
            {"id": 2, "email": "John.Doe@example.com"},
            {"id": 3, "email": "Jane.Doe@example.com"},
        ],
        "actions": ["GET", "PUT", "DELETE"],
        "coordinates": [[0, 1, 2], [4, 5, 6], [7, 8, 9]],
    })
}

#[track_caller]
fn matches(event: &Value, pattern: &str) -> bool {
    let parsed: Pattern = pattern
        .parse()
        .unwrap_or_else(|error| panic!("{pattern}: {error}"));
    parsed.matches(event)
}

#[test]
fn strings() {
    assert!(matches(
        &trail_event(),
        r#"{ $.eventType = "UpdateTrail" }"#
    ));
    assert!(!matches(
        &trail_event(),
        r#"{ $.eventType = "updatetrail" }"#
    ));
    assert!(!matches(
        &trail_event(),
        r#"{ $.eventType != "UpdateTrail" }"#
    ));
    assert!(matches(
        &trail_event(),
        r#"{ $.arrayKey[1] = "another value" }"#
    ));
}

#[test]
fn an_address_outside_a_prefix() {
    assert!(matches(
        &trail_event(),
        "{ $.sourceIPAddress != 123.123.* }"
    ));
    assert!(!matches(
        &trail_event(),
        "{ $.sourceIPAddress != 111.111.* }"
    ));
}

#[test]
fn elements_of_arrays_and_objects_in_them() {
    assert!(matches(&trail_event(), r#"{ $.arrayKey[0] = "value" }"#));
    assert!(matches(&trail_event(), "{ $.objectList[1].id = 2 }"));
    assert!(!matches(&trail_event(), "{ $.objectList[2].id = 2 }"));
    // "If arrayKey is not an array this will be false."
    assert!(!matches(
        &trail_event(),
        r#"{ $.eventType[0] = "UpdateTrail" }"#
    ));
    assert!(!matches(&trail_event(), "{ $.objectList.id = 2 }"));
}

#[test]
fn is_null_is_true_is_false() {
    assert!(matches(&trail_event(), "{ $.SomeObject IS NULL }"));
    assert!(!matches(&trail_event(), "{ $.eventType IS NULL }"));
    // "This will only be true if the specified object is set to null."
    assert!(!matches(&trail_event(), "{ $.SomeOtherObject IS NULL }"));
    assert!(matches(&trail_event(), "{ $.ThisFlag IS TRUE }"));
    assert!(!matches(&trail_event(), "{ $.ThisFlag IS FALSE }"));
    assert!(matches(
        &json!({"ThisFlag": false}),
        "{ $.ThisFlag IS FALSE }"
    ));
}

#[test]
fn not_exists() {
    assert!(matches(&trail_event(), "{ $.SomeOtherObject NOT EXISTS }"));
    assert!(!matches(&trail_event(), "{ $.SomeObject NOT EXISTS }"));
    assert!(matches(
        &trail_event(),
        "{ $.SomeObject.Member NOT EXISTS }"
    ));
}

#[test]
fn numbers() {
    let event = json!({
        "bandwidth": 76, "latency": 49, "refreshRate": 60, "responseTime": 5, "errorCode": 400,
        "number": [0.001], "numbers": [9999], "processes": [0, 1, 2, 3, {"averageRuntime": 55.5}],
    });
    for pattern in [
        "{ $.bandwidth > 75 }",
        "{ $.latency < 50 }",
        "{ $.refreshRate >= 60 }",
        "{ $.responseTime <= 5 }",
        "{ $.errorCode = 400}",
        "{ $.errorCode != 500 }",
        "{ $.number[0] = 1e-3 }",
        "{ $.number[0] != 1e+3 }",
        "{ $.numbers[0] < 10e3 }",
        "{ $.processes[4].averageRuntime <= 55.5 }",
        "{ $.latency > -1 }",
    ] {
        assert!(matches(&event, pattern), "{pattern}");
    }
    for pattern in [
        "{ $.latency >= 500 }",
        "{ $.numbers[0] < 10e-3 }",
        "{ $.latency > +1000 }",
        "{ $.errorCode != 400 }",
        "{ $.bandwidth < 76 }",
        "{ $.refreshRate > 60 }",
    ] {
        assert!(!matches(&event, pattern), "{pattern}");
    }
}

#[test]
fn and_or_parentheses_and_their_order() {
    let people = people();
    let email = r#"$.user.email = "John.Stiles@example.com""#;
    for pattern in [
        r#"{ ($.user.id = 1) && ($.users[0].email = "John.Doe@example.com") }"#.to_owned(),
        format!(
            r#"{{ {email} || $.coordinates[0][1] = "nonmatch" && $.actions[2] = "nonmatch" }}"#
        ),
        format!("{{ {email} || $.coordinates[0][1] = nonmatch && $.actions[2] = nomatch }}"),
    ] {
        assert!(matches(&people, &pattern), "{pattern}");
    }
    for pattern in [
        r#"{ ($.user.id = 2 && $.users[0].email = "nonmatch") || $.actions[2] = "GET" }"#
            .to_owned(),
        format!(
            r#"{{ ({email} || $.coordinates[0][1] = "nonmatch") && $.actions[2] = "nonmatch" }}"#
        ),
    ] {
        assert!(!matches(&people, &pattern), "{pattern}");
    }
    assert!(matches(
        &json!({"foo": "bar"}),
        "{$.foo = bar || $.foo = baz }"
    ));
    assert!(matches(
        &json!({"foo": "baz"}),
        "{$.foo = bar || $.foo = baz }"
    ));
    assert!(!matches(&json!({"foo": "baz"}), "{$.foo = bar}"));
}

#[test]
fn wildcards_stand_before_and_behind() {
    for (pattern, name, expected) in [
        ("{ $.eventName = *Event }", "PutEvent", true),
        ("{ $.eventName = *Event }", "GetEvent", true),
        ("{ $.eventName = *Event }", "EventId", false),
        ("{ $.eventName = Event* }", "EventId", true),
        ("{ $.eventName = Event* }", "EventName", true),
        ("{ $.eventName = Event* }", "PutEvent", false),
        // "Ev*ent will only match the actual string Ev*ent."
        ("{ $.eventName = Ev*ent }", "Ev*ent", true),
        ("{ $.eventName = Ev*ent }", "Event", false),
        (r#"{ $.eventName = "*vent*" }"#, "PutEvents", true),
        (r#"{ $.eventName != "Put*" }"#, "PutEvents", false),
        (r#"{ $.eventName != "Put*" }"#, "GetEvents", true),
    ] {
        let event = json!({"eventName": name});
        assert_eq!(matches(&event, pattern), expected, "{pattern} {name}");
    }
    // Any value at all, as in the documentation's metric on `{ $.latency = * }`.
    assert!(matches(&json!({"latency": 50}), "{ $.latency = * }"));
    assert!(!matches(&json!({}), "{ $.latency = * }"));
    assert!(matches(&json!({"status": 404}), "{ $.status = 4* }"));
}

/// "If a property selector points to an array or object, the filter won't match."
#[test]
fn an_array_or_object_is_no_value() {
    let event = json!({"users": [1, 2, 3], "user": {"id": 1}});
    for pattern in [
        "{ $.users = 1 }",
        "{ $.users != 1 }",
        r#"{ $.user = "x" }"#,
        r#"{ $.user != "x" }"#,
        "{ $.users = * }",
    ] {
        assert!(!matches(&event, pattern), "{pattern}");
    }
}

/// What AWS's controls look for in CloudTrail's own records, quoted or not.
#[test]
fn what_security_hub_asks() {
    let root = json!({"userIdentity": {"type": "Root"}, "eventType": "AwsApiCall"});
    assert!(matches(
        &root,
        r#"{$.userIdentity.type = "Root" && $.userIdentity.invokedBy NOT EXISTS && $.eventType != "AwsServiceEvent"}"#
    ));
    let key = json!({"eventSource": "kms.amazonaws.com", "eventName": "DisableKey"});
    assert!(matches(
        &key,
        "{($.eventSource=kms.amazonaws.com) && (($.eventName=DisableKey) || ($.eventName=ScheduleKeyDeletion))}"
    ));
    let denied = json!({"errorCode": "Client.UnauthorizedOperation"});
    assert!(matches(
        &denied,
        r#"{($.errorCode="*UnauthorizedOperation") || ($.errorCode="AccessDenied*")}"#
    ));
}

/// Undocumented, or seen in the console only: the reading that finds less.
#[test]
fn what_is_left_open_finds_nothing() {
    let event = json!({"id": 1, "text": "1", "flag": true, "nothing": null});
    for pattern in [
        "{ $.missing != x }",
        "{ $.missing != 1 }",
        r#"{ $.id = "1" }"#,
        r#"{ $.id != "2" }"#,
        "{ $.text = 1 }",
        "{ $.text != 2 }",
        r#"{ $.flag = "true" }"#,
        r#"{ $.nothing != "x" }"#,
    ] {
        assert!(!matches(&event, pattern), "{pattern}");
    }
}

#[test]
fn what_is_no_json_pattern_is_refused() {
    for pattern in [
        " ",
        "ERROR",
        r#""ERROR" - "Exiting""#,
        "?ERROR ?WARN",
        "%AUTHORIZED%",
        "[w1=ERROR, w2]",
        "{}",
        "{ $ = 1 }",
        "{ $. = 1 }",
        "{ eventName = x }",
        "{ $.a }",
        "{ $.a = }",
        "{ $.a == x }",
        "{ $.a = x",
        "{ $.a = x } y",
        "{ $.a = x & $.b = y }",
        "{ $.a = x and $.b = y }",
        "{ ($.a = x }",
        "{ $.a = x) }",
        "{ $.a = \"x }",
        r#"{ $.a = "x\"y" }"#,
        "{ $.a = 'x' }",
        "{ $.a = a-b }",
        "{ $.a = a@b }",
        "{ $.a > x }",
        r#"{ $.a < "1" }"#,
        "{ $.a = %x% }",
        "{ $.a[*] = x }",
        "{ $.a[x] = x }",
        "{ $.a[-1] = x }",
        "{ $.a IS NOT NULL }",
        "{ $.a IS x }",
        "{ $.a EXISTS }",
        "{ $.a NOT x }",
        "{ $.a is null }",
        "{ $['a'] = x }",
    ] {
        assert!(pattern.parse::<Pattern>().is_err(), "{pattern}");
    }
    let deep = format!("{{ {}$.a = x{} }}", "(".repeat(500), ")".repeat(500));
    assert!(deep.parse::<Pattern>().is_err());
    let error = "{ $.a = 'x' }".parse::<Pattern>().unwrap_err().to_string();
    assert!(error.ends_with("at character 8"), "{error}");
}
