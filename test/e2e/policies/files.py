"""What becomes of other projects' manifests (test/data/manifests): the table of docs/admission.md, line by line."""

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


class Files:
    def __init__(self, api, tidy):
        self.api = api
        self.tidy = tidy

    def plain(self):
        """What the API server makes of them without policies."""
        return {row: [self.tidy(reply.body) for reply in self.pods(self.replies(row, PLAIN), PLAIN) if reply.ok] for row in rows()}

    def made(self, through=lambda text: text):
        """Pods of the files that can be applied, once their text went `through`."""
        return {row: [self.tidy(reply.body) for reply in self.pods(self.replies(row, row.namespace, through), row.namespace) if reply.ok]
                for row in rows() if row.applied != "refused"}

    def compare(self, plain):
        found = []
        listed = rows()
        missing = {str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*.yaml")} - {row.file for row in listed}
        check(not missing, f"{PAGE.name} does not say what becomes of {', '.join(sorted(missing))}")
        for row in listed:
            replies = self.replies(row, row.namespace)
            seen = list(self.pods(replies, row.namespace))
            message = "\n".join([reply.message for reply in replies if not reply.ok] + [reply.message for reply in seen if not reply.ok]
                                + [warning for reply in seen for warning in reply.warnings if "enclayer-" in warning])
            refused = any(not reply.ok for reply in replies)
            where = f"{row.file}, {row.applied}{', ' + row.changed if row.changed else ''}"
            check(refused == (row.applied == "refused"), f"{where}: {message or 'was accepted'}")
            check(bool(message) == bool(row.message) and row.message in message, f"{where}: the message is {message!r}")
            made = [self.tidy(reply.body) for reply in seen if reply.ok]
            amounts = {each["resources"]["limits"][AZURE] for pod in made for each in pod["spec"]["containers"] if AZURE in each["resources"].get("limits", {})}
            check(amounts == ({row.epc} if row.epc else set()), f"{where}: EPC {amounts} instead of {row.epc}")
            check(not any(name in str(pod["spec"]["containers"]) for pod in made for name in NAMES[1:]), f"{where}: a foreign name is left")
            besides = {what for pod, before in zip(made, plain[row]) for what in besides_epc(pod, before)}
            check(besides == row.besides, f"{where}: {besides} instead of {row.besides}")
            found.append(f"{where}: {message or (row.epc + ' MiB' if row.epc else 'untouched')}")
        return found

    def replies(self, row, namespace, through=lambda text: text):
        """The API server's answer to each object of the file; nothing is stored."""
        text = (FOLDER / row.file).read_text()
        if row.applied == "filled":
            for placeholder, value in PLACEHOLDERS.items():
                text = text.replace(placeholder, value)
        if "value:" in row.changed:
            text = re.sub(r"value: 1\b", 'value: "1"', text)
        if row.file.endswith("kustomization.yaml"):
            text = output([*self.api.kubectl, "kustomize", (FOLDER / row.file).parent])
        text = through(text)
        answers = []
        for document in documents(re.sub(r"^  namespace: default\n", "", text, flags=re.M)):
            version, kind = (re.search(rf"^{key}: (\S+)", document, re.M).group(1) for key in ("apiVersion", "kind"))
            strict = "Ignore" if "--validate=false" in row.changed else "Strict"
            answers.append(self.api.request("POST", self.api.path(version, kind, namespace) + f"?dryRun=All&fieldValidation={strict}", document, "application/yaml"))
        return answers

    def pods(self, replies, namespace):
        """The API server's answer to the pods that would come of it."""
        for reply in replies:
            if reply.ok and reply.body["kind"] == "Pod":
                yield reply
            elif reply.ok and "template" in reply.body["spec"]:
                template = reply.body["spec"]["template"]
                metadata = {"name": "pod", "annotations": template["metadata"].get("annotations")}
                yield self.api.try_pod({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}, namespace)


class Row:
    def __init__(self, cells):
        self.line = tuple(cells)
        first, self.applied, self.epc, besides, message = cells
        self.file = re.match(r"`([^`]+)`", first).group(1)
        self.changed = first.partition(", ")[2].replace("`", "")
        self.besides = set(filter(None, besides.split(", ")))
        self.message = message.strip("`")
        self.namespace = ALLOWED if "allow-provisioning" in self.changed else BASELINE if "baseline" in self.changed else PLAIN

    def __hash__(self):
        return hash(self.line)

    def __eq__(self, other):
        return self.line == other.line


def rows():
    section = PAGE.read_text().partition(HEADING)[2]
    found = [Row([cell.strip() for cell in line.strip("|").split("|")]) for line in section.splitlines() if line.startswith("| `")]
    check(len(found) > 10, f"no table under {HEADING!r} in {PAGE}")
    return found


def besides_epc(pod, before):
    """What changed beside EPC, tolerations and the record."""
    if pod == before | {"metadata": before["metadata"] | {"namespace": pod["metadata"]["namespace"]}}:
        yield "untouched"
    for each, old in zip(pod["spec"]["containers"], before["spec"]["containers"]):
        if PROVISION in each["resources"].get("limits", {}) and PROVISION not in old["resources"].get("limits", {}):
            yield "provision"
        mounts, earlier = each.get("volumeMounts", []), {m["mountPath"]: m for m in old.get("volumeMounts", [])}
        for mount in mounts:
            if mount["mountPath"] not in earlier:
                yield "socket folder"
            elif mount.get("readOnly") and not earlier[mount["mountPath"]].get("readOnly"):
                yield "read-only"
        if gone := earlier.keys() - {m["mountPath"] for m in mounts}:
            check(QUOTE in each["resources"]["limits"], f"{each['name']}: the mounts of {gone} are gone for nothing")
            yield "slot"
        changed = {key for key in {*each, *old} if each.get(key) != old.get(key)} - {"resources", "volumeMounts"}
        check(not changed, f"{each['name']}: {changed} changed")
    annotations = pod["metadata"].get("annotations", {})
    check({key: value for key, value in annotations.items() if key not in (TRANSLATED, SLOTS)} == before["metadata"].get("annotations", {}), f"annotations: {annotations}")
