"""`python -m synexs_async`."""

import sys

if __name__ == "__main__":
    try:
        from synexs_async.cli import main

        sys.exit(main())
    except KeyboardInterrupt:  # while it was imported, or at the end
        sys.exit(130)
