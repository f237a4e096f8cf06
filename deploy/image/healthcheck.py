"""Ends well if the process in this container answers: the image's HEALTHCHECK, since the image has no curl.

Without arguments /live of ``crewsync run`` is asked; with ports, whether something listens on each.
"""

import os
import socket
import sys
import urllib.request


WITHIN_S = 3.0


def main(ports: list[str]) -> int:
    """0 for well, 1 for not."""
    try:
        if not ports:
            url = f"http://127.0.0.1:{os.environ.get('CREWSYNC_METRICS_PORT') or 9464}/live"
            with urllib.request.urlopen(url, timeout=WITHIN_S):
                return 0
        for port in ports:
            socket.create_connection(("127.0.0.1", int(port)), WITHIN_S).close()
    except OSError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
