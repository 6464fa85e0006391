"""What all tests stand on."""

import signal

# A shell that runs the tests in the background has them ignore Ctrl-C, and their children too, some of which must not.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
