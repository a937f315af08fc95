"""tools/release on the release build. Needs ENCLAYER_BUILD_DIR (what was built); `make release-check` builds twice and
installs on bare systems.
"""

import gzip
import hashlib
import io
import json
import os
import re
import subprocess
import tarfile
import tempfile
import unittest
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ["ENCLAYER_BUILD_DIR"])
BASE_URL = "https://files.test/v1"


def release(out, *more, umask=0o022, **environment):
    command = [SOURCE / "tools/release", "--build", BUILD, "--out", out, "--allow-older", *more]
    return subprocess.run(command, capture_output=True, text=True, umask=umask, env={**os.environ, **environment}, cwd="/")


class Files(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        cls.folder = Path(cls.temporary.name)
        cls.out = cls.folder / "out"
        said = release(cls.out, "--base-url", BASE_URL)
        assert said.returncode == 0, said.stderr
        cls.version = subprocess.check_output([BUILD / "bin/enclayer", "--version"], text=True).split()[1]
        cls.name = f"enclayer-{cls.version}-linux-amd64"
        cls.sums = {name: digest for digest, name in (line.split("  ") for line in (cls.out / "SHA256SUMS").read_text().splitlines())}

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()

    def tar(self, file):
        with tarfile.open(fileobj=io.BytesIO((self.out / file).read_bytes())) as tar:
            entries = {entry.name: entry for entry in tar}
            return entries, {name: tar.extractfile(entry).read() for name, entry in entries.items() if entry.isfile()}

    def test_a_second_time_elsewhere_gives_the_same_bytes_and_without_an_address_no_manifest_for_krew(self):
        other = self.folder / "somewhere/else"
        other.mkdir(parents=True)
        (other / "SHA256SUMS").write_text(f"{'0' * 64}  enclayer.yaml\n")  # made here before
        (other / "enclayer.yaml").touch()
        said = release(other, umask=0o077, TZ="Asia/Kathmandu", PYTHONHASHSEED="7", HOME="/nonexistent")
        self.assertEqual(said.returncode, 0, said.stderr)
        self.assertIn("no manifest for krew", said.stdout)
        self.assertFalse((other / "enclayer.yaml").exists())
        for name in set(self.sums) - {"enclayer.yaml", f"{self.name}.provenance.json"}:  # which tells of the former
            self.assertEqual((other / name).read_bytes(), (self.out / name).read_bytes(), name)

    def test_sums_are_of_all_that_is_there(self):
        there = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in self.out.iterdir() if path.is_file() and path.name != "SHA256SUMS"}
        self.assertEqual(there, self.sums)
        self.assertEqual(set(there), {f"{self.name}.tar.gz", f"{self.name}.spdx.json", f"{self.name}.provenance.json", f"enclayer-{self.version}.tgz",
                                      f"enclayer_{self.version}_amd64.deb", "enclayer.yaml"})

    def test_the_archive_has_the_program_and_all_licences(self):
        entries, content = self.tar(f"{self.name}.tar.gz")
        self.assertEqual({(entry.uid, entry.gid, entry.mode & 0o022) for entry in entries.values()}, {(0, 0, 0)})
        self.assertTrue(all(entry.isfile() or entry.isdir() for entry in entries.values()), "krew refuses links")
        program = self.folder / "enclayer"
        program.write_bytes(content[f"{self.name}/enclayer"])
        program.chmod(0o755)
        self.assertEqual(subprocess.check_output([program, "--version"], text=True), f"enclayer {self.version}\n")
        others = content[f"{self.name}/LICENSES-OF-OTHERS"].decode()
        for package in ("libc6-dev", "libssl-dev", "libyaml-dev", "nlohmann-json3-dev"):
            self.assertIn(f"Debian package {package} ", others)
        self.assertIn("GNU LESSER GENERAL PUBLIC LICENSE", others)

    def test_the_man_page_has_every_command(self):
        page = gzip.decompress(self.tar(f"{self.name}.tar.gz")[1][f"{self.name}/enclayer.1.gz"]).decode()
        found = re.findall(r"^\.SH (ENCLAYER.*)$", page, re.M)
        for command in ("ENCLAYER", "ENCLAYER ENABLE", "ENCLAYER COLLATERAL FETCH", "ENCLAYER ATTEST POLICY CHECK", "ENCLAYER VERIFY"):
            self.assertEqual(found.count(command), 1, command)
        self.assertEqual(page.count("SGX for the pods of a cluster"), 1, "the examples of enclayer itself")
        self.assertNotIn(str(Path.home()), page)

    def test_the_package_has_what_make_install_has_but_the_service(self):
        listed = subprocess.check_output(["dpkg-deb", "-c", self.out / f"enclayer_{self.version}_amd64.deb"], text=True)
        files = {line.split()[5].lstrip(".") for line in listed.splitlines() if not line.startswith("d")}
        for path in ("/usr/bin/enclayer", "/usr/bin/kubectl-enclayer", "/usr/bin/kubectl_complete-enclayer", "/usr/share/bash-completion/completions/enclayer",
                     "/usr/share/zsh/vendor-completions/_enclayer", "/usr/share/fish/vendor_completions.d/enclayer.fish", "/usr/share/man/man1/enclayer.1.gz"):
            self.assertIn(path, files)
        self.assertFalse({line.split()[1] for line in listed.splitlines()} - {"root/root"})

    def test_the_manifest_for_krew_names_the_archive(self):
        manifest = (self.out / "enclayer.yaml").read_text()
        self.assertIn(f"uri: {BASE_URL}/{self.name}.tar.gz\n", manifest)
        self.assertIn(f"sha256: {self.sums[self.name + '.tar.gz']}\n", manifest)
        self.assertIn(f"from: {self.name}/enclayer\n", manifest)

    def test_an_address_that_is_none_is_refused(self):
        for url in ("http://files.test", "https://files.test/", "https://a b", "https://a\nb", ""):
            self.assertEqual(release(self.folder / "none", "--base-url", url).returncode, 2, url)
        self.assertFalse((self.folder / "none").exists())

    def test_the_chart_is_the_one_of_this_version_with_its_changes(self):
        entries, content = self.tar(f"enclayer-{self.version}.tgz")
        self.assertTrue(all(name.startswith("enclayer/") for name in entries))
        described = content["enclayer/Chart.yaml"].decode()
        self.assertIn(f"\nversion: {self.version}\n", described)
        self.assertRegex(described, r"\n  artifacthub.io/changes: \|\n    - kind: added\n      description: \"")
        for path in (SOURCE / "deploy/chart").rglob("*"):
            if path.is_file() and path.name != "Chart.yaml":
                self.assertEqual(content[f"enclayer/{path.relative_to(SOURCE / 'deploy/chart')}"], path.read_bytes())

    def test_the_list_of_materials_names_what_is_linked_in(self):
        sbom = json.loads((self.out / f"{self.name}.spdx.json").read_text())
        names = {package["SPDXID"]: package["name"] for package in sbom["packages"]}
        linked = {names[each["relatedSpdxElement"]] for each in sbom["relationships"] if each["relationshipType"] == "STATIC_LINK"}
        self.assertLessEqual({"libc6-dev", "libssl-dev", "libyaml-dev"}, linked)
        program = next(file for file in sbom["files"] if file["fileName"] == "./usr/bin/enclayer")
        digest = hashlib.sha256(self.tar(f"{self.name}.tar.gz")[1][f"{self.name}/enclayer"]).hexdigest()
        self.assertIn({"algorithm": "SHA256", "checksumValue": digest}, program["checksums"])

    def test_the_provenance_names_every_file(self):
        statement = json.loads((self.out / f"{self.name}.provenance.json").read_text())
        subjects = {subject["name"]: subject["digest"]["sha256"] for subject in statement["subject"]}
        self.assertEqual(subjects, {name: digest for name, digest in self.sums.items() if not name.endswith(".provenance.json")})


if __name__ == "__main__":
    unittest.main()
