"""What the run needs besides the product's own binaries: packages, the kubelet, the pods' program, the two peers."""

import os
import re
import shutil
import sys
from pathlib import Path

from .cache import Artefact, build_command
from .process import output
from .steps import Failure, say

E2E = Path(__file__).resolve().parent.parent
GO = {"GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly", "GOWORK": "off", "CGO_ENABLED": "0"}
PACKAGES = {"containerd": ["containerd", "ctr", "containerd-shim-runc-v2"], "runc": ["runc"]}


def debian_packages(log):
    """containerd and runc. Whether the package starts a daemon is left to policy-rc.d, which says no meanwhile."""
    wanted = [package for package, programs in PACKAGES.items() if not all(map(shutil.which, programs))]
    if not wanted:
        say("containerd and runc are there")
        return
    if not shutil.which("apt-get"):
        raise Failure(f"missing, and no apt-get to install them with: {', '.join(wanted)}")
    say(f"installing Debian's {' and '.join(wanted)} (no daemon is started)")
    policy = Path("/usr/sbin/policy-rc.d")
    ours = not policy.exists()
    if ours:
        policy.write_text("#!/bin/sh\nexit 101\n")
        policy.chmod(0o755)
    try:
        environment = {"DEBIAN_FRONTEND": "noninteractive"}
        apt = ["apt-get", "-o", "DPkg::Lock::Timeout=300"]
        build_command([*apt, "update"], cwd="/", log=log, env=environment)
        build_command([*apt, "install", "-y", "--no-install-recommends", *wanted], cwd="/", log=log, env=environment)
    finally:
        if ours:
            policy.unlink()


def cluster_packages(log):
    """What the cluster's node needs from Debian."""
    build_command([E2E.parent.parent / "tools/packages", "cluster"], cwd="/", log=log)


def firewall_packages(log):
    build_command([E2E.parent.parent / "tools/packages", "firewall"], cwd="/", log=log)


def versions():
    text = output(["containerd", "--version"]) + output(["runc", "--version"])
    return "\n".join(line for line in text.splitlines() if line.startswith(("containerd ", "runc ")))


def module_version(module, package):
    """As pinned in MODULE/go.mod."""
    return re.search(rf"^(?:require)?\s*{re.escape(package)} (v[0-9.]+)", (E2E / module / "go.mod").read_text(), re.MULTILINE).group(1)


KUBERNETES_VERSION = "v1.36.3"
NEXT_KUBERNETES_VERSION = "v1.37.2"  # the newest there is: what the admission policies will meet
ETCD_VERSION = module_version("etcd", "go.etcd.io/etcd/server/v3")
CONTAINERD_VERSION = module_version("containerd", "github.com/containerd/containerd/v2")
KWOK_VERSION = module_version("clients", "sigs.k8s.io/kwok")
KUSTOMIZE_VERSION = module_version("clients", "sigs.k8s.io/kustomize/kustomize/v5")
HELM_VERSION = module_version("clients", "helm.sh/helm/v4")
METRICS_VERSION = module_version("clients", "sigs.k8s.io/metrics-server")
ROUTER_VERSION = module_version("router", "github.com/cloudnativelabs/kube-router/v2")
ADAPTER_VERSION = module_version("adapter", "sigs.k8s.io/prometheus-adapter")


def go_artefact(name, module, packages, variables, log):
    """Programs of a module of ours. `packages`: program -> package; `variables` are set at link time, mostly versions, without
    which a program calls itself unknown."""
    flags = link_flags(variables)

    def build(into):
        for program, package in packages.items():
            go_build(into / program, package, flags, E2E / module, log)

    return Artefact(name, [E2E / module / "go.mod", E2E / module / "go.sum"], [flags, packages, go_version()], build)


def link_flags(variables):
    return "-s -w " + " ".join(f"-X {variable}={value}" for variable, value in variables.items())


def go_build(into, package, flags, module, log, *more):
    build_command(["go", "build", "-v", "-trimpath", *more, "-ldflags", flags, "-o", into, package], cwd=module, log=log, env=GO, progress=packages_compiled)


