"""Renders the chart for several values files, holds what comes out against Kubernetes' own schemas, and asks the program
whether it would start with the configuration.

usage: chart_check.py HELM IDENTITY_TRAIL
"""

import base64
import functools
import json
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import kubernetes_validate
import yaml

import checks

HELM, BINARY = sys.argv[1], sys.argv[2]
CHART = Path("helm/identity-trail")
VALUES = sorted([*CHART.glob("ci/*.yaml"), Path("deploy/values.yaml")])
KUBERNETES = ("1.30", "1.33", "1.36")
CONFIGURATION = "identity-trail.yaml"
# What the Prometheus operator brings: no part of Kubernetes.
OPERATOR = "monitoring.coreos.com/v1"


def helm(command, *arguments):
    # A helm that is built from its module takes every cluster for an old one.
    arguments = [command, "--kube-version", f"{KUBERNETES[-1]}.0", *arguments]
    return subprocess.run([HELM, *arguments], capture_output=True, text=True, timeout=60, check=False)


@functools.cache
def rendered(values, *more):
    """The manifests by kind."""
    done = helm("template", "trail", str(CHART), "--namespace", "audit", "--values", str(values), *more)
    assert done.returncode == 0, f"{values}: {done.stderr}"
    manifests = [it for it in yaml.safe_load_all(done.stdout) if it]
    assert len({it["kind"] for it in manifests}) == len(manifests), manifests
    return {it["kind"]: it for it in manifests}


def container(manifests):
    return manifests["Deployment"]["spec"]["template"]["spec"]["containers"][0]


def configuration(manifests):
    return manifests["Secret"]["stringData"][CONFIGURATION]


def refused(*settings, values=CHART / "ci/small.yaml"):
    """What helm says against these settings."""
    flags = [part for setting in settings for part in ("--set-json", setting)]
    done = helm("template", "trail", str(CHART), "--values", str(values), *flags)
    assert done.returncode != 0, f"not refused: {settings}"
    return done.stderr


@functools.cache
def key_material():
    """A certificate, its key, and a set of the issuer's keys, by the names that the chart expects."""
    with tempfile.TemporaryDirectory() as folder:
        def openssl(*arguments):
            return subprocess.run(["openssl", *arguments], cwd=folder, capture_output=True, text=True, check=True).stdout

        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=test", "-keyout", "key", "-out", "cert")
        modulus = openssl("rsa", "-in", "key", "-noout", "-modulus").strip().removeprefix("Modulus=")
        files = {name: (Path(folder) / name).read_text() for name in ("cert", "key")}
    modulus = base64.urlsafe_b64encode(bytes.fromhex(modulus)).decode().rstrip("=")
    jwk = {"kty": "RSA", "kid": "test", "use": "sig", "alg": "RS256", "e": "AQAB", "n": modulus}
    return {"tls.crt": files["cert"], "tls.key": files["key"], "ca.crt": files["cert"],
            "jwks.json": json.dumps({"keys": [jwk]})}


def mounted(manifests, name):
    """The files of a volume: the chart's own, and for those that others bring what they would have."""
    (volume,) = [it for it in manifests["Deployment"]["spec"]["template"]["spec"]["volumes"] if it["name"] == name]
    own = manifests["Secret"]
    if volume.get("secret", {}).get("secretName") == own["metadata"]["name"]:
        return own["stringData"]
    names = {
        "tls": ("tls.crt", "tls.key"), "client-ca": ("ca.crt",), "jwks": ("jwks.json",),
        # Of ci/volumes.yaml.
        "certificate": ("tls.crt", "tls.key"), "authorities": ("ca.crt",), "audit": (),
    }[name]
    return {it: key_material()[it] for it in names}


@checks.check
def helm_finds_nothing_to_say():
    for values in VALUES:
        done = helm("lint", "--strict", str(CHART), "--values", str(values))
        assert done.returncode == 0, done.stdout + done.stderr


@checks.check
def kubernetes_knows_every_field():
    for values in VALUES:
        for manifest in rendered(values).values():
            if manifest["apiVersion"] == OPERATOR:
                continue
            for version in KUBERNETES:
                kubernetes_validate.validate(manifest, version, strict=True)


