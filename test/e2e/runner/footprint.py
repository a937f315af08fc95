"""What a run could leave behind on the machine, read before and after it."""

import os
from pathlib import Path

from .isolation import cgroup_hierarchies

PLACES = [
    "/var/lib/kubelet", "/var/lib/kubelet/device-plugins", "/var/log/pods", "/var/log/containers", "/var/lib/containerd", "/run/containerd",
    "/var/lib/cni", "/etc/cni", "/opt/cni", "/opt/containerd", "/usr/libexec/kubernetes", "/usr/sbin/policy-rc.d", "/var/run/aesmd",
    "/var/lib/enclayer", "/var/run/enclayer", "/var/run/cdi",
]
SYSCTL_FOLDERS = ["vm", "kernel/keys", "net/ipv4/conf"]
SYSCTL_FILES = ["kernel/panic", "kernel/panic_on_oops", "net/ipv4/ip_forward"]


def take(work):
    """`work` is the folder of this run: a process or mount that names it is ours."""
    return {
        **{f"sysctl {name}": value for name, value in sysctls()},
        **{f"cgroup {folder}": "there" for hierarchy in cgroup_hierarchies() for folder in folders_in(hierarchy)},
        **{f"interface {name}": "there" for name in os.listdir("/sys/class/net")},
        **{f"mount {point}": "there" for point in mounts() if point.startswith((str(work), *PLACES))},
        **{f"path {place}": "there" for place in PLACES if os.path.lexists(place)},
        **{f"process {name}": "there" for name in processes(work)},
    }


def differences(before, after):
    return [
        f"{what}: {before.get(what, 'absent')} before, {after.get(what, 'absent')} after"
        for what in sorted(before.keys() | after.keys())
        if before.get(what) != after.get(what)
    ]


def sysctls():
    root = Path("/proc/sys")
    files = [root / name for name in SYSCTL_FILES]
    files += [file for folder in SYSCTL_FOLDERS for file in sorted((root / folder).rglob("*")) if file.is_file()]
    for file in files:
        try:
            yield str(file.relative_to(root)), file.read_text().strip()
        except OSError:
            continue  # some can only be written


def folders_in(hierarchy):
    return [entry.path for entry in os.scandir(hierarchy) if entry.is_dir()]


def mounts():
    return [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]


def processes(work):
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if any(str(work) in word for word in words):
            yield f"{entry.name} ({words[0]})"
