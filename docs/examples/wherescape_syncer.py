"""A host script of WhereScape RED: it runs syncer, and says what came of it in RED's words."""

import subprocess
import sys

COMMAND = ["syncer", "pull", "hubspot.*", "--wait", "10m", "--quiet"]
STATUS = {0: 1, 3: -1}  # success; success with warnings. Anything else is a handled error: what depends on it is held

try:
    ended = subprocess.run(COMMAND, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    code, said = ended.returncode, ended.stdout.splitlines()
except OSError as error:
    code, said = 1, [f"syncer could not be started ({type(error).__name__})"]
lines = [str(STATUS.get(code, -2)), (said[0] if said else "done")[:256], *(line[:256] for line in said[1:])]
sys.stdout.write("\n".join(lines) + "\n")
sys.exit(0)  # RED takes any other exit code as a failure of the script itself
