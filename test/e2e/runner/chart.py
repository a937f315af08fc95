"""The Helm chart with real helm: that it says what `enclayer render` says, whatever the settings. And `enclayer translate` within helm and kustomize."""

import json
import re

from .builds import E2E
from .process import output
from .steps import Failure, check, say

PAGE = E2E.parent.parent / "docs/admission.md"
MANIFESTS = E2E.parent / "data/manifests/reduced"
TRANSLATED, NOT_TRANSLATED = "mystikos.yaml", "scone.yaml"  # the second is refused
REFUSAL = "SCONE's name counts enclaves"

NAMESPACE = "sgx"
MUTATING = "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy"
NOTE = 'a: "b"\n{{ c }} # d \U0001f600'
CONFIGURATION = '{\n  "pccs_url": "https://<pccs>/&", // {{ comment }}\n\t"retry_times": 2\n}\n'

POLICY = 'version=1.0;\nauthorizationrules { => permit(); };\nissuancerules { };\n'
# The chart's values, and the same as flags of `enclayer render`. These words stand for files, and for what is in them.
FILES = {"FILE": CONFIGURATION, "POLICY": POLICY, "VERIFY": '{"version": 1, "min_isv_svn": 1}', "COLLATERAL": "", "ROOT": ""}  # the last two: of a simulation
SETTINGS = [
    ({}, []),
    ({"quoteHelper": True}, ["--enable-sgxquotehelper"]),
    ({"inProcAttestation": True}, ["--in-proc-attestation"]),
    ({"platform": "sim"}, ["--platform", "sim"]),
    (
        {"platform": "sim", "quoteHelper": True, "inProcAttestation": True, "simEpc": "2Gi", "workers": 3},
        ["--platform", "sim", "--enable-sgxquotehelper", "--in-proc-attestation", "--sim-epc", "2Gi", "--workers", "3"],
    ),
    (
        {"quoteHelper": True, "image": "registry.example:5000/x/enclayer:v2", "imagePullPolicy": "Always", "workers": 16,
         "pccsUrl": "https://[fd00::1]:8081/sgx/certification/v4/"},
        ["--enable-sgxquotehelper", "--image", "registry.example:5000/x/enclayer:v2", "--image-pull-policy", "Always",
         "--workers", "16", "--pccs-url", "https://[fd00::1]:8081/sgx/certification/v4/"],
    ),
    (
        {"quoteHelper": True, "dcapImage": f"mine/x@sha256:{'a' * 64}", "qcnlConf": CONFIGURATION},
        ["--enable-sgxquotehelper", "--dcap-image", f"mine/x@sha256:{'a' * 64}", "--qcnl-conf", "FILE"],
    ),
    (
        {"quoteHelper": True, "inProcAttestation": True, "provisionLimit": 20, "provisionWithEpc": True, "epcCap": "64Gi", "epcReserve": "1Gi", "draEpc": "60Gi",
         "numa": True, "cdi": True, "accountMapped": True, "metricsPort": 9500, "logLevel": "warn", "priorityClass": "system-node-critical"},
        ["--enable-sgxquotehelper", "--in-proc-attestation", "--provision-limit", "20", "--provision-with-epc", "--epc-cap", "64Gi",
         "--epc-reserve", "1Gi", "--dra-epc", "60Gi", "--numa", "--cdi", "--account-mapped", "--metrics-port", "9500", "--log-level", "warn", "--priority-class",
         "system-node-critical"],
    ),
    (
        {"quoteHelper": True, "metricsFrom": {"kubernetes.io/metadata.name": "monitoring"}, "seLinuxType": "container_device_plugin_t",
         "tolerations": [{"key": "dedicated", "operator": "Equal", "value": "sgx", "effect": "NoSchedule"}, {"operator": "Exists"}],
         "nodeSelector": {"pool": "true"}, "imagePullSecrets": [{"name": "registry"}], "podLabels": {"example.com/team": "1"},
         "podAnnotations": {"note": NOTE},
         "resources": {"device-plugin": {"limits": {"memory": "128Mi"}}, "detect": {"limits": {"cpu": "100m"}},
                       "quote-helper": {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "2", "memory": "2Gi"}}}},
        ["--enable-sgxquotehelper", "--metrics-from", "kubernetes.io/metadata.name=monitoring", "--selinux-type", "container_device_plugin_t",
         "--toleration", "dedicated=sgx:NoSchedule", "--toleration", ":", "--node-selector", "pool=true", "--image-pull-secret", "registry",
         "--pod-label", "example.com/team=1", "--pod-annotation", f"note={NOTE}", "--resources", "device-plugin.limits.memory=128Mi",
         "--resources", "detect.limits.cpu=100m", "--resources", "quote-helper.requests.cpu=1", "--resources",
         "quote-helper.requests.memory=1Gi", "--resources", "quote-helper.limits.cpu=2", "--resources", "quote-helper.limits.memory=2Gi"],
    ),
    (
        {"platform": "sim", "quoteHelper": True, "metrics": False, "metricsPort": 9500, "externalAesmd": False},
        ["--platform", "sim", "--enable-sgxquotehelper", "--disable-metrics", "--metrics-port", "9500"],
    ),
    ({"externalAesmd": True, "draEpc": "100%"}, ["--external-aesmd", "--dra-epc", "100%"]),
    ({"draEpc": "50%", "draAbove": 8192}, ["--dra-epc", "50%", "--dra-above", "8192"]),
    ({"draEpc": "50%", "draAbove": 9000000}, ["--dra-epc", "50%", "--dra-above", "9000000"]),  # which Helm has as 9e+06
    ({"quoteHelper": True, "standby": False, "workers": 2, "draEpc": "50%"},
     ["--enable-sgxquotehelper", "--disable-standby", "--workers", "2", "--dra-epc", "50%"]),
    ({"monitoring": True}, ["--enable-monitoring"]),
    ({"attestationService": True, "attestationFmspc": "00606a000000"}, ["--enable-attestation-service", "--attestation-fmspc", "00606a000000"]),
    (
        {"attestationService": True, "attestationFmspc": "00606a000000,00906ed50000", "attestationIssuer": "https://attest.example:8443/a",
         "attestationPolicy": "POLICY", "attestationVerifyPolicy": "VERIFY", "attestationAudiences": "vault,https://b.example",
         "attestationTlsSecret": "attest-tls", "attestationSecrets": "secrets", "attestationReleasePolicies": "policies",
         "attestationReleaseAccounts": "bank/app,bank/job", "attestationVaultUrl": "https://vault.example:8200", "attestationVaultSecret": "token",
         "attestationVaultKey": "a/b", "pccsUrl": "https://pccs.example/", "metrics": False, "logLevel": "debug",
         "tolerations": [{"operator": "Exists"}], "resources": {"attest": {"limits": {"cpu": "2"}}}},
        ["--enable-attestation-service", "--attestation-fmspc", "00606a000000,00906ed50000", "--attestation-issuer", "https://attest.example:8443/a",
         "--attestation-policy", "POLICY", "--attestation-verify-policy", "VERIFY", "--attestation-audience", "vault,https://b.example",
         "--attestation-tls-secret", "attest-tls", "--attestation-secrets", "secrets", "--attestation-release-policies", "policies",
         "--attestation-release-accounts", "bank/app,bank/job", "--attestation-vault-url", "https://vault.example:8200", "--attestation-vault-secret", "token",
         "--attestation-vault-key", "a/b", "--pccs-url", "https://pccs.example/", "--disable-metrics", "--log-level", "debug",
         "--toleration", ":", "--resources", "attest.limits.cpu=2"],
    ),
    (
        {"platform": "sim", "attestationService": True, "attestationCollateral": "COLLATERAL", "attestationSimulatedRoot": "ROOT",
         "attestationIssuer": f"https://enclayer-attest.{NAMESPACE}.svc/simulated"},
        ["--platform", "sim", "--enable-attestation-service", "--attestation-collateral", "COLLATERAL", "--attestation-simulated-root", "ROOT",
         "--attestation-issuer", f"https://enclayer-attest.{NAMESPACE}.svc/simulated"],
    ),
    (
        {"platform": "sim", "attestationService": True, "attestationCollateral": "COLLATERAL", "attestationSimulatedRoot": "ROOT"},
        ["--platform", "sim", "--enable-attestation-service", "--attestation-collateral", "COLLATERAL", "--attestation-simulated-root", "ROOT"],
    ),
]

