# SPDX-License-Identifier: Apache-2.0
"""What is published, and what it is made of: files with the Debian package that each is out of, the list of all that (SPDX
2.3), the provenance (SLSA), and archives of the same bytes for the same input. tools/image and tools/release publish.

Everything is looked up in the Debian packages that are installed here, and has to be as they brought it.
"""

import functools
import hashlib
import io
import json
import os
import re
import subprocess
import tarfile
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

SOURCE = Path(__file__).resolve().parent.parent
ARCHITECTURES = ("amd64", "all")  # SGX is x86-64 only
OURS = "enclayer"  # stands among the packages as one of them


class Problem(Exception):
    """What a person has to put right."""


@dataclass
class Entry:
    """A file or, with `target`, a symbolic link; `package` is where it comes from."""

    package: str
    content: bytes = b""
    target: str = ""
    mode: int = 0o644


@dataclass
class Package:
    name: str
    version: str
    relation: str  # of what is published to it, in SPDX's words
    source: str = ""
    folder: Path = Path("/")  # its files lie under it
    control: str = ""
    sha256: str = ""  # of its file, where it came as one


@dataclass
class Contents:
    entries: dict[str, Entry] = field(default_factory=dict)  # by absolute path, sorted only when written
    packages: dict[str, Package] = field(default_factory=dict)

    def add(self, path, entry):
        path = usr_merged(path)
        there = self.entries.get(path)
        if there and (there.content, there.target) != (entry.content, entry.target):
            raise Problem(f"{path} comes from {there.package} and, another one, from {entry.package}")
        self.entries[path] = entry


def usr_merged(path):
    """Debian's packages say /lib where the file lies in /usr/lib."""
    return re.sub(r"^/(bin|sbin|lib|lib64)/", r"/usr/\1/", path)


