"""tools/image on the release build and, for Intel's packages, on ones made of the stand-in libraries.

Needs ENCLAYER_BUILD_DIR (what was built) and runs nothing as root: the programs of an image are started by its own dynamic
linker with its own libraries. `make e2e-cluster` starts them in pods.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
import unittest
from pathlib import Path

from standin_packages import INTEL, LIBRARIES, make_deb, make_debs

SOURCE = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ["ENCLAYER_BUILD_DIR"])
LIBSSL = "libssl3t64" if Path("/var/lib/dpkg/info/libssl3t64:amd64.list").exists() else "libssl3"  # as Debian 13 calls it
PROGRAMS = ("enclayer", "enclayer-attest", "enclayer-claim-templates", "enclayer-detect", "enclayer-device-plugin", "enclayer-dra-driver",
            "enclayer-quote-helper")


def image(recipe, out, *more, build=BUILD, umask=0o022, **environment):
    command = [SOURCE / "tools/image", recipe, "--build", build, "--out", out, *more]
    if "apt" not in environment:
        command.append("--allow-older")  # what a machine that only tests has installed
    elif apt := environment.pop("apt"):
        environment["PATH"] = f"{apt}:{os.environ['PATH']}"
    return subprocess.run(command, capture_output=True, text=True, umask=umask, env={**os.environ, **environment}, cwd="/")


class Archive:
    """An image, opened: its configuration, its files by path, and its root unpacked."""

    def __init__(self, path, root):
        with tarfile.open(path) as tar:
            blobs = {entry.name: tar.extractfile(entry).read() for entry in tar}
        self.index = json.loads(blobs["index.json"])

        def blob(of):
            content = blobs["blobs/sha256/" + of["digest"].removeprefix("sha256:")]
            assert "sha256:" + hashlib.sha256(content).hexdigest() == of["digest"] and len(content) == of["size"]
            return content

        self.manifest = json.loads(blob(self.index["manifests"][0]))
        self.config = json.loads(blob(self.manifest["config"]))
        compressed = root.with_suffix(".tar.gz")
        compressed.write_bytes(blob(self.manifest["layers"][0]))
        with tarfile.open(compressed) as layer:
            self.files = {entry.name: entry for entry in layer}
            layer.extractall(root, filter="fully_trusted" if hasattr(tarfile, "fully_trusted_filter") else None)
        self.root = root

    def run(self, *argv):
        loader = [self.root / LIBRARIES / "ld-linux-x86-64.so.2", "--inhibit-cache", "--library-path", self.root / LIBRARIES]
        return subprocess.run([*loader, self.root / "usr/bin" / argv[0], *argv[1:]], capture_output=True, text=True)


class EnclayerImage(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        cls.folder = Path(cls.temporary.name)
        cls.said = image("enclayer", cls.folder / "out")
        assert cls.said.returncode == 0, cls.said.stderr
        cls.version = subprocess.check_output([BUILD / "bin/enclayer", "--version"], text=True).split()[1]
        cls.tar = cls.folder / f"out/enclayer-{cls.version}.oci.tar"
        cls.archive = Archive(cls.tar, cls.folder / "root")

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()

    def test_a_second_build_elsewhere_gives_the_same_bytes(self):
        copy = self.folder / "another/build"
        shutil.copytree(BUILD / "bin", copy / "bin", symlinks=True)  # new times, another path
        for part in (".ninja_deps", ".ninja_log", "build.ninja", "CMakeFiles/rules.ninja"):
            (copy / part).parent.mkdir(exist_ok=True)
            shutil.copy(BUILD / part, copy / part)
        said = image("enclayer", self.folder / "other", build=copy, umask=0o077, TZ="Asia/Kathmandu", PYTHONHASHSEED="7")
        self.assertEqual(said.returncode, 0, said.stderr)
        self.assertEqual((self.folder / "other" / self.tar.name).read_bytes(), self.tar.read_bytes())

    @staticmethod
    def digest(said):
        return re.search(r"digest +(sha256:[0-9a-f]{64})", said.stdout)[1]

    def test_what_is_printed_is_so(self):
        described = self.archive.index["manifests"][0]
        self.assertEqual(described["digest"], self.digest(self.said))
        self.assertEqual(described["annotations"]["io.containerd.image.name"], f"localhost/enclayer:{self.version}")
        self.assertRegex(self.said.stdout, r"size +\d+\.\d MiB compressed, \d+\.\d MiB unpacked")
        compressed = float(re.search(r"([0-9.]+) MiB compressed", self.said.stdout)[1])
        self.assertAlmostEqual(compressed, self.archive.manifest["layers"][0]["size"] / (1 << 20), delta=0.06)

    def test_every_program_starts_with_the_libraries_of_the_image_alone(self):
        for program in PROGRAMS:
            with self.subTest(program):
                said = self.archive.run(program, "--version")
                self.assertEqual((said.returncode, said.stdout), (0, f"{program} {self.version}\n"), said.stderr)

    def test_there_is_no_shell_and_nothing_else_to_run(self):
        executables = {name for name, entry in self.archive.files.items() if name.startswith("usr/bin/") and entry.isfile()}
        self.assertEqual(executables, {f"usr/bin/{program}" for program in PROGRAMS})
        self.assertFalse([name for name in self.archive.files if name.startswith("usr/sbin/")])

    def test_everything_belongs_to_root_and_nobody_else_can_write_it(self):
        for name, entry in self.archive.files.items():
            self.assertEqual((entry.uid, entry.gid), (0, 0), name)
            self.assertEqual(entry.mode & 0o6000, 0, name)
            if not entry.issym() and name != "tmp":
                self.assertEqual(entry.mode & 0o022, 0, name)

    def test_the_default_user_is_not_root_and_is_known(self):
        self.assertEqual(self.archive.config["config"]["User"], "65532:65532")
        self.assertIn(":65532:65532:", (self.archive.root / "etc/passwd").read_text())

    def test_programs_are_stripped_and_their_symbols_kept_beside(self):
        for program in PROGRAMS:
            symbols = self.folder / f"out/debug/{program}.debug"
            listed = self.sections(self.archive.root / "usr/bin" / program)
            self.assertNotRegex(listed, r"\.symtab|\.debug_info")
            self.assertIn(".gnu_debuglink", listed)
            self.assertIn(".symtab", self.sections(symbols))

    @staticmethod
    def sections(path):
        return subprocess.run(["readelf", "-SW", path], capture_output=True, text=True, check=True).stdout

    def test_programs_do_not_say_where_they_were_built(self):
        for program in PROGRAMS:
            content = (self.archive.root / "usr/bin" / program).read_bytes()
            for folder in {str(SOURCE), str(BUILD.resolve())}:
                self.assertNotIn(folder.encode() + b"/", content, program)

    def test_labels_say_what_it_is(self):
        labels = self.archive.config["config"]["Labels"]
        self.assertEqual(labels, self.archive.manifest["annotations"])
        self.assertEqual(labels["org.opencontainers.image.title"], "enclayer")
        self.assertEqual(labels["org.opencontainers.image.version"], self.version)
        self.assertEqual(labels["org.opencontainers.image.licenses"], "Apache-2.0")
        if (SOURCE / ".git").exists():
            self.assertRegex(labels["org.opencontainers.image.revision"], r"^[0-9a-f]{40}(-modified)?$")

    def test_the_bill_of_materials_names_every_file_and_package(self):
        inside = (self.archive.root / "usr/share/sbom/enclayer.spdx.json").read_bytes()
        self.assertEqual(inside, (self.folder / f"out/enclayer-{self.version}.spdx.json").read_bytes())
        sbom = json.loads(inside)
        packages = {package["SPDXID"]: package for package in sbom["packages"]}
        named = {package["name"]: package["versionInfo"] for package in sbom["packages"]}
        for package in ("libc6", LIBSSL, "libgrpc++-dev", "libc6-dev"):  # needed and in the image; linked into its programs
            version = subprocess.check_output(["dpkg-query", "-W", "-f", "${Version}", f"{package}"], text=True)
            self.assertEqual(named[package], version)
        self.assertEqual(named["enclayer"], self.version)
        origin = {
            relation["relatedSpdxElement"]: packages[relation["spdxElementId"]]["name"]
            for relation in sbom["relationships"]
            if relation["relationshipType"] == "OTHER"
        }
        listed = {file["fileName"].removeprefix("./"): file for file in sbom["files"]}
        for name, entry in self.archive.files.items():
            if not entry.isfile() or name == "usr/share/sbom/enclayer.spdx.json":
                continue
            sums = {one["algorithm"]: one["checksumValue"] for one in listed[name]["checksums"]}
            self.assertEqual(sums["SHA256"], hashlib.sha256((self.archive.root / name).read_bytes()).hexdigest(), name)
            self.assertIn(listed[name]["SPDXID"], origin, name)
        self.assertEqual(origin[listed["usr/bin/enclayer"]["SPDXID"]], "enclayer")
        self.assertEqual(origin[listed[f"{LIBRARIES}/libc.so.6"]["SPDXID"]], "libc6")

    def test_what_it_was_made_of_is_told_beside_it(self):
        told = json.loads((self.folder / f"out/enclayer-{self.version}.provenance.json").read_text())
        self.assertEqual(told["_type"], "https://in-toto.io/Statement/v1")
        self.assertEqual(told["predicateType"], "https://slsa.dev/provenance/v1")
        digest = self.digest(self.said).removeprefix("sha256:")
        self.assertEqual(told["subject"], [{"name": f"localhost/enclayer:{self.version}", "digest": {"sha256": digest}}])
        definition = told["predicate"]["buildDefinition"]
        dependencies = {one["name"]: one for one in definition["resolvedDependencies"]}
        for package in ("libc6", LIBSSL, "libgrpc++-dev"):
            version = subprocess.check_output(["dpkg-query", "-W", "-f", "${Version}", package], text=True)
            self.assertEqual(dependencies[package]["annotations"]["version"], version)
        if (SOURCE / ".git").exists():
            head = subprocess.check_output(["git", "-c", "safe.directory=*", "-C", SOURCE, "rev-parse", "HEAD"], text=True)
            self.assertEqual(dependencies["source"]["digest"]["gitCommit"], head.strip())
        self.assertRegex(" ".join(definition["internalParameters"]["compilers"]), r"GCC|clang")

    def offering(self, candidate):
        """A folder with an apt-cache that offers this version of OpenSSL's library."""
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        (folder / "apt-cache").write_text(f"#!/bin/sh\nprintf '{LIBSSL}:\\n  Installed: 1\\n  Candidate: {candidate}\\n'\n")
        (folder / "apt-cache").chmod(0o755)
        return str(folder)

    def test_a_package_that_is_older_than_what_apt_offers_is_refused_by_name_unless_that_is_allowed(self):
        apt = self.offering("99:1.0")
        said = image("enclayer", self.folder / "older", apt=apt)
        self.assertEqual(said.returncode, 1, said.stdout)
        self.assertRegex(said.stderr, rf"\n  {LIBSSL}: \S+ is installed, 99:1.0 is offered\n")
        self.assertIn(f"apt-get install --only-upgrade {LIBSSL}\n", said.stderr)
        self.assertFalse((self.folder / "older").exists() and list((self.folder / "older").glob("*.tar")))
        said = image("enclayer", self.folder / "older", "--allow-older", apt=apt)
        self.assertEqual(said.returncode, 0, said.stderr)
        self.assertIn(f"1 packages than apt offers, as allowed: {LIBSSL}", said.stdout)

    def test_a_package_that_is_as_new_as_what_apt_offers_is_taken(self):
        for offered in ("1.0", "(none)"):
            said = image("enclayer", self.folder / "new", apt=self.offering(offered))
            self.assertEqual(said.returncode, 0, said.stderr)

    def test_every_package_brings_its_licence(self):
        sbom = json.loads((self.archive.root / "usr/share/sbom/enclayer.spdx.json").read_text())
        for package in sbom["packages"][1:]:  # the first is the image itself
            text = (self.archive.root / "usr/share/doc" / package["name"] / "copyright").read_text(errors="replace")
            self.assertGreater(len(text), 100, package["name"])

    def test_authorities_for_https_are_there(self):
        bundle = (self.archive.root / "etc/ssl/certs/ca-certificates.crt").read_text()
        self.assertGreater(bundle.count("-----BEGIN CERTIFICATE-----"), 100)

    def test_a_program_that_was_not_built_is_named(self):
        said = image("enclayer", self.folder / "none", build=self.folder)
        self.assertEqual(said.returncode, 1)
        self.assertRegex(said.stderr, r"tools/image: .*/bin/enclayer is not there: make build")

    def test_programs_of_two_versions_are_refused(self):
        build = self.folder / "mixed"
        (build / "bin").mkdir(parents=True)
        for program in ("enclayer", "enclayer-attest", "enclayer-claim-templates"):
            shutil.copy(BUILD / "bin" / program, build / "bin")
        other = build / "bin/enclayer-detect"
        other.write_text("#!/bin/sh\necho enclayer-detect 9.9.9\n")
        other.chmod(0o755)
        said = image("enclayer", self.folder / "none", build=build)
        self.assertEqual(said.returncode, 1)
        self.assertIn("says 'enclayer-detect 9.9.9'", said.stderr)


