"""`python -m syncer` is `syncer`."""

import sys

if __name__ == "__main__":
    try:
        from syncer.cli import main

        sys.exit(main())
    except KeyboardInterrupt:  # before, or after, all that catches it
        sys.stderr.write("syncer: interrupted.\n")
        sys.exit(130)
