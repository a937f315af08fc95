"""What becomes of manifests that others published (test/data/manifests): the table of docs/admission.md, cell by cell."""

import re
from pathlib import Path

from runner.process import output
from runner.steps import check

from .api import documents
from .cases import ALLOWED, AZURE, BASELINE, NAMES, PLAIN, PROVISION, QUOTE, SLOTS, TRANSLATED

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs/admission.md"
HEADING = "## Manifests that others published"
FOLDER = ROOT / "test/data/manifests"
PLACEHOLDERS = {"{POD_NAME}": "pod", "{CONTAINER_NAME}": "container", "{CONTAINER_IMAGE}": "localhost/none", "<registry>/<repository>:<version>": "localhost/none"}
ENOUGH = 70  # of those that ask for SGX
OFFERED = {AZURE, QUOTE, "sgx.intel.com/enclave"}  # by nodes, without the administrator's word on provisioning
SGX = re.compile(r"sgx|epc|^enclayer\.io/")
HOST_PATHS = re.compile(r"^/dev(/i?sgx.*|/gsgx)?$|^/var/run/aesmd")


class Files:
    def __init__(self, api, tidy):
        self.api = api
        self.tidy = tidy

    def plain(self):
        """What the API server makes of them without policies: its replies to the objects, to the pods that come of them, and to the same where no level is enforced."""
        return {row: (*self.replies(row, row.namespace), self.replies(row, PLAIN)[1]) for row in rows()}

    def made(self, through=lambda text: text):
        """Pods of the manifests, once their text went `through`, that nobody refuses."""
        return {row: [self.tidy(reply.body) for reply in self.replies(row, row.namespace, through)[1] if reply.ok] for row in rows()}

    def compare(self, plain, minor, translated):
        """Every cell that can be seen here; `translated(text)` gives exit code, text and sentences of `enclayer translate`."""
        listed = rows()
        missing = {str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*.yaml")} - {row.file for row in listed}
        check(not missing, f"{PAGE.name} does not say what becomes of {', '.join(sorted(missing))}")
        for path in (FOLDER / "reduced").glob("*.yaml"):
            names = {name_of(each) for each in documents(path.read_text())}
            check(names == {row.name for row in listed if row.file == f"reduced/{path.name}"}, f"{PAGE.name} does not list each of {path.name}: {sorted(names)}")
        wrong = []
        for row in listed:
            found = [row.software, row.source, asks(self.text(row)), *row.cells[3:]]
            objects, pods, before = plain[row]
            found[3] = refusal([*objects, *pods]) or ("accepted" if all(each in OFFERED for reply in pods for each in resources(reply.body)) else "pending")
            if 36 <= minor <= 37:
                found[minor - 32] = self.through_policies(row, before)
            code, text, said = translated(self.text(row))
            found[6] = "refused" if code else ("changed" if text != self.text(row) else "unchanged") + (", warned" if "warning: " in said else "")
            if found != row.cells:
                wrong.append(f"| {' | '.join(found)} |")
        check(not wrong, "\n".join([f"{PAGE.name} should say", *wrong]))
        asking = {(row.file, row.name) for row in listed if row.cells[2]}
        check(len(asking) >= ENOUGH, f"only {len(asking)} of the manifests ask for SGX")
        return f"{len(asking)} manifests that ask for SGX, in {len(listed)} rows"

    def through_policies(self, row, plain):
        """A verdict in the words of the table."""
        replies, pods = self.replies(row, row.namespace)
        refused = refusal([*replies, *pods])
        if refused == "refused: provisioning":
            return "label, then " + self.verdict(self.replies(row, ALLOWED)[1], plain)
        return refused or self.verdict(pods, plain)

    def verdict(self, pods, plain):
        if refused := refusal(pods):
            return refused
        found = []
        for reply, before in zip(pods, plain):
            made, old = self.tidy(reply.body), self.tidy(before.body)
            old["metadata"]["namespace"] = made["metadata"]["namespace"]
            check(not any(name in str(made["spec"]["containers"]) for name in NAMES[1:]), f"a foreign name is left in {made}")
            found += [f"{each['resources']['limits'][AZURE]} MiB" for each in made["spec"]["containers"] if AZURE in each["resources"].get("limits", {})]
            found += besides_epc(made, old)
            found += ["warned"] * any("enclayer-" in warning for warning in reply.warnings)
        return ", ".join(dict.fromkeys(found))

    def text(self, row):
        """As published, or as it says in the row: with its placeholders filled, and of `reduced` the one manifest."""
        text = (FOLDER / row.file).read_text()
        for placeholder, value in PLACEHOLDERS.items():
            text = text.replace(placeholder, value)
        if "value:" in row.changed:
            text = re.sub(r"value: 1\b", 'value: "1"', text)
        if row.file.endswith("kustomization.yaml"):
            text = output([*self.api.kubectl, "kustomize", (FOLDER / row.file).parent])
        if row.name:
            text = next(each.lstrip() for each in documents(text) if name_of(each) == row.name)
        return re.sub(r"^  namespace: default\n", "", text, flags=re.M)

    def replies(self, row, namespace, through=lambda text: text):
        """The API server's answers to the objects, and to the pods that would come of them; nothing is stored."""
        objects, pods = [], []
        for document in documents(through(self.text(row))):
            version, kind = (re.search(rf"^{key}: (\S+)", document, re.M).group(1) for key in ("apiVersion", "kind"))
            strict = "Ignore" if "--validate=false" in row.changed else "Strict"
            reply = self.api.request("POST", self.api.path(version, kind, namespace) + f"?dryRun=All&fieldValidation={strict}", document, "application/yaml")
            objects.append(reply)
            if reply.ok and kind == "Pod":
                pods.append(reply)
            elif reply.ok and "template" in reply.body["spec"]:
                template = reply.body["spec"]["template"]
                labels = {key: value for key, value in template["metadata"].get("labels", {}).items() if key == "marblerun/marbletype"}
                metadata = {"name": "pod", "annotations": template["metadata"].get("annotations"), "labels": labels}
                pods.append(self.api.try_pod({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}, namespace))
        return objects, pods


class Row:
    def __init__(self, cells):
        self.cells = cells
        self.software, self.source = cells[:2]
        self.file, rest = re.match(r"`([^`]+)`(.*)", self.source).groups()
        name, _, changed = rest.partition(", ")
        self.name, self.changed = name.strip(), changed.replace("`", "")
        self.namespace = BASELINE if "baseline" in self.changed else PLAIN

    def __hash__(self):
        return hash(self.source)

    def __eq__(self, other):
        return self.source == other.source


def rows():
    section = PAGE.read_text().partition(HEADING)[2]
    found = [Row([cell.strip() for cell in line.strip("|").split("|")]) for line in section.splitlines() if re.match(r"\|[^|]+\| `", line)]
    check(found and all(len(row.cells) == 7 for row in found), f"no table of seven columns under {HEADING!r} in {PAGE}")
    return found


def name_of(document):
    return re.search(r"^  name: (\S+)$", document, re.M).group(1)


def asks(text):
    """What a manifest asks for, as it is written there."""
    found = re.findall(rf'^ +"?([\w.-]+/[\w.-]+)"?: "?(\w[\w.-]*)"?(?: +#.*)?$', text, re.M)
    named = [f"{name}: {value}" for name, value in found if SGX.search(name) and not name.startswith("app.kubernetes.io/")]
    return ", ".join(dict.fromkeys(named + [path for path in re.findall(r'^ +path: "?(/\S*?)"?$', text, re.M) if HOST_PATHS.match(path)]))


def resources(pod):
    return {name for each in pod["spec"]["containers"] + pod["spec"].get("initContainers", []) for name in each["resources"].get("limits", {}) if SGX.search(name)}


def refusal(replies):
    """Who refuses first, in the words of the table; nothing where nobody does."""
    message = next((reply.message for reply in replies if not reply.ok), None)
    if message is None:
        return ""
    ours = re.search(r"ValidatingAdmissionPolicy 'enclayer-(\w+)'", message)
    return f"refused: {ours.group(1)}" if ours else "refused: baseline" if "violates PodSecurity" in message else "invalid"


def besides_epc(pod, before):
    """What changed beside EPC, tolerations and the record."""
    if pod == before:
        yield "untouched"
    for each, old in zip(pod["spec"]["containers"], before["spec"]["containers"]):
        if PROVISION in each["resources"].get("limits", {}) and PROVISION not in old["resources"].get("limits", {}):
            yield "provision"
        if QUOTE in each["resources"].get("limits", {}):
            yield "quote"
        mounts, earlier = each.get("volumeMounts", []), {m["mountPath"]: m for m in old.get("volumeMounts", [])}
        for mount in mounts:
            if mount["mountPath"] not in earlier:
                yield "socket folder"
            elif mount.get("readOnly") and not earlier[mount["mountPath"]].get("readOnly"):
                yield "read-only"
        if gone := earlier.keys() - {m["mountPath"] for m in mounts}:
            check(QUOTE in each["resources"]["limits"], f"{each['name']}: the mounts of {gone} are gone for nothing")
        changed = {key for key in {*each, *old} if each.get(key) != old.get(key)} - {"resources", "volumeMounts"}
        check(not changed, f"{each['name']}: {changed} changed")
    annotations = pod["metadata"].get("annotations", {})
    check({key: value for key, value in annotations.items() if key not in (TRANSLATED, SLOTS)} == before["metadata"].get("annotations", {}), f"annotations: {annotations}")
