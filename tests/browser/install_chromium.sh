#!/bin/sh
# Makes a Chromium available to Playwright: one that is there, else Playwright's own, else Debian's (as root).
# Usage: install_chromium.sh PYTHON
set -eu
python=$1
if "$python" -c 'import sys; from playwright.sync_api import sync_playwright
with sync_playwright() as p:
    import os; sys.exit(not os.path.exists(p.chromium.executable_path))'; then exit 0; fi
for there in chromium chromium-browser google-chrome; do
  if command -v "$there" >/dev/null; then exit 0; fi
done
echo "Installing Chromium for the browser tests (once) …"
if timeout 300 "$python" -m playwright install --with-deps chromium >/dev/null 2>&1; then exit 0; fi
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium >/dev/null
  exit 0
fi
echo "Chromium could not be installed. Install it by hand (for example: sudo apt-get install chromium)." >&2
exit 1
