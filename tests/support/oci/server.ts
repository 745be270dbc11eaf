/**
 * A registry in this process that can misbehave: cut connections, lie about sizes and digests, ask for a login, be busy.
 * What it serves is exactly what a test puts in.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { gzipSync } from "node:zlib";

/** How one answer differs from the right one. The first rule whose `path` is in the request's path is used. */
export interface Fault {
  readonly path: string;
  /** How many answers are faulty. @default {1} */
  times?: number;
  /** Answer with this status, and with `headers`. */
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** Close the connection after so many bytes of the body. */
  readonly cutAfterBytes?: number;
  /** Send other bytes. */
  readonly body?: Uint8Array;
  /** Send the head and the first byte, then nothing more. */
  readonly hang?: boolean;
  /** Answer a range request with the whole blob. */
  readonly ignoreRange?: boolean;
}

export interface ReceivedRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
}

/** What a layer is made of: see {@linkcode TestRegistry.addImage}. */
export interface TestImage {
  readonly layers: readonly Uint8Array[];
  readonly config?: Readonly<Record<string, unknown>>;
  readonly platform?: { readonly os: string; readonly architecture: string; readonly variant?: string };
}

export function digestOf(bytes: Uint8Array | string): `sha256:${string}` {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

export class TestRegistry {
  readonly requests: ReceivedRequest[] = [];
  readonly faults: Fault[] = [];
  /** Decides on a request before it is served: `undefined` lets it through. */
  gate:
    | ((request: ReceivedRequest) => { status: number; headers: Record<string, string> } | undefined)
    | undefined;
  /** Further addresses, such as a token server. */
  readonly routes = new Map<string, (request: ReceivedRequest) => { status: number; body: string }>();
  readonly #blobs = new Map<string, Uint8Array>();
  readonly #manifests = new Map<string, { bytes: Uint8Array; mediaType: string }>();
  readonly #server: Server;

  static async start(): Promise<TestRegistry> {
    const registry = new TestRegistry();
    await new Promise<void>((resolve) => registry.#server.listen(0, "127.0.0.1", resolve));
    return registry;
  }

  private constructor() {
    this.#server = createServer((request, response) => void this.#serve(request, response));
  }

  /** `127.0.0.1:port`, as in references. */
  get host(): string {
    const address = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("the registry is not listening");
    return `127.0.0.1:${address.port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  /** How many requests had `text` in their path. */
  count(text: string): number {
    return this.requests.filter(({ path }) => path.includes(text)).length;
  }

  addBlob(bytes: Uint8Array): `sha256:${string}` {
    const digest = digestOf(bytes);
    this.#blobs.set(digest, bytes);
    return digest;
  }

  /** Stores a manifest under its digest and, where one is given, a tag. */
  addManifest(
    value: unknown,
    tag?: string,
    mediaType = "application/vnd.oci.image.manifest.v1+json",
  ): `sha256:${string}` {
    const bytes = value instanceof Uint8Array ? value : new TextEncoder().encode(JSON.stringify(value));
    const digest = digestOf(bytes);
    this.#manifests.set(digest, { bytes, mediaType });
    if (tag !== undefined) this.#manifests.set(tag, { bytes, mediaType });
    return digest;
  }

  /** Stores an image whose layers are tars, compressed here with gzip. Gives its manifest's digest. */
  addImage(image: TestImage, tag?: string): `sha256:${string}` {
    const platform = image.platform ?? {
      os: "linux",
      architecture: process.arch === "x64" ? "amd64" : process.arch,
    };
    const config = new TextEncoder().encode(
      JSON.stringify({
        ...platform,
        config: image.config ?? {},
        rootfs: { type: "layers", diff_ids: image.layers.map(digestOf) },
      }),
    );
    const layers = image.layers.map((layer) => {
      const compressed = gzipSync(layer, { level: 1 });
      const digest = this.addBlob(compressed);
      return {
        mediaType: "application/vnd.oci.image.layer.v1.tar+gzip",
        digest,
        size: compressed.length,
      };
    });
    return this.addManifest(
      {
        schemaVersion: 2,
        mediaType: "application/vnd.oci.image.manifest.v1+json",
        config: {
          mediaType: "application/vnd.oci.image.config.v1+json",
          digest: this.addBlob(config),
          size: config.length,
        },
        layers,
      },
      tag,
    );
  }

  /** Stores an index of images that were added before. */
  addIndex(entries: readonly { digest: string; platform: object }[], tag: string): `sha256:${string}` {
    const mediaType = "application/vnd.oci.image.index.v1+json";
    const manifests = entries.map(({ digest, platform }) => ({
      mediaType: "application/vnd.oci.image.manifest.v1+json",
      digest,
      size: this.#manifests.get(digest)?.bytes.length ?? 0,
      platform,
    }));
    return this.addManifest({ schemaVersion: 2, mediaType, manifests }, tag, mediaType);
  }

  async #serve(message: IncomingMessage, response: ServerResponse): Promise<void> {
    const parts: Uint8Array[] = [];
    for await (const part of message) parts.push(part);
    const request: ReceivedRequest = {
      method: message.method ?? "GET",
      path: message.url ?? "/",
      headers: message.headers,
      body: Buffer.concat(parts).toString(),
    };
    this.requests.push(request);

    const route = this.routes.get(request.path.split("?")[0] ?? "");
    if (route !== undefined) {
      const { status, body } = route(request);
      response.writeHead(status, { "content-type": "application/json" }).end(body);
      return;
    }
    const refusal = this.gate?.(request);
    if (refusal !== undefined) {
      response.writeHead(refusal.status, refusal.headers).end();
      return;
    }
    this.#answer(request, response, this.#takeFault(request.path));
  }

  #takeFault(path: string): Fault | undefined {
    const fault = this.faults.find(
      (candidate) => path.includes(candidate.path) && (candidate.times ?? 1) > 0,
    );
    if (fault !== undefined) fault.times = (fault.times ?? 1) - 1;
    return fault;
  }

  #answer(request: ReceivedRequest, response: ServerResponse, fault: Fault | undefined): void {
    if (fault?.status !== undefined) {
      response.writeHead(fault.status, { ...fault.headers }).end();
      return;
    }
    const found = this.#find(request.path);
    if (found === undefined) {
      response.writeHead(404, { "content-type": "application/json" }).end('{"errors":[]}');
      return;
    }
    const whole = fault?.body ?? found.bytes;
    const start = fault?.ignoreRange
      ? 0
      : Number(/^bytes=([0-9]+)-$/.exec(request.headers.range ?? "")?.[1] ?? 0);
    const body = whole.subarray(start);
    response.writeHead(start > 0 ? 206 : 200, {
      "content-type": found.mediaType,
      "content-length": String(body.length),
      ...(found.digest === undefined ? {} : { "docker-content-digest": found.digest }),
      ...(start > 0 ? { "content-range": `bytes ${start}-${whole.length - 1}/${whole.length}` } : {}),
      ...fault?.headers,
    });
    if (request.method === "HEAD") {
      response.end();
    } else if (fault?.hang) {
      response.write(body.subarray(0, 1));
    } else if (fault?.cutAfterBytes !== undefined) {
      response.write(body.subarray(0, fault.cutAfterBytes), () => response.destroy());
    } else {
      response.end(body);
    }
  }

  #find(path: string): { bytes: Uint8Array; mediaType: string; digest: string | undefined } | undefined {
    if (path === "/v2/") return { bytes: new Uint8Array(), mediaType: "application/json", digest: undefined };
    const [, kind, name] = /^\/v2\/.+\/(manifests|blobs)\/([^/?]+)(?:\?.*)?$/.exec(path) ?? [];
    if (kind === undefined || name === undefined) return undefined;
    if (kind === "blobs") {
      const bytes = this.#blobs.get(name);
      return bytes && { bytes, mediaType: "application/octet-stream", digest: name };
    }
    const manifest = this.#manifests.get(name);
    return manifest && { ...manifest, digest: digestOf(manifest.bytes) };
  }
}