class DcapImage(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)
        self.debs = self.folder / "debs"
        self.debs.mkdir()
        make_debs(BUILD, self.debs)

    def build(self, recipe="enclayer-dcap"):
        return image(recipe, self.folder / "out", "--debs", self.debs)

    def fails(self):
        said = self.build()
        self.assertEqual(said.returncode, 1, said.stdout)
        self.assertFalse(list((self.folder / "out").glob("*.tar")))
        return said.stderr

    def test_it_has_the_helper_and_all_of_intels_packages_that_it_needs(self):
        said = self.build()
        self.assertEqual(said.returncode, 0, said.stderr)
        [tar] = (self.folder / "out").glob("enclayer-dcap-*.oci.tar")
        archive = Archive(tar, self.folder / "root")
        self.assertEqual(archive.run("enclayer-quote-helper", "--version").returncode, 0)
        for name, (libraries, _) in INTEL.items():
            for library in libraries:
                self.assertEqual((archive.root / LIBRARIES / library).exists(), name != "libsgx-quote-ex", library)
        self.assertNotIn("usr/bin/enclayer", archive.files)
        self.assertRegex(said.stdout, r"not taken +libsgx-quote-ex:")
        sbom = json.loads((archive.root / "usr/share/sbom/enclayer-dcap.spdx.json").read_text())
        intel = {package["name"]: package for package in sbom["packages"]}["libsgx-dcap-ql"]
        self.assertEqual(intel["versionInfo"], "1.22")
        self.assertEqual(intel["sourceInfo"], "built from file libsgx-dcap-ql_1.22_amd64.deb")
        self.assertNotIn("supplier", intel)
        [beside] = (self.folder / "out").glob("*.provenance.json")
        made_of = {one["name"]: one for one in json.loads(beside.read_text())["predicate"]["buildDefinition"]["resolvedDependencies"]}
        deb = (self.debs / "libsgx-dcap-ql_1.22_amd64.deb").read_bytes()
        self.assertEqual(made_of["libsgx-dcap-ql"]["digest"], {"sha256": hashlib.sha256(deb).hexdigest()})
        status = (archive.root / "var/lib/dpkg/status.d/libsgx-dcap-ql").read_text()
        self.assertIn("Version: 1.22", status)

    def test_the_same_packages_give_the_same_digest(self):
        self.assertEqual(self.build().returncode, 0)
        [first] = (self.folder / "out").glob("*.oci.tar")
        content = first.read_bytes()
        first.unlink()
        self.assertEqual(self.build().returncode, 0)
        self.assertEqual(first.read_bytes(), content)

    def test_missing_packages_are_named_one_by_one_with_what_they_bring(self):
        for name in ("libsgx-ae-qe3", "libsgx-dcap-default-qpl", "libsgx-tee-extra"):
            (self.debs / f"{name}_1.22_amd64.deb").unlink()
        said = self.fails().splitlines()
        self.assertIn("  libsgx-ae-qe3: the Quoting Enclave, signed by Intel", said)
        self.assertTrue(any(line.startswith("  libsgx-dcap-default-qpl or az-dcap-client: libdcap_quoteprov") for line in said))
        self.assertEqual(len(said), 3, said)

    def test_what_a_package_depends_on_is_missed_too(self):
        (self.debs / "libsgx-tee-extra_1.22_amd64.deb").unlink()
        self.assertIn("  libsgx-tee-extra: libsgx-dcap-default-qpl depends on it", self.fails())

    def test_azures_provider_does_as_well_but_not_both(self):
        make_deb(BUILD, self.debs, "az-dcap-client", libraries=["libdcap_quoteprov.so.1"])
        self.assertIn("libsgx-dcap-default-qpl and az-dcap-client, which bring the same library", self.fails())
        (self.debs / "libsgx-dcap-default-qpl_1.22_amd64.deb").unlink()
        said = self.build()
        self.assertEqual(said.returncode, 0, said.stderr)

    def test_two_versions_of_a_package_are_refused(self):
        make_deb(BUILD, self.debs, "libsgx-urts", version="2.26")
        self.assertIn("has libsgx-urts twice, libsgx-urts_1.22_amd64.deb and libsgx-urts_2.26_amd64.deb", self.fails())

    def test_packages_for_another_machine_are_refused(self):
        make_deb(BUILD, self.debs, "libsgx-urts", architecture="arm64")
        self.assertIn("libsgx-urts_1.22_arm64.deb is for arm64, not amd64", self.fails())

    def test_a_library_that_debian_does_not_have_is_named(self):
        library = self.library("libsgx_urts.so.2", needs="libelsewhere.so.9")
        make_deb(BUILD, self.debs, "libsgx-urts", libraries=[str(library)])
        self.assertIn("libelsewhere.so.9, which libsgx_urts.so.2 of package libsgx-urts needs, is neither in", self.fails())

    def test_packages_built_for_a_newer_distribution_are_refused(self):
        library = self.library("libsgx_urts.so.2", glibc="GLIBC_9.99")
        make_deb(BUILD, self.debs, "libsgx-urts", libraries=[str(library)])
        said = self.fails()
        self.assertIn("libsgx_urts.so.2 of package libsgx-urts needs GLIBC_9.99 of libc.so.6", said)
        self.assertIn("built for another distribution", said)

    def library(self, name, needs=None, glibc=None):
        """A shared library that needs another one, or a version of libc that no Debian has."""
        built = self.folder / "built"
        built.mkdir()
        other = built / (needs or "libc.so.6")
        (built / "versions").write_text(f"{glibc or 'V1'} {{ global: something; }};\n")
        (built / "other.c").write_text("int something(void) { return 1; }\n")
        (built / "this.c").write_text("int something(void); int asks(void) { return something(); }\n")
        link = ["cc", "-shared", "-fPIC", "-nostdlib"]
        script = [f"-Wl,--version-script={built}/versions"] if glibc else []
        subprocess.run([*link, *script, f"-Wl,-soname,{other.name}", "-o", other, built / "other.c"], check=True)
        subprocess.run([*link, f"-Wl,-soname,{name}", "-o", built / name, built / "this.c", other], check=True)
        return built / name

    def test_a_folder_that_is_not_there_is_said(self):
        shutil.rmtree(self.debs)
        self.assertIn(f"{self.debs} is not a folder", self.fails())

    def test_the_other_image_has_no_use_for_packages(self):
        self.assertEqual(self.build("enclayer").returncode, 2)


if __name__ == "__main__":
    unittest.main()
