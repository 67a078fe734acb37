"""The walk-through of the README, run from the README's own text.

Every ```sh block of the section is run, in order, in one shell; a ```text block after it shows lines its output must
hold, with `…` for what differs from run to run. The last step is run once more after `kill -9`, as the page says.
The commands stay as written: curl and the mosquitto clients are led from the default ports to the broker's free ones by
configuration files of their own.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import broker

SECTION = "## A device and its twin"
BLOCK_SECONDS = 60


def blocks(page):
    """The fenced blocks of the section as (language, text)."""
    section = page.split(f"\n{SECTION}\n", 1)[1].split("\n## ", 1)[0]
    return re.findall(r"^```(\w+)\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)


def steps(page):
    """The commands of each ```sh block with the output that is promised below it."""
    found = []
    for language, text in blocks(page):
        if language == "sh":
            found.append((text, []))
        elif language == "text":
            found[-1][1].extend(text.splitlines())
    return found


def matches(promise, line):
    return re.fullmatch(".*".join(re.escape(part) for part in promise.strip().split("…")), line.strip()) is not None


def lead_clients(home, ready):
    """Configuration by which the clients reach the broker's ports in place of the default ones."""
    host, port = ready["mqtt"].rsplit(":", 1)
    for program in ("mosquitto_pub", "mosquitto_sub"):
        (home / program).write_text(f"-h {host}\n-p {port}\n")
    (home / ".curlrc").write_text(f'connect-to = "localhost:8080:{ready["http"]}"\n')
    return {**os.environ, "XDG_CONFIG_HOME": str(home), "CURL_HOME": str(home)}


def run(found, environment, folder):
    """Runs the steps in one shell and returns the output of each; a command that fails ends the walk."""
    mark = "-- end of step --"
    script = "set -eu\n" + "".join(f"{commands}\necho; echo '{mark}'\n" for commands, _ in found)
    done = subprocess.run(
        ["bash", "-c", script], env=environment, cwd=folder, capture_output=True, text=True, timeout=BLOCK_SECONDS
    )
    outputs = done.stdout.split(mark)
    if done.returncode != 0:
        at = min(len(outputs), len(found))
        sys.exit(f"step {at} of the walk-through failed with {done.returncode}:\n{found[at - 1][0]}{done.stdout}{done.stderr}")
    return outputs


def walk(found, running, folder, when=""):
    """Runs steps against a broker and compares what they print with what the page promises."""
    outputs = run(found, lead_clients(Path(folder), running.ready), folder)
    for at, ((commands, promised), output) in enumerate(zip(found, outputs), 1):
        for line in promised:
            if not any(matches(line, got) for got in output.splitlines()):
                sys.exit(f"{when}step {at} promises\n  {line}\nbut gave\n{output}\nfor\n{commands}")
        print(f"ok README {when}step {at}", flush=True)


def main():
    found = steps((broker.TOP / "README.md").read_text())
    assert len(found) >= 3, f"the section '{SECTION}' of README.md has only {len(found)} steps"
    assert any(promised for _, promised in found), "the walk-through promises no output"
    with tempfile.TemporaryDirectory(prefix="twinmq-readme-") as folder:
        config = broker.TOP / "config" / "dev.toml"
        with broker.Broker(folder, config) as running:
            walk(found, running, folder)
            running.kill()
        with broker.Broker(folder, config) as running:
            walk(found[-1:], running, folder, "after kill -9, ")


if __name__ == "__main__":
    main()
