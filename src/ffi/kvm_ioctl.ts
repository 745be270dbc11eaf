/**
 * The few KVM calls of the trial. Source: Linux, `include/uapi/linux/kvm.h` and Documentation/virt/kvm/api.rst.
 *
 * @module
 */

export const KVM_CREATE_VM = 0xae01n;
export const KVM_GET_VCPU_MMAP_SIZE = 0xae04n;
export const KVM_CREATE_VCPU = 0xae41n;
export const KVM_SET_USER_MEMORY_REGION = 0x4020_ae46n;
export const KVM_SET_TSS_ADDR = 0xae47n;
export const KVM_RUN = 0xae80n;

/** `kvm_run.exit_reason` of a guest that executed HLT. */
export const KVM_EXIT_HLT = 5;
/** Offset of `exit_reason` in `struct kvm_run`. */
export const KVM_RUN_EXIT_REASON_OFFSET = 8n;

/** A `struct kvm_userspace_memory_region` of slot 0. */
export function memoryRegion(
  guestAddress: bigint,
  sizeBytes: number,
  hostAddress: bigint,
): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(32);
  const view = new DataView(bytes.buffer); // slot and flags, 4 bytes each, stay 0
  view.setBigUint64(8, guestAddress, true);
  view.setBigUint64(16, BigInt(sizeBytes), true);
  view.setBigUint64(24, hostAddress, true);
  return bytes;
}
