# Set-up that tools/demo, tools/test and .ci/run share; sourced. Installs what is missing on Debian, configures and
# builds Release. Safe to run again: nothing is done twice.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=$root/build/release

say() { printf '\n== %s\n' "$*"; }

# Debian package and a file that shows that it is there.
packages=(
  g++:/usr/bin/g++
  cmake:/usr/bin/cmake
  ninja-build:/usr/bin/ninja
  pkg-config:/usr/bin/pkg-config
  binutils:/usr/bin/nm
  libtbb-dev:/usr/include/tbb/parallel_for.h
  libfmt-dev:/usr/include/fmt/format.h
  libgtest-dev:/usr/include/gtest/gtest.h
  libgmock-dev:/usr/include/gmock/gmock.h
  libbenchmark-dev:/usr/include/benchmark/benchmark.h
  libcli11-dev:/usr/include/CLI/CLI.hpp
  nlohmann-json3-dev:/usr/include/nlohmann/json.hpp
  libpng-dev:/usr/include/png.h
  libeigen3-dev:/usr/include/eigen3/Eigen/Core
)

install_packages() {
  local missing=() entry
  for entry in "${packages[@]}"; do
    [ -e "${entry#*:}" ] || missing+=("${entry%%:*}")
  done
  if [ ${#missing[@]} -eq 0 ]; then
    say "packages: all there"
    return
  fi
  say "packages to install: ${missing[*]}"
  local sudo=()
  if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null; then
      echo "neither root nor sudo: please install them: apt-get install ${missing[*]}" >&2
      exit 1
    fi
    sudo=(sudo)
  fi
  if ! command -v apt-get >/dev/null; then
    echo "no apt-get here: please install the equivalents of: ${missing[*]}" >&2
    exit 1
  fi
  "${sudo[@]}" apt-get update -qq
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# configure_and_build [<cmake option>...]
configure_and_build() {
  say "configure: $build"
  local launcher=()
  if command -v ccache >/dev/null; then launcher=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache); fi
  local log
  if ! log=$(cmake -S "$root" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release "${launcher[@]}" "$@"); then
    printf '%s\n' "$log" >&2
    echo "configuring failed" >&2
    exit 1
  fi
  printf '%s\n' "$log" | tail -n 1
  say "build ($(nproc) cores; a first build takes some minutes)"
  cmake --build "$build" ${build_targets:+--target $build_targets}
}
