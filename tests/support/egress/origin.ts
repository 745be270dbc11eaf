/** Servers that a guest talks to, with certificates of an authority of their own. @module */

import { createPrivateKey, generateKeyPairSync, X509Certificate } from "node:crypto";
import {
  createServer as createHttpServer,
  type IncomingMessage,
  type RequestListener,
  type ServerResponse,
} from "node:http";
import { createServer as createHttpsServer } from "node:https";
import { type AddressInfo, createServer as createTcpServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import type { TlsConfig } from "../../../src/egress/config.ts";
import { createAuthority } from "../../../src/egress/tls/authority.ts";
import { serverCertificate, subjectOf } from "../../../src/egress/tls/certificate.ts";

/** The authority of the servers, which no machine trusts by itself. */
export const originAuthority = createAuthority();
/** The authority of the sandbox. */
export const sandboxAuthority = createAuthority();

const HOUR_MS = 60 * 60 * 1000;

/** Key and certificate for a server, which is valid until `endMs`. */
export function originCertificate(host: string, endMs = Date.now() + HOUR_MS): { key: string; cert: string } {
  const key = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;
  const { name, keyIdentifier } = subjectOf(new X509Certificate(originAuthority.certificate).raw);
  const issuer = { name, keyIdentifier, key: createPrivateKey(originAuthority.key) };
  const validity = { notBefore: new Date(endMs - 2 * HOUR_MS), notAfter: new Date(endMs) };
  return {
    key: key.export({ format: "pem", type: "pkcs8" }).toString(),
    cert: serverCertificate(host, key, issuer, validity),
  };
}

/** Interception as a sandbox has it by default, which knows the servers' authority. */
export function tlsConfig(changes: Partial<TlsConfig> = {}): TlsConfig {
  return {
    interceptedPorts: [443],
    bypass: [],
    verifyUpstream: true,
    scopedVerifyUpstream: [],
    upstreamCaCerts: [{ pem: originAuthority.certificate }],
    caCert: sandboxAuthority.certificate,
    caKey: sandboxAuthority.key,
    blockQuic: true,
    ...changes,
  };
}

/** A server on loopback until it is disposed of. */
export interface Origin extends AsyncDisposable {
  readonly port: number;
}

/** An HTTPS server for `api.example`, unless another host is given. */
export function httpsOrigin(
  handle: RequestListener,
  options: { host?: string; endMs?: number } = {},
): Promise<Origin> {
  const { host = "api.example", endMs } = options;
  return listening(
    createHttpsServer({ ...originCertificate(host, endMs), ALPNProtocols: ["http/1.1"] }, handle),
  );
}

export function httpOrigin(handle: RequestListener): Promise<Origin> {
  return listening(createHttpServer(handle));
}

export function tcpOrigin(handle: (socket: Socket) => void): Promise<Origin> {
  return listening(createTcpServer({ allowHalfOpen: true }, handle));
}

export function tlsOrigin(
  handle: (socket: Socket) => void,
  options: { alpn?: string[] } = {},
): Promise<Origin> {
  const { alpn } = options;
  const server = createTlsServer(
    {
      ...originCertificate("api.example"),
      allowHalfOpen: true,
      ...(alpn === undefined ? {} : { ALPNProtocols: alpn }),
    },
    handle,
  );
  return listening(server);
}

async function listening(server: Server): Promise<Origin> {
  const sockets = new Set<Socket>();
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    socket.on("error", () => {}); // a client that breaks off is a test's matter
  });
  server.on("tlsClientError", () => {});
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

/** Answers with the request as JSON: method, path, headers, and the body as text. */
export function echoRequest(request: IncomingMessage, response: ServerResponse): void {
  const pieces: Buffer[] = [];
  request.on("data", (piece: Buffer) => pieces.push(piece));
  request.on("end", () => {
    const { method, url, rawHeaders } = request;
    const body = Buffer.concat(pieces).toString("latin1");
    response.setHeader("Content-Type", "application/json");
    response.end(JSON.stringify({ method, url, rawHeaders, body }));
  });
}
