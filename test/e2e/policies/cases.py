"""Pods, and what has to become of them. One line a case where that is possible; `Case` says what the words mean."""

from copy import deepcopy
from dataclasses import dataclass, field

AZURE = "kubernetes.azure.com/sgx_epc_mem_in_MiB"
INTEL = "sgx.intel.com/epc"
ALIBABA = "alibabacloud.com/sgx_epc_MiB"
OPEN_ENCLAVE = "openenclave.io/sgx_epc_MiB"
NAMES = (AZURE, INTEL, ALIBABA, OPEN_ENCLAVE)
ENCLAVE = "sgx.intel.com/enclave"
PROVISION, HELPERS_PROVISION = "sgx.intel.com/provision", "enclayer.io/quote-helper-provision"
QUOTE = "enclayer.io/quote"

PROVIDER = "sgx.intel.com/quote-provider"
ATTESTATION = "enclayer.io/attestation"
TRANSLATED = "enclayer.io/translated"
SLOTS = "enclayer.io/quote-slots"
CLAIMS_LABEL = "enclayer.io/epc-claims"
AESMD = {PROVIDER: "aesmd"}
OUT_OF_PROC = {ATTESTATION: "out-of-proc"}
IN_PROC = {ATTESTATION: "in-proc"}

# Namespaces, by what they are for
PLAIN, ALLOWED, IGNORED, BASELINE, RESTRICTED, QUOTA, DEFAULTS, CANONICAL, MOUNTING, OWN, SYSTEM = (
    *(f"policies-{each}" for each in ("plain", "allowed", "ignored", "baseline", "restricted", "quota", "defaults", "canonical-defaults", "mounting")),
    "enclayer-system", "kube-system")


@dataclass
class Case:
    title: str
    pod: dict
    epc: dict = field(default_factory=dict)  # container -> MiB in place of its foreign names
    claims: dict = field(default_factory=dict)  # container -> MiB by a claim, in place of all its names
    record: str = ""                         # what enclayer.io/translated says
    quote: tuple = ()                        # containers that get enclayer.io/quote: 1
    provision: tuple = ()                    # containers that get sgx.intel.com/provision: 1
    slots: tuple = ()                        # (container, mount path) that become enclayer.io/quote: 1, and are named in enclayer.io/quote-slots
    read_only: tuple = ()                    # (container, mount path) that become read-only
    socket: tuple = ()                       # containers that get Intel's socket folder, writable
    tolerates: tuple | None = None           # tolerations that are added; None: all four if a container asks for EPC
    refused: str = ""                        # a part of the message. The rest of the expectations does not matter then
    status: int = 0                          # of the refusal
    warnings: tuple = ()                     # a part of each warning
    namespace: str = PLAIN


def container(name="web", limits=None, requests=None, **more):
    resources = {key: value for key, value in (("limits", limits), ("requests", requests)) if value is not None}
    return {"name": name, "image": "localhost/none", **({"resources": resources} if resources else {}), **more}


def pod(*containers, init=(), annotations=None, **spec):
    return {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "case", **({"annotations": annotations} if annotations is not None else {})},
        "spec": {"automountServiceAccountToken": False, "containers": list(containers), **({"initContainers": list(init)} if init else {}), **spec},
    }


def claiming(name="web", mib=65536, **more):
    """As a container with an amount above the limit comes out."""
    return container(name, resources={"claims": [{"name": f"epc-{name}"}]}, **more)


def claim(name="web", template="enclayer-epc-65536"):
    return {"name": f"epc-{name}", "resourceClaimTemplateName": template}


def epc(name="web", amount=10, resource=AZURE, **more):
    return container(name, {resource: amount}, **more)


def folder(path, name="sockets", **more):
    return {"name": name, "hostPath": {"path": path, **more}}


def mount(path="/var/run/aesmd", name="sockets", **more):
    return {"name": name, "mountPath": path, **more}


def toleration(key, **more):
    return {"key": key, "operator": "Exists", "effect": "NoSchedule", **more}


def expected(case, plain):
    """What the API server has to make of the pod, from what it makes of it without any policy."""
    result = deepcopy(plain)
    spec = result["spec"]
    containers = {each["name"]: each for each in spec.get("initContainers", []) + spec["containers"]}
    asks = any(name in each["resources"].get("limits", {}) for each in containers.values() for name in NAMES)
    for name, mib in case.claims.items():
        resources, called = containers[name]["resources"], f"epc-{name}"[:63]
        for kind in ("limits", "requests"):
            resources[kind] = {key: value for key, value in resources.get(kind, {}).items() if key not in NAMES}
            if not resources[kind]:
                del resources[kind]
        resources.setdefault("claims", []).append({"name": called})
        spec.setdefault("resourceClaims", []).append({"name": called, "resourceClaimTemplateName": f"enclayer-epc-{mib}"})
        result["metadata"].setdefault("labels", {})[CLAIMS_LABEL] = "true"
    for name, mib in case.epc.items():
        for amounts in containers[name]["resources"].values():
            for foreign in NAMES[1:]:
                amounts.pop(foreign, None)
            amounts[AZURE] = mib
    for resource, names in ((QUOTE, case.quote), (PROVISION, case.provision)):
        for name in names:
            for kind in ("limits", "requests"):
                containers[name]["resources"].setdefault(kind, {})[resource] = "1"
    for name, path in case.slots:
        each = containers[name]
        gone = next(mounted for mounted in each["volumeMounts"] if mounted["mountPath"] == path)
        remove(each, "volumeMounts", gone)
        for kind in ("limits", "requests"):
            each["resources"].setdefault(kind, {}).setdefault(QUOTE, "1")
        if not any(mounted["name"] == gone["name"] for other in containers.values() for mounted in other.get("volumeMounts", [])):
            remove(spec, "volumes", next(volume for volume in spec["volumes"] if volume["name"] == gone["name"]))
        note(result, SLOTS, f"{name}: the mount of {path} is {QUOTE}")
    for name, path in case.read_only:
        for each in containers[name]["volumeMounts"]:
            if each["mountPath"] == path:
                each["readOnly"] = True
    for name in case.socket:
        volumes = spec.setdefault("volumes", [])
        ours = next((v["name"] for v in volumes if v.get("hostPath", {}).get("path") == "/var/run/aesmd"), None)
        if not ours:
            ours = "aesmd-socket"
            volumes.append(folder("/var/run/aesmd", ours, type="DirectoryOrCreate"))
        containers[name].setdefault("volumeMounts", []).append(mount(name=ours))
    if case.record:
        result["metadata"].setdefault("annotations", {})[TRANSLATED] = case.record
    added = case.tolerates if case.tolerates is not None else NAMES if asks else ()
    if added:
        spec.setdefault("tolerations", []).extend(map(toleration, added))
    return result


def remove(owner, key, item):
    """Lists that are empty are not shown."""
    owner[key].remove(item)
    if not owner[key]:
        del owner[key]


def note(made, annotation, entry):
    annotations = made["metadata"].setdefault("annotations", {})
    before = annotations[annotation].split("; ") if annotation in annotations else []
    annotations[annotation] = "; ".join(before + [entry] * (entry not in before))


def unknown(key, container="web"):
    return f"container {container} asks for {key}, which nobody offers"


EPC_HINT = f"EPC is {AZURE}, a number of MiB"
BOTH = "the pod wants its quotes in-proc ({}) and out-of-proc ({}) at once"
NOT_ALLOWED = ("container {} asks for sgx.intel.com/provision, which shows who holds it a stable identifier of the platform, and namespace {} does not allow it; "
               "take quotes from the quote helper (annotation enclayer.io/attestation: out-of-proc), or have an administrator run: "
               "enclayer update --in-proc-attestation (without it no node offers the device to pods), and kubectl label namespace {} enclayer.io/allow-provisioning=true")

