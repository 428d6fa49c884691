"""`python -m synexs_async`."""

import sys

if __name__ == "__main__":
    try:
        from synexs_async.cli import main

        sys.exit(main())
    except KeyboardInterrupt:  # before signals were watched, or after
        sys.exit(130)