# What the chart refuses, and a word of why.
REFUSED = [
    ({"colour": "blue"}, "colour"),
    ({"workers": 17}, "workers"),
    ({"workers": "2"}, "workers"),
    ({"platform": "tdx"}, "platform"),
    ({"image": "no-tag"}, "image"),
    ({"image": "UPPER/x:1"}, "image"),
    ({"platform": "sim", "simEpc": "300Gi"}, "lists 256Gi at most"),
    ({"platform": "sim", "simEpc": "1Ti", "draEpc": "74%"}, "leaves 272630 MiB"),
    ({"simEpc": "512Ki"}, "1Mi to 16Ti"),
    ({"epcReserve": "1Ki"}, "1Mi at least"),
    ({"draEpc": "101%"}, "draEpc"),
    ({"draAbove": 8192}, "set draEpc too"),
    ({"draEpc": "50%", "draAbove": 100000000}, "draAbove"),
    ({"draEpc": "1Ki"}, "less than 1Mi"),
    ({"draEpc": "64Gi", "epcCap": "64Gi"}, "leaves less than the 1 MiB"),
    ({"draEpc": "65520Mi", "epcCap": "64Gi", "quoteHelper": True}, "leaves less than the 20 MiB"),
    ({"externalAesmd": True, "quoteHelper": True}, "switch one of them off"),
    ({"tolerations": [{"key": "a", "effect": "Never"}]}, "effect"),
    ({"podLabels": {"app.kubernetes.io/name": "x"}}, "app.kubernetes.io/name"),
    ({"podAnnotations": {"enclayer.io/qcnl-sha256": "x"}}, "enclayer.io/qcnl-sha256"),
    ({"nodeSelector": {"a b": "c"}}, "nodeSelector"),
    ({"resources": {"gpu": {}}}, "gpu"),
    ({"resources": {"detect": {"limits": {"memory": "1GB"}}}}, "memory"),
    ({"pccsUrl": "ftp://pccs.example/"}, "pccsUrl"),
    ({"pccsUrl": "https://pccs.example/", "qcnlConf": "{}"}, "set one"),
    ({"platform": "sim", "pccsUrl": "https://pccs.example/"}, "for platform hardware"),
    ({"quoteHelper": True, "image": "mine/sgx:1"}, "set dcapImage"),
    ({"monitoring": True, "metrics": False}, "nothing to scrape"),
    ({"attestationService": True}, "set attestationFmspc or attestationCollateral"),
    ({"attestationService": True, "platform": "sim"}, "needs attestationSimulatedRoot"),
    ({"attestationSimulatedRoot": "x"}, "for platform sim"),
    ({"attestationIssuer": "https://attest.example/simulated"}, "has the word simulated"),
    ({"attestationFmspc": "00606a000000", "attestationCollateral": "{}"}, "set one"),
    ({"attestationSecrets": "a"}, "belong together"),
    ({"attestationVaultUrl": "https://vault.example"}, "belong together"),
    ({"attestationFmspc": "00606a"}, "attestationFmspc"),
]


