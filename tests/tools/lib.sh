# What the scripts of this folder share. Sourced, not run.

# Says what is missing and what to do, with EX_UNAVAILABLE of sysexits.
die() {
  echo "${0##*/}: $*" >&2
  exit 69
}

# Installs Debian packages; false where that cannot be done (not root, not Debian).
apt_install() {
  [[ $(id -u) == 0 ]] && command -v apt-get >/dev/null || return 1
  echo "Installing $* with apt-get." >&2
  local log
  log=$(
    export DEBIAN_FRONTEND=noninteractive
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends "$@"; } 2>&1
  ) || { echo "$log" >&2 && return 1; }
}

# Unpacks Debian packages below a folder, without root; false where that cannot be done.
apt_unpack() {
  local folder=$1
  shift
  command -v apt-get >/dev/null && command -v dpkg >/dev/null || return 1
  echo "Unpacking $* from Debian." >&2
  mkdir -p "$folder/lists/partial"
  (
    cd "$folder"
    # Lists of its own: those of the machine may be absent, and are root's.
    own=(-o "Dir::State::lists=$PWD/lists" -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache=)
    apt-get "${own[@]}" -qq update && apt-get "${own[@]}" -qq download "$@" || exit 1
    for package in ./*.deb; do dpkg -x "$package" . || exit 1; done
  ) >/dev/null
}

# Installs Python packages, each pinned by hash: `pip_install PYTHON ARGUMENTS…`.
pip_install() {
  "$1" -m pip install --quiet --disable-pip-version-check --require-hashes "${@:2}" >&2 ||
    die 'The test tools could not be fetched from PyPI (see above). Is the network there?'
}
