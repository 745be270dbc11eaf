/** Where UTF-8 text was cut in the middle of a character (RFC 3629, section 4). @module */

/**
 * How many bytes at the end of `bytes` begin a character that the next bytes can complete: 0 to 3. Bytes that are no
 * UTF-8 whatever follows do not count.
 */
export function incompleteUtf8Tail(bytes: Uint8Array): number {
  const end = bytes.length;
  if (end === 0 || bytes[end - 1]! < 0x80) return 0;
  for (let tail = 1; tail <= 3 && tail <= end; tail++) {
    const lead = bytes[end - tail]!;
    if (lead < 0x80) return 0;
    if (lead >= 0xc0)
      return tail < sequenceLength(lead) && canContinue(lead, bytes[end - tail + 1]) ? tail : 0;
  }
  return 0; // three continuation bytes: the fourth before them decides, and then nothing is missing
}

function sequenceLength(lead: number): number {
  if (lead < 0xc2) return 0; // 0xc0 and 0xc1 only begin overlong forms
  if (lead < 0xe0) return 2;
  if (lead < 0xf0) return 3;
  return lead < 0xf5 ? 4 : 0;
}

/** Overlong forms, surrogates and what lies above U+10FFFF show in the second byte. */
function canContinue(lead: number, second: number | undefined): boolean {
  if (second === undefined) return true;
  if (lead === 0xe0) return second >= 0xa0;
  if (lead === 0xed) return second < 0xa0;
  if (lead === 0xf0) return second >= 0x90;
  if (lead === 0xf4) return second < 0x90;
  return true;
}