def output(*argv, **options):
    done = subprocess.run([str(word) for word in argv], capture_output=True, text=True, **options)
    if done.returncode != 0:
        raise Problem(f"{' '.join(map(str, argv))} ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def control_field(control, name):
    found = re.search(rf"^{name}:[ \t]*(.*(?:\n[ \t].*)*)", control, re.M | re.I)
    return " ".join(found[1].split()) if found else ""


# ---- Debian's packages, as they are installed here. dpkg's own files: dpkg-query reads all of them for every question ----

DPKG = Path("/var/lib/dpkg")


@functools.cache
def dpkg_status():
    """Each installed package's paragraph."""
    paragraphs = DPKG.joinpath("status").read_text().split("\n\n")
    found = {}
    for paragraph in paragraphs:
        if control_field(paragraph, "Status").endswith(" installed") and control_field(paragraph, "Architecture") in ARCHITECTURES:
            found[control_field(paragraph, "Package")] = paragraph
    return found


@functools.cache
def dpkg_owners():
    """The package of every file."""
    found = {}
    for listing in sorted(DPKG.glob("info/*.list")):
        package, _, architecture = listing.stem.partition(":")
        if architecture in ("", *ARCHITECTURES):
            found |= dict.fromkeys(map(usr_merged, listing.read_text().splitlines()), package)
    return found


def installed(name, relation):
    control = dpkg_status().get(name)
    if not control:
        raise Problem(f"package {name} is not installed here: apt-get install {name}")
    version = control_field(control, "Version")
    source, _, source_version = (control_field(control, "Source") or name).partition(" ")
    return Package(name, version, relation, source=f"{source} {source_version.strip('()') or version}", control=control)


def with_headers(name):
    """The package that has them: of one that stands for the newest version, as libboost-dev does, the first that it depends on."""
    control = installed(name, "HEADERS").control
    lists = [DPKG / f"info/{name}{architecture}.list" for architecture in ("", *(f":{each}" for each in ARCHITECTURES))]
    files = next(listing for listing in lists if listing.exists()).read_text()
    return name if "/usr/include/" in files else re.split(r"[ ,(|]", control_field(control, "Depends"))[0]


def owner(path):
    package = dpkg_owners().get(path)
    if not package:
        raise Problem(f"{path} belongs to no Debian package; what is published must have a source")
    return package


@functools.cache
def dpkg_sums(package):
    for name in (package, f"{package}:amd64"):
        if (sums := DPKG / f"info/{name}.md5sums").exists():
            lines = (line.split("  ", 1) for line in sums.read_text().splitlines())
            return {usr_merged("/" + path): digest for digest, path in lines}
    return {}


def unchanged(path, package):
    """The content of an installed file, which has to be what the package brought."""
    content = Path(path).read_bytes()
    if dpkg_sums(package).get(path) != hashlib.md5(content).hexdigest():
        raise Problem(f"{path} is not as package {package} brought it: apt-get install --reinstall {package}")
    return content


def add_installed(contents, path, relation="CONTAINS"):
    """A file of a Debian package, with the links that lead to it."""
    path = usr_merged(path)
    while True:
        package = owner(path)
        contents.packages.setdefault(package, installed(package, relation))
        if not os.path.islink(path):
            break
        target = os.readlink(path)
        contents.add(path, Entry(package, target=target))
        path = usr_merged(os.path.normpath(os.path.join(os.path.dirname(path), target)))
    contents.add(path, Entry(package, unchanged(path, package), mode=os.stat(path).st_mode & 0o755))


def older_than_apt_offers(contents):
    """A line for each of Debian's packages that apt, as of the last `apt-get update`, has a newer version of."""
    mine = {package.name: package.version for package in contents.packages.values() if package.folder == Path("/") and package.name != OURS}
    lines = []
    for paragraph in re.split(r"\n(?=\S)", output("apt-cache", "policy", *sorted(mine), env={**os.environ, "LC_ALL": "C"})):
        name, offered = paragraph.partition(":")[0], re.search(r"^  Candidate: (\S+)", paragraph, re.M)
        if name not in mine or not offered or offered[1] == "(none)":
            continue
        if subprocess.run(["dpkg", "--compare-versions", mine[name], "lt", offered[1]]).returncode == 0:
            lines.append(f"{name}: {mine[name]} is installed, {offered[1]} is offered")
    return lines


def refuse_older(contents, into, allowed):
    """Gives the lines where they are allowed."""
    older = older_than_apt_offers(contents)
    if older and not allowed:
        names = " ".join(line.partition(":")[0] for line in older)
        raise Problem(
            f"these packages would go into {into} older than apt offers them:\n  " + "\n  ".join(older) +
            f"\nBring them up to date and build again: apt-get install --only-upgrade {names}\n"
            f"or take them as they are, for {into} that is not published: --allow-older"
        )
    return older


# ---- Our programs ----


def add_programs(contents, recipe, build, scratch, debug):
    """Stripped, and what is stripped off in `debug`. Gives the version that all of them tell, and where they lie."""
    version, roots = "", {}
    for name in recipe["programs"]:
        built = build / "bin" / name
        if not built.exists():
            raise Problem(f"{built} is not there: make build")
        told = output(built, "--version").split()
        if told[:1] != [name] or len(told) != 2 or (version and told[1] != version):
            raise Problem(f"{built} --version says {' '.join(told)!r}, not {name} {version}: make build")
        version = told[1]
        debug.mkdir(parents=True, exist_ok=True)
        symbols = debug / f"{name}.debug"
        output("objcopy", "--only-keep-debug", built, symbols)
        stripped = scratch / name
        output("objcopy", "--strip-all", f"--add-gnu-debuglink={symbols}", built, stripped)
        contents.add(f"/usr/bin/{name}", Entry(OURS, stripped.read_bytes(), mode=0o755))
        roots[name] = stripped
    contents.packages[OURS] = Package(OURS, version, "CONTAINS")
    contents.packages |= {name: installed(name, "HEADERS") for name in map(with_headers, recipe["headers"])}
    contents.packages |= {name: installed(name, "STATIC_LINK") for name in archives(recipe, build)}
    return version, roots


def archives(recipe, build):
    """The packages of the static libraries that the linker was given; of a static program also those that it adds itself."""
    paths = set()
    for name in recipe["programs"]:
        link = output("ninja", "-C", build, "-t", "commands", "-s", f"bin/{name}")
        paths.update(re.findall(r"\s(/usr/\S+\.a)\b", link))
        static = re.findall(r"-Bstatic.*?(?:--pop-state|-Bdynamic)", link)
        if re.search(r"\s-static(-pie)?\s", link):
            static = [link, " -lc -lm -lstdc++ -lgcc -lgcc_eh"]
        elif "-static-libstdc++" in link:
            static.append(" -lstdc++ -lgcc_eh")
        for library in re.findall(r"\s-l(\S+)", " ".join(static)):
            paths.add(os.path.normpath(output("g++", f"-print-file-name=lib{library}.a").strip()))
    return sorted({owner(usr_merged(path)) for path in paths})


def compilers(build, recipe):
    """As they wrote their names into the programs."""
    said = "".join(output("readelf", "-p", ".comment", build / "bin" / name) for name in recipe["programs"])
    return sorted(set(re.findall(r"^\s*\[\s*[0-9a-f]+\]\s+(.*\S)", said, re.M)))


# ---- What it is made of ----


def to_json(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def purl(package):
    version = package.version.replace(":", "%3A").replace("+", "%2B")
    return f"pkg:deb/debian/{package.name}@{version}?arch=amd64&distro=bookworm"


def spdx(contents, called, purpose, version, created):
    """SPDX 2.3: every package by name and version, every file with its package. `purpose` in SPDX's words: CONTAINER."""

    def identifier(kind, text):
        return f"SPDXRef-{kind}-" + re.sub(r"[^A-Za-z0-9.-]", "-", text) + "-" + hashlib.sha256(text.encode()).hexdigest()[:8]

    name = called.rpartition("/")[2]
    root = f"SPDXRef-Root-{name}"
    packages, files, relations = [], [], [("SPDXRef-DOCUMENT", "DESCRIBES", root)]
    for package in sorted(contents.packages.values(), key=lambda package: package.name):
        own = identifier("Package", package.name)
        described = {
            "SPDXID": own,
            "name": package.name,
            "versionInfo": package.version,
            "downloadLocation": "NOASSERTION",
            "filesAnalyzed": False,
            "licenseConcluded": "Apache-2.0" if package.name == OURS else "NOASSERTION",
            "licenseDeclared": "Apache-2.0" if package.name == OURS else "NOASSERTION",
            "copyrightText": "NOASSERTION",
        }
        if package.folder == Path("/") and package.name != OURS:
            described["supplier"] = "Organization: Debian"
            described["externalRefs"] = [
                {
                    "referenceCategory": "PACKAGE-MANAGER",
                    "referenceType": "purl",
                    "referenceLocator": purl(package),
                }
            ]
        if package.source:
            described["sourceInfo"] = f"built from {package.source}"
        packages.append(described)
        match package.relation:
            case "CONTAINS":
                relations.append((root, "CONTAINS", own))
            case "STATIC_LINK":
                relations.append((identifier("Package", OURS), "STATIC_LINK", own))
            case "HEADERS":
                relations.append((own, "BUILD_DEPENDENCY_OF", identifier("Package", OURS)))
    for path, entry in sorted(contents.entries.items()):
        if entry.target:
            continue
        own = identifier("File", path)
        sums = {"SHA1": hashlib.sha1(entry.content).hexdigest(), "SHA256": hashlib.sha256(entry.content).hexdigest()}
        files.append(
            {
                "SPDXID": own,
                "fileName": "." + path,
                "checksums": [{"algorithm": kind, "checksumValue": value} for kind, value in sums.items()],
                "licenseConcluded": "NOASSERTION",
                "copyrightText": "NOASSERTION",
            }
        )
        relations.append((identifier("Package", entry.package), "OTHER", own))
    content = to_json([packages, files])
    document = {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": f"{name}-{version}",
        "documentNamespace": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, hashlib.sha256(content).hexdigest())}",
        "creationInfo": {"created": created, "creators": [f"Tool: enclayer-tools-materials-{version}"]},
        "packages": [
            {
                "SPDXID": root,
                "name": called,
                "versionInfo": version,
                "downloadLocation": "NOASSERTION",
                "filesAnalyzed": False,
                "primaryPackagePurpose": purpose,
                "licenseConcluded": "NOASSERTION",
                "licenseDeclared": "NOASSERTION",
                "copyrightText": "NOASSERTION",
            }
        ]
        + packages,
        "files": files,
        "relationships": [
            {"spdxElementId": of, "relationshipType": kind, "relatedSpdxElement": to}
            | ({"comment": "the file comes out of the package"} if kind == "OTHER" else {})
            for of, kind, to in relations
        ],
    }
    return json.dumps(document, indent=1).encode() + b"\n"


