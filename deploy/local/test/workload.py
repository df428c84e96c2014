"""Ordinary use: images, a Deployment over three zones, Services, DNS, exec, logs, helm."""
import os

from harness import (IMAGE, NODES, ask, check, cluster, eventually, must, objects, pods,
                     ready_nodes, start)

# Answers each line with the Pod's name; perl is all that the base image has.
_SERVER = r"""
use strict; use warnings; use IO::Socket::INET; use POSIX ();
my $name = (POSIX::uname())[1];
$| = 1; $SIG{CHLD} = 'IGNORE';
my $listener = IO::Socket::INET->new(LocalPort => 80, Listen => 64, ReuseAddr => 1) or die $!;
print "serving\n";
while (my $client = $listener->accept) {
  if (fork == 0) {
    while (<$client>) { print "asked: $_"; print {$client} $name, "\n"; $client->flush; }
    exit 0;
  }
  close $client;
}
"""
_DOCKERFILE = """FROM debian:bookworm-slim
COPY server.pl /server.pl
CMD ["perl", "/server.pl"]
"""
_MANIFEST = f"""
apiVersion: apps/v1
kind: Deployment
metadata: {{name: echo}}
spec:
  replicas: 3
  selector: {{matchLabels: {{app: echo}}}}
  template:
    metadata: {{labels: {{app: echo}}}}
    spec:
      terminationGracePeriodSeconds: 1
      topologySpreadConstraints:
      - maxSkew: 1
        topologyKey: topology.kubernetes.io/zone
        whenUnsatisfiable: DoNotSchedule
        labelSelector: {{matchLabels: {{app: echo}}}}
      containers:
      - name: echo
        image: {IMAGE}
        imagePullPolicy: IfNotPresent
        readinessProbe: {{tcpSocket: {{port: 80}}, periodSeconds: 1}}
---
apiVersion: v1
kind: Service
metadata: {{name: echo}}
spec:
  selector: {{app: echo}}
  ports: [{{port: 80}}]
"""
_work = ""


def prepare(work):
    """Deploys the echo server that the tests ask. False if that cannot be used."""
    global _work
    _work = work
    for name, text in (("server.pl", _SERVER), ("Dockerfile", _DOCKERFILE),
                       ("echo.yaml", _MANIFEST)):
        with open(os.path.join(work, name), "w", encoding="ascii") as f:
            f.write(text)
    archive = os.path.join(work, "image.tar")
    done = cluster("build-image", os.path.join(work, "Dockerfile"), work, IMAGE, archive)
    check("build-image", done.returncode == 0 and os.path.exists(archive), done.stderr)
    done = cluster("load-image", archive)
    check("load-image", done.returncode == 0, done.stderr)
    # A relative file name: the command keeps the caller's directory.
    done = cluster("kubectl", "apply", "-f", "echo.yaml", cwd=work)
    check("kubectl apply of a file in the current directory", done.returncode == 0, done.stderr)
    done = cluster("kubectl", "rollout", "status", "deployment/echo", "--timeout=60s")
    return check("the Deployment becomes available", done.returncode == 0, done.stderr)


def test_nodes():
    check("three Ready nodes", ready_nodes() == NODES, ready_nodes())
    for item in objects("nodes")["items"]:
        name, labels = item["metadata"]["name"], item["metadata"]["labels"]
        check(f"{name} has its zone and region",
              labels.get("topology.kubernetes.io/zone") == "ap-northeast-1" + name[-1] and
              labels.get("topology.kubernetes.io/region") == "ap-northeast-1", labels)
        check(f"{name} runs v1.36.4", item["status"]["nodeInfo"]["kubeletVersion"] == "v1.36.4",
              item["status"]["nodeInfo"])
        host = must("shell", name, "--", "hostname").strip()
        check(f"shell {name} is inside the node", host == name, host)
        cidr = item["spec"]["podCIDR"]
        address = pods()[name]["status"]["podIP"]
        check(f"Pods of {name} are in its podCIDR", address.startswith(cidr[:-4]),
              f"{address} {cidr}")


def test_commands():
    done = cluster("kubectl", "apply", "-f", "-", text_input="apiVersion: v1\nkind: ConfigMap\n"
                   "metadata: {name: from-stdin}\n")
    check("kubectl reads standard input", done.returncode == 0, done.stderr)
    done = cluster("kubectl", "get", "configmap", "absent")
    check("kubectl's exit code passes", done.returncode == 1, done)
    done = cluster("kubectl", "exec", "deploy/echo", "--", "sh", "-c", "exit 7")
    check("exec's exit code passes", done.returncode == 7, done)
    done = cluster("status")
    check("status of a healthy cluster is 0", done.returncode == 0, done)
    path = must("kubeconfig").strip()
    check("kubeconfig names a private file", os.stat(path).st_mode & 0o077 == 0, path)
    done = cluster("exec-net", "control-plane", "--", "sh", "-c", "echo $KUBECONFIG; exit 5")
    check("exec-net passes output and exit code", (done.stdout.strip(), done.returncode) ==
          (path, 5), done)