def go_version():
    return output(["go", "env", "GOVERSION"])


def packages_compiled(said):
    """Of what `go build -v` says: a line for each package, and before that one for each module that is fetched."""
    lines = [line for line in said.splitlines() if line]
    fetched = sum(line.startswith("go: downloading ") for line in lines)
    compiled = sum("/" in line and " " not in line for line in lines)
    return f"{compiled} packages compiled" if compiled else f"{fetched} modules fetched"


def kubernetes(log, version, program="kube"):
    """Kubernetes of any version that the Go module proxy has. `kube` is all of it in one program, linked once, and a link to it under each name that it
    answers to; with another of these names, that program alone."""
    main = E2E / "kube/main.go"
    names = re.findall(r'^\t"([\w-]+)":', main.read_text(), re.M) if program == "kube" else []
    stamp = {
        "gitVersion": version, "gitMajor": "1", "gitMinor": version.split(".")[1], "gitCommit": "unknown", "gitTreeState": "clean",
        "buildDate": "2026-01-01T00:00:00Z",
    }
    flags = link_flags({f"k8s.io/{package}.{key}": value for package in ("component-base/version", "client-go/pkg/version") for key, value in stamp.items()})

    def build(into):
        # Its own go.mod, with the modules that are published beside it in place of its folders; what go.sum would say is asked of the checksum database.
        module = into / "module"
        (module / "kube").mkdir(parents=True)
        shutil.copy(main, module / "kube")
        said = output(["go", "list", "-m", "-f", "{{.GoMod}}", f"k8s.io/kubernetes@{version}"], cwd="/", env={**os.environ, **GO}, timeout=300)
        text = Path(said.strip()).read_text().replace("module k8s.io/kubernetes\n", f"module enclayer/test/e2e/kube\n\nrequire k8s.io/kubernetes {version}\n")
        (module / "go.mod").write_text(re.sub(r"=> \./staging/src/(\S+)", rf"=> \1 {version.replace('v1', 'v0', 1)}", text))
        package = "./kube" if names else f"k8s.io/kubernetes/cmd/{program}"
        go_build(into / program, package, flags, module, log, "-mod=mod")
        shutil.rmtree(module)
        for name in names:
            (into / name).symlink_to(program)

    return Artefact(f"{program}-{version}", [main], [flags, go_version()], build)


def etcd(log):
    return go_artefact("etcd", "etcd", {"etcd": "go.etcd.io/etcd/server/v3"}, {"go.etcd.io/etcd/api/v3/version.GitSHA": "unknown"}, log)


def containerd(log):
    ours = "github.com/containerd/containerd/v2"
    packages = {name: f"{ours}/cmd/{name}" for name in ("containerd", "containerd-shim-runc-v2", "ctr")}
    return go_artefact(
        "containerd", "containerd", packages, {f"{ours}/version.Version": CONTAINERD_VERSION, f"{ours}/version.Package": ours}, log
    )


def clients(log):
    """kwok, helm, kustomize and metrics-server: one module, because they share most of what is compiled."""
    variables = {
        "sigs.k8s.io/kwok/pkg/consts.Version": KWOK_VERSION, "helm.sh/helm/v4/internal/version.version": HELM_VERSION,
        "sigs.k8s.io/kustomize/api/provenance.version": KUSTOMIZE_VERSION,
    }
    packages = {
        "kwok": "sigs.k8s.io/kwok/cmd/kwok", "helm": "helm.sh/helm/v4/cmd/helm", "metrics-server": "sigs.k8s.io/metrics-server/cmd/metrics-server",
        "kustomize": "sigs.k8s.io/kustomize/kustomize/v5",
    }
    return go_artefact("clients", "clients", packages, variables, log)


def adapter(log):
    """A module of its own: it is of an older Kubernetes than what `clients` has."""
    return go_artefact("adapter", "adapter", {"adapter": "sigs.k8s.io/prometheus-adapter/cmd/adapter"}, {}, log)


