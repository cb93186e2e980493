"""Checks what the deployments promise, on the files as their own tools read them.

Usage: check.py FOLDER, which holds base.yaml and keda.yaml (of kustomize) and compose.json (of Compose's library).
"""

import json
import pathlib
import subprocess
import sys

import kubernetes_validate
import yaml
from cloudcoil.models.keda import v1alpha1 as keda

DEPLOY = pathlib.Path(__file__).resolve().parent.parent
# Longer than SHUTDOWN_TIMEOUT_MS, or else a worker is killed before it has released its tasks.
SHUTDOWN_S = 25
KUBERNETES = "1.37"
# The width of a dashboard, in columns.
GRID = 24

faults = []


def expect(is_true, what):
    if not is_true:
        faults.append(what)


def kubernetes(name, resources):
    """The resources of one overlay, by kind and name."""
    for resource in resources:
        where = f"{name}: {resource['kind']} {resource['metadata']['name']}"
        if resource["apiVersion"].startswith("keda.sh/"):
            model = getattr(keda, resource["kind"]).model_validate(resource)
            read = model.model_dump(by_alias=True, exclude_unset=True, mode="json")
            expect(read == resource, f"{where}: KEDA knows only {read}")
            continue
        try:
            kubernetes_validate.validate(resource, KUBERNETES, strict=True)
        except kubernetes_validate.ValidationError as error:
            faults.append(f"{where}: {error}")
        template = resource.get("spec", {}).get("template")
        if template:
            pod(where, template["spec"])
    by_name = {(r["kind"], r["metadata"]["name"]): r for r in resources}
    for (kind, what), resource in by_name.items():
        if kind not in ("Deployment", "Job"):
            continue
        mounted = {v["secret"]["secretName"] for v in resource["spec"]["template"]["spec"]["volumes"] if "secret" in v}
        expect(mounted == {what}, f"{name}: {what} mounts the secrets {mounted}")
        if kind == "Deployment":
            spec = resource["spec"]["template"]["spec"]
            expect(("PodDisruptionBudget", what) in by_name, f"{name}: {what} has no disruption budget")
            expect(spec["terminationGracePeriodSeconds"] > SHUTDOWN_S + 10, f"{name}: {what} is killed too early")
            for probe, path in (("readinessProbe", "/health/ready"), ("livenessProbe", "/health/live")):
                got = spec["containers"][0][probe]["httpGet"]["path"]
                expect(got == path, f"{name}: {what}: {probe} asks {got}")
    denied = [r for (k, _), r in by_name.items() if k == "NetworkPolicy" and r["spec"]["podSelector"] == {}]
    expect(len(denied) == 1 and "egress" not in denied[0]["spec"], f"{name}: no policy denies by default")
    return by_name


def pod(where, spec):
    """What the strictest of Kubernetes' standards asks for, and a read-only root."""
    context = spec["securityContext"]
    expect(context["runAsNonRoot"] is True, f"{where}: may run as root")
    expect(context["seccompProfile"] == {"type": "RuntimeDefault"}, f"{where}: no seccomp profile")
    expect(spec["automountServiceAccountToken"] is False, f"{where}: has a token for the cluster's API")
    for container in spec["containers"]:
        context = container["securityContext"]
        expect(context["allowPrivilegeEscalation"] is False, f"{where}: may gain privileges")
        expect(context["readOnlyRootFilesystem"] is True, f"{where}: its root is writable")
        expect(context["capabilities"] == {"drop": ["ALL"]}, f"{where}: has capabilities")
        expect("memory" in container["resources"]["limits"], f"{where}: no limit of memory")
        for variable in container.get("env", []):
            secret = any(word in variable["name"] for word in ("SECRET", "TOKEN", "KEY", "DATABASE"))
            expect(not secret or variable["name"].endswith("_FILE"), f"{where}: {variable['name']} is no file")


def secrets_example():
    """The keys of the example are the files that the pods read."""
    example = {
        secret["metadata"]["name"]: set(secret["stringData"])
        for secret in yaml.safe_load_all((DEPLOY / "kubernetes/secrets.example.yaml").read_text())
    }
    for name in ("migrate", "serve", "worker"):
        documents = yaml.safe_load_all((DEPLOY / f"kubernetes/base/{name}.yaml").read_text())
        spec = next(d for d in documents if d["kind"] in ("Deployment", "Job"))["spec"]["template"]["spec"]
        prefix = "/run/secrets/lethe/"
        read = {
            variable["value"].removeprefix(prefix)
            for variable in spec["containers"][0]["env"]
            if variable["value"].startswith(prefix)
        }
        expect(read == example[f"lethe-{name}"], f"secrets.example.yaml: {name} reads {read}")


