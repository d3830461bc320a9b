//! What runs by itself: servers, functions, AWS's own services; and the root user, once.

use serde_json::json;

use super::apis::{LOOKING, Place, SERVING};
use super::cast::Cast;
use super::days::{DAY, Day};
use super::identity::{Caller, From, Issuer};
use super::record::{REGIONS, Region};
use super::sign_in::signed_in;
use super::trail::Trail;

/// A server gets its role's credentials and asks for what it needs, over some hours.
pub(super) fn server(trail: &mut Trail, cast: &Cast, day: Day) {
    let server = trail.dice.pick(&cast.servers);
    let account = cast.account_by_id(&server.role.account_id);
    let mut time = day.any_time(trail);
    let session = trail.assume_role_for(
        time,
        "ec2.amazonaws.com",
        &server.role,
        &server.id,
        server.region,
    );
    let agent = "aws-sdk-java/2.32.9 md/io#sync md/http#Apache ua/2.1 os/Linux#6.1.141 lang/java#21.0.8 md/OpenJDK_64-Bit_Server_VM md/vendor#Amazon.com_Inc.";
    let caller = Caller::session(&session, From::new(&*server.ip, agent));
    let place = Place {
        account,
        region: server.region,
    };
    for _ in 0..trail.dice.between(3, 8) {
        time += trail.dice.between(0, 1800);
        let call = trail.dice.pick(SERVING);
        trail.perform(time, &caller, call, &place);
    }
    if trail.dice.chance(50) {
        let name = format!("{}/database", account.name);
        read_secret(trail, time + 1, &caller, &place, &name);
    }
}

/// A function starts up: Lambda takes its role, then it does its work.
pub(super) fn function(trail: &mut Trail, cast: &Cast, day: Day) {
    let roles = cast.roles_named("worker-function");
    let role = *trail.dice.pick(&roles);
    let account = cast.account_by_id(&role.account_id);
    let region = *trail.dice.pick(&REGIONS);
    let place = Place { account, region };
    let time = day.any_time(trail);
    let name = format!("{}-worker", account.name);
    let session = trail.assume_role_for(time, "lambda.amazonaws.com", role, &name, region);
    let agent = "Boto3/1.40.4 md/Botocore#1.40.4 ua/2.1 os/linux#5.10.240 md/arch#arm64 lang/python#3.13.5 exec-env/AWS_Lambda_python3.13";
    let ip = format!("10.16.32.{}", trail.dice.between(4, 250));
    let caller = Caller::session(&session, From::new(ip, agent));
    if account.name == "prod-web" {
        let invoked = place.arn("lambda", &format!("function:{name}"));
        let service = Caller::service(&account.id, "events.amazonaws.com");
        let record = trail
            .draft(time, &service, "lambda", "Invoke", region)
            .request(json!({"functionName": invoked, "invocationType": "Event"}))
            .resource("AWS::Lambda::Function", &invoked, &account.id)
            .with("readOnly", false)
            .data();
        trail.write(record);
    }
    for step in 0..trail.dice.between(1, 4) {
        let call = trail.dice.pick(SERVING);
        trail.perform(time + step / 2, &caller, call, &place);
    }
}

