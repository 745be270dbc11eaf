/**
 * Sizes in other units than MiB.
 *
 * @module
 */

/** A size in MiB: what every option takes whose name ends in `MiB`. */
export type Mebibytes = number;

/** That many KiB in MiB. @example `.memory(KiB(524_288))` is `.memory(512)` */
export function KiB(count: number): Mebibytes {
  return count / 1024;
}

/** That many MiB. @example `.memory(MiB(512))` is `.memory(512)` */
export function MiB(count: number): Mebibytes {
  return count;
}

/** That many GiB in MiB. @example `.rootDisk(GiB(8))` is `.rootDisk(8192)` */
export function GiB(count: number): Mebibytes {
  return count * 1024;
}

/** That many TiB in MiB. @example `.rootDisk(TiB(1))` is `.rootDisk(1_048_576)` */
export function TiB(count: number): Mebibytes {
  return count * 1024 * 1024;
}