def compose(project):
    """Each service has the secrets of its role, and may do no more than it must."""
    allowed = {
        "postgres": {"postgres-password"},
        "pgbouncer": {"pgbouncer-users"},
        "s3": {"s3-identities"},
        "bucket": set(),
        "migrate": {"owner-database-url"},
        "rights": {"postgres-password"},
        "serve": {"serve-database-url", "clerk-webhook-signing-secret", "admin-api-tokens"},
        "worker": {"worker-database-url", "worker-listen-url", "s3-access-key", "s3-secret-key", "clerk-secret-key"},
    }
    services = project["services"]
    expect(set(services) == set(allowed), f"compose: the services are {set(services)}")
    for name, service in services.items():
        where = f"compose: {name}"
        secrets = {secret["source"] for secret in service.get("secrets", [])}
        expect(secrets == allowed.get(name), f"{where}: has the secrets {secrets}")
        expect(service.get("cap_drop") == ["ALL"], f"{where}: keeps capabilities")
        expect("no-new-privileges:true" in service.get("security_opt", []), f"{where}: may gain privileges")
        is_image_of_seaweed = service["image"].startswith("chrislusf/")
        expect(service.get("read_only") is True or is_image_of_seaweed, f"{where}: its root is writable")
        for port in service.get("ports", []):
            expect(port["host_ip"] == "127.0.0.1", f"{where}: is open to other machines")
        for variable in service.get("environment", {}):
            secret = any(word in variable for word in ("PASSWORD", "SECRET", "TOKEN", "ACCESS_KEY", "DATABASE_URL"))
            expect(not secret or variable.endswith("_FILE"), f"{where}: {variable} is no file")
    expect(project["networks"]["inside"]["internal"] is True, "compose: the inner network has a way out")
    for name in ("postgres", "pgbouncer", "s3", "migrate", "rights", "bucket"):
        expect(set(services[name]["networks"]) == {"inside"}, f"compose: {name} has a way out")


def dashboard(folder):
    """The panels lie side by side, and Prometheus can read their queries."""
    board = json.loads((DEPLOY / "grafana/lethe.json").read_text())
    cells, ids, rules = {}, set(), []
    for panel in board["panels"]:
        title, at = panel["title"], panel["gridPos"]
        expect(panel["id"] not in ids, f"dashboard: {title}: its id is taken")
        ids.add(panel["id"])
        expect(at["x"] + at["w"] <= GRID, f"dashboard: {title}: is too wide")
        for x in range(at["x"], at["x"] + at["w"]):
            for y in range(at["y"], at["y"] + at["h"]):
                expect((x, y) not in cells, f"dashboard: {title} lies on {cells.get((x, y))}")
                cells[x, y] = title
        for target in panel.get("targets", []):
            rules.append({"record": "a", "expr": target["expr"].replace("$__rate_interval", "5m")})
    # A recording rule holds any query.
    path = folder / "dashboard.yml"
    path.write_text(json.dumps({"groups": [{"name": str(i), "rules": [rule]} for i, rule in enumerate(rules)]}))
    checked = subprocess.run(["promtool", "check", "rules", path], capture_output=True, text=True, check=False)
    expect(checked.returncode == 0, f"dashboard: {checked.stderr}")
    return len(rules)


def main():
    folder = pathlib.Path(sys.argv[1])
    resources = 0
    for name in ("base", "keda"):
        read = list(yaml.safe_load_all((folder / f"{name}.yaml").read_text()))
        resources += len(kubernetes(name, read))
    secrets_example()
    project = json.loads((folder / "compose.json").read_text())
    compose(project)
    queries = dashboard(folder)
    for fault in faults:
        print(fault, file=sys.stderr)
    if faults:
        sys.exit(1)
    print(f"{resources} resources, {len(project['services'])} services and {queries} queries are as promised")


if __name__ == "__main__":
    main()
