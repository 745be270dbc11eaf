/**
 * A program of its own: runs a few instructions in a VM and says on stdout, as one JSON line, how that went. It is a
 * process so that the probe can end it: nothing else stops a call that hangs inside KVM.
 *
 * The guest is one page of real-mode code at the reset vector: it counts down and halts. Counting shows what a bare HLT
 * does not: some hosts have a `/dev/kvm` that can run only guests made for it, and steps through an ordinary guest's
 * code in software, a thousand times slower than the processor.
 *
 * @module
 */
import { messageOf } from "../base/errors.ts";
import { loadNativeInterface } from "./bind.ts";
import { readErrno } from "./c_library.ts";
import { cString, withAddress } from "./c_memory.ts";
import { errnoName } from "./errno.ts";
import {
  KVM_CREATE_VCPU,
  KVM_CREATE_VM,
  KVM_EXIT_HLT,
  KVM_GET_VCPU_MMAP_SIZE,
  KVM_RUN,
  KVM_RUN_EXIT_REASON_OFFSET,
  KVM_SET_TSS_ADDR,
  KVM_SET_USER_MEMORY_REGION,
  memoryRegion,
} from "./kvm_ioctl.ts";
import { openLibc } from "./libc.ts";
import type { LIBC_SYMBOLS } from "./libc_symbols.ts";
import type { Bound, NativeInterface } from "./symbol_table.ts";

/** What the trial prints. */
export type KvmTrialResult =
  | { readonly outcome: "ran"; readonly runMs: number; readonly iterations: number }
  | { readonly outcome: "failed"; readonly problem: string };

const O_RDWR_CLOEXEC = 0o2 | 0o2000000;
const PROT_READ_WRITE = 3;
const MAP_SHARED = 1;
const MAP_FAILED = 0xffff_ffff_ffff_ffffn;

const ITERATIONS = 200_000;
/** The 64 KiB below 4 GiB, in which an x86 processor starts at offset 0xfff0. */
const RESET_SEGMENT = 0xffff_0000n;
const SEGMENT_BYTES = 0x1_0000;
/** Three pages that Intel processors need, away from the code. */
const TSS_ADDRESS = 0xfffb_d000n;

/** 16-bit code: `mov ecx, ITERATIONS; again: dec ecx; jnz again; hlt` at 0, and at the reset vector a jump to it. */
function guestCode(): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(SEGMENT_BYTES).fill(0xf4); // hlt everywhere else
  bytes.set([0x66, 0xb9], 0);
  new DataView(bytes.buffer).setUint32(2, ITERATIONS, true);
  bytes.set([0x66, 0x49, 0x75, 0xfc, 0xf4], 6);
  bytes.set([0xe9, 0x0d, 0x00], 0xfff0); // jmp: 0xfff3 + 0x000d = 0x1_0000, which wraps to 0
  return bytes;
}

class TrialFailure extends Error {}

function run(native: NativeInterface, c: Bound<typeof LIBC_SYMBOLS>): KvmTrialResult {
  const check = (call: string, result: number): number => {
    if (result !== -1) return result;
    throw new TrialFailure(`${call} failed: ${errnoName(readErrno(native, c))}`);
  };
  const map = (fd: number, sizeBytes: number): bigint => {
    const address = c.mmap(0n, BigInt(sizeBytes), PROT_READ_WRITE, MAP_SHARED, fd, 0n);
    if (address === MAP_FAILED) throw new TrialFailure("mmap failed");
    return address;
  };

  const kvm = check("open /dev/kvm", c.open(cString("/dev/kvm"), O_RDWR_CLOEXEC, 0));
  const vm = check("KVM_CREATE_VM", c.ioctl(kvm, KVM_CREATE_VM, 0n));
  if (process.arch !== "x64") {
    check("KVM_CREATE_VCPU", c.ioctl(vm, KVM_CREATE_VCPU, 0n));
    return { outcome: "ran", runMs: 0, iterations: 0 };
  }

  const memory = check("memfd_create", c.memfd_create(cString("kvm-trial"), 0));
  const code = guestCode();
  check("write", c.write(memory, code, BigInt(code.length)));
  const region = memoryRegion(RESET_SEGMENT, SEGMENT_BYTES, map(memory, SEGMENT_BYTES));
  check("KVM_SET_TSS_ADDR", c.ioctl(vm, KVM_SET_TSS_ADDR, TSS_ADDRESS));
  check(
    "KVM_SET_USER_MEMORY_REGION",
    withAddress(native, region, (address) => c.ioctl(vm, KVM_SET_USER_MEMORY_REGION, address)),
  );
  const vcpu = check("KVM_CREATE_VCPU", c.ioctl(vm, KVM_CREATE_VCPU, 0n));
  const state = map(vcpu, check("KVM_GET_VCPU_MMAP_SIZE", c.ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0n)));

  const start = process.cpuUsage(); // time of ours, not of others on a busy machine
  check("KVM_RUN", c.ioctl(vcpu, KVM_RUN, 0n));
  const { user, system } = process.cpuUsage(start);
  const exit = new DataView(native.readMemory(state + KVM_RUN_EXIT_REASON_OFFSET, 4).buffer).getUint32(
    0,
    true,
  );
  if (exit !== KVM_EXIT_HLT)
    throw new TrialFailure(`KVM_RUN ended with exit reason ${exit}, not with a halt`);
  return { outcome: "ran", runMs: (user + system) / 1000, iterations: ITERATIONS };
}

async function main(): Promise<KvmTrialResult> {
  try {
    const native = await loadNativeInterface();
    return run(native, openLibc(native));
  } catch (error) {
    return { outcome: "failed", problem: messageOf(error) };
  }
}

if (import.meta.main) console.log(JSON.stringify(await main()));