# Pods that name no SGX: not looked at any further, not changed, not refused, whatever the policies are like.
STRANGERS = [
    # Azure/AKS 2214: a validating webhook refused every pod without requests; 2219: another one fell over a nil map
    Case("no resources at all", pod(container())),
    Case("resources: {}", pod(container(resources={}))),
    Case("resources: null", pod(container(resources=None))),
    Case("limits and requests null", pod(container(resources={"limits": None, "requests": None}))),
    Case("limits and requests empty", pod(container(resources={"limits": {}, "requests": {}}))),
    Case("requests alone", pod(container(requests={"cpu": "100m", "memory": "64Mi"}))),
    Case("limits alone", pod(container(limits={"cpu": 1, "memory": "64Mi"}))),
    Case("annotations null", pod(container(), annotations=None) | {"metadata": {"name": "case", "annotations": None, "labels": None}}),
    Case("annotations empty", pod(container(), annotations={})),
    Case("other annotations", pod(container(), annotations={"a": "b", "example.com/sgx": "no"})),
    Case("lists null", pod(container(env=None, volumeMounts=None), initContainers=None, volumes=None, tolerations=None)),
    Case("init containers without resources", pod(container(), init=[container("pre")])),
    Case("a sidecar", pod(container(), init=[container("pre", restartPolicy="Always")])),
    Case("another vendor's device", pod(container(limits={"example.com/gpu": 1, "nvidia.com/gpu": 2}))),
    Case("a name with epc in it", pod(container(limits={"example.com/depcache": 1, "epc.example.com/x": 1}))),
    Case("hugepages", pod(container(limits={"hugepages-2Mi": "4Mi", "memory": "64Mi"}, requests={"hugepages-2Mi": "4Mi", "memory": "64Mi"}))),
    Case("resources of the pod", pod(container(), resources={"limits": {"cpu": "1", "memory": "64Mi"}})),
    Case("a token volume", pod(container()) | {"spec": {"containers": [container()]}}),
    Case("generateName", pod(container()) | {"metadata": {"generateName": "case-"}}),
    Case("hostPath elsewhere", pod(container(volumeMounts=[mount("/x")]), volumes=[folder("/var/run/netns")])),
    Case("hostPath with a name like ours", pod(container(volumeMounts=[mount("/x")]), volumes=[folder("/var/run/aesmdx"), folder("/srv/var/run/aesmd", "more")])),
    Case("a container named aesmd", pod(container("aesmd"))),
    Case("host network, tolerations for everything", pod(container(), hostNetwork=True, tolerations=[{"operator": "Exists"}])),
    Case("fifty containers", pod(*(container(f"c{i}", {"cpu": "1", "memory": "1Mi", "example.com/x": 1}) for i in range(50)))),
    Case("a thousand containers", pod(*(container(f"c{i}", {"cpu": "1", "memory": "1Mi", "example.com/x": 1}) for i in range(1000)))),
    Case("hundreds of resources", pod(container(limits={f"example.com/{'x' * 50}{i}": 1 for i in range(500)}))),
    Case("kube-system", pod(container()), namespace=SYSTEM),
    Case("our namespace", pod(container()), namespace=OWN),
    Case("a restricted namespace", pod(container(), securityContext={"runAsNonRoot": True}), namespace=RESTRICTED, refused="violates PodSecurity"),
    # What the API server itself refuses, it refuses in its own words.
    Case("no containers", pod(), refused="spec.containers: Required value"),
    Case("containers null", pod() | {"spec": {"containers": None}}, refused="spec.containers: Required value"),
    Case("no spec", {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "case"}}, refused="spec.containers: Required value"),
    Case("an unknown namespace", pod(container()), namespace="policies-nowhere", refused='namespaces "policies-nowhere" not found', status=404),
]

