/** The authorities that this machine trusts, to verify servers with. @module */
import { readFileSync, statSync } from "node:fs";
import { rootCertificates } from "node:tls";
import { certificatesIn } from "./authority.ts";
import { AUTHORITY_BUNDLES } from "./authority_bundles.ts";

/** Those of distributions have 0.25 MB. */
const BUNDLE_BYTES_MAX = 8 * 2 ** 20;

/**
 * The authorities of this machine's bundle as PEM texts; where it has none, those that the runtime brings.
 *
 * @param environment Where `SSL_CERT_FILE` may stand.
 */
export function hostAuthorities(
  environment: Readonly<Record<string, string | undefined>> = process.env,
): string[] {
  const chosen = environment["SSL_CERT_FILE"];
  for (const path of chosen ? [chosen, ...AUTHORITY_BUNDLES] : AUTHORITY_BUNDLES) {
    const certificates = readBundle(path);
    if (certificates.length > 0) return certificates;
  }
  return [...rootCertificates];
}

function readBundle(path: string): string[] {
  try {
    const { size } = statSync(path);
    return size > BUNDLE_BYTES_MAX ? [] : certificatesIn(readFileSync(path, "utf8"));
  } catch {
    return []; // a distribution has some of these; the last resort is the runtime's own
  }
}
