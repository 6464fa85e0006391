#!/usr/bin/env bash
# Builds the Dockerfile's targets and runs test_duties.py inside each, as each uid, on a read-only root, without network
# and without any of root's capabilities.
# With docker where its engine answers, else with buildah (as root). Usage: run_image.sh [TARGET…] [-- BUILD OPTIONS…]
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd) app=/opt/sightline/app tests=/tmp/container-tests
targets=() options=()
while (($#)); do if [[ $1 == -- ]]; then shift; options=("$@"); break; fi; targets+=("$1"); shift; done
((${#targets[@]})) || targets=(serve)
inside="cd $tests && APP_UNDER_TEST=$app exec python -B -m unittest -v test_duties"

with_docker() { # IMAGE UID
  docker run --rm --read-only --network none --cap-drop ALL --user "$2" --tmpfs /tmp:mode=1777,exec \
    --tmpfs /data:mode=1777 -v "$here:$tests:ro" --entrypoint sh "$1" -c "$inside"
}

# Namespaces and setpriv do what docker's options do: chroot alone hides neither disk nor network, and root keeps its rights.
in_namespace() { # ROOT UID INSIDE NAME=VALUE…
  local root=$1 uid=$2 inside=$3
  shift 3
  mount --bind "$root" "$root"
  mount -t tmpfs -o mode=1777 none "$root/data"
  mount -t tmpfs -o mode=1777 none "$root/tmp"
  mkdir "$root$tests" && cp "$here/test_duties.py" "$root$tests"
  mount -t proc none "$root/proc"
  mount --rbind /dev "$root/dev"
  mount -o remount,ro,bind "$root"
  ip link set lo up
  if touch "$root$app/x" 2>/dev/null; then echo "the root can be written to" >&2; exit 1; fi
  exec chroot "$root" setpriv --reuid "$uid" --regid "$uid" --clear-groups --inh-caps=-all --bounding-set=-all \
    env -i "$@" sh -c "$inside"
}

with_buildah() { # IMAGE UID
  local container root environment
  container=$(buildah from --pull-never "$1")
  root=$(buildah mount "$container")
  mapfile -t environment < <(buildah inspect --type image --format '{{range .OCIv1.Config.Env}}{{println .}}{{end}}' "$1" | grep =)
  export -f in_namespace
  export here app tests
  local status=0
  unshare --mount --net --pid --fork bash -euc 'in_namespace "$@"' - "$root" "$2" "$inside" "${environment[@]}" || status=$?
  buildah umount "$container" >/dev/null
  buildah rm "$container" >/dev/null
  return "$status"
}

if docker info >/dev/null 2>&1; then tool=docker; elif command -v buildah >/dev/null; then tool=buildah; else
  echo "Neither a Docker engine nor buildah is here: install one of them." >&2; exit 1
fi
for target in "${targets[@]}"; do
  "$tool" build --target "$target" -t "sightline-test:$target" "${options[@]}" "$here/../.."
  for uid in 0 1000 12345; do
    echo "== $target as uid $uid"
    "with_$tool" "sightline-test:$target" "$uid"
  done
done
