"""What all tests stand on."""

import os
import signal

# A shell that runs the tests in the background has them ignore Ctrl-C, and their children too, some of which must not.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# What the shell has set for the app, or for its way out, would change what the tests see of both.
_OUTSIDE = ("sightline_", "aws_", "hf_", "gradio_", "port", "http_proxy", "https_proxy", "all_proxy", "no_proxy")
for name in list(os.environ):
    if name.lower().startswith(_OUTSIDE):
        del os.environ[name]
