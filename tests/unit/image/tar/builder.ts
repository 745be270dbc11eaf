/** Builds tars for tests, including invalid ones: every field can be set. @module */
import { Buffer } from "node:buffer";

/** A member; text fields have a byte for each character. */
export interface TarBuilderMember {
  name: string;
  type?: string;
  data?: Uint8Array | string;
  /** What the header says; otherwise the data's size. */
  size?: number;
  mode?: number;
  uid?: number;
  gid?: number;
  mtime?: number;
  linkName?: string;
  major?: number;
  minor?: number;
  /** Written as a PAX header in front of the member. */
  pax?: readonly (readonly [key: string, value: string | Uint8Array])[];
  /** Changes the finished header; the checksum is made afterwards. */
  patch?: (header: Buffer) => void;
  /** Stands in the place of the right checksum. */
  checksum?: number;
}

export const END_MARK: Uint8Array = new Uint8Array(1024);

/** A whole tar, with its end. */
export function buildTar(...members: readonly TarBuilderMember[]): Buffer {
  return Buffer.concat([...members.map(buildMember), END_MARK]);
}

/** One member, its PAX header included. */
export function buildMember(member: TarBuilderMember): Buffer {
  const data =
    typeof member.data === "string" ? Buffer.from(member.data, "latin1") : (member.data ?? new Uint8Array());
  const pax = member.pax
    ? buildMember({ name: "PaxHeader", type: "x", data: encodePax(member.pax) })
    : Buffer.alloc(0);
  const header = buildHeader(member, member.size ?? data.length);
  return Buffer.concat([pax, header, data, new Uint8Array((512 - (data.length % 512)) % 512)]);
}

/** A GNU long name (`L`) or long link target (`K`) record. */
export function buildLongName(type: "L" | "K", name: string): Buffer {
  return buildMember({ name: "././@LongLink", type, data: `${name}\0` });
}

export function encodePax(records: readonly (readonly [key: string, value: string | Uint8Array])[]): Buffer {
  return Buffer.concat(
    records.map(([key, value]) => {
      const body = Buffer.concat([
        Buffer.from(` ${key}=`, "latin1"),
        Buffer.from(value as string, "latin1"),
        Buffer.from("\n"),
      ]);
      let length = body.length + 1;
      while (String(length).length + body.length !== length) length = String(length).length + body.length;
      return Buffer.concat([Buffer.from(String(length)), body]);
    }),
  );
}

function buildHeader(member: TarBuilderMember, size: number): Buffer {
  const header = Buffer.alloc(512);
  header.write(member.name, 0, 100, "latin1");
  writeNumber(header, 100, 8, member.mode ?? 0o644);
  writeNumber(header, 108, 8, member.uid ?? 0);
  writeNumber(header, 116, 8, member.gid ?? 0);
  writeNumber(header, 124, 12, size);
  writeNumber(header, 136, 12, member.mtime ?? 0);
  header.write(member.type ?? "0", 156, 1, "latin1");
  header.write(member.linkName ?? "", 157, 100, "latin1");
  header.write("ustar\x0000", 257, "latin1");
  writeNumber(header, 329, 8, member.major ?? 0);
  writeNumber(header, 337, 8, member.minor ?? 0);
  member.patch?.(header);
  header.write("        ", 148);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${(member.checksum ?? sum).toString(8).padStart(6, "0")}\0 `, 148);
  return header;
}

/** Octal where it fits, GNU's base 256 where not. */
function writeNumber(header: Buffer, offset: number, length: number, value: number): void {
  const digits = value.toString(8).padStart(length - 1, "0");
  if (value >= 0 && digits.length < length) {
    header.write(digits, offset);
    return;
  }
  let rest = BigInt.asUintN(length * 8, BigInt(value));
  for (let at = length - 1; at >= 0; at--, rest >>= 8n) header[offset + at] = Number(rest & 0xffn);
  header[offset]! |= 0x80;
}
