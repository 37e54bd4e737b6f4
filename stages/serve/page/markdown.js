/** Shows Markdown as a model writes it, while it writes. */
import markdownIt from "./lib/markdown-it.js";
import purify from "./lib/dompurify.js";
import highlighter from "./lib/highlight.js";
import { button, copy, element } from "./dom.js";

const markdown = markdownIt({ html: false, linkify: true, breaks: true, highlight });
// Nothing is fetched from elsewhere: what would be a picture is a link.
markdown.disable("image");
// Styles in tags are not allowed here: columns of tables say by a class where they stand.
markdown.core.ruler.push("aligned", ({ tokens }) => {
  for (const token of tokens) {
    const [, side] = /^text-align:(\w+)$/.exec(token.attrGet("style") ?? "") ?? [];
    if (side) token.attrs = [["class", `to-${side}`]];
  }
});

/** What may come of Markdown; everything else goes, whatever made it. */
const ALLOWED = {
  ALLOWED_TAGS: [
    ..."p br hr h1 h2 h3 h4 h5 h6 ul ol li blockquote pre code em strong s a span".split(" "),
    ..."table thead tbody tr th td".split(" "),
  ],
  ALLOWED_ATTR: ["href", "title", "class", "start"],
  ALLOWED_URI_REGEXP: /^(?:https?|mailto):/i,
  RETURN_DOM_FRAGMENT: true,
};

/** Headings of answers stand below those of the page. */
const LEVELS_DOWN = 2;

function highlight(code, language) {
  if (!highlighter.getLanguage(language)) return "";
  return highlighter.highlight(code, { language, ignoreIllegals: true }).value;
}

/** Shows a text; what stands there already is not drawn again. */
export function showMarkdown(place, text) {
  const made = purify.sanitize(markdown.render(text), ALLOWED);
  for (const link of made.querySelectorAll("a")) {
    link.target = "_blank";
    link.rel = "noopener noreferrer";
  }
  for (const heading of made.querySelectorAll("h1, h2, h3, h4, h5, h6")) {
    const level = Math.min(6, Number(heading.localName[1]) + LEVELS_DOWN);
    heading.replaceWith(element(`h${level}`, {}, ...heading.childNodes));
  }
  const blocks = [...made.children].map(framed);
  while (place.children.length > blocks.length) place.lastElementChild.remove();
  for (const [at, block] of blocks.entries()) {
    const there = place.children[at];
    if (!there) place.append(block);
    else if (there.outerHTML !== block.outerHTML) there.replaceWith(block);
  }
}

/** Code has a bar above it, a table may be wider than the page. */
function framed(block) {
  if (block.localName === "table") return element("div", { className: "wide", tabIndex: 0 }, block);
  const code = block.localName === "pre" ? block.querySelector("code") : null;
  if (!code) return block;
  const [, language = ""] = /language-(\S+)/.exec(code.className) ?? [];
  block.tabIndex = 0;
  const bar = element(
    "div",
    { className: "bar" },
    element("span", { text: language }),
    button("Copy", (from) => copy(code.textContent.replace(/\n$/, ""), from)),
  );
  return element("div", { className: "code" }, bar, block);
}