def test_helm():
    chart = os.path.join(_work, "chart")
    os.makedirs(os.path.join(chart, "templates"))
    with open(os.path.join(chart, "Chart.yaml"), "w", encoding="ascii") as f:
        f.write("apiVersion: v2\nname: tiny\nversion: 0.1.0\n")
    with open(os.path.join(chart, "templates", "map.yaml"), "w", encoding="ascii") as f:
        f.write("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: tiny}\n"
                "data: {word: '{{ .Values.word }}'}\n")
    done = cluster("helm", "upgrade", "--install", "tiny", "./chart", "--set", "word=hello",
                   cwd=_work)
    check("helm installs a chart", done.returncode == 0, done.stderr)
    check("the chart's object is there",
          objects("configmap", "tiny")["data"] == {"word": "hello"})
    check("helm uninstalls", cluster("helm", "uninstall", "tiny").returncode == 0)


def test_services():
    by_node = pods()
    check("one Pod in each zone", sorted(by_node) == NODES, sorted(by_node))
    names = {item["metadata"]["name"] for item in by_node.values()}
    address = objects("service", "echo")["spec"]["clusterIP"]
    for node in NODES:
        seen = set()
        eventually(lambda n=node, s=seen: s.add(ask(n, address)) or s == names, 30)
        check(f"the ClusterIP reaches every Pod from {node}", seen == names, f"{seen} {names}")
        for other in NODES:
            target = by_node[other]
            answer = ask(node, target["status"]["podIP"])
            check(f"{node} reaches the Pod on {other}", answer == target["metadata"]["name"],
                  answer)
    for node, item in by_node.items():
        name = item["metadata"]["name"]
        found = must("kubectl", "exec", name, "--", "getent", "hosts", "echo").split()[:1]
        check(f"a Pod on {node} resolves the Service", found == [address], found)
        # Each answer is of a Pod chosen by chance, sometimes of the asking one itself.
        answers = {ask(f"default/{name}", address) for _ in range(8)}
        check(f"a Pod on {node} reaches the Service, itself included", answers <= names, answers)
    check("a node's network resolves Service names",
          ask("node-b", "echo.default.svc.cluster.local") in names)
    done = cluster("exec-net", "node-a", "--", "getent", "hosts",
                   "absent.default.svc.cluster.local")
    check("an absent name does not resolve", done.returncode != 0, done)
    route = cluster("exec-net", "node-a", "--", "ip", "route", "get", "192.0.2.1")
    check("no way out of the cluster's networks", route.returncode != 0, route)


def test_exec_and_logs():
    name = pods()["node-c"]["metadata"]["name"]
    check("exec", must("kubectl", "exec", name, "--", "hostname").strip() == name)
    done = cluster("kubectl", "exec", "-i", name, "--", "cat", text_input="through stdin")
    check("exec with standard input", done.stdout == "through stdin", done)
    check("logs", "serving" in must("kubectl", "logs", name))
    forward = start("kubectl", "port-forward", f"pod/{name}", "8089:80")
    try:
        check("port-forward starts", "Forwarding" in forward.stdout.readline())
        script = ("import socket; s = socket.create_connection(('127.0.0.1', 8089), 5)\n"
                  "s.sendall(b'who\\n'); print(s.makefile().readline().strip())")
        answer = must("exec-net", "control-plane", "--", "python3", "-c", script).strip()
        check("port-forward forwards", answer == name, answer)
    finally:
        # kubectl has replaced the command, so it is this very process.
        forward.terminate()
        code = forward.wait(timeout=10)
    check("signals reach kubectl itself", code == -15, code)


def test_tokens():
    must("kubectl", "create", "serviceaccount", "visitor")
    token = must("kubectl", "create", "token", "visitor").strip()
    projected = must("kubectl", "exec", "deploy/echo", "--", "cat",
                     "/var/run/secrets/kubernetes.io/serviceaccount/token")
    check("a Pod has a projected token", projected.count(".") == 2, projected)
    issuer = must("kubectl", "get", "--raw", "/.well-known/openid-configuration")
    check("the issuer is published", "https://kubernetes.default.svc.cluster.local" in issuer,
          issuer)
    script = (
        "import json, ssl, urllib.request as r\n"
        f"context = ssl.create_default_context(cafile={_ca_file()!r})\n"
        "q = r.Request('https://kubernetes.default.svc.cluster.local/api/v1/namespaces',\n"
        f"  headers={{'Authorization': 'Bearer {token}'}})\n"
        "try: print(r.urlopen(q, context=context, timeout=5).status)\n"
        "except r.HTTPError as e: print(e.code, json.load(e)['message'])")
    answer = must("exec-net", "node-b", "--", "python3", "-c", script)
    check("a token is authenticated through the API's ClusterIP, and RBAC holds",
          "403" in answer and "system:serviceaccount:default:visitor" in answer, answer)


def _ca_file():
    path = os.path.join(_work, "ca.crt")
    with open(path, "w", encoding="ascii") as f:
        f.write(objects("configmap", "kube-root-ca.crt")["data"]["ca.crt"])
    return path
