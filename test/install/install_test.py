"""`make install`, `make uninstall`, and completion as bash, zsh and fish do it: the scripts and the program that were
installed, keys typed at a terminal. Needs ENCLAYER_BUILD_DIR (what was built). A shell that is not here is skipped.
"""

import os
import pty
import re
import select
import shutil
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ["ENCLAYER_BUILD_DIR"])
INSTALLED = {
    "bin/enclayer",
    "bin/enclayer-attest",
    "bin/kubectl-enclayer",
    "bin/kubectl_complete-enclayer",
    "share/bash-completion/completions/enclayer",
    "share/fish/vendor_completions.d/enclayer.fish",
    "share/zsh/site-functions/_enclayer",
}


def install(what, prefix, **environment):
    command = [SOURCE / "tools/install", what, prefix]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, "BUILD": str(BUILD), **environment})


def files_in(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()}


class Folder(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)
        self.prefix = self.folder / "a prefix"


class Install(Folder):
    def test_the_command_its_two_names_and_completion_are_installed_and_nothing_else(self):
        said = install("install", self.prefix)
        self.assertEqual(said.returncode, 0, said.stderr)
        self.assertEqual(files_in(self.prefix), INSTALLED)
        version = subprocess.check_output([self.prefix / "bin/enclayer", "--version"], text=True)
        self.assertEqual(subprocess.check_output([self.prefix / "bin/kubectl-enclayer", "--version"], text=True), "kubectl " + version)
        self.assertFalse(os.path.isabs(os.readlink(self.prefix / "bin/kubectl-enclayer")))

    def test_uninstall_removes_what_was_installed_and_leaves_the_rest(self):
        self.assertEqual(install("install", self.prefix).returncode, 0)
        (self.prefix / "bin/somebody-elses").touch()
        said = install("uninstall", self.prefix)
        self.assertEqual(said.returncode, 0, said.stderr)
        self.assertEqual(files_in(self.prefix), {"bin/somebody-elses"})
        self.assertEqual(install("uninstall", self.prefix).returncode, 0, "a second time")

    def test_destdir_goes_before_the_prefix(self):
        self.assertEqual(install("install", "/opt/enclayer", DESTDIR=str(self.folder / "stage")).returncode, 0)
        self.assertEqual(files_in(self.folder / "stage/opt/enclayer"), INSTALLED)
        self.assertEqual(install("uninstall", "/opt/enclayer", DESTDIR=str(self.folder / "stage")).returncode, 0)
        self.assertEqual(files_in(self.folder / "stage"), set())

    def test_what_enclayer_prints_is_what_is_installed(self):
        self.assertEqual(install("install", self.prefix).returncode, 0)
        for shell, path in (
            ("bash", "bash-completion/completions/enclayer"),
            ("zsh", "zsh/site-functions/_enclayer"),
            ("fish", "fish/vendor_completions.d/enclayer.fish"),
        ):
            printed = subprocess.check_output([self.prefix / "bin/enclayer", "completion", shell], text=True)
            self.assertEqual(printed, (self.prefix / "share" / path).read_text())


class Terminal:
    """A shell at a terminal of its own, in a folder with a quote.bin and a folder quotes."""

    def __init__(self, folder, argv, path):
        (folder / "home").mkdir()
        (folder / "home/quotes").mkdir()
        (folder / "home/quote.bin").touch()
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.chdir(folder / "home")
            home = str(folder / "home")
            os.execvpe(argv[0], argv, {"PATH": f"{path}:/usr/bin:/bin", "HOME": home, "TERM": "vt100", "PS1": "> ", "LC_ALL": "C"})
        self.seen = ""

    def type(self, keys):
        os.write(self.terminal, keys.encode())

    def wait_for(self, pattern, seconds=60):
        deadline = time.monotonic() + seconds
        while not (found := re.search(pattern, self.seen)):
            if time.monotonic() > deadline or not self.read(deadline):
                raise AssertionError(f"the terminal does not show {pattern!r} but {self.seen!r}")
        self.seen = self.seen[found.end() :]
        return found

    def read(self, deadline):
        if not select.select([self.terminal], [], [], max(0, deadline - time.monotonic()))[0]:
            return False
        try:
            self.seen += os.read(self.terminal, 4096).decode(errors="replace")
            return True
        except OSError:  # the shell has ended
            return False

    def close(self):
        os.close(self.terminal)  # SIGHUP
        os.waitpid(self.pid, 0)


