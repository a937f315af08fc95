"""The quote helper's pod on the real node: what it may, which of its two containers serves, and what they have said."""

import json
import os
import re
import signal
import sys
from pathlib import Path

from .process import output, wait_for
from .steps import check

NAMESPACE = "enclayer-system"
CONTAINERS = ["quote-helper", "standby"]
USER = "64213"
RIGHTS = {"drop": ["ALL"], "add": ["SETUID", "SETGID"]}
SLOTS = Path("/var/run/enclayer/quotes")

# What one that went bad would try, so that a container is given another folder than its own.
ATTACKS = [
    'os.rename("p0", "p0.gone")', 'os.rename("p0", "p1/p0")', 'os.rename("p1/folder", "p0")', 'os.rename("p1/link", "p0")', 'os.rmdir("p109")',
    'os.symlink("/etc", "p110")', 'os.mkdir("p110")', 'os.chmod("p0", 0o777)', f'os.chown("p0", {USER}, {USER})', 'os.chmod(".", 0o777)',
    'os.rename("../quotes", "../gone")', 'os.remove("holders.json")', 'open("holders.json", "w")',
]
# It has to be able to put things into a slot, or the others would prove nothing.
ATTACKER = f"""
import os, sys
os.setgroups([int(group) for group in sys.argv[1:]])
os.setresgid({USER}, {USER}, {USER})
os.setresuid({USER}, {USER}, {USER})
os.chdir("{SLOTS}")
os.symlink("/etc", "p1/link")
os.mkdir("p1/folder")
for act in {ATTACKS}:
    try:
        exec(act)
        print("could:", act)
    except OSError as why:
        print(why.strerror + ":", act)
os.remove("p1/link")
os.rmdir("p1/folder")
"""


class HelperPod:
    """There has to be one, besides those that end and those that the kubelet refused."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.plane = cluster.plane

    def pod(self):
        found = self.plane.read(f"/api/v1/namespaces/{NAMESPACE}/pods", labelSelector="app.kubernetes.io/component=quote-helper")["items"]
        stay = [pod for pod in found if "deletionTimestamp" not in pod["metadata"] and pod["status"]["phase"] != "Failed"]
        check(len(stay) == 1, f"{len(stay)} pods of the quote helper")
        return stay[0]

    def containers(self):
        return [container["name"] for container in self.pod()["spec"]["containers"]]

    def log(self, container):
        """Since it was started last."""
        return [json.loads(line) for line in self.cluster.log(self.pod()["metadata"]["name"], NAMESPACE, container).splitlines()]

    def state(self, container):
        """`serving` since it was started or took the sockets over, or `waiting`."""
        said = [line["message"] for line in self.log(container) if line["message"].startswith(("serving", "waiting", "sockets taken"))]
        return "waiting" if not said or said[-1].startswith("waiting") else said[-1]

    def server(self):
        """The container that serves, and the one that waits."""
        states = {name: self.state(name) for name in self.containers()}
        waiting = [name for name, state in states.items() if state == "waiting"]
        check(len(waiting) == len(states) - 1, f"of the helper's containers {waiting} wait")
        return next(name for name in states if name not in waiting), *waiting

    def process(self, container):
        """Its number here, on the node."""
        status = next(one for one in self.pod()["status"]["containerStatuses"] if one["name"] == container)
        return process_in(status["containerID"].rpartition("/")[2])

    def restarts(self, container):
        return next(one["restartCount"] for one in self.pod()["status"]["containerStatuses"] if one["name"] == container)

    def kill(self, container):
        os.kill(self.process(container), signal.SIGKILL)

    def audit(self, namespace, pod):
        """The line about the first quote of the pod, in the log of whichever container served."""
        def line():
            found = [line for name in self.containers() for line in self.log(name)
                     if line["message"] == "quote made" and (line["namespace"], line["pod"]) == (namespace, pod)]
            check(found and re.fullmatch("p[0-9]+", found[0]["slot"]), f"{len(found)} lines name {namespace}/{pod}")
            return found[0]

        return wait_for(f"the audit names {namespace}/{pod}", line, 10, pause=0.5)

    def check_rights(self):
        """As the pod is written, and as its processes run. Gives a line of the latter."""
        spec = self.pod()["spec"]
        check(not spec.get("hostPID") and not spec.get("hostNetwork"), "it is in a namespace of the node")
        for container in spec["containers"]:
            rights = container["securityContext"]["capabilities"]
            check(rights == RIGHTS, f"{container['name']} has {rights}")
        for name in self.containers():
            told = credentials(self.process(name))
            check(set(told["Uid"] + told["Gid"]) == {USER} and set(told["CapPrm"] + told["CapEff"]) == {"0" * 16}, f"{name} runs with {told}")
        return ", ".join(f"{key} {' '.join(words)}" for key, words in told.items())

    def attack_slots(self):
        """As a process with all that the helper has. Gives what came of each attack."""
        before = inodes()
        said = output([sys.executable, "-c", ATTACKER, *credentials(self.process(self.containers()[0]))["Groups"]])
        check("could:" not in said and len(said.splitlines()) == len(ATTACKS), said)
        check(inodes() == before, f"the folders were {before}, now {inodes()}")
        return said.strip()


def inodes():
    return {path.name: (path.lstat().st_ino, path.lstat().st_mode) for path in SLOTS.iterdir() if path.name != "holders.json"}


def process_in(container_id):
    """The first process of a container: every cgroup of it is named after it."""
    for file in sorted(Path("/proc").glob("[0-9]*/cgroup"), key=lambda file: int(file.parent.name)):
        try:
            if container_id in file.read_text():
                return int(file.parent.name)
        except FileNotFoundError:
            pass  # it has ended meanwhile
    raise FileNotFoundError(f"no process of container {container_id}")


def credentials(process):
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{process}/status").read_text().splitlines())
    return {key: lines[key].split() for key in ("Uid", "Gid", "Groups", "CapPrm", "CapEff", "CapBnd", "NoNewPrivs")}
