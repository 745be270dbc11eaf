/** Where distributions keep the authorities that they trust. @module */

/** Bundles of PEM texts: Debian, Alpine and Arch; Fedora and RHEL, old and new; openSUSE; Alpine's LibreSSL. */
export const AUTHORITY_BUNDLES = [
  "/etc/ssl/certs/ca-certificates.crt",
  "/etc/pki/tls/certs/ca-bundle.crt",
  "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
  "/etc/ssl/ca-bundle.pem",
  "/etc/ssl/cert.pem",
] as const;
