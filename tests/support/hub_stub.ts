import { createHash } from "node:crypto";

/** The commit of its repositories. */
export const COMMIT = "0123456789abcdef0123456789abcdef01234567";

/** A hub whose repositories have the same files at one commit, and the environment that leads to it. */
export async function startHub(
  content: Readonly<Record<string, string | Uint8Array>>,
  names: readonly string[] = ["maker/model", "maker/rows"],
) {
  const files = new Map(
    Object.entries(content).map(([path, text]) => [
      path,
      typeof text === "string" ? new TextEncoder().encode(text) : text as Uint8Array<ArrayBuffer>,
    ]),
  );
  const requests: { readonly file: string | undefined; readonly range: string | null }[] = [];
  const cuts = new Map<string, { readonly at: number; readonly then: (() => void) | undefined }>();
  const state = {
    token: "",
    /** What it answers to everything, where it does. */
    refusal: undefined as { readonly status: number; readonly error: string } | undefined,
  };
  const known = names.join("|");
  const resolving = new RegExp(`^/(?:datasets/)?(?:${known})/(resolve)/[^/]+/(.+)$`);
  const asking = new RegExp(`^/api/(?:models|datasets)/(?:${known})/(revision|tree)/`);
  const answer = (request: Request): Response => {
    const { pathname } = new URL(request.url);
    const [, kind, file] = resolving.exec(decodeURIComponent(pathname)) ?? [];
    requests.push({ file, range: request.headers.get("range") });
    if (state.token && request.headers.get("authorization") !== `Bearer ${state.token}`) {
      return Response.json({ error: "not for you" }, { status: 401 });
    }
    if (state.refusal) {
      const { status, error } = state.refusal;
      return Response.json({ error }, { status });
    }
    if (kind) return send(request, file!);
    switch (asking.exec(pathname)?.[1]) {
      case "revision":
        return Response.json({ _id: "1", id: "maker/model", sha: COMMIT, lastModified: 0 });
      case "tree": {
        const deep = new URL(request.url).searchParams.get("recursive") === "true";
        return Response.json(
          [...files].filter(([path]) => deep || !/^\w.*\//.test(path)).map(([path, bytes]) => {
            const large = path.endsWith(".safetensors");
            const lfs = large ? { lfs: { oid: sha256(bytes), size: bytes.length } } : {};
            return { type: "file", path, size: bytes.length, oid: gitObject(bytes), ...lfs };
          }),
        );
      }
      default:
        return Response.json({ error: "Repository not found" }, { status: 404 });
    }
  };
  const send = (request: Request, path: string): Response => {
    const bytes = files.get(path);
    if (!bytes) return new Response("Entry not found", { status: 404 });
    const [, from] = /^bytes=(\d+)-/.exec(request.headers.get("range") ?? "") ?? [];
    const rest = bytes.slice(Number(from ?? 0));
    const status = from === undefined ? 200 : 206;
    const cut = cuts.get(path);
    cuts.delete(path);
    if (!cut) return new Response(rest, { status });
    const body = new ReadableStream<Uint8Array>({
      async start(controller) {
        controller.enqueue(rest.slice(0, cut.at));
        await new Promise((resume) => setTimeout(resume, 100));
        cut.then?.();
        controller.close();
      },
    });
    return new Response(body, { status, headers: { "content-length": String(rest.length) } });
  };
  const home = await Deno.makeTempDir();
  const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, answer);
  const url = `http://127.0.0.1:${server.addr.port}`;
  const before = Deno.env.toObject();
  for (const name of ["HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HUB_OFFLINE", "HF_TOKEN"]) {
    Deno.env.delete(name);
  }
  Deno.env.set("HF_HOME", home);
  Deno.env.set("HF_ENDPOINT", `${url}/`);
  let open = true;
  const close = async () => {
    if (open) await server.shutdown();
    open = false;
  };
  return Object.assign(state, {
    url,
    files,
    requests,
    cache: `${home}/hub`,
    close,
    /** Files whose bytes were asked for, in order. */
    fetched: () => requests.flatMap(({ file }) => file === undefined ? [] : [file]),
    /** Cuts the next answer for a file after some bytes. */
    cutAfter: (path: string, at: number, then?: () => void) => void cuts.set(path, { at, then }),
    async [Symbol.asyncDispose]() {
      await close();
      for (const name of Object.keys(Deno.env.toObject())) {
        if (!(name in before)) Deno.env.delete(name);
      }
      for (const [name, value] of Object.entries(before)) Deno.env.set(name, value);
      await Deno.remove(home, { recursive: true });
    },
  });
}

/** The SHA-256 of some bytes as hex. */
export function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

function gitObject(bytes: Uint8Array): string {
  return createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex");
}
