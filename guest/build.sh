#!/bin/sh
# Builds guest/prebuilt/agent-x86_64 and agent-aarch64: static, stripped, and the same bytes on every run.
#
#   build.sh [--out DIRECTORY] [ARCHITECTURE...]      both architectures by default
#
# x86_64 needs musl-gcc (Debian: musl-tools). aarch64 needs aarch64-linux-gnu-gcc (gcc-aarch64-linux-gnu) and musl for
# arm64: in MUSL_AARCH64 (a directory with include/ and lib/), or fetched as Debian's musl-dev:arm64 package into a
# temporary directory, unpacked there and removed again; for that apt must know the architecture
# (`dpkg --add-architecture arm64 && apt-get update`).
set -eu

here=$(cd "$(dirname "$0")" && pwd)
out=$here/prebuilt
if [ "${1-}" = --out ]; then
    out=$2
    shift 2
fi
[ $# -gt 0 ] || set -- x86_64 aarch64

flags="-std=c11 -D_GNU_SOURCE -Os -Wall -Wextra -Werror -static -fno-pie -no-pie -s
    -ffunction-sections -fdata-sections -fno-asynchronous-unwind-tables -fno-unwind-tables
    -Wl,--gc-sections -Wl,--build-id=none -Wl,-z,noseparate-code -ffile-prefix-map=$here=guest"

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# Debian has the cross compiler for glibc only: point it at musl's headers, start files and library instead.
find_musl_aarch64() {
    if [ -n "${MUSL_AARCH64-}" ]; then
        echo "$MUSL_AARCH64"
        return
    fi
    (cd "$scratch" && apt-get download musl-dev:arm64 >&2 && dpkg-deb -x musl-dev_*_arm64.deb musl)
    mkdir "$scratch/sysroot"
    mv "$scratch/musl/usr/include/aarch64-linux-musl" "$scratch/sysroot/include"
    mv "$scratch/musl/usr/lib/aarch64-linux-musl" "$scratch/sysroot/lib"
    echo "$scratch/sysroot"
}

build() {
    case $1 in
        x86_64)
            # shellcheck disable=SC2086
            musl-gcc $flags -o "$out/agent-x86_64" "$here"/*.c
            ;;
        aarch64)
            compiler=aarch64-linux-gnu-gcc
            musl=$(find_musl_aarch64)
            # shellcheck disable=SC2086
            $compiler $flags -mno-outline-atomics -Wl,-z,max-page-size=16384 -nostdinc -nostdlib \
                -isystem "$musl/include" -isystem "$($compiler -print-file-name=include)" \
                -o "$out/agent-aarch64" "$musl/lib/crt1.o" "$musl/lib/crti.o" "$here"/*.c \
                -Wl,--start-group "$musl/lib/libc.a" "$($compiler -print-libgcc-file-name)" -Wl,--end-group \
                "$musl/lib/crtn.o"
            ;;
        *)
            echo "unknown architecture: $1" >&2
            exit 2
            ;;
    esac
}

mkdir -p "$out"
for architecture in "$@"; do build "$architecture"; done