TRANSLATION = [
    Case("the canonical name", pod(epc())),
    Case("an amount as text", pod(epc(amount="5"))),
    Case("limits and requests", pod(container(limits={AZURE: 10}, requests={AZURE: 10}))),
    Case("beside cpu and memory", pod(container(limits={INTEL: "10Mi", "cpu": 1}, requests={"memory": "1Mi"})), epc={"web": "10"},
         record="web: sgx.intel.com/epc=10Mi is 10 MiB"),
    Case("Intel, limits alone", pod(epc(resource=INTEL, amount="10Mi")), epc={"web": "10"}, record="web: sgx.intel.com/epc=10Mi is 10 MiB"),
    Case("Intel, limits and requests", pod(container(limits={INTEL: "10Mi"}, requests={INTEL: "10Mi"})), epc={"web": "10"},
         record="web: sgx.intel.com/epc=10Mi is 10 MiB"),
    *(Case(f"Intel, {amount}", pod(epc(resource=INTEL, amount=amount)), epc={"web": str(mib)},
           record=f"web: sgx.intel.com/epc={seen or amount} is {mib} MiB", warnings=("is a Mi missing?",) if warned else ())
      for amount, seen, mib, warned in [
          ("512Ki", "", 1, False), ("1Mi", "", 1, False), ("1025Ki", "", 2, False), (1048576, "", 1, False), (1048577, "", 2, False), ("10M", "", 10, False),
          ("1Gi", "", 1024, False), ("48Gi", "", 49152, False), (1, "", 1, True), (10, "", 1, True), (42, "", 1, True), ("10k", "", 1, True),
          ("1048575", "", 1, True), ("1000000", "1M", 1, True), (0, "", 0, False), ("1e1", "10", 1, True), ("4Ki", "", 1, False),
          ("1.5Gi", "1536Mi", 1536, False), ("0.5Mi", "512Ki", 1, False),
      ]),
    Case("Alibaba", pod(epc(resource=ALIBABA, amount=20)), epc={"web": "20"}, record="web: alibabacloud.com/sgx_epc_MiB=20 is 20 MiB"),
    Case("Open Enclave", pod(epc(resource=OPEN_ENCLAVE)), epc={"web": "10"}, record="web: openenclave.io/sgx_epc_MiB=10 is 10 MiB"),
    Case("Alibaba, 2k", pod(epc(resource=ALIBABA, amount="2k")), epc={"web": "2k"}, record="web: alibabacloud.com/sgx_epc_MiB=2k is 2000 MiB"),
    Case("an init container", pod(container(), init=[epc("pre", "3Mi", INTEL)]), epc={"pre": "3"}, record="pre: sgx.intel.com/epc=3Mi is 3 MiB"),
    Case("a sidecar", pod(container(), init=[epc("side", "3Mi", INTEL, restartPolicy="Always")]), epc={"side": "3"},
         record="side: sgx.intel.com/epc=3Mi is 3 MiB"),
    Case("all dialects in one pod", pod(epc("a", 1), epc("b", "2Mi", INTEL), container("c"), epc("d", 3, ALIBABA), init=[epc("e", 4, OPEN_ENCLAVE)]),
         epc={"b": "2", "d": "3", "e": "4"},
         record="b: sgx.intel.com/epc=2Mi is 2 MiB; d: alibabacloud.com/sgx_epc_MiB=3 is 3 MiB; e: openenclave.io/sgx_epc_MiB=4 is 4 MiB"),
    Case("two names, the same amount", pod(container(limits={AZURE: 10, INTEL: "10Mi"})), epc={"web": "10"}, record="web: sgx.intel.com/epc=10Mi is 10 MiB"),
    Case("two names, the same amount once rounded", pod(container(limits={AZURE: 1, INTEL: "512Ki"})), epc={"web": "1"},
         record="web: sgx.intel.com/epc=512Ki is 1 MiB"),
    Case("two foreign names, the same amount", pod(container(limits={ALIBABA: 20, INTEL: "20Mi"})), epc={"web": "20"},
         record="web: sgx.intel.com/epc=20Mi alibabacloud.com/sgx_epc_MiB=20 is 20 MiB"),
    Case("two names, different amounts", pod(container(limits={AZURE: 10, INTEL: "20Mi"})), status=422,
         refused="container web asks for kubernetes.azure.com/sgx_epc_mem_in_MiB=10 and sgx.intel.com/epc=20Mi, which mean different amounts; keep one of them"),
    Case("the units taken for each other", pod(container(limits={AZURE: 10, INTEL: 10})), refused="which mean different amounts"),
    Case("three names, one differs", pod(container(limits={AZURE: 10, INTEL: "10Mi", ALIBABA: 11})), refused="which mean different amounts"),
    Case("different amounts in an init container", pod(epc(), init=[container("pre", {ALIBABA: 1, OPEN_ENCLAVE: 2})]), refused="container pre asks for"),
    Case("one container clear, one not", pod(epc("a", "1Mi", INTEL), container("b", {AZURE: 10, INTEL: "20Mi"})), refused="container b asks for"),
    Case("Intel's and SGX devices, as MarbleRun has it", pod(container(limits={INTEL: "10Mi", ENCLAVE: 1, PROVISION: 1})), epc={"web": "10"},
         record="web: sgx.intel.com/epc=10Mi is 10 MiB", namespace=ALLOWED),
    Case("an enclave device without EPC", pod(container(limits={ENCLAVE: 1}))),
    Case("Intel's qe and registration", pod(container(limits={"sgx.intel.com/qe": 1, "sgx.intel.com/registration": 1}))),
    # The API server's own refusals, in the words of the author
    Case("requests differ", pod(container(limits={INTEL: "10Mi"}, requests={INTEL: "5Mi"})), refused="spec.containers[0].resources.requests: Invalid value: \"5Mi\": must be equal to sgx.intel.com/epc limit of 10Mi"),
    Case("requests differ by less than a MiB", pod(container(limits={INTEL: "10Mi"}, requests={INTEL: 10485759})), refused="must be equal to sgx.intel.com/epc limit"),
    Case("requests alone", pod(container(requests={INTEL: "10Mi"})), refused="Limit must be set for non overcommitable resources"),
    Case("a fraction", pod(epc(resource=ALIBABA, amount="1500m")), refused="must be an integer"),
    Case("more than CEL counts", pod(epc(resource=INTEL, amount="7Pi")), refused="or it is more than a node can have"),
    Case("more than the API server counts", pod(epc(resource=INTEL, amount="7Ei")), refused="must be an integer"),
    Case("less than nothing", pod(epc(resource=INTEL, amount="-10Mi")), refused="must be greater than or equal to 0"),
    Case("a name without a domain", pod(container(limits={"sgx_epc_mem_in_MiB": 10})), refused="must be a standard resource type or fully qualified"),
    # Records that are there already: a pod made from another's manifest
    Case("a record from before", pod(epc(), annotations={TRANSLATED: "web: sgx.intel.com/epc=10Mi is 10 MiB"})),
    Case("a record from before, and more to translate", pod(epc("a"), epc("b", "1Mi", INTEL), annotations={TRANSLATED: "a: sgx.intel.com/epc=10Mi is 10 MiB"}),
         epc={"b": "1"}, record="a: sgx.intel.com/epc=10Mi is 10 MiB; b: sgx.intel.com/epc=1Mi is 1 MiB"),
    Case("a record that is none", pod(epc(), annotations={TRANSLATED: "sgx.intel.com/epc= =; '\"; sgx.intel.com/epc=99999999999999999999999Ei"})),
    Case("another annotation", pod(epc(resource=ALIBABA, amount=1), annotations={"a": "b"}), epc={"web": "1"}, record="web: alibabacloud.com/sgx_epc_MiB=1 is 1 MiB"),
    # Tolerations
    Case("tolerates everything", pod(epc(), tolerations=[{"operator": "Exists"}]), tolerates=()),
    Case("tolerates one of them", pod(epc(), tolerations=[toleration(AZURE)]), tolerates=NAMES[1:]),
    Case("tolerates one for any effect", pod(epc(), tolerations=[{"key": INTEL, "operator": "Exists"}]), tolerates=(AZURE, ALIBABA, OPEN_ENCLAVE)),
    Case("tolerates one value", pod(epc(), tolerations=[{"key": AZURE, "value": "true", "effect": "NoSchedule"}])),
    Case("tolerates another effect", pod(epc(), tolerations=[{"key": AZURE, "operator": "Exists", "effect": "NoExecute"}])),
    # Where nothing is done
    Case("kube-system", pod(epc(resource=INTEL, amount="1Mi")), namespace=SYSTEM, tolerates=()),
    Case("our namespace, as the quote helper asks", pod(container(limits={AZURE: 5, PROVISION: 1})), namespace=OWN, tolerates=()),
    Case("a namespace with enclayer.io/admission=ignore", pod(container(limits={INTEL: 10, AZURE: 5, "sgx.k8s.io/sgx": 1}), annotations=AESMD), namespace=IGNORED, tolerates=()),
    # What counts quotas and defaults
    Case("a quota on a foreign name counts nothing any more", pod(epc(resource=INTEL, amount="5Mi")), namespace=QUOTA, epc={"web": "5"},
         record="web: sgx.intel.com/epc=5Mi is 5 MiB"),
    Case("a quota on our name counts", pod(epc(resource=INTEL, amount="6Mi")), namespace=QUOTA, refused=f"exceeded quota: epc, requested: requests.{AZURE}=6", status=403),
    Case("a LimitRange's default under a foreign name", pod(container()), namespace=DEFAULTS, epc={"web": "7"}, record="web: sgx.intel.com/epc=7Mi is 7 MiB"),
    Case("it gives way to what the container asks itself", pod(epc()), namespace=DEFAULTS, epc={"web": "10"},
         record="web: 10 MiB in place of the default 7Mi of sgx.intel.com/epc"),
    Case("it gives way to another foreign name", pod(epc(resource=ALIBABA, amount=3), container("b")), namespace=DEFAULTS, epc={"web": "3", "b": "7"},
         record="web: alibabacloud.com/sgx_epc_MiB=3 is 3 MiB; web: 3 MiB in place of the default 7Mi of sgx.intel.com/epc; b: sgx.intel.com/epc=7Mi is 7 MiB"),
    Case("a LimitRange's default under the canonical name", pod(container()), namespace=CANONICAL),
    Case("it gives way to a foreign name", pod(epc(resource=INTEL, amount="10Mi"), init=[epc("pre", 3, ALIBABA)]), namespace=CANONICAL, epc={"web": "10", "pre": "3"},
         record=f"web: sgx.intel.com/epc=10Mi is 10 MiB; web: 10 MiB in place of the default 5 of {AZURE}; "
                f"pre: alibabacloud.com/sgx_epc_MiB=3 is 3 MiB; pre: 3 MiB in place of the default 5 of {AZURE}"),
    Case("it does not where the container means two amounts", pod(container(limits={INTEL: "10Mi", ALIBABA: 3})), namespace=CANONICAL, refused="which mean different amounts"),
]

