/**
 * The C functions of libkrun and libkrunfw, written down once for both runtimes.
 *
 * Source: `include/libkrun.h` of libkrun 1.17 to 1.19. Unless a row says otherwise, a function returns 0 or a positive
 * value on success and a negated errno on failure, and knows these failures: ENOENT for a context that does not exist,
 * was freed or was started; EINVAL for text that is not UTF-8. libkrun copies strings during the call. NULL in place of
 * a string kills the process, as does text that is not ASCII where it ends on the kernel's command line.
 *
 * Optional rows are those of later releases or of build-time features (BLK, NET).
 *
 * @module
 */
import type { SymbolTable } from "./symbol_table.ts";

export const LIBKRUN_SYMBOLS = {
  // --- Log -------------------------------------------------------------------------------------------------------
  /** fd (-1 = stderr, else owned by libkrun from here on), level 0–5, style, options. A second call aborts. EINVAL. */
  krun_init_log: [["i32", "u32", "u32", "u32"], "i32"],

  // --- Contexts --------------------------------------------------------------------------------------------------
  /** Returns the context's id. The first call loads `libkrunfw.so.5`. */
  krun_create_ctx: [[], "i32"],
  /** ctx. Only before a start, which consumes the context. */
  krun_free_ctx: [["u32"], "i32"],
  /** ctx, vCPUs, RAM in MiB. EINVAL for 0 of either; RAM that ends below the kernel aborts at the start. */
  krun_set_vm_config: [["u32", "u8", "u32"], "i32"],
  /** ctx. Blocks for the life of the VM, then ends the process; returns only if the VM could not be started. */
  krun_start_enter: [["u32"], "i32"],
  /** ctx, user id that the process takes once the disks are open. */
  krun_setuid: [["u32", "u32"], "i32"],
  /** ctx, group id that the process takes once the disks are open. */
  krun_setgid: [["u32", "u32"], "i32"],
  /** ctx, enable. EINVAL for `true` on Linux before 1.18. */
  krun_set_nested_virt: [["u32", "bool"], "i32", "optional"],

  // --- What this machine and this build can do ----------------------------------------------------------------------
  /** vCPUs that KVM allows in one VM; negated errno where KVM cannot be used. */
  krun_get_max_vcpus: [[], "i32"],
  /** Feature number (see `KrunFeature`): 1, 0, or EINVAL for a number this release does not know. Since 1.17.3. */
  krun_has_feature: [["u64"], "i32", "optional"],
  /** 1, 0, or EOPNOTSUPP on Linux before 1.18. */
  krun_check_nested_virt: [[], "i32", "optional"],

  // --- Kernel and first program -----------------------------------------------------------------------------------
  /** ctx, char*const[] of "NAME=value": each lands on the kernel's command line as it is, in double quotes. */
  krun_set_env: [["u32", "buffer"], "i32"],
  /** ctx, program, char*const[] arguments without the zeroth, char*const[] environment. NULL environment = the host's. */
  krun_set_exec: [["u32", "cstring", "buffer", "buffer"], "i32"],
  /** ctx, path in the guest, without spaces. */
  krun_set_workdir: [["u32", "cstring"], "i32"],
  /** ctx, char*const[] of "NUMBER=SOFT:HARD". */
  krun_set_rlimits: [["u32", "buffer"], "i32"],
  /** ctx, kernel file, format, initramfs or NULL, command line or NULL. */
  krun_set_kernel: [["u32", "cstring", "u32", "buffer", "buffer"], "i32", "optional"],

  // --- Console ----------------------------------------------------------------------------------------------------
  /** ctx. */
  krun_disable_implicit_console: [["u32"], "i32"],
  /** ctx, file that takes the implicit console's output, truncated at the start. EINVAL on a second call. */
  krun_set_console_output: [["u32", "cstring"], "i32"],
  /** ctx, fds of input, output and error (-1 = none), duplicated at the start. */
  krun_add_virtio_console_default: [["u32", "i32", "i32", "i32"], "i32", "optional"],
  /** ctx. Returns the id of a new console device without ports. */
  krun_add_virtio_console_multiport: [["u32"], "i32"],
  /** ctx, console id, port name, input fd, output fd (-1 = none). EINVAL for an unknown id. A closed fd aborts later. */
  krun_add_console_port_inout: [["u32", "u32", "cstring", "i32", "i32"], "i32"],
  /** ctx, console id, port name, terminal fd. ENOTTY, EINVAL. */
  krun_add_console_port_tty: [["u32", "u32", "cstring", "i32"], "i32", "optional"],

  // --- Disks (feature BLK). Order of adding = vda, vdb, … . Files are opened at the start, which gives EINVAL ---------
  /** ctx, unique id, path of a raw image, read-only. */
  krun_add_disk: [["u32", "cstring", "cstring", "bool"], "i32", "optional"],
  /** ctx, unique id, path, format (0 raw, 1 qcow2, 2 vmdk), read-only. */
  krun_add_disk2: [["u32", "cstring", "cstring", "u32", "bool"], "i32", "optional"],
  /** ctx, unique id, path, format, read-only, O_DIRECT, sync (0 none, 1 relaxed, 2 full). Since 1.17. */
  krun_add_disk3: [["u32", "cstring", "cstring", "u32", "bool", "bool", "u32"], "i32", "optional"],

  // --- virtiofs. A tag above 36 bytes aborts ---------------------------------------------------------------------
  /** ctx, tag, host directory. */
  krun_add_virtiofs: [["u32", "cstring", "cstring"], "i32"],
  /** ctx, tag, host directory, bytes of the DAX window. */
  krun_add_virtiofs2: [["u32", "cstring", "cstring", "u64"], "i32", "optional"],
  /** ctx, tag, host directory, bytes of the DAX window (0 = none), read-only. Since 1.18. */
  krun_add_virtiofs3: [["u32", "cstring", "cstring", "u64", "bool"], "i32", "optional"],
  /** ctx, tag, path, bytes that stay alive as long as the VM, their number, mode, one shot. Since 1.19. */
  krun_fs_add_overlay_file: [
    ["u32", "cstring", "cstring", "buffer", "u64", "u32", "bool"],
    "i32",
    "optional",
  ],

  // --- vsock ------------------------------------------------------------------------------------------------------
  /** ctx. */
  krun_disable_implicit_vsock: [["u32"], "i32"],
  /** ctx, TSI flags (1 internet, 2 unix sockets). EEXIST unless the implicit device is disabled; EINVAL. */
  krun_add_vsock: [["u32", "u32"], "i32", "optional"],
  /** ctx, port, path of the host's unix socket, true = libkrun listens. ENODEV without a device, EEXIST for a path in use. */
  krun_add_vsock_port2: [["u32", "u32", "cstring", "bool"], "i32"],
  /** ctx, char*const[] of "HOST:GUEST", never NULL. ENODEV without vsock, EINVAL beside a network device. */
  krun_set_port_map: [["u32", "buffer"], "i32"],

  // --- Network (feature NET) ---------------------------------------------------------------------------------------
  /** ctx, TAP name of at most 15 bytes, 6 bytes of MAC, features, flags. EINVAL for unknown bits. */
  krun_add_net_tap: [["u32", "cstring", "buffer", "u32", "u32"], "i32", "optional"],
  /** ctx, socket path or NULL, socket fd or -1, 6 bytes of MAC, features, flags. Frames have a 4-byte big-endian length. */
  krun_add_net_unixstream: [["u32", "buffer", "i32", "buffer", "u32", "u32"], "i32", "optional"],
  /** As above, one frame a datagram. */
  krun_add_net_unixgram: [["u32", "buffer", "i32", "buffer", "u32", "u32"], "i32", "optional"],
} as const satisfies SymbolTable;

export const LIBKRUNFW_SYMBOLS = {
  /** Out: guest load address, guest entry address, size in bytes. Returns the address of the kernel image. */
  krunfw_get_kernel: [["buffer", "buffer", "buffer"], "address"],
  /** The ABI's number, 5; not the kernel's release. */
  krunfw_get_version: [[], "i32"],
} as const satisfies SymbolTable;