def router(log):
    return go_artefact("router", "router", {"kube-router": "github.com/cloudnativelabs/kube-router/v2/cmd/kube-router"}, {}, log)


def pod_programs(log):
    """`workload` runs in the pods; `podresources` asks the kubelet; `podsecurity` and `podsize` look at a pod as the API server would."""
    packages = ["./workload", "./podresources", "./podsecurity", "./podsize"]

    def build(into):
        build_command(["go", "build", "-trimpath", "-ldflags", "-s -w", "-o", f"{into}/", *packages], cwd=E2E / "k8s", log=log, env=GO)

    sources = [E2E / "k8s/go.mod", E2E / "k8s/go.sum", *sorted((E2E / "k8s").glob("*/*.go"))]
    return Artefact("pod-programs", sources, [packages, go_version()], build)


def aesm_client(log):
    """The client of AESM, and what reads tokens and collateral: one crate, because they share what is compiled."""
    crate = E2E / "rust"

    def build(into):
        # Cargo keeps its work folder outside the repository.
        target = into / "target"
        # With the machine's OpenSSL, as the product has it: `ear` would have a whole one compiled.
        environment = {"CARGO_TARGET_DIR": str(target), "OPENSSL_NO_VENDOR": "1"}
        build_command(["cargo", "test", "--release", "--locked"], cwd=crate, log=log, env=environment)
        build_command(["cargo", "build", "--release", "--locked"], cwd=crate, log=log, env=environment)
        for program in ("e2e-aesm-client", "e2e-relying"):
            shutil.copy2(target / "release" / program, into)
        shutil.rmtree(target)

    sources = [crate / "Cargo.toml", crate / "Cargo.lock", *sorted((crate / "src").rglob("*.rs"))]
    return Artefact("aesm-client", sources, output(["cargo", "--version"]), build)


def python_packages(name, requirements, log):
    """A folder of its own rather than a venv: pip alone is enough, and the system's Python stays as it is."""

    def build(into):
        build_command(
            [sys.executable, "-m", "pip", "install", "--quiet", "--root-user-action=ignore", "--only-binary", ":all:",
             "--target", into, "-r", requirements], cwd="/", log=log,
        )

    return Artefact(name, [requirements], sys.version, build)


def verifiers(log):
    return python_packages("verifiers", E2E / "python/requirements.txt", log)


def azure_client(log):
    return python_packages("azure-client", E2E / "python/requirements-azure.txt", log)


def azure_javascript_client(log):
    package = E2E / "node"
    sources = [package / name for name in ("package.json", "package-lock.json", "azure_attestation.mjs")]

    def build(into):
        for source in sources:
            shutil.copy(source, into)
        build_command(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"], cwd=into, log=log)

    return Artefact("azure-javascript-client", sources, output(["node", "--version"]), build)


def relying_parties(log):
    """`oidc`, `vault` and `jose` read tokens and secrets as Vault and others do: one module, because they share most of it."""
    module, programs = E2E / "relying", ["oidc", "vault", "jose"]

    def build(into):
        packages = [f"./{program}" for program in programs]
        build_command(["go", "build", "-v", "-trimpath", "-ldflags", "-s -w", "-o", f"{into}/", *packages], cwd=module, log=log, env=GO, progress=packages_compiled)

    sources = [module / "go.mod", module / "go.sum", *(module / program / "main.go" for program in programs)]
    return Artefact("relying-parties", sources, [programs, go_version()], build)


def prometheus(log):
    """Debian's, unpacked and not installed: its package starts a service."""

    def build(into):
        build_command(["sh", "-c", "apt-get download prometheus || { apt-get update && apt-get download prometheus; }"], cwd=into, log=log)
        build_command(["dpkg-deb", "--extract", next(into.glob("*.deb")), into / "root"], cwd=into, log=log)
        for name in ("prometheus", "promtool"):
            shutil.copy2(into / "root/usr/bin" / name, into)
        shutil.rmtree(into / "root")
        next(into.glob("*.deb")).unlink()

    return Artefact("prometheus", [], "Debian's", build)
