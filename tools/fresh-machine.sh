#!/bin/bash
# Tries the README's two commands where nothing is there by chance: makes a bare Debian 12 in a folder (debootstrap, variant
# minbase), puts a clone of this repository's HEAD into it, and runs tools/quickstart.sh and tools/check.sh there by chroot.
# Takes the time of the two, a minute more, and 7 GB of disk; needs root.
#
#   tools/fresh-machine.sh [--folder DIR] [--keep] [quickstart] [check [PART...]]     both without an argument
#
#   --folder DIR   where the machine lies; default: a new folder in ${TMPDIR:-/var/tmp}. One that was kept before is gone
#                  on with: its clone is brought to HEAD, and what was installed or built there stays
#   --keep         leave the folder there; otherwise it is removed at the end, whatever the outcome
#
# PART is one of tools/check.sh. What the host reaches packages by is taken along: the sources and keys of Debian 12 in
# /etc/apt, apt's and pip's settings, proxies, certificates and the resolver. Mounts are made in a mount namespace of their own,
# which ends with the last process in it, so none is left behind by whatever end.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
marker=.stepdown-fresh-machine
folder=
keep=
parts=()
check=()

die() {
  echo "fresh-machine: $*" >&2
  exit 1
}
usage() {
  echo "usage: fresh-machine.sh [--folder DIR] [--keep] [quickstart] [check [PART...]]" >&2
  exit 2
}

words=("$@")
while [ $# -gt 0 ]; do
  case $1 in
  -h | --help)
    sed -n '2,15s/^# \{0,1\}//p' "$0"
    exit 0
    ;;
  --folder)
    [ $# -ge 2 ] || usage
    folder=$2
    shift
    ;;
  --folder=*) folder=${1#*=} ;;
  --keep) keep=1 ;;
  quickstart) parts+=(quickstart) ;;
  check)
    parts+=(check)
    check=("${@:2}")
    break
    ;;
  *) usage ;;
  esac
  shift
done
[ ${#parts[@]} -gt 0 ] || parts=(quickstart check)
for part in "${check[@]}"; do
  [[ $part == -* ]] && usage
done

# Outside: finds what is needed, makes the folder, runs this script again in namespaces of its own, and cleans up.
outside() {
  [ "$(id -u)" -eq 0 ] || die "expects root, which chroot and mount need"
  local each child status=0 made=
  for each in debootstrap:debootstrap unshare:util-linux git:git chroot:coreutils apt-get:apt; do
    command -v "${each%:*}" >/dev/null || die "expects ${each%:*}, but it is missing (on Debian: apt-get install ${each#*:})"
  done
  if [ -z "$folder" ]; then
    folder=$(mktemp -d "${TMPDIR:-/var/tmp}/stepdown-fresh-XXXXXX")
    made=1
  elif [ ! -e "$folder" ] || { [ -d "$folder" ] && [ -z "$(ls -A "$folder")" ]; }; then
    mkdir -p "$folder"
    made=1
  elif [ ! -e "$folder/$marker" ]; then
    die "$folder: expects an empty folder, or one that fresh-machine.sh --keep left"
  fi
  folder=$(cd "$folder" && pwd)
  [ -z "$(git -C "$root" status --porcelain --untracked-files=no)" ] ||
    echo "fresh-machine: changes that are not committed are not in the clone" >&2

  # The kernel ends every process of the namespaces when unshare ends, and the mounts with them.
  FRESH_MACHINE_FOLDER=$folder unshare --mount --propagation private --pid --fork --kill-child "$0" "${words[@]}" &
  child=$!
  trap 'kill -KILL $child 2>/dev/null' INT TERM HUP
  wait "$child" || status=$?
  trap - INT TERM HUP
  if [ -n "$keep" ]; then
    [ -z "$made" ] || echo "fresh-machine: kept in $folder" >&2
  else
    rm -rf --one-file-system "$folder"
  fi
  exit "$status"
}

# in_machine COMMAND...: runs it there with nothing of this environment but what reaches packages.
in_machine() {
  local kept=() name
  for name in $(compgen -e); do
    case $name in
    PIP_FIND_LINKS | PIP_CONFIG_FILE) ;; # folders of the host
    PIP_* | http_proxy | https_proxy | no_proxy | HTTP_PROXY | HTTPS_PROXY | NO_PROXY | SSL_CERT_FILE | REQUESTS_CA_BUNDLE | JOBS)
      kept+=("$name=${!name}")
      ;;
    esac
  done
  env -i HOME=/root TERM="${TERM:-dumb}" PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "${kept[@]}" \
    chroot "$folder" "$@"
}

