"""Namespaces and one cgroup of the run's own.

The node (kubelet, containerd, pods, plugin, helper) lives in new mount, network and PID namespaces. When the first
process of that PID namespace ends, for whatever reason, the kernel ends every other process in it, and the mounts and
interfaces go with the namespaces. So nothing has to be hunted down afterwards; only cgroup folders are removed by hand.
"""

import fcntl
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

from .process import output
from .steps import Failure

CGROUP = "enclayer-e2e"
KUBELET_DIR = Path("/var/lib/kubelet")  # the kubelet's socket for device plugins is there whatever its --root-dir
CNI_DIR = Path("/var/lib/cni")  # containerd remembers there what it told the network plugins
STATE_DIR = Path("/var/lib/enclayer")  # the quote helper's, a hostPath of the add-on
PRIVATE = [KUBELET_DIR, CNI_DIR, STATE_DIR]

# What a kubelet sets at its start; none of it belongs to a namespace.
SYSCTLS = [
    "vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops", "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
]


def run_inside(arguments, entrance):
    """Runs `runner ARGUMENTS` as the first process of new namespaces; gives its exit code. Nothing of it outlives this
    call, nor this process: a kill -9 of ours ends unshare, and that ends the namespaces. `entrance` is a file that says
    meanwhile, for enter(), whose child has them."""
    process = subprocess.Popen(
        ["setpriv", "--pdeathsig", "KILL", "--",
         "unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private", "--",
         sys.executable, "-m", "runner", *arguments],
        start_new_session=True,  # a Ctrl-C is ours: we end the namespaces by ending this one process
    )
    try:
        entrance.write_text(str(process.pid))
        return process.wait()
    finally:
        entrance.unlink(missing_ok=True)
        process.kill()
        process.wait()


def enter(entrance, argv, environment):
    """Becomes `argv` in the namespaces of a run_inside() that goes on."""
    pid = int(entrance.read_text())
    first = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0]
    os.execvpe("nsenter", ["nsenter", "--target", first, "--mount", "--net", "--pid", "--", *argv], environment)


def first_process():
    """Called in the new PID namespace: as its process 1 reaps what is orphaned while a child does the work. Returns only
    in that child."""
    child = os.fork()
    if child == 0:
        return
    while True:
        pid, status = os.wait()
        if pid == child:
            sys.stdout.flush()
            os._exit(os.waitstatus_to_exitcode(status) & 0xFF)


def private_places(work):
    """The paths that kubelet and containerd insist on are, in here, folders of the run's own."""
    mount("-t", "tmpfs", "tmpfs", "/run")
    for place in (*PRIVATE, Path("/var/log")):
        ours = work / place.name
        ours.mkdir()
        mount("--bind", ours, place)
    for sysctl in SYSCTLS:
        real = Path("/proc/sys") / sysctl
        ours = work / "sysctl" / sysctl
        ours.parent.mkdir(parents=True, exist_ok=True)
        ours.write_text(real.read_text())
        mount("--bind", ours, real)
    loopback_up()


def mount(*arguments):
    output(["mount", *arguments])


def loopback_up():
    get_flags, set_flags, up = 0x8913, 0x8914, 1
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        name, flags = struct.unpack("16sh14x", fcntl.ioctl(any_socket, get_flags, struct.pack("16sh14x", b"lo", 0)))
        fcntl.ioctl(any_socket, set_flags, struct.pack("16sh14x", name, flags | up))


@contextmanager
def mount_points():
    """For the run's own folders in /var/lib. One that was there before is neither seen nor changed."""
    ours = [place for place in PRIVATE if not place.exists()]
    for place in ours:
        place.mkdir(parents=True)
    try:
        yield
    finally:
        for place in ours:
            place.rmdir()


def cgroup_hierarchies():
    """Mount points of all cgroup hierarchies, v1 and v2."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return [Path(line.split()[4]) for line in lines if line.split(" - ")[1].startswith(("cgroup ", "cgroup2 "))]


def cgroup_hierarchy(controller):
    """The mount point of this controller, v1."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return next(Path(line.split()[4]) for line in lines if " - cgroup " in line and controller in line.split()[-1].split(","))


@contextmanager
def cgroup_root():
    """A cgroup in every hierarchy; kubepods is made beneath it."""
    for hierarchy in cgroup_hierarchies():
        ours = hierarchy / CGROUP
        ours.mkdir()
        for setting in ("cpuset.cpus", "cpuset.mems"):  # a v1 cpuset starts empty and then takes no process
            if (hierarchy / setting).exists():
                (ours / setting).write_text((hierarchy / setting).read_text())
    try:
        yield
    finally:
        remove_cgroups()


def remove_cgroups():
    """Their processes have ended or are ending."""
    deadline = time.monotonic() + 20
    for hierarchy in cgroup_hierarchies():
        while (hierarchy / CGROUP).exists():
            try:
                for folder, _, _ in os.walk(hierarchy / CGROUP, topdown=False):
                    os.rmdir(folder)
            except OSError as why:
                if time.monotonic() > deadline:
                    raise Failure(f"cannot remove the cgroup {hierarchy / CGROUP}: {why}") from None
                time.sleep(0.1)


@contextmanager
def work_folder(place):
    """Sockets, images and containers of one run. No mount of ours is visible outside the namespaces, so this is a plain tree."""
    place.chmod(0o755)
    try:
        yield place
    finally:
        shutil.rmtree(place)


def on_terminate_exit():
    """SIGTERM unwinds like Ctrl-C does."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
