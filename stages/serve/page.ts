import dompurify from "dompurify" with { type: "text" };
import highlight from "@highlightjs/cdn-assets/es/highlight.min.js" with { type: "text" };
import markdownIt from "markdown-it/browser" with { type: "text" };
import answer from "./page/answer.js" with { type: "text" };
import chats from "./page/chats.js" with { type: "text" };
import css from "./page/page.css" with { type: "text" };
import docsCss from "./page/docs.css" with { type: "text" };
import docsHtml from "./page/docs.html" with { type: "text" };
import docsJs from "./page/docs.js" with { type: "text" };
import dom from "./page/dom.js" with { type: "text" };
import figures from "./page/figures.js" with { type: "text" };
import html from "./page/page.html" with { type: "text" };
import js from "./page/page.js" with { type: "text" };
import markdown from "./page/markdown.js" with { type: "text" };
import past from "./page/past.js" with { type: "text" };
import quality from "./page/quality.js" with { type: "text" };
import server from "./page/server.js" with { type: "text" };
import settings from "./page/settings.js" with { type: "text" };
import { ApiError } from "./api_error.ts";

/** The pages, by their paths. */
export const PAGES: ReadonlyMap<string, string> = new Map([["/", html], ["/docs", docsHtml]]);

/** What the pages load from `/page/`, the browsers' builds of libraries among them. */
const FILES: ReadonlyMap<string, string> = new Map(Object.entries({
  "page.css": css,
  "docs.css": docsCss,
  "docs.js": docsJs,
  "page.js": js,
  "answer.js": answer,
  "chats.js": chats,
  "dom.js": dom,
  "figures.js": figures,
  "markdown.js": markdown,
  "past.js": past,
  "quality.js": quality,
  "server.js": server,
  "settings.js": settings,
  "lib/dompurify.js": dompurify,
  "lib/highlight.js": highlight,
  "lib/markdown-it.js": markdownIt,
}));

/** The page runs its own scripts and asks its own server; no other host, frame or inline script. */
const POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; " +
  "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/** A page by its path. */
export function page(path: string): Response {
  return served(PAGES.get(path)!, "html");
}

/** A file that pages load, by its name below `/page/`. */
export function pageFile(name: string): Response {
  const text = FILES.get(name);
  if (text !== undefined) return served(text, name.endsWith(".css") ? "css" : "javascript");
  throw new ApiError(404, `Cannot find /page/${name}: no page loads it`, { code: "not_found" });
}

function served(text: string, type: "html" | "css" | "javascript"): Response {
  return new Response(text, {
    headers: {
      "content-type": `text/${type}; charset=utf-8`,
      "content-security-policy": POLICY,
      "x-content-type-options": "nosniff",
      "referrer-policy": "no-referrer",
      "cache-control": "no-cache",
    },
  });
}