@checks.check
def the_program_starts_with_the_configuration():
    for values in VALUES:
        manifests = rendered(values)
        mounts = container(manifests)["volumeMounts"]
        # The longest first: one may be the beginning of another.
        paths = sorted((it["mountPath"] for it in mounts), key=len, reverse=True)
        paths = re.compile("|".join(map(re.escape, paths)))
        with tempfile.TemporaryDirectory() as folder:
            def here(text, folder=folder, paths=paths):
                return paths.sub(lambda path: folder + path[0], text)

            for mount in mounts:
                place = Path(here(mount["mountPath"]))
                place.mkdir(parents=True)
                for name, text in mounted(manifests, mount["name"]).items():
                    (place / name).write_text(here(text))
            arguments = [here(it) for it in container(manifests)["args"]]
            assert arguments != container(manifests)["args"], arguments
            environment = {it["name"]: it.get("value", "from=a-secret") for it in container(manifests)["env"]}
            done = subprocess.run(
                [BINARY, *arguments, "--check-config"],
                capture_output=True, text=True, timeout=60, check=False, env=environment,
            )
        assert done.returncode == 0, f"{values}: {done.stderr}"


@checks.check
def what_goes_in_comes_out():
    """Helm reads numbers as floats: neither large ones nor ids, dates and durations may change on their way."""
    shared = {"requests_per_second", "filter_log_events_per_second"}

    def has(got, asked):
        """Everything that was asked for; the chart adds what is its own."""
        if isinstance(asked, dict):
            return all(key in shared or (key in got and has(got[key], value)) for key, value in asked.items())
        return got == asked

    for values in VALUES:
        # As text: nothing is read for more than it says.
        asked = yaml.load(values.read_text(), yaml.BaseLoader)["config"]
        got = yaml.load(configuration(rendered(values)), yaml.BaseLoader)
        for section, value in asked.items():
            assert has(got[section], value), got[section]


@checks.check
def replicas_share_the_quota():
    for replicas in (1, 2, 3, 7, 40):
        flags = ("--set", f"replicas={replicas},config.limits.filter_log_events_per_second=25")
        manifests = rendered(CHART / "ci/small.yaml", *flags)
        config = yaml.safe_load(configuration(manifests))
        for share, whole in (
            (config["event_history"]["requests_per_second"], 2),
            (config["limits"]["filter_log_events_per_second"], 25),
        ):
            assert 0.97 * whole < share * replicas <= whole, (share, replicas)
        # Nor are there ever more of them.
        assert manifests["Deployment"]["spec"]["strategy"]["rollingUpdate"]["maxSurge"] == 0
        assert manifests["Deployment"]["spec"]["replicas"] == replicas
    off = yaml.safe_load(configuration(rendered(CHART / "ci/sandbox.yaml")))
    assert off["event_history"]["requests_per_second"] == "off"


@checks.check
def a_new_configuration_is_a_new_rollout():
    def checksum(*flags):
        pod = rendered(CHART / "ci/small.yaml", *flags)["Deployment"]["spec"]["template"]
        return pod["metadata"]["annotations"]["checksum/configuration"]

    assert checksum() != checksum("--set", "config.hub.region=eu-west-1")
    assert checksum() == checksum("--set", "podLabels.team=x")


@checks.check
def pods_have_no_rights_that_they_do_not_need():
    for values in VALUES:
        manifests = rendered(values)
        pod = manifests["Deployment"]["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"] and pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        of_container = container(manifests)["securityContext"]
        assert of_container["readOnlyRootFilesystem"] and of_container["allowPrivilegeEscalation"] is False
        assert of_container["capabilities"] == {"drop": ["ALL"]}
        if "NetworkPolicy" in manifests:
            for rule in manifests["NetworkPolicy"]["spec"]["ingress"]:
                assert rule["from"], "a rule without peers lets everybody in"


@checks.check
def nobody_gets_in_by_default():
    spec = rendered(CHART / "ci/small.yaml")["NetworkPolicy"]["spec"]
    assert spec["ingress"] == [] and "Ingress" in spec["policyTypes"], spec


def everything_on():
    return rendered(CHART / "ci/organization.yaml")


