#!/usr/bin/env bash
# Unpacks HAProxy, Prometheus and Alertmanager with their libraries from Debian's
# packages into .cache/debian/, one root each, without installing them: `.ci/run`
# checks rules and runs containers where no image can be pulled. Debian 12.
set -euo pipefail

cd "$(dirname "$0")/.."
cache=.cache/debian
libraries=(libc6 libgcc-s1)
declare -A packages=(
  [haproxy]="haproxy=2.6.* liblua5.3-0 libopentracing1 libopentracing-c-wrapper0 libpcre2-8-0 libssl3 libsystemd0
    libcap2 libcrypt1 libgcrypt20 libgpg-error0 liblz4-1 liblzma5 libzstd1 libstdc++6 zlib1g"
  [prometheus]="prometheus=2.42.*"
  [alertmanager]="prometheus-alertmanager=0.25.*"
)
updated=
for program in "${!packages[@]}"; do
  [ -e "$cache/$program/.complete" ] && continue
  # Lists may be missing or old: they are fetched once, when a package is wanted.
  [ -n "$updated" ] || { apt-get update -qq && updated=yes; }
  rm -rf "$cache/$program"
  mkdir -p "$cache/$program/root" "$cache/$program/packages"
  # shellcheck disable=SC2086 # words
  (cd "$cache/$program/packages" && apt-get download -qq -o APT::Sandbox::User=root ${packages[$program]} "${libraries[@]}")
  for package in "$cache/$program"/packages/*.deb; do
    dpkg-deb -x "$package" "$cache/$program/root"
  done
  rm -rf "$cache/$program"/root/usr/share/{doc,man}
  touch "$cache/$program/.complete"
done
"$cache/prometheus/root/usr/bin/promtool" --version 2>&1 | head -1