QUOTES = [
    Case("quote-provider: aesmd", pod(epc(), annotations=AESMD), quote=("web",)),
    Case("attestation: out-of-proc", pod(epc(), annotations=OUT_OF_PROC), quote=("web",)),
    Case("both ways of saying it", pod(epc(), annotations=AESMD | OUT_OF_PROC), quote=("web",)),
    Case("a foreign name", pod(epc(resource=INTEL, amount="10Mi"), annotations=AESMD), epc={"web": "10"}, record="web: sgx.intel.com/epc=10Mi is 10 MiB", quote=("web",)),
    Case("each container with EPC", pod(epc("a"), container("b"), epc("c", 1, ALIBABA), init=[epc("d"), container("e")], annotations=OUT_OF_PROC),
         epc={"c": "1"}, record="c: alibabacloud.com/sgx_epc_MiB=1 is 1 MiB", quote=("a", "c", "d")),
    Case("asked for already", pod(container(limits={AZURE: 10, QUOTE: 1}), annotations=OUT_OF_PROC)),
    Case("asked for by hand", pod(container(limits={AZURE: 10, QUOTE: 1}))),
    Case("asked for without EPC", pod(container(limits={QUOTE: 1}))),
    Case("own mounts and variables stay",
         pod(epc(env=[{"name": "SGX_AESM_ADDR", "value": "tcp"}], volumeMounts=[mount("/data", "data"), mount(readOnly=True), mount("/more", "data")]),
             annotations=AESMD, volumes=[{"name": "data", "emptyDir": {}}, folder("/var/run/aesmd")]), slots=(("web", "/var/run/aesmd"),)),
    # Mounts of the helper's folder
    *(Case(f"{path} at {at}", pod(epc(volumeMounts=[mount(at, "s")]), volumes=[folder("/tmp", "data"), folder(path, "s", type="Directory")]), slots=(("web", at),))
      for path in ("/var/run/aesmd", "/var/run/aesmd/", "/run/aesmd", "/run/aesmd//") for at in ("/var/run/aesmd", "/run/aesmd/")),
    *(Case(f"{path} at another path", pod(epc(volumeMounts=[mount("/x", "data"), mount("/elsewhere", "s")]), volumes=[folder("/tmp", "data"), folder(path, "s", type="Directory")]),
           read_only=(("web", "/elsewhere"),)) for path in ("/run/aesmd", "/run/aesmd/", "/var/run/aesmd/")),
    *(Case(f"{path} is left alone", pod(epc(volumeMounts=[mount()]), volumes=[folder(path)])) for path in ("/var/run/aesmd2", "/srv/run/aesmd")),
    Case("the folder with the annotation", pod(epc(volumeMounts=[mount()]), annotations=AESMD, volumes=[folder("/var/run/aesmd")]), slots=(("web", "/var/run/aesmd"),)),
    Case("the folder and other annotations", pod(epc(volumeMounts=[mount()]), annotations={"a": "b"}, volumes=[folder("/var/run/aesmd")]), slots=(("web", "/var/run/aesmd"),)),
    Case("the folder and a foreign name", pod(epc(resource=ALIBABA, volumeMounts=[mount()]), volumes=[folder("/var/run/aesmd")]), epc={"web": "10"},
         record="web: alibabacloud.com/sgx_epc_MiB=10 is 10 MiB", slots=(("web", "/var/run/aesmd"),)),
    Case("the folder, and enclayer.io/quote by hand", pod(container(limits={AZURE: 10, QUOTE: 2}, volumeMounts=[mount()]), volumes=[folder("/var/run/aesmd")]),
         slots=(("web", "/var/run/aesmd"),)),
    Case("the folder twice in one container", pod(epc(volumeMounts=[mount(), mount("/data", "data"), mount("/run/aesmd", "more"), mount("/x")]),
                                                  volumes=[folder("/run/aesmd", "more"), {"name": "data", "emptyDir": {}}, folder("/var/run/aesmd")]),
         slots=(("web", "/var/run/aesmd"), ("web", "/run/aesmd")), read_only=(("web", "/x"),)),
    Case("two volumes of the folder", pod(epc("a", volumeMounts=[mount()]), epc("b", volumeMounts=[mount(name="more")]),
                                          volumes=[folder("/var/run/aesmd"), {"name": "data", "emptyDir": {}}, folder("/run/aesmd", "more")]),
         slots=(("a", "/var/run/aesmd"), ("b", "/var/run/aesmd"))),
    Case("two containers share the volume", pod(epc("a", volumeMounts=[mount()]), epc("b", volumeMounts=[mount()]), volumes=[folder("/var/run/aesmd")]),
         slots=(("a", "/var/run/aesmd"), ("b", "/var/run/aesmd"))),
    Case("one of them has no EPC", pod(epc("a", volumeMounts=[mount()]), container("b", volumeMounts=[mount(), mount("/z")]), volumes=[folder("/var/run/aesmd")]),
         slots=(("a", "/var/run/aesmd"),), read_only=(("b", "/var/run/aesmd"), ("b", "/z"))),
    Case("an init container without EPC mounts it too", pod(epc("a", volumeMounts=[mount()]), init=[container("c", volumeMounts=[mount()])], volumes=[folder("/var/run/aesmd")]),
         slots=(("a", "/var/run/aesmd"),), read_only=(("c", "/var/run/aesmd"),)),
    Case("an init container and a sidecar with EPC", pod(epc("a"), init=[epc("b", volumeMounts=[mount()]), epc("c", restartPolicy="Always", volumeMounts=[mount()])],
                                                         volumes=[folder("/var/run/aesmd")]),
         slots=(("b", "/var/run/aesmd"), ("c", "/var/run/aesmd"))),
    Case("only containers without EPC mount it", pod(epc("a"), container("b", volumeMounts=[mount()]), volumes=[folder("/var/run/aesmd")]), read_only=(("b", "/var/run/aesmd"),)),
    Case("a part of the folder", pod(epc(volumeMounts=[mount(subPath="mine")]), volumes=[folder("/var/run/aesmd")]), read_only=(("web", "/var/run/aesmd"),)),
    Case("a part of the folder, by a variable", pod(epc(env=[{"name": "X", "value": "mine"}], volumeMounts=[mount(subPathExpr="$(X)")]), volumes=[folder("/var/run/aesmd")]),
         read_only=(("web", "/var/run/aesmd"),)),
    Case("the folder below its own path", pod(epc(volumeMounts=[mount("/var/run/aesmd/x")]), volumes=[folder("/var/run/aesmd")]), read_only=(("web", "/var/run/aesmd/x"),)),
    Case("a record of slots from before", pod(epc(volumeMounts=[mount()]), annotations={SLOTS: f"web: the mount of /var/run/aesmd is {QUOTE}"}, volumes=[folder("/var/run/aesmd")]),
         slots=(("web", "/var/run/aesmd"),)),
    Case("a record of other slots", pod(epc(volumeMounts=[mount()]), annotations={SLOTS: "x"}, volumes=[folder("/var/run/aesmd")]), slots=(("web", "/var/run/aesmd"),)),
    Case("the folder where baseline is enforced", pod(epc(volumeMounts=[mount()]), volumes=[folder("/var/run/aesmd")]), namespace=BASELINE, slots=(("web", "/var/run/aesmd"),)),
    Case("the folder at another path where baseline is enforced", pod(epc(volumeMounts=[mount("/x")]), volumes=[folder("/var/run/aesmd")]), namespace=BASELINE,
         refused='violates PodSecurity "baseline:latest": hostPath volumes (volume "sockets")', status=403),
    Case("a mount of the socket itself", pod(epc(volumeMounts=[mount("/var/run/aesmd/aesm.socket")]), volumes=[folder("/var/run/aesmd/aesm.socket", type="Socket")]),
         warnings=("the pod mounts a file or folder below /var/run/aesmd",)),
    Case("an emptyDir at that place", pod(epc(volumeMounts=[mount()]), volumes=[{"name": "sockets", "emptyDir": {}}])),
    Case("no EPC, no quotes", pod(container(), annotations=AESMD), warnings=("no container asks for EPC",)),
    Case("restricted", pod(epc(securityContext={"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}), annotations=OUT_OF_PROC,
                           securityContext={"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}}), namespace=RESTRICTED, quote=("web",)),
    # EPC by a claim, as `enclayer translate --to dra` writes it
    Case("a claim of EPC", pod(claiming(), resourceClaims=[claim()]), tolerates=()),
    Case("a claim of EPC, out-of-proc", pod(claiming(), annotations=OUT_OF_PROC, resourceClaims=[claim()]), quote=("web",), tolerates=()),
    Case("a claim of EPC, in-proc", pod(claiming(), annotations=IN_PROC, resourceClaims=[claim()]), provision=("web",), tolerates=(), namespace=ALLOWED),
    Case("a claim of EPC, by its name in-proc", pod(claiming(), container("b"), annotations={PROVIDER: "web"}, resourceClaims=[claim()]), provision=("web",), tolerates=(), namespace=ALLOWED),
    Case("a claim of EPC, the folder and a device", pod(claiming(volumeMounts=[mount(), mount("/x")]), resourceClaims=[claim()], volumes=[folder("/var/run/aesmd"), folder("/dev/sgx", "dev")]),
         slots=(("web", "/var/run/aesmd"),), read_only=(("web", "/x"),), tolerates=()),
    Case("a claim of EPC beside another", pod(claiming("a"), container("b", resources={"claims": [{"name": "gpu"}]}), annotations=OUT_OF_PROC,
                                              resourceClaims=[claim("a"), {"name": "gpu", "resourceClaimTemplateName": "gpu"}]), quote=("a",), tolerates=()),
    Case("a claim of EPC that nobody takes", pod(container(), annotations=OUT_OF_PROC, resourceClaims=[claim()]), tolerates=(), warnings=("no container asks for EPC",)),
    Case("a claim of EPC, both ways of quotes", pod(claiming(), annotations={PROVIDER: "web"} | OUT_OF_PROC, resourceClaims=[claim()]), refused=BOTH.format(f"{PROVIDER}: web", f"{ATTESTATION}: out-of-proc"),
         namespace=ALLOWED),
    Case("a claim of EPC, a way of quotes that there is not", pod(claiming(), annotations={ATTESTATION: "outofproc"}, resourceClaims=[claim()]), refused="it can be out-of-proc"),
    # Intel's own aesmd
    Case("Intel's aesmd", pod(epc("aesmd", "1Mi", INTEL), annotations=AESMD), namespace=ALLOWED, epc={"aesmd": "1"}, record="aesmd: sgx.intel.com/epc=1Mi is 1 MiB",
         provision=("aesmd",), socket=("aesmd",)),
    Case("Intel's aesmd with its folder", pod(epc("aesmd", volumeMounts=[mount()]), annotations=AESMD, volumes=[folder("/var/run/aesmd")]), namespace=ALLOWED, provision=("aesmd",)),
    Case("Intel's aesmd with its folder elsewhere", pod(epc("aesmd", volumeMounts=[mount("/x")]), annotations=AESMD, volumes=[folder("/var/run/aesmd")]), namespace=ALLOWED,
         provision=("aesmd",), socket=("aesmd",)),
    Case("Intel's aesmd beside a client", pod(epc("aesmd", volumeMounts=[mount()]), epc("app", volumeMounts=[mount()]), annotations=AESMD, volumes=[folder("/run/aesmd")]),
         namespace=ALLOWED, provision=("aesmd",), quote=("app",), read_only=(("app", "/var/run/aesmd"),)),
    Case("Intel's aesmd without EPC beside a client", pod(container("aesmd", volumeMounts=[mount()]), epc("app", volumeMounts=[mount()]), annotations=AESMD, volumes=[folder("/run/aesmd")]),
         namespace=MOUNTING, quote=("app",), read_only=(("app", "/var/run/aesmd"),)),
    Case("Intel's aesmd where provisioning is not allowed", pod(epc("aesmd"), annotations=AESMD), refused=NOT_ALLOWED.format("aesmd", PLAIN, PLAIN), status=403),
    Case("named aesmd without the annotation", pod(epc("aesmd", volumeMounts=[mount()]), volumes=[folder("/var/run/aesmd")]), slots=(("aesmd", "/var/run/aesmd"),)),
    # In the enclave's own process
    Case("quote-provider names a container", pod(epc("a"), epc("b"), annotations={PROVIDER: "b"}), namespace=ALLOWED, provision=("b",)),
    Case("quote-provider names an init container", pod(epc("a"), init=[epc("b", 1, ALIBABA)], annotations={PROVIDER: "b"}), namespace=ALLOWED, provision=("b",),
         epc={"b": "1"}, record="b: alibabacloud.com/sgx_epc_MiB=1 is 1 MiB"),
    Case("attestation: in-proc", pod(epc("a"), epc("b"), container("c"), annotations=IN_PROC), namespace=ALLOWED, provision=("a", "b")),
    Case("in-proc with the helper's folder", pod(epc(volumeMounts=[mount()]), annotations=IN_PROC, volumes=[folder("/var/run/aesmd")]), namespace=ALLOWED,
         provision=("web",), read_only=(("web", "/var/run/aesmd"),)),
    Case("one container in-proc, one with the helper's folder", pod(epc("a", volumeMounts=[mount()]), epc("b", volumeMounts=[mount()]), annotations={PROVIDER: "a"},
                                                                    volumes=[folder("/var/run/aesmd")]),
         namespace=ALLOWED, provision=("a",), slots=(("b", "/var/run/aesmd"),), read_only=(("a", "/var/run/aesmd"),)),
    Case("provision asked for already", pod(container(limits={AZURE: 1, PROVISION: 2}), annotations={PROVIDER: "web"}), namespace=ALLOWED),
    Case("quote-provider names a container, not allowed", pod(epc(), annotations={PROVIDER: "web"}), refused=NOT_ALLOWED.format("web", PLAIN, PLAIN), status=403),
    Case("MarbleRun's label and nothing yet", pod(container(), annotations=None) | {"metadata": {"name": "case", "labels": {"marblerun/marbletype": "x"}}}),
    Case("in-proc, not allowed", pod(epc("a"), epc("b"), annotations=IN_PROC), refused="container a, b asks for sgx.intel.com/provision", status=403),
    Case("quote-provider names nobody", pod(epc(), annotations={PROVIDER: "aesm"}), warnings=("is aesm, which is neither aesmd nor a container of this pod",)),
    Case("quote-provider is empty", pod(epc(), annotations={PROVIDER: ""})),
]

REFUSALS = [
    Case("in-proc and aesmd", pod(epc(), annotations=IN_PROC | AESMD), status=422, namespace=ALLOWED,
         refused=BOTH.format("enclayer.io/attestation: in-proc", "sgx.intel.com/quote-provider: aesmd")),
    Case("out-of-proc and a container's name", pod(epc(), annotations=OUT_OF_PROC | {PROVIDER: "web"}), namespace=ALLOWED,
         refused=BOTH.format("sgx.intel.com/quote-provider: web", "enclayer.io/attestation: out-of-proc")),
    Case("in-proc and enclayer.io/quote", pod(container(limits={AZURE: 1, QUOTE: 1}), annotations=IN_PROC), namespace=ALLOWED,
         refused=BOTH.format("enclayer.io/attestation: in-proc", "enclayer.io/quote")),
    Case("a container's name and enclayer.io/quote there", pod(container(limits={AZURE: 1, QUOTE: 1}), annotations={PROVIDER: "web"}), namespace=ALLOWED,
         refused=BOTH.format("sgx.intel.com/quote-provider: web", "enclayer.io/quote")),
    Case("a container's name and enclayer.io/quote elsewhere", pod(epc("a"), container("b", {AZURE: 1, QUOTE: 1}), annotations={PROVIDER: "a"}), namespace=ALLOWED,
         provision=("a",)),
    Case("out-of-proc and a name of nobody", pod(epc(), annotations=OUT_OF_PROC | {PROVIDER: "x"}), quote=("web",), warnings=("is x, which is neither aesmd",)),
    Case("an attestation that there is not", pod(epc(), annotations={ATTESTATION: "outofproc"}),
         refused="annotation enclayer.io/attestation is outofproc; it can be out-of-proc (quotes from the quote helper) or in-proc"),
    *(Case(f"misspelt: {key}", pod(container(limits={key: 10})), refused=f"{unknown(key)}: {EPC_HINT}") for key in (
        "sgx.intel.com/sgx_epc_mem_in_MiB",  # Azure's FAQ
        "kubernetes.azure.com/sgx_epc_mem_in_MB", "kubernetes.azure.com/sgx_epc_mem_in_Mib", "kubernetes.azure.com/sgx_epc_mem_in_mib", "kubernetes.azure.com/sgx_epc_mem",
        "kubernetes.azure.com/sgx_epc_MiB", "kubernetes.azure.com/epc_mem_in_MiB", "kubernetes.azure.com/SGX_EPC_MEM_IN_MIB", "azure.com/sgx_epc_mem_in_MiB",
        "kubernetes.azure.io/sgx_epc_mem_in_MiB", "kubernetes.io.azure.com/sgx-epc", "sgx.intel.com/epc_mem", "sgx.intel.com/EPC", "sgx.intel.com/epcs", "sgx.intel.com/memory",
        "sgx.intel.io/epc", "sgx.inte.com/epc", "intel.com/sgx", "intel.com/epc", "intel.com/sgx_epc", "alibabacloud.com/sgx_epc_mib", "alibabacloud.com/sgx_epc_mem_in_MiB",
        "alibabacloud.com/sgx_epc", "aliyun.com/sgx_epc_MiB", "openenclave.io/sgx_epc_mem_in_MiB", "openenclave.io/sgx_epc", "enclayer.io/epc", "enclayer.io/sgx",
        "example.com/sgx_epc_mem_in_MiB", "example.com/sgx-epc-mib",
    )),
    *(Case(f"misspelt: {key}", pod(container(limits={AZURE: 1, key: 1})), refused=f"{unknown(key)}: quotes from the quote helper are enclayer.io/quote: 1")
      for key in ("enclayer.io/quotes", "enclayer.io/Quote", "sgx.intel.com/quote")),
    *(Case(f"misspelt: {key}", pod(container(limits={AZURE: 1, key: 1})), refused=f"{unknown(key)}: the provisioning device is sgx.intel.com/provision: 1")
      for key in ("sgx.intel.com/provisioning", "intel.com/sgx_provision", "enclayer.io/provision")),
    *(Case(f"misspelt: {key}", pod(container(limits={key: 1})), refused=f"{unknown(key)}: an enclave device without EPC is sgx.intel.com/enclave: 1")
      for key in ("sgx.intel.com/enclaves", "intel.com/sgx_enclave", "enclayer.io/enclave")),
    Case("SCONE's count", pod(container(limits={"sgx.k8s.io/sgx": 1})), refused="SCONE's name counts enclaves and says nothing of EPC"),
    Case("misspelt in an init container", pod(epc(), init=[container("pre", {"sgx.intel.com/epcc": 1})]), refused=unknown("sgx.intel.com/epcc", "pre")),
    Case("misspelt twice", pod(container("a", {"intel.com/sgx": 1}), container("b", {"intel.com/epc": 1})), refused=unknown("intel.com/epc", "b")),
    *(Case(f"other people's: {key}", pod(container(limits={key: 1}))) for key in (
        "smarter-devices/sgx_enclave", "example.com/sgx", "example.com/epc", "intel.com/qat", "kubernetes.azure.com/other", "alibabacloud.com/gpu", "aliyun.com/gpu-mem")),
    Case("provision in kube-system", pod(container(limits={PROVISION: 1})), namespace=SYSTEM, refused=NOT_ALLOWED.format("web", SYSTEM, SYSTEM), status=403),
    Case("provision in a namespace with enclayer.io/admission=ignore", pod(container(limits={PROVISION: 1})), namespace=IGNORED,
         refused=NOT_ALLOWED.format("web", IGNORED, IGNORED), status=403),
    *(Case(f"the quote helper's provisioning device in {where}", pod(container(limits={HELPERS_PROVISION: 1})), namespace=where,
           refused="container web asks for enclayer.io/quote-helper-provision, which is counted for the quote helper alone", status=403)
      for where in (IGNORED, SYSTEM)),
    Case("the quote helper's provisioning device where provisioning is allowed", pod(container(limits={HELPERS_PROVISION: 1})), namespace=ALLOWED,
         refused="container web asks for enclayer.io/quote-helper-provision, which"),
    Case("provision in an init container", pod(container(), init=[container("pre", {PROVISION: 1})]), refused=NOT_ALLOWED.format("pre", PLAIN, PLAIN), status=403),
    Case("provision in a namespace that allows it", pod(container(limits={PROVISION: 1})), namespace=ALLOWED),
    Case("provision in our namespace", pod(container(limits={PROVISION: 1})), namespace=OWN),
]

WARNINGS = [
    Case("10Mi under a MiB name", pod(epc(amount="10Mi")), warnings=("asks for 10485760 MiB, and no node can offer more than 262408",)),
    Case("10Ki under a MiB name", pod(epc(amount="10Ki")), warnings=("asks for 10240 MiB, and no node can offer more than 262408",)),
    Case("10Mi under Alibaba's name", pod(epc(resource=ALIBABA, amount="10Mi")), epc={"web": "10485760"}, record="web: alibabacloud.com/sgx_epc_MiB=10Mi is 10485760 MiB",
         warnings=("asks for 10485760 MiB",)),
    Case("all that a node can have", pod(epc(amount=262408)), warnings=("262408 MiB; with ResourceHealthStatus on",)),
    Case("one more", pod(epc(amount=262409)), warnings=("no node can offer more",)),
    Case("48 GiB", pod(epc(amount=49152))),
    Case("one MiB more", pod(epc(amount=49153)), warnings=("49153 MiB; with ResourceHealthStatus on",)),
    Case("more in all containers together", pod(epc("a", 40000), epc("b", "40000Mi", INTEL), init=[epc("c", 1)]), epc={"b": "40k"},
         record="b: sgx.intel.com/epc=40000Mi is 40000 MiB", warnings=("80001 MiB; with ResourceHealthStatus on",)),
    Case("a forgotten Mi in two containers", pod(epc("a", 10, INTEL), epc("b", 64, INTEL)), epc={"a": "1", "b": "1"},
         record="a: sgx.intel.com/epc=10 is 1 MiB; b: sgx.intel.com/epc=64 is 1 MiB",
         warnings=("a: sgx.intel.com/epc=10 is 1 MiB; b: sgx.intel.com/epc=64 is 1 MiB; sgx.intel.com/epc counts bytes",)),
    Case("99 TiB", pod(epc(resource=INTEL, amount="99Ti")), epc={"web": str(99 * 2**20)}, record=f"web: sgx.intel.com/epc=99Ti is {99 * 2**20} MiB",
         warnings=("no node can offer more",)),
    *(Case(f"a device of the node, {path}", pod(container(volumeMounts=[mount("/dev/sgx")]), volumes=[folder(path)]), warnings=("the pod mounts an SGX device of the node",))
      for path in ("/dev/sgx_enclave", "/dev/sgx", "/dev/sgx/enclave", "/dev/isgx", "/dev/sgx_provision")),
    Case("a device of the node beside EPC", pod(epc(volumeMounts=[mount("/dev/sgx")]), volumes=[folder("/dev/sgx")])),
    Case("all devices of the node", pod(container(volumeMounts=[mount("/dev")]), volumes=[folder("/dev")])),
]

CAN_WRITE = "of the node and can write there"

# Folders in which whoever can write can take the quote helper's place
MOUNTS = [
    *(Case(f"{path} without EPC", pod(container(volumeMounts=[mount("/x")]), volumes=[folder(path)]), refused=CAN_WRITE, status=403)
      for path in ("/var/run/aesmd", "/run/aesmd", "/var/run/aesmd/", "/var//run/./aesmd", "/var/run/aesmd/aesm.socket", "/var/run", "/run", "/var", "/",
                   "/var/run/enclayer", "/var/run/enclayer/quotes", "/run/enclayer/quotes/0")),
    *(Case(f"{path} beside EPC", pod(epc(volumeMounts=[mount("/x")]), volumes=[folder(path)]), refused=CAN_WRITE, status=403)
      for path in ("/var/run", "/", "/var/run/enclayer/quotes")),
    *(Case(f"{path} to read", pod(container(volumeMounts=[mount("/x", readOnly=True)]), volumes=[folder(path)])) for path in ("/var/run/aesmd", "/run", "/")),
    Case("a part of a parent that is another", pod(container(volumeMounts=[mount("/x", subPath="netns")]), volumes=[folder("/run")])),
    Case("a part of a parent that is the folder", pod(container(volumeMounts=[mount("/x", subPath="./aesmd/")]), volumes=[folder("/run")]), refused="mounts /run/aesmd/ of the node"),
    Case("a part that may be any", pod(container(env=[{"name": "X", "value": "netns"}], volumeMounts=[mount("/x", subPathExpr="$(X)")]), volumes=[folder("/run")]), refused=CAN_WRITE),
    Case("in an init container", pod(container(), init=[container("pre", volumeMounts=[mount()])], volumes=[folder("/run/aesmd")]), refused="container pre mounts /run/aesmd/"),
    Case("a volume that nobody mounts", pod(container(), volumes=[folder("/run/aesmd")])),
    Case("a container called aesmd without EPC", pod(container("aesmd", volumeMounts=[mount()]), epc("app"), annotations=AESMD, volumes=[folder("/run/aesmd")]),
         refused="container aesmd mounts /run/aesmd/"),
    Case("a namespace that may", pod(container(volumeMounts=[mount()]), volumes=[folder("/var/run/aesmd")]), namespace=MOUNTING),
    Case("a namespace with enclayer.io/admission=ignore", pod(container(volumeMounts=[mount()]), volumes=[folder("/var/run/aesmd")]), namespace=IGNORED, refused=CAN_WRITE),
    Case("kube-system", pod(container(volumeMounts=[mount()]), volumes=[folder("/run")]), namespace=SYSTEM),
    Case("our namespace", pod(container(volumeMounts=[mount()]), volumes=[folder("/var/run/enclayer/quotes")]), namespace=OWN),
]

UNREAD = "nothing reads the annotation that says where its quotes come from"

# Before 1.36 nothing translates, so what would have been is refused or warned about.
WITHOUT_MUTATION = [
    Case("a foreign name", pod(epc(resource=INTEL, amount="10Mi")), refused="container web asks for sgx.intel.com/epc, which no node offers"),
    Case("out-of-proc", pod(epc(), annotations=OUT_OF_PROC), tolerates=(), warnings=(f"container web: {UNREAD}",)),
    Case("quote-provider: aesmd", pod(epc("a"), epc("b"), annotations=AESMD), tolerates=(), warnings=(f"container a, b: {UNREAD}",)),
    Case("in-proc", pod(epc(), annotations=IN_PROC), tolerates=(), warnings=("write sgx.intel.com/provision: 1 into its limits",)),
    Case("out-of-proc, and written out", pod(container(limits={AZURE: 10, QUOTE: 1}), annotations=OUT_OF_PROC), tolerates=()),
    Case("in-proc, and written out", pod(container(limits={AZURE: 10, PROVISION: 1}), annotations=IN_PROC), namespace=ALLOWED, tolerates=()),
    Case("the helper's folder", pod(epc(volumeMounts=[mount()]), volumes=[folder("/var/run/aesmd")]), tolerates=(), warnings=("container web can write to /var/run/aesmd",)),
    Case("the helper's folder to read", pod(epc(volumeMounts=[mount(readOnly=True)]), volumes=[folder("/var/run/aesmd")]), tolerates=()),
]

# Where no quote helper was asked for, nodes do not offer enclayer.io/quote, and somebody else's aesmd may serve the folder.
WITHOUT_HELPER = [
    Case("a mount of the helper's folder", pod(epc(volumeMounts=[mount()]), volumes=[folder("/var/run/aesmd")]), read_only=(("web", "/var/run/aesmd"),)),
    Case("the same with the annotation", pod(epc(volumeMounts=[mount()]), annotations=AESMD, volumes=[folder("/var/run/aesmd")]), quote=("web",),
         read_only=(("web", "/var/run/aesmd"),)),
    Case("mounts of several containers", pod(epc("a", volumeMounts=[mount()]), container("b", volumeMounts=[mount("/y"), mount("/z")]), init=[container("c", volumeMounts=[mount("/i")])],
                                             volumes=[folder("/var/run/aesmd")]),
         read_only=(("a", "/var/run/aesmd"), ("b", "/y"), ("b", "/z"), ("c", "/i"))),
    Case("where baseline is enforced", pod(epc(volumeMounts=[mount()]), volumes=[folder("/var/run/aesmd")]), namespace=BASELINE, refused="violates PodSecurity", status=403),
]

ABOVE = 8192  # MiB: --dra-above where these are tried
LONG = "x" * 59  # and "epc-" before it are as long as the name of a claim may be

# Amounts above the limit become claims.
CLAIMS = [
    Case("Intel's name", pod(epc(amount="64Gi", resource=INTEL)), claims={"web": 65536}, record="web: sgx.intel.com/epc=64Gi is a claim of 65536 MiB"),
    Case("our name", pod(epc(amount=65536)), claims={"web": 65536}, record=f"web: {AZURE}=65536 is a claim of 65536 MiB"),
    Case("Alibaba's and Open Enclave's", pod(epc("a", 10000, ALIBABA), epc("b", 20000, OPEN_ENCLAVE)), claims={"a": 10000, "b": 20000},
         record=f"a: {ALIBABA}=10k is a claim of 10000 MiB; b: {OPEN_ENCLAVE}=20k is a claim of 20000 MiB"),
    *(Case(f"{amount} of {name}", pod(epc(amount=amount, resource=name)), **how) for amount, name, how in [
        (ABOVE, AZURE, {}), (ABOVE + 1, AZURE, {"claims": {"web": ABOVE + 1}, "record": f"web: {AZURE}={ABOVE + 1} is a claim of {ABOVE + 1} MiB"}),
        ("8Gi", INTEL, {"epc": {"web": "8192"}, "record": "web: sgx.intel.com/epc=8Gi is 8192 MiB"}),
        (8 * 2**30 + 1, INTEL, {"claims": {"web": 8193}, "record": "web: sgx.intel.com/epc=8589934593 is a claim of 8193 MiB"}),
        ("10k", AZURE, {"claims": {"web": 10000}, "record": f"web: {AZURE}=10k is a claim of 10000 MiB"}),
        ("99999999", AZURE, {"claims": {"web": 99999999}, "record": f"web: {AZURE}=99999999 is a claim of 99999999 MiB"}),
        ("100M", AZURE, {"warnings": ("no node can offer more than 262408",)}),
        ("10Mi", AZURE, {"warnings": ("10 MiB is 10, not 10Mi",)}),
        ("10Mi", ALIBABA, {"epc": {"web": "10485760"}, "record": f"web: {ALIBABA}=10Mi is 10485760 MiB", "warnings": ("10 MiB is 10, not 10Mi",)}),
        (0, AZURE, {}),
    ]),
    Case("beside cpu and memory", pod(container(limits={INTEL: "64Gi", "cpu": 1}, requests={"memory": "1Mi", INTEL: "64Gi"})), claims={"web": 65536},
         record="web: sgx.intel.com/epc=64Gi is a claim of 65536 MiB"),
    Case("a large and a small container", pod(epc("a", "64Gi", INTEL), epc("b", 10), epc("c", "1Mi", INTEL), container("d")), claims={"a": 65536}, epc={"c": "1"},
         record="a: sgx.intel.com/epc=64Gi is a claim of 65536 MiB; c: sgx.intel.com/epc=1Mi is 1 MiB"),
    Case("two of one size, an init container and a sidecar", pod(epc("a", 9000), epc("b", 9000), init=[epc("c", 9001), epc("d", 9002, restartPolicy="Always")]),
         claims={"a": 9000, "b": 9000, "c": 9001, "d": 9002},
         record="; ".join(f"{name}: {AZURE}={seen} is a claim of {mib} MiB" for name, seen, mib in (("a", "9k", 9000), ("b", "9k", 9000), ("c", "9001", 9001), ("d", "9002", 9002)))),
    Case("two names, the same amount", pod(container(limits={AZURE: 65536, INTEL: "64Gi"})), claims={"web": 65536},
         record=f"web: {AZURE}=65536 sgx.intel.com/epc=64Gi is a claim of 65536 MiB"),
    Case("two names, different amounts", pod(container(limits={AZURE: 65536, INTEL: "32Gi"})), refused="which mean different amounts"),
    Case("requests differ", pod(container(limits={INTEL: "64Gi"}, requests={INTEL: "5Mi"})), refused="must be equal to sgx.intel.com/epc limit of 64Gi"),
    Case("claims of other things", pod(container(resources={"limits": {AZURE: 9001}, "claims": [{"name": "gpu"}]}), container("b", resources={"claims": [{"name": "gpu"}]}),
                                       resourceClaims=[{"name": "gpu", "resourceClaimTemplateName": "gpu"}]), claims={"web": 9001}, record=f"web: {AZURE}=9001 is a claim of 9001 MiB"),
    Case("a claim that has the name", pod(epc(amount=9001), resourceClaims=[{"name": "epc-web", "resourceClaimTemplateName": "gpu"}])),
    Case("a claim of EPC by hand, and an amount beside it", pod(container(resources={"limits": {AZURE: 9001}, "claims": [{"name": "epc-web"}]}), resourceClaims=[claim()])),
    Case("the longest name", pod(epc(LONG + "yyyy", 9001)), claims={LONG + "yyyy": 9001}, record=f"{LONG}yyyy: {AZURE}=9001 is a claim of 9001 MiB"),
    Case("long names whose claims would be one", pod(epc(LONG + "y", 9001), epc(LONG + "z", 9002))),
    Case("a pod that names its node", pod(epc(amount=9001), nodeName="policies-no-node")),
    Case("labels of its own", pod(epc(amount=9001)) | {"metadata": {"name": "case", "labels": {"app": "x"}, "annotations": {"a": "b"}}}, claims={"web": 9001},
         record=f"web: {AZURE}=9001 is a claim of 9001 MiB"),
    Case("translated before, by the client", pod(epc(amount=65536), annotations={TRANSLATED: "web: sgx.intel.com/epc=64Gi is 65536 MiB"}), claims={"web": 65536},
         record=f"web: sgx.intel.com/epc=64Gi is 65536 MiB; web: {AZURE}=65536 is a claim of 65536 MiB"),
    Case("tolerates everything", pod(epc(amount=9001), tolerations=[{"operator": "Exists"}]), claims={"web": 9001}, record=f"web: {AZURE}=9001 is a claim of 9001 MiB", tolerates=()),
    Case("out-of-proc", pod(epc(amount="64Gi", resource=INTEL), annotations=OUT_OF_PROC), claims={"web": 65536}, quote=("web",), record="web: sgx.intel.com/epc=64Gi is a claim of 65536 MiB"),
    Case("in-proc", pod(epc(amount=9001), annotations=IN_PROC), claims={"web": 9001}, provision=("web",), namespace=ALLOWED, record=f"web: {AZURE}=9001 is a claim of 9001 MiB"),
    Case("the helper's folder", pod(epc(amount=9001, volumeMounts=[mount()]), container("b", volumeMounts=[mount()]), volumes=[folder("/var/run/aesmd")]), claims={"web": 9001},
         slots=(("web", "/var/run/aesmd"),), read_only=(("b", "/var/run/aesmd"),), record=f"web: {AZURE}=9001 is a claim of 9001 MiB"),
    Case("Intel's aesmd", pod(epc("aesmd", 9001, volumeMounts=[mount()]), epc("app", "64Gi", INTEL), annotations=AESMD, volumes=[folder("/var/run/aesmd")]), namespace=ALLOWED,
         claims={"aesmd": 9001, "app": 65536}, provision=("aesmd",), quote=("app",), record=f"aesmd: {AZURE}=9001 is a claim of 9001 MiB; app: sgx.intel.com/epc=64Gi is a claim of 65536 MiB"),
    Case("quotes by hand", pod(container(limits={AZURE: 9001, QUOTE: 1})), claims={"web": 9001}, record=f"web: {AZURE}=9001 is a claim of 9001 MiB"),
    Case("more than 48 GiB has no status to speak of", pod(epc("a", "64Gi", INTEL), epc("b", 9001)), claims={"a": 65536, "b": 9001},
         record=f"a: sgx.intel.com/epc=64Gi is a claim of 65536 MiB; b: {AZURE}=9001 is a claim of 9001 MiB"),
    Case("a quota on our name counts no claims", pod(epc(amount=9001)), claims={"web": 9001}, namespace=QUOTA, record=f"web: {AZURE}=9001 is a claim of 9001 MiB"),
    Case("a namespace with enclayer.io/admission=ignore", pod(epc(amount=9001)), namespace=IGNORED, tolerates=()),
    Case("kube-system", pod(epc(amount=9001)), namespace=SYSTEM, tolerates=()),
]

CASES = [(group, case) for group, cases in (
    ("names no SGX", STRANGERS), ("EPC", TRANSLATION), ("quotes", QUOTES), ("refused", REFUSALS), ("warned about", WARNINGS), ("mounts", MOUNTS)) for case in cases]
