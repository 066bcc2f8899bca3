"""Processes of root that may do no more than another user."""

import os

WITHOUT_RIGHTS = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
"""Put before a command: what it must not write by its mode, it cannot write."""
