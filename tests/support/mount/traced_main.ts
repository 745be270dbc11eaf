/** Serves a shared directory to requests that try to leave it, between two marks that strace(1) shows. @module */
import { existsSync } from "node:fs";
import { attempts, SharedDirectory } from "./shared_directory.ts";

using shared = await SharedDirectory.open(process.argv[2] !== "false");
const paths = [...shared.link(), "/real", "/real/secret", "/none"];
existsSync(`/traced-begin:${shared.inside}`);
for (const path of paths)
  for (const attempt of Object.values(attempts(shared.provider, path, "/fresh"))) {
    try {
      attempt();
    } catch (error) {
      if ((error as { code?: string }).code === undefined) throw error;
    }
  }
existsSync("/traced-end");
