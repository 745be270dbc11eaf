/**
 * Files of a guest, for what is written into them before its programs run.
 *
 * @module
 */
import type { AgentClient } from "../../agent/client.ts";
import { FileAnswerError } from "../../agent/errors.ts";
import { FILE_DATA_BYTES_MAX, FileFlag } from "../../agent/file_messages.ts";
import type { FileSession } from "../../agent/file_session.ts";
import { concatBytes, encodeUtf8 } from "../../base/bytes.ts";
import type { GuestFiles } from "../tls/guest_trust.ts";

const MODE = 0o644;
/** Written files get the current time. */
const NOW = 0n;

/** Over a file session of root's. */
export class SessionFiles implements GuestFiles, Disposable {
  readonly #session: FileSession;

  /** @throws {FileSessionFailedError} */
  static async open(client: AgentClient): Promise<SessionFiles> {
    const session = client.openFiles({ user: "", cwd: "/" });
    await session.started;
    return new SessionFiles(session);
  }

  private constructor(session: FileSession) {
    this.#session = session;
  }

  async read(path: string, bytesMax: number): Promise<Uint8Array | undefined> {
    // One byte more than wanted shows that a file is larger.
    const fields = { path: encodeUtf8(path), flags: FileFlag.regularOnly, offset: 0, length: bytesMax + 1 };
    const call = this.#session.call("read", fields);
    const parts: Uint8Array[] = [];
    try {
      for (let answer = await call.next(); answer !== undefined; answer = await call.next())
        if (answer.name === "data") parts.push(answer.fields.data.slice());
    } catch (error) {
      if (error instanceof FileAnswerError) return undefined; // missing, or not readable
      throw error;
    }
    const content = concatBytes(parts);
    return content.length > bytesMax ? undefined : content;
  }

  /** @throws {FileAnswerError} */
  async write(path: string, content: Uint8Array): Promise<void> {
    const flags = FileFlag.parents | FileFlag.create | FileFlag.truncate | FileFlag.setMode;
    const target = { path: encodeUtf8(path), flags, mode: MODE, offset: 0, modifiedNs: NOW };
    const call = this.#session.call("writeOpen", target);
    await call.next(); // opened
    for (let offset = 0; offset < content.length; offset += FILE_DATA_BYTES_MAX) {
      const data = content.subarray(offset, offset + FILE_DATA_BYTES_MAX);
      if (!(await call.send("writeData", { data }))) break;
    }
    await call.send("writeEnd", {});
    await call.result();
  }

  [Symbol.dispose](): void {
    this.#session.close();
  }
}
