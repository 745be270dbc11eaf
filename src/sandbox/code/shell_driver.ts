/**
 * The program that makes a session of a POSIX shell, which it gets with `-c`. It uses what every shell has built in.
 *
 * The nonce comes in two halves, and is never whole in a variable: `set` shows all of them. `command` keeps a shell alive that
 * meets a syntax error in what it evaluates, and the function ends what `return` would end otherwise.
 *
 * @module
 */

/** For busybox ash, dash, ksh and bash. */
export const SHELL_DRIVER: string = String.raw`
exec 7>&1 8>&2 9<&0 0</dev/null
__msb_run() { command eval "$__msb_source" 9<&-; }
while IFS=' ' read -r __msb_a __msb_b __msb_source <&9; do
  __msb_source=$(printf '%b' "$__msb_source")
  __msb_run
  __msb_status=$?
  printf '\036%s%s0004e%03d' "$__msb_a" "$__msb_b" "$__msb_status" >&7
  printf '\036%s%s0001e' "$__msb_a" "$__msb_b" >&8
done
`;