/// AWS services in an account: they deliver logs, decrypt, scale.
pub(super) fn services(trail: &mut Trail, cast: &Cast, day: Day) {
    let account = trail.dice.pick(&cast.accounts);
    let region = *trail.dice.pick(&REGIONS);
    let place = Place { account, region };
    let time = day.any_time(trail);
    let (service, api, name) = *trail.dice.pick(&[
        ("cloudtrail.amazonaws.com", "s3", "GetBucketAcl"),
        ("config.amazonaws.com", "s3", "GetBucketAcl"),
        ("delivery.logs.amazonaws.com", "kms", "GenerateDataKey"),
        ("dynamodb.amazonaws.com", "kms", "Decrypt"),
        ("autoscaling.amazonaws.com", "ec2", "DescribeInstanceStatus"),
    ]);
    let caller = Caller::service(&account.id, service);
    let mut record = trail.draft(time, &caller, api, name, region);
    record = match api {
        "s3" => record
            .request(json!({"bucketName": place.bucket(), "Host": format!("{}.s3.amazonaws.com", place.bucket()), "acl": ""}))
            .resource("AWS::S3::Bucket", &format!("arn:aws:s3:::{}", place.bucket()), &account.id),
        "kms" => record
            .request(json!({"encryptionContext": {"aws:service": service}, "encryptionAlgorithm": "SYMMETRIC_DEFAULT"}))
            .resource("AWS::KMS::Key", &key_arn(&place), &account.id),
        _ => record.request(json!({"instancesSet": {}, "filterSet": {}})),
    };
    let record = record.with("sharedEventID", trail.dice.uuid());
    trail.write(record);
}

/// AWS Config looks at its bucket in every account, every day: no account is ever quite still. Draws no
/// more than it must, so that the rest of an organization is as it would be without.
pub(super) fn every_day(trail: &mut Trail, cast: &Cast, times: &std::ops::Range<i64>) {
    let days = times.start.div_euclid(DAY)..=times.end.div_euclid(DAY);
    for day in days {
        for (number, account) in (0..).zip(&cast.accounts) {
            let time = day * DAY + 2 * 3600 + 61 * number;
            if !times.contains(&time) {
                continue;
            }
            let region = REGIONS[0];
            let place = Place { account, region };
            let caller = Caller::service(&account.id, "config.amazonaws.com");
            let bucket = place.bucket();
            let record = trail
                .draft(time, &caller, "s3", "GetBucketAcl", region)
                .request(json!({"bucketName": bucket, "acl": ""}))
                .resource(
                    "AWS::S3::Bucket",
                    &format!("arn:aws:s3:::{bucket}"),
                    &account.id,
                );
            trail.write(record);
        }
    }
}

/// An event that a service reports of itself: its identity has no type.
pub(super) fn key_rotation(trail: &mut Trail, cast: &Cast, day: Day) {
    let account = trail.dice.pick(&cast.accounts);
    let region = *trail.dice.pick(&REGIONS);
    let key = key_arn(&Place { account, region });
    let identity = json!({"accountId": account.id, "invokedBy": "AWS Internal"});
    let from = From::new("AWS Internal", "AWS Internal");
    let caller = Caller::of(&account.id, from, identity);
    let time = day.any_time(trail);
    let record = trail
        .draft(time, &caller, "kms", "RotateKey", region)
        .with("eventType", "AwsServiceEvent")
        .with(
            "serviceEventDetails",
            json!({"keyId": key, "rotationType": "AUTOMATIC"}),
        )
        .resource("AWS::KMS::Key", &key, &account.id);
    trail.write(record);
}

/// Objects read and written: data events, which only the archive has.
pub(super) fn objects(trail: &mut Trail, cast: &Cast, day: Day) {
    let account = cast.account("prod-data");
    let servers: Vec<_> = cast
        .servers
        .iter()
        .filter(|server| server.role.account_id == account.id)
        .collect();
    let server = *trail.dice.pick(&servers);
    let place = Place {
        account,
        region: server.region,
    };
    let mut time = day.any_time(trail);
    let mut session = trail.session(time - 600, &server.role, &server.id);
    session.origin = Issuer::Ec2;
    let caller = Caller::session(
        &session,
        From::new(
            &*server.ip,
            "[aws-sdk-java/2.32.9 md/io#async ua/2.1 os/Linux#6.1.141 lang/java#21.0.8]",
        ),
    );
    for part in 0..trail.dice.between(2, 6) {
        let key = format!("orders/{}/part-{part:05}.parquet", day.start);
        let name = *trail.dice.pick(&["GetObject", "GetObject", "PutObject"]);
        object(trail, time, &caller, &place, name, &key);
        time += trail.dice.between(0, 2);
    }
}

