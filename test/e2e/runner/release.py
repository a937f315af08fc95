"""What `make release` made, as a person installs it: the package's command switches the add-on on and off, as itself and as kubectl's
plugin, and helm installs the packaged chart."""

from .addon import CHART, NODE_MIB, ORDINARY_NODES, Helm
from .cluster import TOOLS
from .helperpod import NAMESPACE
from .process import output
from .steps import check, say
from .testbed import EPC

FILES = TOOLS.parent / "build/release-files"


class Release(Helm):
    def listed(self):
        return [
            ("the files of `make release`: their sums, and the package unpacked", self.unpack),
            (f"the images of samples/, and {ORDINARY_NODES} ordinary nodes", self.prepare),
            ("enclayer enable out of the package: the labelled node offers its EPC, the others are left alone", self.enable),
            ("samples/hello-world: 10 MiB, with its device", self.hello_world),
            ("kubectl enclayer show, and doctor: nothing is wrong", self.show),
            ("enclayer disable: nothing is left", self.disable),
            ("helm install of the packaged chart is that of deploy/chart", self.compare_charts),
        ]

    def run(self, *words, **options):
        environment = self.cluster.environment()
        path = f"{self.package / 'usr/bin'}:{environment['PATH']}"
        return output(["env", *words], env={**environment, "PATH": path}, timeout=300, **options)  # env: found by that PATH

    def unpack(self):
        check((FILES / "SHA256SUMS").exists(), f"{FILES} has no release: make release, or make release-check")
        output(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=FILES)
        self.package = self.cluster.work / "package"
        output(["dpkg-deb", "-x", next(FILES.glob("enclayer_*_amd64.deb")), self.package])
        say((FILES / "SHA256SUMS").read_text().strip())
        version = self.run("enclayer", "--version").split()[1]
        check(version == self.cluster.version(), f"the release is {version}, the image {self.cluster.version()}: make release")

    def enable(self):
        say(self.run("enclayer", "enable", "--platform", "sim", "--image", self.cluster.image, "--enable-sgxquotehelper"))
        self.cluster.wait_for_allocatable(EPC, NODE_MIB)
        self.check_helper()

    def show(self):
        shown = self.run("kubectl", "enclayer", "show")
        check("translation works here: yes" in shown, shown)
        say(shown)
        say(self.run("enclayer", "doctor").strip())

    def disable(self):
        self.plane.kubectl("delete", "jobs", "--all", "--wait", timeout=120)
        say(self.run("enclayer", "disable"))
        self.check_nothing_left()
        self.unlabel()
        self.leave()

    def compare_charts(self):
        package = next(FILES.glob("enclayer-*.tgz"))
        say(self.cluster.helm("show", "chart", package).splitlines()[0])
        made = [self.cluster.helm("template", "enclayer", chart, "-n", NAMESPACE, "--set", "platform=sim") for chart in (package, CHART)]
        check(made[0] == made[1] and made[0].count("\nkind: ") > 10, "they say something else")
        self.cluster.helm("lint", package, "--strict")
        say(f"{made[0].count(chr(10) + 'kind: ')} objects, the same")
