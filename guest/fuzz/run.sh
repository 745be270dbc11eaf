#!/bin/sh
# Fuzzes the frame parser and the message decoders for a bounded time, from a fixed seed.
#
#   run.sh [SECONDS] [INPUTS]      30 seconds or 1,000,000 inputs by default, whichever comes first
#
# Needs clang with libFuzzer (Debian: clang-14 and libclang-rt-14-dev); CLANG names another. The corpus beside this file
# is only read; an input that fails is left in the working directory as crash-…: run the target on it to replay.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
clang=${CLANG:-$(command -v clang-14 || command -v clang)}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

"$clang" -std=c11 -D_GNU_SOURCE -g -O1 -Wall -Wextra -fsanitize=fuzzer,address,undefined \
    -fno-sanitize-recover=all -o "$scratch/fuzz_frames" "$here/fuzz_frames.c" "$here/../frame.c"
mkdir "$scratch/corpus"
"$scratch/fuzz_frames" -seed=1 -max_total_time="${1-30}" -runs="${2-1000000}" -max_len=4096 -print_final_stats=1 \
    "$scratch/corpus" "$here/corpus"