/// One object read or written.
pub(super) fn object(
    trail: &mut Trail,
    time: i64,
    caller: &Caller,
    place: &Place<'_>,
    name: &str,
    key: &str,
) {
    let bucket = place.bucket();
    let record = trail
        .draft(time, caller, "s3", name, place.region)
        .request(json!({"bucketName": bucket, "key": key, "Host": format!("{bucket}.s3.{}.amazonaws.com", place.region)}))
        .with("additionalEventData", json!({"SignatureVersion": "SigV4", "AuthenticationMethod": "AuthHeader", "CipherSuite": "TLS_AES_128_GCM_SHA256", "bytesTransferredIn": 0, "bytesTransferredOut": trail.dice.between(900, 9_000_000)}))
        .resource("AWS::S3::Object", &format!("arn:aws:s3:::{bucket}/{key}"), &place.account.id)
        .resource("AWS::S3::Bucket", &format!("arn:aws:s3:::{bucket}"), &place.account.id)
        .data();
    trail.write(record);
}

/// A call through a VPC endpoint whose policy denies it: network activity.
pub(super) fn endpoint(trail: &mut Trail, cast: &Cast, day: Day) {
    if !trail.dice.chance(25) {
        return;
    }
    let server = trail.dice.pick(&cast.servers);
    let account = cast.account_by_id(&server.role.account_id);
    let session = trail.session(day.start, &server.role, &server.id);
    let mut caller = Caller::session(&session, From::new(&*server.ip, "AWS Internal"));
    caller.identity = caller.seen_from_outside();
    let time = day.any_time(trail);
    let place = Place {
        account,
        region: server.region,
    };
    let record = trail
        .draft(time, &caller, "s3", "GetObject", server.region)
        .request(json!({"bucketName": place.bucket(), "key": "reports/latest.csv"}))
        .error(
            "VpceAccessDenied",
            "The request was denied due to a VPC endpoint policy",
        )
        .with("eventType", "AwsVpceEvent")
        .with("managementEvent", false)
        .with("eventCategory", "NetworkActivity")
        .with("vpcEndpointId", format!("vpce-0{}", trail.dice.hex(16)))
        .with("vpcEndpointAccountId", &*account.id);
    trail.write(record);
}

/// A secret is read; Secrets Manager decrypts it with the reader's rights.
pub(super) fn read_secret(
    trail: &mut Trail,
    time: i64,
    caller: &Caller,
    place: &Place<'_>,
    name: &str,
) {
    let secret = place.arn("secretsmanager", &format!("secret:{name}-Xq7bTd"));
    let record = trail
        .draft(
            time,
            caller,
            "secretsmanager",
            "GetSecretValue",
            place.region,
        )
        .request(json!({"secretId": secret, "versionStage": "AWSCURRENT"}));
    trail.write(record);
    let record = trail
        .draft(time, &caller.through("secretsmanager.amazonaws.com"), "kms", "Decrypt", place.region)
        .request(json!({"encryptionContext": {"SecretARN": secret}, "encryptionAlgorithm": "SYMMETRIC_DEFAULT"}))
        .resource("AWS::KMS::Key", &key_arn(place), &place.account.id);
    trail.write(record);
}

/// Once, somebody signs in as root.
pub(super) fn root_once(trail: &mut Trail, cast: &Cast, time: i64) {
    let account = cast.account("management");
    let region: Region = REGIONS[0];
    let caller = Caller::root(
        &account.id,
        time,
        From::new("192.0.2.12", cast.people[0].browser),
    );
    signed_in(trail, time, &caller, region, "Yes");
    for (step, call) in (1..).zip(&LOOKING[..5]) {
        trail.perform(time + step * 12, &caller, call, &Place { account, region });
    }
}

/// The account's key in a Region.
fn key_arn(place: &Place<'_>) -> String {
    place.arn(
        "kms",
        &format!(
            "key/{:0>8}-0000-4000-8000-{}",
            place.region.len(),
            place.account.id
        ),
    )
}