@checks.check
def prometheus_finds_the_metrics():
    manifests = everything_on()
    monitor = manifests["ServiceMonitor"]
    assert monitor["apiVersion"] == OPERATOR
    (endpoint,) = monitor["spec"]["endpoints"]
    assert endpoint == {"port": "metrics", "path": "/metrics", "interval": "15s"}, endpoint
    assert monitor["spec"]["selector"]["matchLabels"].items() <= manifests["Service"]["metadata"]["labels"].items()
    ports = {it["name"]: it for it in manifests["Service"]["spec"]["ports"]}
    named = {it["name"]: it["containerPort"] for it in container(manifests)["ports"]}
    assert named[ports["metrics"]["targetPort"]] == ports["metrics"]["port"] == 9090, ports
    listen = yaml.safe_load(configuration(manifests))["telemetry"]["admin_listen"]
    assert listen == "0.0.0.0:9090", listen
    rules = manifests["NetworkPolicy"]["spec"]["ingress"]
    (scrapers,) = [it["from"] for it in rules if it["ports"] == [{"port": "metrics", "protocol": "TCP"}]]
    assert scrapers == [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}], scrapers


@checks.check
def metrics_can_be_left_out():
    manifests = rendered(CHART / "ci/sandbox.yaml")
    assert [it["name"] for it in manifests["Service"]["spec"]["ports"]] == ["grpc"]
    assert "admin_listen" not in configuration(manifests)
    assert not {"ServiceMonitor", "PrometheusRule", "ConfigMap"} & manifests.keys()


@checks.check
def the_dashboard_and_the_alerts_are_whole():
    manifests = everything_on()
    (dashboard,) = manifests["ConfigMap"]["data"].values()
    dashboard = json.loads(dashboard)
    panels = [it for it in dashboard["panels"] if it["type"] != "row"]
    assert len({it["id"] for it in dashboard["panels"]}) == len(dashboard["panels"])
    assert all(it["targets"] and all(query["expr"] for query in it["targets"]) for it in panels)
    assert manifests["ConfigMap"]["metadata"]["labels"]["grafana_dashboard"] == "1"
    (group,) = manifests["PrometheusRule"]["spec"]["groups"]
    assert len({rule["alert"] for rule in group["rules"]}) == len(group["rules"]) >= 8
    for rule in group["rules"]:
        assert rule.keys() <= {"alert", "expr", "for", "labels", "annotations"}, rule
        assert rule["labels"]["severity"] in ("critical", "warning", "info")
        assert rule["annotations"].keys() == {"summary", "description"}, rule
        assert 'namespace="audit"' in rule["expr"] and "{ " not in rule["expr"], rule["expr"]
        assert rule["expr"].count("(") == rule["expr"].count(")") and "{{" not in rule["expr"]
    assert any("> 5000000000000" in rule["expr"] for rule in group["rules"])


@checks.check
def the_collectors_headers_come_from_a_secret():
    (headers,) = [it for it in container(everything_on())["env"] if it["name"] == "OTEL_EXPORTER_OTLP_HEADERS"]
    assert headers["valueFrom"] == {"secretKeyRef": {"name": "collector", "key": "authorization"}}, headers
    assert "headers" in refused("config.telemetry.otlp={\"endpoint\": \"http://x\", \"headers\": \"a=b\"}")


@checks.check
def what_has_tls_and_knows_its_callers_is_not_insecure():
    manifests = rendered(CHART / "ci/tls.yaml")
    assert "--insecure" not in container(manifests)["args"]
    config = yaml.safe_load(configuration(manifests))
    assert config["tls"] == {
        "cert_file": "/etc/identity-trail-tls/tls.crt",
        "key_file": "/etc/identity-trail-tls/tls.key",
        "client_ca_file": "/etc/identity-trail-client-ca/ca.crt",
        "client_auth": "optional",
    }, config["tls"]
    assert config["auth"]["jwt"]["jwks"] == {"file": "/etc/identity-trail-jwks/jwks.json"}, config["auth"]
    # Kubernetes's gRPC probes know no TLS.
    for probe in ("readinessProbe", "livenessProbe"):
        assert container(manifests)[probe]["httpGet"]["port"] == "metrics", probe
    volumes = manifests["Deployment"]["spec"]["template"]["spec"]["volumes"]
    assert {it["name"] for it in volumes} == {it["name"] for it in container(manifests)["volumeMounts"]}
    assert "--insecure" in container(everything_on())["args"]


@checks.check
def other_volumes_are_mounted_beside_the_charts_own():
    manifests = rendered(CHART / "ci/volumes.yaml")
    volumes = manifests["Deployment"]["spec"]["template"]["spec"]["volumes"]
    assert [it["name"] for it in volumes] == ["configuration", "certificate", "authorities", "audit"], volumes
    assert volumes[-1] == {"name": "audit", "persistentVolumeClaim": {"claimName": "identity-trail-audit"}}
    mounts = container(manifests)["volumeMounts"]
    assert [it["name"] for it in mounts] == [it["name"] for it in volumes]
    assert mounts[-1] == {"name": "audit", "mountPath": "/var/log/identity-trail"}
    assert "--insecure" not in container(manifests)["args"]