def provenance(contents, tool, recipe, build, subjects, revision):
    """What `subjects` (names and their SHA-256) were made of and how: in-toto Statement v1 with SLSA Provenance v1. The same bytes for the same input, so
    it names no machine and no time of day; whoever publishes them signs it, and so says who made it."""
    dependencies = []
    if revision:
        dependencies.append({"name": "source", "digest": {"gitCommit": revision.removesuffix("-modified")}})
    for package in sorted(contents.packages.values(), key=lambda package: package.name):
        if package.name == OURS:
            continue
        one = {"name": package.name, "annotations": {"version": package.version, "relation": package.relation}}
        if package.folder == Path("/"):
            one["uri"] = purl(package)
        else:
            one["digest"] = {"sha256": package.sha256}
        dependencies.append(one)
    statement = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": name, "digest": {"sha256": digest}} for name, digest in subjects.items()],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": f"urn:enclayer:tools-{tool}:1",
                "externalParameters": {"recipe": recipe["name"], "modified": bool(revision and revision.endswith("-modified"))},
                "internalParameters": {"programs": recipe["programs"], "compilers": compilers(build, recipe)},
                "resolvedDependencies": dependencies,
            },
            "runDetails": {"builder": {"id": f"urn:enclayer:tools-{tool}"}},
        },
    }
    return json.dumps(statement, indent=1).encode() + b"\n"