class Chart:
    """`chart` is the chart's folder; `cluster` has helm, kubectl and our own command."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.folder = cluster.work / "chart"
        self.values = cluster.work / "values.json"

    def listed(self):
        return [
            ("helm lint finds nothing wrong with the chart", self.lint),
            (f"helm template and enclayer render say the same for {len(SETTINGS)} settings", self.compare),
            (f"the chart refuses {len(REFUSED)} sets of values that make no sense", self.refuse),
            ("enclayer translate as Helm's post-renderer, set up as docs/admission.md says", self.translate_in_helm),
            ("enclayer translate as kustomize's transformer, likewise", self.translate_in_kustomize),
        ]

    def lint(self):
        self.cluster.enclayer("render", "--chart", self.folder)
        say(self.cluster.helm("lint", self.folder, "--strict").splitlines()[-1])

    def template(self, values, **options):
        self.values.write_text(json.dumps(values, ensure_ascii=False))  # helm reads it as YAML, which knows no surrogates
        return self.cluster.helm("template", "enclayer", self.folder, "-n", NAMESPACE, "-f", self.values, "--api-versions", MUTATING,
                                 **options)

    def operator(self):
        """The kinds of the Prometheus operator, as far as kubectl has to know them."""
        schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
        return [{"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": f"{plural}.monitoring.coreos.com"},
                 "spec": {"group": "monitoring.coreos.com", "scope": "Namespaced", "names": {"kind": kind, "plural": plural},
                          "versions": [{"name": "v1", "served": True, "storage": True, "schema": schema}]}}
                for kind, plural in (("PrometheusRule", "prometheusrules"), ("PodMonitor", "podmonitors"))]

    def compare(self):
        kinds = self.operator()
        self.cluster.plane.apply(*kinds)
        for kind in kinds:
            self.cluster.plane.kubectl("wait", "--for=condition=Established", f"crd/{kind['metadata']['name']}", "--timeout=30s")
        try:
            self.compare_all()
        finally:
            for kind in kinds:
                self.cluster.plane.kubectl("delete", "crd", kind["metadata"]["name"])

    def compare_all(self):
        folder = self.cluster.work / "files"
        self.cluster.enclayer("sim", "case", "up-to-date", "--out-dir", folder)
        texts = {**FILES, "COLLATERAL": (folder / "collateral.json").read_text(), "ROOT": (folder / "root.pem").read_text()}
        for word, text in texts.items():
            (folder / word).write_text(text)
        for values, flags in SETTINGS:
            flags = [folder / flag if flag in texts else flag for flag in flags]
            values = {name: texts.get(value, value) if isinstance(value, str) else value for name, value in values.items()}
            ours = self.objects(self.cluster.enclayer("render", "--namespace", NAMESPACE, *flags))
            # The release's namespace is Helm's business.
            ours = {key: value for key, value in ours.items() if key[0] != "Namespace"}
            helms = self.objects(self.template(values))
            check(ours.keys() == helms.keys(), f"{values}: render has {sorted(ours)}, helm {sorted(helms)}")
            for key, value in ours.items():
                check(value == helms[key], f"{values}, {key}:\nrender: {json.dumps(value)}\nhelm:   {json.dumps(helms[key])}")
        say(f"{len(helms)} objects in the last of them")

    def refuse(self):
        for values, word in REFUSED:
            said = self.template(values, expect=1)
            check(word in said, f"{values} is refused without '{word}': {said}")

    def run(self, *words, stdin=None, expect=0, **variables):
        environment = self.cluster.environment()
        path = f"{self.cluster.product('').resolve()}:{environment['PATH']}"
        return output(words, stdin=stdin, expect=expect, env={**environment, "PATH": path, **variables})

    def translate_in_helm(self):
        folder = self.cluster.work / "post-renderer"
        write(folder / "plugins/enclayer-translate/plugin.yaml", shown("# plugin.yaml"))
        write(folder / "app/Chart.yaml", "apiVersion: v2\nname: app\nversion: 0.1.0\n")
        write(folder / "app/templates/app.yaml", (MANIFESTS / TRANSLATED).read_text())
        template, plugins = ["helm", "template", "app", folder / "app"], str(folder / "plugins")
        post_rendered = [*template, "--post-renderer", "enclayer-translate"]
        self.compare_translated(self.run(*template), self.run(*post_rendered, HELM_PLUGINS=plugins))
        write(folder / "app/templates/app.yaml", (MANIFESTS / NOT_TRANSLATED).read_text())
        said = self.run(*post_rendered, expect=1, HELM_PLUGINS=plugins)
        check('plugin "enclayer-translate"' in said, f"helm fails for another reason: {said}")  # a plugin's standard error is not shown

    def translate_in_kustomize(self):
        folder = self.cluster.work / "transformer"
        write(folder / "kustomization.yaml", "resources: [app.yaml]\ntransformers: [sgx.yaml]\n")
        write(folder / "sgx.yaml", shown("# sgx.yaml"))
        write(folder / "translate.sh", shown("#!/bin/sh")).chmod(0o755)
        build = ["kustomize", "build", "--enable-alpha-plugins", "--enable-exec", folder]
        text = write(folder / "app.yaml", (MANIFESTS / TRANSLATED).read_text()).read_text()
        self.compare_translated(text, self.run(*build))
        write(folder / "app.yaml", (MANIFESTS / NOT_TRANSLATED).read_text())
        said = self.run(*build, expect=1)
        check(REFUSAL in said, f"kustomize does not say why: {said}")

    def compare_translated(self, before, after):
        wanted = self.objects(self.run("enclayer", "translate", "--quote-helper", stdin=before))
        seen = self.objects(after)
        check(seen == wanted, f"{json.dumps(list(seen.values()))}\ninstead of\n{json.dumps(list(wanted.values()))}")
        check(all("enclayer.io/quote" in json.dumps(each) for each in seen.values()), f"nothing was translated: {sorted(seen)}")
        say(f"{len(seen)} objects, as `enclayer translate` alone makes them")

    def objects(self, yaml):
        """What kubectl, which asks nobody to change anything, reads in the YAML."""
        text = self.cluster.plane.kubectl("create", "--dry-run=client", "--validate=false", "-o", "json", "-f", "-", stdin=yaml)
        found = {}
        while text := text.lstrip():
            one, end = json.JSONDecoder().raw_decode(text)
            text = text[end:]
            for item in one.get("items", [one]):
                key = (item["kind"], item["metadata"]["name"])
                if key in found:
                    raise Failure(f"{key} is there twice")
                found[key] = item
        return found


def shown(beginning):
    """The block of docs/admission.md that begins so."""
    return re.search(rf"^```\w+\n({re.escape(beginning)}.*?)^```$", PAGE.read_text(), re.M | re.S).group(1)


def write(file, text):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file
