"""A shell that runs what the film types, and what it has said."""

import os
import signal
import subprocess

# Stands before the exit code of each command in what the shell says.
END = "\x04"


class Terminal:
    def __init__(self, folder, environment):
        """A shell in `folder`; whatever it starts belongs to one group of processes, for `close`."""
        self.bash = subprocess.Popen(
            ["bash", "--norc", "--noprofile"], cwd=folder, env=environment, text=True, start_new_session=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )
        # Off by default where nobody is at the keyboard.
        self.send("shopt -s expand_aliases")

    def send(self, line):
        self.bash.stdin.write(line + "\n")
        self.bash.stdin.flush()

    def run(self, command):
        """Runs a command; the lines of its output and of its errors as they come."""
        # In braces, so that a command that reads its input does not read the next ones.
        self.send(f"{{ {command}\n}} </dev/null; printf '{END}%d\\n' $?")
        said = ""
        for line in self.bash.stdout:
            line, ended, code = line.partition(END)
            said += line
            if line:
                yield line.rstrip("\n") + "\n"
            if ended:
                if int(code):
                    raise RuntimeError(f"{command}: exit code {code.strip()}\n{said}")
                return
        raise RuntimeError(f"{command}: the shell has ended")

    def close(self):
        os.killpg(self.bash.pid, signal.SIGTERM)
        self.bash.stdin.close()
        self.bash.wait()