class Shells(Folder):
    def setUp(self):
        super().setUp()
        said = install("install", self.prefix)
        self.assertEqual(said.returncode, 0, said.stderr)
        self.bin = self.prefix / "bin"

    def terminal(self, *argv):
        terminal = Terminal(self.folder, argv, self.bin)
        self.addCleanup(terminal.close)
        return terminal

    def completes(self, terminal, typed, to):
        """`typed` and TAB give `to`, which the shell then hands to a program that prints it between angle brackets."""
        terminal.type(typed + "\t")
        terminal.type("\x01print \x05\n")  # to the start of the line, and to its end
        words = "".join(f"<{word}>" for word in to.split())
        terminal.wait_for(re.escape(words) + "\r?\n")

    def in_a_posix_shell(self, terminal):
        for typed, to in (
            ("enclayer verif", "enclayer verify"),
            ("enclayer verify --quo", "enclayer verify --quote"),
            ("enclayer inspect --output j", "enclayer inspect --output json"),
            ("enclayer inspect --output=j", "enclayer inspect --output=json"),
            ("enclayer verify --quote quote.", "enclayer verify --quote quote.bin"),
            ("enclayer verify --quote=quote.", "enclayer verify --quote=quote.bin"),
            ("enclayer collateral fetch --cache-dir q", "enclayer collateral fetch --cache-dir quotes/"),
            ("enclayer verify --at 2025-06-25T00:00:00Z --col", "enclayer verify --at 2025-06-25T00:00:00Z --collateral"),
            ("enclayer collateral fe", "enclayer collateral fetch"),
            ("enclayer completion fi", "enclayer completion fish"),
        ):
            with self.subTest(typed):
                self.completes(terminal, typed, to)

    def test_bash_completes_commands_flags_choices_and_files(self):
        terminal = self.terminal("bash", "--norc", "--noprofile", "-i")
        script = self.prefix / "share/bash-completion/completions/enclayer"
        terminal.type(f"print() {{ printf '<%s>' \"$@\"; echo; }}; source '{script}'; echo rea''dy\n")
        terminal.wait_for("ready\r?\n")
        self.in_a_posix_shell(terminal)

    @unittest.skipUnless(shutil.which("zsh"), "zsh is not here")
    def test_zsh_completes_commands_flags_choices_and_files(self):
        terminal = self.terminal("zsh", "-f", "-i")
        functions = self.prefix / "share/zsh/site-functions"
        terminal.type(
            f"fpath=('{functions}' $fpath); autoload -U compinit; compinit -u -D; unfunction print 2>/dev/null;"
            " bindkey -e; unsetopt beep prompt_sp auto_remove_slash; disable print; print() { printf '<%s>' \"$@\"; echo; }; echo rea''dy\n"
        )
        terminal.wait_for("ready\r?\n")
        self.in_a_posix_shell(terminal)

    @unittest.skipUnless(shutil.which("fish"), "fish is not here")
    def test_fish_completes_commands_flags_choices_and_files(self):
        (self.folder / "quotes").mkdir()
        (self.folder / "quote.bin").touch()
        script = self.prefix / "share/fish/vendor_completions.d/enclayer.fish"
        for typed, to in (
            ("enclayer verif", "verify"),
            ("enclayer verify --quo", "--quote"),
            ("enclayer inspect --output j", "json"),
            ("enclayer inspect --output=j", "--output=json"),
            ("enclayer verify --quote quote.", "quote.bin"),
            ("enclayer verify --quote=quote.", "--quote=quote.bin"),
            ("enclayer collateral fetch --cache-dir q", "quotes/"),
            ("enclayer completion fi", "fish"),
        ):
            with self.subTest(typed):
                said = subprocess.run(
                    ["fish", "--no-config", "-c", f"source '{script}'; complete --do-complete '{typed}'"],
                    capture_output=True,
                    text=True,
                    cwd=self.folder,
                    env={"PATH": f"{self.bin}:/usr/bin:/bin", "HOME": str(self.folder)},
                )
                self.assertEqual([line.partition("\t")[0] for line in said.stdout.splitlines()], [to], said.stderr)

    def test_kubectl_is_answered_in_its_own_words(self):
        environment = {"PATH": f"{self.bin}:/usr/bin:/bin"}
        said = subprocess.check_output([self.bin / "kubectl_complete-enclayer", "verif"], text=True, env=environment)
        self.assertRegex(said, r"^verify\t[^\n]+\n:4\n$")
        said = subprocess.check_output([self.bin / "kubectl_complete-enclayer", "verify", "--quote", ""], text=True, env=environment)
        self.assertEqual(said, ":0\n")


if __name__ == "__main__":
    unittest.main()
