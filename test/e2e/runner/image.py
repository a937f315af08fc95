"""OCI images without a registry: one layer from files on this machine, as a tar that `ctr images import` takes."""

import gzip
import hashlib
import io
import json
import re
import tarfile
from pathlib import Path

from .process import output
from .steps import Failure


def write(tar_file, name, files, entrypoint):
    """`files` maps a path in the image to a file here. The image starts `entrypoint` as root."""
    layer = layer_of(files)
    compressed = gzip.compress(layer, compresslevel=1, mtime=0)
    blobs = {}

    def blob(content, media_type):
        digest = hashlib.sha256(content).hexdigest()
        blobs[f"blobs/sha256/{digest}"] = content
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(content)}

    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Entrypoint": entrypoint, "Env": ["PATH=/usr/bin:/"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": blob(to_json(config), "application/vnd.oci.image.config.v1+json"),
        "layers": [blob(compressed, "application/vnd.oci.image.layer.v1.tar+gzip")],
    }
    described = blob(to_json(manifest), manifest["mediaType"])
    described["annotations"] = {"io.containerd.image.name": name}
    described["platform"] = {"architecture": "amd64", "os": "linux"}
    blobs["oci-layout"] = to_json({"imageLayoutVersion": "1.0.0"})
    blobs["index.json"] = to_json({"schemaVersion": 2, "manifests": [described]})
    with tarfile.open(tar_file, "w") as tar:
        for path, content in blobs.items():
            add(tar, path, content, 0o644)


def with_libraries(program):
    """A dynamic program and everything that the loader needs to start it, each at its own path: ready for `files`."""
    files = {}
    for line in output(["ldd", program]).splitlines():
        if "not found" in line:
            raise Failure(f"{program}: {line.strip()}")
        if library := re.search(r"(/\S+) \(0x", line):
            files[library.group(1)] = Path(library.group(1))
    return files


def layer_of(files):
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        folders = {parent for path in files for parent in Path(path).parents if str(parent) != "/"}
        for folder in sorted(folders):
            entry = tarfile.TarInfo(str(folder).lstrip("/"))
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
        for path, source in sorted(files.items()):
            add(tar, path.lstrip("/"), Path(source).read_bytes(), 0o755)
    return content.getvalue()


def add(tar, path, content, mode):
    entry = tarfile.TarInfo(path)
    entry.size, entry.mode = len(content), mode
    tar.addfile(entry, io.BytesIO(content))


def to_json(value):
    return json.dumps(value, sort_keys=True).encode()
