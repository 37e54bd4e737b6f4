import html from "./page/page.html" with { type: "text" };
import css from "./page/page.css" with { type: "text" };
import docsCss from "./page/docs.css" with { type: "text" };
import docsHtml from "./page/docs.html" with { type: "text" };
import docsJs from "./page/docs.js" with { type: "text" };
import js from "./page/page.js" with { type: "text" };

/** Files of the pages at `/` and `/docs`, by path, with their types. */
export const PAGE: ReadonlyMap<string, readonly [type: string, text: string]> = new Map([
  ["/", ["text/html; charset=utf-8", html]],
  ["/page.css", ["text/css; charset=utf-8", css]],
  ["/page.js", ["text/javascript; charset=utf-8", js]],
  ["/docs", ["text/html; charset=utf-8", docsHtml]],
  ["/docs.css", ["text/css; charset=utf-8", docsCss]],
  ["/docs.js", ["text/javascript; charset=utf-8", docsJs]],
]);

/** The page runs its own script and asks its own server; no other host, frame or inline script. */
const POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; " +
  "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/** The file of the page at a path. */
export function pageFile(path: string): Response {
  const [type, text] = PAGE.get(path)!;
  return new Response(text, {
    headers: {
      "content-type": type,
      "content-security-policy": POLICY,
      "x-content-type-options": "nosniff",
      "referrer-policy": "no-referrer",
      "cache-control": "no-cache",
    },
  });
}
