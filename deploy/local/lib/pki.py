"""Certificates and kubeconfig files, made with openssl. All are new with each cluster."""
import json
import os
import subprocess

import settings
from progress import Failure, run
from settings import NODES, PKI

_DAYS = "3650"


def path(name):
    return os.path.join(PKI, name)


def _authority(name, subject):
    run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-keyout", path(name + ".key"), "-out", path(name + ".crt"), "-days", _DAYS,
         "-subj", subject, "-addext", "keyUsage=critical,keyCertSign,cRLSign,digitalSignature"])


def _issue(name, subject, names=(), authority="ca"):
    """A certificate for a client, and with `names` (IP:… or DNS:…) for a server as well."""
    usage = "serverAuth,clientAuth" if names else "clientAuth"
    argv = ["openssl", "req", "-x509", "-CA", path(authority + ".crt"), "-CAkey",
            path(authority + ".key"), "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-nodes", "-keyout", path(name + ".key"), "-out", path(name + ".crt"),
            "-days", _DAYS, "-subj", subject, "-addext", "basicConstraints=critical,CA:FALSE",
            "-addext", "keyUsage=critical,digitalSignature",
            "-addext", f"extendedKeyUsage={usage}"]
    if names:
        argv += ["-addext", "subjectAltName=" + ",".join(names)]
    return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                            stderr=subprocess.PIPE, text=True)


def create():
    """Makes every certificate and kubeconfig, unless they all exist."""
    done = path("complete")
    if os.path.exists(done):
        return
    os.makedirs(PKI, mode=0o700, exist_ok=True)
    _authority("ca", "/CN=understudy-local")
    _authority("front-proxy-ca", "/CN=understudy-local-front-proxy")
    run(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out",
         path("service-account.key")])
    run(["openssl", "ec", "-in", path("service-account.key"), "-pubout", "-out",
         path("service-account.pub")])
    service_names = ["kubernetes", "kubernetes.default", "kubernetes.default.svc",
                     f"kubernetes.default.svc.{settings.CLUSTER_DOMAIN}", "localhost"]
    jobs = {
        "apiserver": _issue("apiserver", "/CN=kube-apiserver",
                            [f"IP:{settings.API_ADDRESS}", f"IP:{settings.API_SERVICE_IP}",
                             "IP:127.0.0.1", *("DNS:" + name for name in service_names)]),
        "apiserver-kubelet-client": _issue("apiserver-kubelet-client",
                                           "/O=system:masters/CN=kube-apiserver-kubelet-client"),
        "front-proxy-client": _issue("front-proxy-client", "/CN=front-proxy-client",
                                     authority="front-proxy-ca"),
        "admin": _issue("admin", "/O=system:masters/CN=kubernetes-admin"),
        "kube-controller-manager": _issue("kube-controller-manager",
                                          "/CN=system:kube-controller-manager"),
        "kube-scheduler": _issue("kube-scheduler", "/CN=system:kube-scheduler"),
        "kube-proxy": _issue("kube-proxy", "/CN=system:kube-proxy"),
    }
    for node in NODES:
        jobs[node.name] = _issue(node.name, f"/O=system:nodes/CN=system:node:{node.name}",
                                 [f"IP:{node.address}", "IP:127.0.0.1", f"DNS:{node.name}"])
    for name, job in jobs.items():
        _, errors = job.communicate()
        if job.returncode != 0:
            raise Failure(f"openssl cannot make the certificate {name}: {errors.strip()}")
    for name in ("kube-controller-manager", "kube-scheduler", "kube-proxy",
                 *(node.name for node in NODES)):
        _kubeconfig(name, path(name + ".conf"))
    _kubeconfig("admin", settings.KUBECONFIG, embed=True)
    with open(done, "w", encoding="ascii"):
        pass


def _base64(name):
    return run(["openssl", "base64", "-A", "-in", path(name)]).strip()


def _kubeconfig(name, target, embed=False):
    """JSON is YAML, so json.dump writes what kubectl reads. The admin's file is self-contained."""
    if embed:
        authority = {"certificate-authority-data": _base64("ca.crt")}
        client = {"client-certificate-data": _base64(name + ".crt"),
                  "client-key-data": _base64(name + ".key")}
    else:
        authority = {"certificate-authority": path("ca.crt")}
        client = {"client-certificate": path(name + ".crt"), "client-key": path(name + ".key")}
    config = {
        "apiVersion": "v1", "kind": "Config", "current-context": "understudy-local",
        "clusters": [{"name": "understudy-local",
                      "cluster": {"server": settings.API_URL, **authority}}],
        "users": [{"name": name, "user": client}],
        "contexts": [{"name": "understudy-local",
                      "context": {"cluster": "understudy-local", "user": name}}],
    }
    with open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w",
              encoding="ascii") as f:
        json.dump(config, f, indent=1)
        f.write("\n")
