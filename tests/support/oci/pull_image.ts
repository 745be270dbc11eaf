/**
 * A process of its own that pulls one image: `pull_image.ts HOME REFERENCE`. Prints the image's digest.
 *
 * @module
 */
import process from "node:process";
import { resolveImage } from "../../../src/image/store/resolve_image.ts";

const [home, reference] = process.argv.slice(2);
if (home === undefined || reference === undefined) throw new Error("usage: pull_image.ts HOME REFERENCE");
const { digest } = await resolveImage(reference, { home, registry: { auth: { kind: "anonymous" } } });
console.log(digest);
