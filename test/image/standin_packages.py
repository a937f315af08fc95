"""Packages named like Intel's, for trying what is built of them: the stand-in libraries under Intel's names, and a few bytes
instead of the rest. Also a command, `standin_packages.py BUILD FOLDER`."""

import shutil
import subprocess
import sys
from pathlib import Path

LIBRARIES = "usr/lib/x86_64-linux-gnu"

# package: its libraries, its dependencies
INTEL = {
    "libsgx-dcap-ql": (["libsgx_dcap_ql.so.1"], "libsgx-qe3-logic (>= 1.0), libsgx-pce-logic (>= 1.0), libc6 (>= 2.14)"),
    "libsgx-qe3-logic": (["libsgx_qe3_logic.so"], "libsgx-urts, libsgx-ae-qe3, libsgx-ae-id-enclave"),
    "libsgx-pce-logic": (["libsgx_pce_logic.so.1"], "libsgx-ae-pce"),
    "libsgx-urts": (["libsgx_urts.so.2"], "libsgx-enclave-common (>= 2.0)"),
    "libsgx-enclave-common": (["libsgx_enclave_common.so.1"], ""),
    "libsgx-ae-qe3": (["libsgx_qe3.signed.so.1"], ""),
    "libsgx-ae-pce": (["libsgx_pce.signed.so.1"], ""),
    "libsgx-ae-id-enclave": (["libsgx_id_enclave.signed.so.1"], ""),
    "libsgx-dcap-default-qpl": (["libdcap_quoteprov.so.1"], "libcurl4 | libcurl4t64, libsgx-tee-extra"),
    "libsgx-tee-extra": (["libsgx_tee_extra.so.1"], ""),  # only because something depends on it
    "libsgx-quote-ex": (["libsgx_quote_ex.so.1"], "adduser"),  # in the folder, and needed by nobody
}


def make_deb(build, folder, name, version="1.22", libraries=None, depends=None, architecture="amd64"):
    """`build` is the folder of a release build. `libraries`: names, or files by their absolute paths."""
    known = INTEL.get(name, ([], ""))
    tree = folder / "tree"
    shutil.rmtree(tree, ignore_errors=True)
    (tree / LIBRARIES).mkdir(parents=True)
    (tree / "DEBIAN").mkdir()
    for library in known[0] if libraries is None else libraries:
        standin = build / "standin/full" / Path(library).name
        if Path(library).is_absolute():
            shutil.copy(library, tree / LIBRARIES)
        elif standin.exists():
            shutil.copy(standin, tree / LIBRARIES)
        else:
            (tree / LIBRARIES / library).write_text(f"instead of {library}")
    depends = known[1] if depends is None else depends
    (tree / "DEBIAN/control").write_text(
        f"Package: {name}\nVersion: {version}\nArchitecture: {architecture}\nMaintainer: nobody <nobody@example.com>\n"
        + (f"Depends: {depends}\n" if depends else "")
        + "Description: stand-in\n"
    )
    deb = folder / f"{name}_{version}_{architecture}.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "--build", tree, deb], check=True, capture_output=True)
    shutil.rmtree(tree)
    return deb


def make_debs(build, folder):
    folder.mkdir(parents=True, exist_ok=True)
    for name in INTEL:
        make_deb(build, folder, name)


if __name__ == "__main__":
    make_debs(Path(sys.argv[1]), Path(sys.argv[2]))
