/** The first message of a TLS client, by hand: RFC 8446 4.1.2, RFC 6066 3. @module */

export function clientHelloFor(serverName: string | undefined): Buffer {
  const name = Buffer.from(serverName ?? "");
  const serverNames = Buffer.concat([Buffer.of(0), u16(name.length), name]);
  const extension = Buffer.concat([
    u16(0),
    u16(serverNames.length + 2),
    u16(serverNames.length),
    serverNames,
  ]);
  const extensions = serverName === undefined ? Buffer.alloc(0) : extension;
  const body = Buffer.concat([
    u16(0x0303),
    Buffer.alloc(32, 1),
    Buffer.of(0),
    u16(2),
    u16(0x1301),
    Buffer.of(1, 0),
    u16(extensions.length),
    extensions,
  ]);
  const message = Buffer.concat([Buffer.of(1, 0), u16(body.length), body]);
  return Buffer.concat([Buffer.of(0x16, 3, 1), u16(message.length), message]);
}

function u16(value: number): Buffer {
  return Buffer.of(value >> 8, value & 255);
}
