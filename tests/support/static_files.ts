import { join, normalize } from "node:path";

const TYPES: Readonly<Record<string, string>> = {
  html: "text/html; charset=utf-8",
  js: "text/javascript; charset=utf-8",
};

/** A file server for a directory, on a port of its own. */
export function serveDir(directory: string): AsyncDisposable & { readonly url: string } {
  const server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen() {} }, async (request) => {
    const { pathname } = new URL(request.url);
    const name = normalize(pathname === "/" ? "/index.html" : pathname);
    const type = TYPES[name.split(".").at(-1)!] ?? "application/octet-stream";
    try {
      return new Response(await Deno.readFile(join(directory, name)), {
        headers: { "content-type": type },
      });
    } catch {
      return new Response("", { status: 404 });
    }
  });
  return {
    url: `http://127.0.0.1:${server.addr.port}/`,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}