@checks.check
def files_that_nothing_mounts_are_refused():
    tls = '{"cert_file": "/etc/x/tls.crt", "key_file": "/etc/x/tls.key"}'
    jwt = '{"issuer": "https://i.example", "audience": "a", "jwks": %s}'
    for setting, named in (
        ('config.audit={"to": "/var/log/audit.jsonl"}', "config.audit.to"),
        ('config.auth.policies="/policies"', "config.auth.policies"),
        (f"config.tls={tls}", "config.tls.cert_file"),
        ("config.auth.jwt=" + jwt % '{"file": "/etc/x/jwks.json"}', "config.auth.jwt.jwks.file"),
        ("config.auth.jwt=" + jwt % '{"url": "https://i.example/k", "ca_file": "/x/ca.crt"}', "config.auth.jwt.jwks.ca_file"),
    ):
        told = refused(setting)
        assert named in told and "extraVolumeMounts" in told, told
    volumes = CHART / "ci/volumes.yaml"
    assert "config.audit.to" in refused('config.audit={"to": "/var/log/identity-trail-2/x"}', values=volumes)
    assert "nothing is mounted" in refused("extraVolumeMounts=[]", values=volumes)
    for setting in ('extraVolumes=[{"emptyDir": {}}]', 'extraVolumeMounts=[{"name": "x"}]', 'extraVolumes={"x": {}}'):
        assert setting.split("=")[0] in refused(setting), setting


@checks.check
def nothing_but_a_secret_has_the_external_id():
    for kind, manifest in rendered(CHART / "ci/small.yaml").items():
        assert ("identity-trail-7f3a" in yaml.safe_dump(manifest)) == (kind == "Secret"), kind


@checks.check
def values_that_nobody_knows_are_refused():
    for setting, named in (
        ("replica=3", "replica"),
        ("image.registry=\"x\"", "registry"),
        ("config.frobnicate={}", "frobnicate"),
        ("config.listen=\"127.0.0.1:1\"", "listen"),
        ("config.hub.regoin=\"x\"", "regoin"),
        ("config.accounts.list=[{\"id\": \"111122223333\", \"rolename\": \"x\"}]", "rolename"),
        ("autoscaling={\"enabled\": true}", "autoscaling"),
    ):
        assert named in refused(setting), setting


@checks.check
def values_that_cannot_work_are_refused():
    # YAML reads twelve digits as a number, and Helm would write them as 1.11122223333e+11.
    assert "id" in refused("config.accounts.list=[{\"id\": 111122223333}]")
    assert "roleArn" in refused("awsCredentials={\"from\": \"irsa\", \"roleArn\": \"\"}")
    assert "roleArn" in refused("awsCredentials.from=\"podIdentity\"")
    assert "insecure: true" in refused("insecure=false")
    tls = CHART / "ci/tls.yaml"
    assert "insecure: true" in refused("tls={\"secretName\": \"\", \"clientCaConfigMap\": \"\"}", values=tls)
    assert "insecure: true" in refused("config.auth={}", "jwks.configMap=\"\"", values=tls)
    assert "metrics.enabled" in refused("metrics.enabled=false", values=tls)
    assert "clientCaConfigMap" in refused("tls.clientCaConfigMap=\"x\"")
    assert "jwks.configMap" in refused("jwks.configMap=\"x\"")
    assert "repository" in refused("image.repository=\"\"")
    assert "replicas" in refused("replicas=0")
    assert "terminationGracePeriodSeconds" in refused("terminationGracePeriodSeconds=10")
    for longer in ({"grace": "21s"}, {"delay": "30s", "grace": "1s"}, {"grace": "1m"}, {"grace": "1h"}):
        assert "killed after 50" in refused(f"config.shutdown={json.dumps(longer)}"), longer
    for setting in ("config.shutdown={\"grace\": \"20s\"}", "terminationGracePeriodSeconds=45"):
        assert helm("template", "t", str(CHART), "--values", str(VALUES[0]), "--set-json", setting).returncode == 0


@checks.check
def the_chart_is_for_this_program():
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    package = tomllib.loads(Path("Cargo.toml").read_text())["package"]
    assert chart["appVersion"] == package["version"] and chart["description"] == package["description"], chart


if __name__ == "__main__":
    sys.exit(checks.run())