# ---- The same bytes, whoever packs them ----


def commit():
    """Time and name of the commit; "-modified" where the tree is not quite that."""
    epoch, revision = os.environ.get("SOURCE_DATE_EPOCH"), None
    if (SOURCE / ".git").exists():
        git = ["git", "-c", "safe.directory=*", "-C", SOURCE]
        revision = output(*git, "rev-parse", "HEAD").strip()
        if output(*git, "status", "--porcelain", "--untracked-files=no").strip():
            revision += "-modified"
        epoch = epoch or output(*git, "log", "-1", "--format=%ct")
    if not epoch:
        raise Problem(f"{SOURCE} is not a git checkout: give the release's time in SOURCE_DATE_EPOCH")
    return int(epoch), revision


def time_of(epoch):
    return datetime.fromtimestamp(epoch, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def tar_of(members, epoch):
    """In their order, everything root's and of that time; a number in place of an Entry is a folder of that mode."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for path, member in members.items():
            entry = tarfile.TarInfo(path.lstrip("/"))
            entry.mtime = epoch
            if isinstance(member, int):
                entry.type, entry.mode = tarfile.DIRTYPE, member
            elif member.target:
                entry.type, entry.mode, entry.linkname = tarfile.SYMTYPE, 0o777, member.target
            else:
                entry.mode, entry.size = member.mode, len(member.content)
            tar.addfile(entry, io.BytesIO(b"" if isinstance(member, int) else member.content))
    return content.getvalue()
