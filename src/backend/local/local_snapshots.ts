/** The snapshots of one home on this machine. @module */
import { rmSync } from "node:fs";
import { readArchive } from "../../snapshot/archive_read.ts";
import { writeArchive } from "../../snapshot/archive_write.ts";
import { digestDisk } from "../../snapshot/disk_content.ts";
import { SnapshotIntegrityError } from "../../snapshot/errors.ts";
import { SnapshotStore, type StoredSnapshot } from "../../snapshot/store.ts";
import type { SnapshotBackend } from "../backend.ts";

export function localSnapshots(home: string): SnapshotBackend {
  const store = new SnapshotStore(home);
  return {
    async get(name) {
      return store.get(name);
    },

    async list() {
      return store.list();
    },

    async remove(name, digest) {
      if (digest !== undefined) stored(store, name, digest);
      store.remove(name, digest);
    },

    async verify(name, digest, { signal }) {
      const { upperPath, descriptor } = stored(store, name, digest);
      if ((await digestDisk(upperPath, { signal })) !== descriptor.upper.integrity.digest)
        throw new SnapshotIntegrityError(name, "the content of its disk has changed");
    },

    async save(name, digest, path, { plainTar = false, signal, onProgress }) {
      await writeArchive(stored(store, name, digest), { path, compress: !plainTar, signal, onProgress });
    },

    async load(path, { signal }) {
      const directory = store.stage();
      try {
        return store.publish(directory, await readArchive({ path, directory, signal }));
      } finally {
        rmSync(directory, { recursive: true, force: true }); // unless it is the snapshot by then
      }
    },
  };
}

/** The snapshot as it is on disk, if it is still the one of that digest. */
function stored(store: SnapshotStore, name: string, digest: string): StoredSnapshot {
  const found = store.get(name);
  if (found.digest === digest) return found;
  throw new SnapshotIntegrityError(name, "another has its name now, or it was changed");
}
