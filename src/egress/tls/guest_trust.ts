/**
 * Makes programs of a guest trust an authority: what is put into its files, and which variables point there.
 *
 * Most programs read a bundle of the distribution, to which the authority is added between two marks. OpenSSL on Debian reads
 * a directory of files that are named after their subject. Some runtimes bring roots of their own and look at a variable.
 *
 * @module
 */
import { createHash, X509Certificate } from "node:crypto";
import { decodeUtf8, encodeUtf8 } from "../../base/bytes.ts";
import { certificatesIn } from "./authority.ts";
import { AUTHORITY_BUNDLES } from "./authority_bundles.ts";
import { subjectOf } from "./certificate.ts";
import { element, elementsOf, TAG } from "./der.ts";

/** The files of a guest, as far as this needs them. Both follow links, as the guest's programs do. */
export interface GuestFiles {
  /** The content; `undefined` if there is no such file, or it is larger than `bytesMax`. */
  read(path: string, bytesMax: number): Promise<Uint8Array | undefined>;
  /** Replaces the content, or creates the file with its directories, with mode 0644. */
  write(path: string, content: Uint8Array): Promise<void>;
}

/** Where the tools of Debian, Alpine and Arch, and of Fedora and RHEL, look for more authorities when they make a bundle. */
const SOURCES = [
  "/usr/local/share/ca-certificates/microsandbox.crt",
  "/etc/pki/ca-trust/source/anchors/microsandbox.pem",
] as const;
/** The directory that OpenSSL looks into on Debian and Alpine. */
const HASHED_DIRECTORY = "/etc/ssl/certs";
/** Those of distributions have 0.25 MB. */
const BUNDLE_BYTES_MAX = 8 * 2 ** 20;
/** Names with the same hash have different numbers at the end. */
const HASH_NUMBERS_MAX = 10;

const BLOCK_START = "# microsandbox: the authority of this sandbox's network\n";
const BLOCK_END = "# microsandbox: end\n";

/** Variables that name authorities to trust beside the program's own: Node.js and Bun, Deno. */
const ADDING_VARIABLES = ["NODE_EXTRA_CA_CERTS", "DENO_CERT"] as const;
/** Variables that name all authorities: OpenSSL, Go and Rust; Python's requests and pip; curl; git. */
const REPLACING_VARIABLES = [
  "SSL_CERT_FILE",
  "REQUESTS_CA_BUNDLE",
  "CURL_CA_BUNDLE",
  "GIT_SSL_CAINFO",
] as const;

/**
 * Makes a guest trust the certificates in `pem`. Doing it again changes nothing; with other certificates it replaces the
 * earlier ones. Trust stores in formats of their own, such as Java's, are left as they are.
 *
 * @returns Variables for programs of the guest. Those that the image or the user has set come before them.
 */
export async function installGuestTrust(pem: string, files: GuestFiles): Promise<Record<string, string>> {
  const certificates = certificatesIn(pem);
  const text = certificates.join("");
  for (const path of SOURCES) await writeIfOther(files, path, text);
  const bundle = (await addToBundles(files, text)) ?? AUTHORITY_BUNDLES[0];
  for (const certificate of certificates) await addHashed(files, certificate);
  const adding = ADDING_VARIABLES.map((name) => [name, SOURCES[0]]);
  const replacing = REPLACING_VARIABLES.map((name) => [name, bundle]);
  return Object.fromEntries([...adding, ...replacing]);
}

/** The path of the first bundle that exists. If none does, the first is made. */
async function addToBundles(files: GuestFiles, text: string): Promise<string | undefined> {
  let found: string | undefined;
  for (const path of AUTHORITY_BUNDLES) {
    const content = await files.read(path, BUNDLE_BYTES_MAX);
    if (content === undefined) continue;
    found ??= path;
    const before = decodeUtf8(content);
    const after = withTrustBlock(before, text);
    if (after !== before) await files.write(path, encodeUtf8(after));
  }
  if (found === undefined) await files.write(AUTHORITY_BUNDLES[0], encodeUtf8(withTrustBlock("", text)));
  return found;
}

/** A bundle with `certificates` in a marked block at its end, replacing the block if it has one. */
export function withTrustBlock(bundle: string, certificates: string): string {
  const start = bundle.indexOf(BLOCK_START);
  const end = bundle.indexOf(BLOCK_END, start);
  const rest =
    start === -1 || end === -1 ? bundle : bundle.slice(0, start) + bundle.slice(end + BLOCK_END.length);
  const separator = rest === "" || rest.endsWith("\n") ? "" : "\n";
  return rest + separator + BLOCK_START + certificates + BLOCK_END;
}

async function addHashed(files: GuestFiles, certificate: string): Promise<void> {
  const hash = subjectHash(new X509Certificate(certificate).raw);
  for (let number = 0; number < HASH_NUMBERS_MAX; number++) {
    const path = `${HASHED_DIRECTORY}/${hash}.${number}`;
    const content = await files.read(path, BUNDLE_BYTES_MAX);
    if (content !== undefined && decodeUtf8(content) !== certificate) continue; // another of the same name
    if (content === undefined) await files.write(path, encodeUtf8(certificate));
    return;
  }
}

async function writeIfOther(files: GuestFiles, path: string, text: string): Promise<void> {
  const content = await files.read(path, BUNDLE_BYTES_MAX);
  if (content === undefined || decodeUtf8(content) !== text) await files.write(path, encodeUtf8(text));
}

/** The name of a certificate's file in a directory of OpenSSL: what `openssl x509 -subject_hash` prints. */
export function subjectHash(certificate: Uint8Array): string {
  const name = elementsOf(subjectOf(certificate).name)[0]!;
  const canonical = elementsOf(name.content).map((set) =>
    element(TAG.set, ...elementsOf(set.content).map(({ content }) => canonicalAttribute(content))),
  );
  const digest = createHash("sha1").update(Buffer.concat(canonical)).digest();
  return digest.readUInt32LE(0).toString(16).padStart(8, "0");
}

/** OpenSSL's `x509_name_canon`: texts in UTF-8 and lower case, with one space where several are. */
function canonicalAttribute(attribute: Uint8Array): Uint8Array {
  const [type, value] = elementsOf(attribute);
  const text = value === undefined ? undefined : textOf(value.tag, value.content);
  if (type === undefined || text === undefined) return element(TAG.sequence, attribute);
  const folded = text
    .trim()
    .replace(/\s+/g, " ")
    .replace(/[A-Z]/g, (letter) => letter.toLowerCase());
  return element(TAG.sequence, type.whole, element(TAG.utf8String, encodeUtf8(folded)));
}

/** The text of UTF8String, PrintableString, T61String, IA5String, VisibleString or BMPString; else `undefined`. */
function textOf(tag: number, content: Uint8Array): string | undefined {
  if (tag === TAG.utf8String) return decodeUtf8(content);
  if ([0x13, 0x14, 0x16, 0x1a].includes(tag)) return Buffer.from(content).toString("latin1");
  return tag === 0x1e ? Buffer.from(content).swap16().toString("utf16le") : undefined;
}