# sources: `URI RELEASE` of Debian 12's main archives, as the host's apt knows them.
sources() {
  apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' |
    awk '$3 == "main" && $2 ~ /^bookworm(-updates|-security)?$/ && !seen[$1 $2]++ {print $1, $2}'
}

install_debian() {
  local mirror
  mirror=$(sources | awk '$2 == "bookworm" {print $1; exit}')
  [ -n "$mirror" ] && sources | grep -q ' bookworm-security$' ||
    die "expects the archives bookworm and bookworm-security in /etc/apt, but got: $(sources | tr '\n' ';')"
  local more=() said
  sources | grep -q '^https:' && more=(--include=ca-certificates)
  said=$(debootstrap --variant=minbase "${more[@]}" bookworm "$folder" "$mirror" 2>&1) || {
    tail -n 20 <<<"$said" >&2
    die "debootstrap failed"
  }
  touch "$folder/$marker"
}

take_network_along() {
  local each
  cp -L /etc/resolv.conf /etc/hosts "$folder/etc/"
  sources | sed 's/^\([^ ]*\) \(.*\)$/deb \1 \2 main/' >"$folder/etc/apt/sources.list"
  for each in auth.conf auth.conf.d keyrings trusted.gpg trusted.gpg.d; do
    [ ! -e "/etc/apt/$each" ] || cp -rL "/etc/apt/$each" "$folder/etc/apt/"
  done
  apt-config dump | grep -E '^Acquire::(http|https|Check-|Force|Retries)' >"$folder/etc/apt/apt.conf.d/90host" || true
  for each in /etc/pip.conf "${XDG_CONFIG_HOME:-$HOME/.config}/pip/pip.conf" "$HOME/.pip/pip.conf"; do
    [ ! -e "$each" ] || cp -L "$each" "$folder/etc/pip.conf"
  done
  # The packages' own certificates come with ca-certificates; these are the host's additions, which its installation takes up.
  if [ -d /usr/local/share/ca-certificates ]; then
    mkdir -p "$folder/usr/local/share/ca-certificates"
    cp -rL /usr/local/share/ca-certificates/. "$folder/usr/local/share/ca-certificates/"
  fi
  [ ! -x "$folder/usr/sbin/update-ca-certificates" ] || in_machine update-ca-certificates >/dev/null
}

mount_system() {
  mount -t proc proc "$folder/proc"
  mount -t sysfs -o ro sysfs "$folder/sys"
  mkdir -p "$folder/dev/pts" "$folder/dev/shm"
  mount -t devpts -o newinstance,ptmxmode=0666,mode=0620 devpts "$folder/dev/pts"
  mount -t tmpfs tmpfs "$folder/dev/shm"
  rm -f "$folder/dev/ptmx" && ln -s pts/ptmx "$folder/dev/ptmx"
}

clone() {
  local tree=$folder/root/stepdown
  if [ -d "$tree" ]; then
    git -C "$tree" fetch -q "$root" HEAD && git -C "$tree" checkout -q -f --detach FETCH_HEAD
  else
    git clone -q --no-hardlinks "$root" "$tree"
  fi
}

packages() { in_machine dpkg-query -f '.\n' -W | wc -l; }

inside() {
  local start=$SECONDS before part status=0 summary
  if [ ! -e "$folder/$marker" ]; then
    echo "== Debian 12, bare"
    install_debian
    echo "   $((SECONDS - start)) s, $(packages) packages"
  fi
  take_network_along
  mount_system
  clone
  before=$(packages)
  summary="fresh-machine: Debian $(cat "$folder/etc/debian_version"), $before packages; commit $(git -C "$root" rev-parse --short HEAD)"
  for part in "${parts[@]}"; do
    local command=("tools/$part.sh")
    [ "$part" = quickstart ] || command+=("${check[@]}")
    echo "== ${command[*]}"
    start=$SECONDS
    in_machine bash -c 'cd /root/stepdown && exec "$@"' - "${command[@]}" </dev/null || status=$?
    summary+="; ${command[*]}: "
    [ "$status" -eq 0 ] && summary+="done" || summary+="FAILED with status $status"
    summary+=" in $((SECONDS - start)) s"
    [ "$status" -eq 0 ] || break
  done
  echo "$summary; $(($(packages) - before)) packages installed"
  exit "$status"
}

if [ -n "${FRESH_MACHINE_FOLDER:-}" ]; then
  folder=$FRESH_MACHINE_FOLDER
  inside
else
  outside
fi
